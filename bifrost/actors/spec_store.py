"""Where a dynamic supervisor keeps what was added to it at run time.

In: specifications as children come and go. Out: the same specifications when the supervisor starts again, in the same
process or, with a store that writes them down, in another one. Not here: actors, files, a loop.

A store is called on the loop's thread, between two restarts, and must return soon: one that writes to a slow place
hands the writing to a thread of its own. What it raises breaks no supervisor; it is logged and published as
`SpecStoreFailed`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from bifrost.actors.child_spec import ChildSpec

__all__ = ["MemorySpecStore", "SpecStore"]


class SpecStore(Protocol):
    """Keeps the specifications of one or more dynamic supervisors, each under its path.

    What is kept is what is to run: that a child is held, parked or in its back-off is known only to the process.

    A `ChildSpec` is plain data as far as `start`, `args`, `kwargs` and the mailbox's key are: one that is to be written
    down names its factory at the top level of a module (then it can be pickled), or the store keeps what it needs to
    make the specification again.
    """

    def load(self, supervisor: str) -> Iterable[ChildSpec]:
        """What is kept for the supervisor at this path, in the order in which it is to start."""

    def save(self, supervisor: str, spec: ChildSpec) -> None:
        """Keep `spec`; one with the same id is replaced in its place."""

    def remove(self, supervisor: str, child_id: str) -> None:
        """Forget a child; it is no error if it is not known."""


class MemorySpecStore:
    """Keeps specifications as long as the process lives.

    Several supervisors of one system may share one, and so may systems that run one after the other. Two that run at
    the same time need one each: the key is the supervisor's path, which both may have.
    """

    def __init__(self) -> None:
        self._specs: dict[str, dict[str, ChildSpec]] = {}

    def load(self, supervisor: str) -> tuple[ChildSpec, ...]:
        """What is kept for the supervisor at this path, in the order in which it was added."""
        return tuple(self._specs.get(supervisor, {}).values())

    def save(self, supervisor: str, spec: ChildSpec) -> None:
        """Keep `spec`; one with the same id is replaced in its place."""
        self._specs.setdefault(supervisor, {})[spec.id] = spec

    def remove(self, supervisor: str, child_id: str) -> None:
        """Forget a child."""
        kept = self._specs.get(supervisor, {})
        kept.pop(child_id, None)
        if not kept:
            self._specs.pop(supervisor, None)
