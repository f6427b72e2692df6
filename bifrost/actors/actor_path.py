"""A ref on its way through a file or to another process: its path, and nothing that runs.

In: a pickled ref. Out: a value that a system turns into a ref again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bifrost.actors.ref import ActorRef
    from bifrost.actors.system import ActorSystem

__all__ = ["ActorPath"]


@dataclass(frozen=True, slots=True)
class ActorPath:
    """What remains of an `ActorRef` that was pickled.

    Attributes:
        system: the name of the system that it came from.
        path: where the actor stood in it.
    """

    system: str
    path: str

    def resolve(self, system: ActorSystem) -> ActorRef[Any]:
        """The actor that stands at this path in `system`, whatever the name of that system.

        Raises:
            ChildNotFound: nothing has started there.
        """
        return system.ref(self.path)
