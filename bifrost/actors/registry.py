"""Names for actors, one registry per system: who is called what, and who wants to know.

In: a name and a ref. Out: the ref under a name, the members of a group, changes for those who subscribed. A name
belongs to the place in the tree, not to the incarnation: it stays over a restart and is released when the actor has
stopped for good. Not here: anything global; two systems may use the same names.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from bifrost.actors.incarnation import CURRENT
from bifrost.actors.state import ActorState
from bifrost.errors import ActorError, ActorStopped, NameNotFound, NameTaken

if TYPE_CHECKING:
    from types import TracebackType

    from bifrost.actors.cell import Cell
    from bifrost.actors.ref import ActorRef
    from bifrost.actors.system import ActorSystem


__all__ = ["NameChange", "NameSubscription", "Registry"]

_SWEEP = 64  # names beyond the last sweep's survivors at which those without subscribers are forgotten
_ENDED = (ActorState.STOPPED, ActorState.FAILED)


@dataclass(frozen=True, slots=True)
class NameChange:
    """Who is called `name` has changed.

    Attributes:
        name: the name.
        ref: who was registered or released.
        registered: true if `ref` has the name now, false if it has lost it.
        refs: everybody who has the name after the change, in the order of registration.
        missed: changes before this one that did not fit the subscription's queue; `refs` is true all the same.
    """

    name: str
    ref: ActorRef[Any]
    registered: bool
    refs: tuple[ActorRef[Any], ...]
    missed: int = 0


class NameSubscription:
    """The changes of one name, from the moment of the call, as an asynchronous iterator for one reader.

    It ends with the system, or with `close`. A reader that is too slow loses the oldest changes and finds their number
    in the next one. Use it in a `with` block, or drop it: an unreferenced subscription is forgotten.
    """

    def __init__(self, name: str, capacity: int, *, ended: bool = False) -> None:
        self.name = name
        self._queue: deque[NameChange] = deque()
        self._capacity = capacity
        self._missed = 0
        self._ended = ended
        self._waiter: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> NameChange:
        while not self._queue:
            if self._ended:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise ActorError(f"two readers wait on one subscription to {self.name!r}; subscribe once for each")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        change, missed = self._queue.popleft(), self._missed
        if not missed:
            return change
        self._missed = 0
        return NameChange(change.name, change.ref, change.registered, change.refs, missed)

    def close(self) -> None:
        """End the iteration; what is queued is still delivered."""
        self._ended = True
        self._wake()

    def put(self, change: NameChange) -> None:
        """Queue a change for the reader; called by the registry."""
        if self._ended:
            return
        if len(self._queue) == self._capacity:
            self._queue.popleft()
            self._missed += 1
        self._queue.append(change)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Registry:
    """The names of one system.

    A name is *unique* (one actor has it) or a *group* (any number have it), as its first holder registers it. Names are
    registered and subscribed to on the system's own thread; they may be looked up from any thread.
    """

    def __init__(self, system: ActorSystem) -> None:
        self._system = system
        self._unique: dict[str, Cell] = {}
        self._groups: dict[str, dict[Cell, None]] = {}
        self._names_of: dict[Cell, set[str]] = {}
        self._subscriptions: dict[str, WeakSet[NameSubscription]] = {}
        self._sweep_at = _SWEEP
        self._closed = False

    # Writing

    def register(self, name: str, ref: ActorRef[Any], *, group: bool = False) -> None:
        """Give `ref` the name until it is unregistered or has stopped for good; a repeat is no error.

        A restart does not release the name. A child that was stopped or parked and is started again by hand has to be
        registered again, which happens by itself for a name in its specification.

        Args:
            name: any text that is not empty.
            ref: an actor of this system that has not stopped.
            group: join the group of this name instead of taking the name for one actor alone.

        Raises:
            NameTaken: somebody else has the name (`.ref`), or it is a group and `group` is false, or the reverse.
            ActorStopped: the actor, the system or the calling incarnation has ended.
            ActorError: the actor belongs to another system, or the caller runs in a foreign thread.
        """
        self._check_caller("register")
        cell = ref.cell
        given: object = name
        if not isinstance(given, str) or not given:
            raise ActorError(f"a name must be a non-empty string, got {name!r}")
        if cell.system is not self._system:
            raise ActorError(f"{cell.path} belongs to another system; names are registered in the actor's own system")
        if self._closed or cell.state in _ENDED:
            raise cell.stopped_error()
        if group:
            if name in self._unique:
                raise self._taken(name, self._unique[name])
            members = self._groups.setdefault(name, {})
            if cell in members:
                return
            members[cell] = None
        else:
            holder = self._unique.get(name)
            if holder is cell:
                return
            if holder is not None:
                raise self._taken(name, holder)
            if name in self._groups:
                raise NameTaken(f"{name!r} is the name of a group; register with group=True, or take another name")
            self._unique[name] = cell
        self._names_of.setdefault(cell, set()).add(name)
        self._tell(name, cell, registered=True)

    def unregister(self, name: str, ref: ActorRef[Any]) -> None:
        """Take the name from `ref`; no error if it does not have it.

        Raises:
            ActorStopped: the calling incarnation was abandoned.
            ActorError: the caller runs in a foreign thread.
        """
        self._check_caller("unregister")
        names = self._names_of.get(ref.cell)
        if names is not None and name in names:
            self._release(name, ref.cell)

    def release(self, cell: Cell) -> None:
        """Take every name from a cell that has stopped for good; called by the runtime."""
        names = self._names_of.get(cell)
        if names is not None:
            for name in sorted(names):
                self._release(name, cell)

    def close(self) -> None:
        """End every subscription and refuse new names; called when the system has stopped."""
        for cell in list(self._names_of):
            self.release(cell)
        self._closed = True
        for subscriptions in self._subscriptions.values():
            for subscription in list(subscriptions):
                subscription.close()
        self._subscriptions.clear()

    # Reading

    def whereis(self, name: str) -> ActorRef[Any]:
        """The one actor of this name; while it is restarted its `state` says so.

        Raises:
            NameNotFound: nobody has the name, or it is the name of a group.
        """
        cell = self._unique.get(name)
        if cell is not None:
            return cell.ref
        if name in self._groups:
            raise NameNotFound(f"{name!r} is the name of a group in system {self._system.name!r}; use lookup")
        raise NameNotFound(f"nobody is called {name!r} in system {self._system.name!r}")

    def lookup(self, name: str) -> list[ActorRef[Any]]:
        """Everybody of this name, in the order of registration: none, the one, or the members of the group."""
        cell = self._unique.get(name)
        if cell is not None:
            return [cell.ref]
        return [member.ref for member in tuple(self._groups.get(name, ()))]

    def names(self, ref: ActorRef[Any] | None = None) -> list[str]:
        """Every name in use, or every name of one actor, sorted."""
        return sorted([*self._unique, *self._groups] if ref is None else self._names_of.get(ref.cell, ()))

    def subscribe(self, name: str, *, capacity: int = 64) -> NameSubscription:
        """Hear of every change from now on; see `NameSubscription`.

        `lookup` in the same turn of the loop completes the picture: nothing can change in between.

        Args:
            name: whether somebody has it now or not.
            capacity: changes kept for a slow reader, 1 or more.

        Raises:
            ActorError: the caller runs in a foreign thread, or `capacity` is wrong.
        """
        self._check_caller("subscribe")
        if capacity < 1:
            raise ActorError(f"a subscription needs a capacity of at least 1, got {capacity!r}")
        subscription = NameSubscription(name, capacity, ended=self._closed)
        if not self._closed:
            if len(self._subscriptions) >= self._sweep_at:  # names of which nobody wants to hear any more
                self._subscriptions = {known: those for known, those in self._subscriptions.items() if those}
                self._sweep_at = 2 * len(self._subscriptions) + _SWEEP
            self._subscriptions.setdefault(name, WeakSet()).add(subscription)
        return subscription

    # Inside

    def _check_caller(self, verb: str) -> None:
        if threading.get_ident() != self._system.thread_id:
            raise ActorError(f"{verb} may be called only on the thread of the system's own event loop")
        sender = CURRENT.get()
        if sender is not None and sender.fenced:
            raise ActorStopped("this incarnation was abandoned and is fenced; it can change no names")

    def _taken(self, name: str, holder: Cell) -> NameTaken:
        return NameTaken(f"{name!r} is the name of {holder.path} ({holder.state.value}); take another", ref=holder.ref)

    def _release(self, name: str, cell: Cell) -> None:
        if self._unique.get(name) is cell:
            del self._unique[name]
        elif (members := self._groups.get(name)) is not None:
            members.pop(cell, None)
            if not members:
                del self._groups[name]
        names = self._names_of[cell]
        names.discard(name)
        if not names:
            del self._names_of[cell]
        self._tell(name, cell, registered=False)

    def _tell(self, name: str, cell: Cell, *, registered: bool) -> None:
        subscriptions = self._subscriptions.get(name)
        if not subscriptions:
            self._subscriptions.pop(name, None)
            return
        change = NameChange(name, cell.ref, registered, tuple(self.lookup(name)))
        for subscription in list(subscriptions):
            subscription.put(change)
