"""The class that users write: one message at a time, a new instance after every crash.

In: messages. Out: whatever the actor does, through `self.ctx`. Not here: mailbox, tasks, supervision; see `worker.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from bifrost.actors.exit_reason import ExitReason

if TYPE_CHECKING:
    from bifrost.actors.context import ActorContext

__all__ = ["Actor", "M"]

M = TypeVar("M")


class Actor(Generic[M]):
    """Base of every actor; `M` is the type of its messages.

    The supervisor makes a new instance for each incarnation, so `__init__` and the attributes it sets are the clean
    state that a restart returns to. Nobody else ever holds a reference to the instance.

    Attributes:
        ctx: what the actor may do to the world; set before `on_start`.
    """

    ctx: ActorContext

    async def on_start(self) -> object:
        """Get ready; the actor counts as started when this returns.

        What it returns, such as the address that it listens on, is the `start_info` of its ref for this incarnation.
        It is bounded by the specification's `start_timeout` and must not wait for a remote device: an outage is a
        state, not a failed start. If it raises, it cleans up after itself: `on_stop` is not called.
        """

    async def receive(self, message: M) -> object:
        """Handle one message; what is returned answers an `ask`. An exception is a crash."""
        return None

    async def on_stop(self, reason: ExitReason) -> None:
        """Release what `on_start` took: called once for each `on_start` that returned, also after a crash.

        The incarnation's own tasks have ended by then. It is bounded by the specification's `shutdown`; an exception
        is reported and changes nothing.
        """
