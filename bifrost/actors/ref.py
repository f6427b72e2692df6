"""How everybody else speaks to an actor.

In: messages. Out: exact results: what was accepted, what was answered, or which error and whether a retry is safe. A
ref names a place in the tree, not an instance: it stays valid over restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from bifrost.actors.actor_path import ActorPath
from bifrost.actors.carrier import current_carrier
from bifrost.actors.incarnation import CURRENT, FENCES
from bifrost.actors.mailbox import Envelope, Lane
from bifrost.actors.state import ActorState, Delivery
from bifrost.errors import ActorError, ActorStopped, MailboxFull

if TYPE_CHECKING:
    from bifrost.actors.cell import Cell
    from bifrost.actors.incarnation import Incarnation
    from bifrost.actors.request import Request

__all__ = ["ActorRef"]

M = TypeVar("M")
R = TypeVar("R")

_NORMAL = Lane.NORMAL
_ACCEPTED = Delivery.ACCEPTED


class ActorRef(Generic[M]):
    """Names an actor; equal to another ref of the same actor, and hashable."""

    __slots__ = ("cell",)

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        """The runtime's side of the actor; not for applications."""

    @property
    def path(self) -> str:
        """Where the actor stands in the tree, such as ``devices/press``."""
        return self.cell.path

    @property
    def state(self) -> ActorState:
        """Where the actor stands at the moment."""
        return self.cell.state

    @property
    def incarnation(self) -> int:
        """Which life it is in, from 1; 0 before the first."""
        return self.cell.incarnation

    @property
    def start_info(self) -> Any:
        """What `on_start` of the present incarnation returned; None before that and when it has ended."""
        return self.cell.start_info

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorRef) and other.cell is self.cell

    def __hash__(self) -> int:
        return id(self.cell)

    def __reduce__(self) -> tuple[type[ActorPath], tuple[str, str]]:
        """Pickle the path alone; see `ActorPath`."""
        return ActorPath, (self.cell.system.name, self.cell.path)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.cell.path} {self.cell.state.value} #{self.cell.incarnation}>"

    def tell(self, message: M, *, lane: Lane = Lane.NORMAL, ttl: float | None = None) -> Delivery:
        """Send and go on. Never raises, never waits; may be called from any thread.

        Args:
            message: what to send.
            lane: priority.
            ttl: seconds after which it is no longer to be handled: if its turn comes later, or the actor is being
                restarted then, it becomes a dead letter `ttl`. None is for ever.

        Returns:
            ACCEPTED: it is in the mailbox. From a foreign thread: it is on its way there, and becomes a dead letter if
            the mailbox has filled up meanwhile.
            DROPPED: the mailbox is full. DEAD: the actor has stopped, or is a supervisor, which takes no messages. Both
            publish a dead letter.
        """
        cell = self.cell
        if lane is _NORMAL and ttl is None and get_ident() == cell.thread_id and not FENCES.up:
            inbox = cell.inbox
            if len(inbox) < cell.limit:
                inbox.append(message)
                if cell.idle:
                    cell.awaken()
                return _ACCEPTED
        return self._tell_slowly(message, lane, ttl)

    def _tell_slowly(self, message: M, lane: Lane, ttl: float | None) -> Delivery:
        """Send whatever needs a look first: at the sender, the thread, the state, the overflow policy."""
        cell = self.cell
        envelope = Envelope(message, lane=lane)
        if ttl is not None:
            envelope.expires = cell.system.loop.time() + ttl
        sender = CURRENT.get()
        fenced = sender is not None and sender.fenced
        if get_ident() != cell.thread_id:
            # A thread that an abandoned incarnation left behind carries its context, and is fenced like it.
            return cell.tell_from_thread(envelope, fenced=fenced)
        if fenced:
            return cell.refuse_fenced(message)
        return cell.put(envelope)

    async def send(  # noqa: C901, PLR0912 - the short way is written out, because a call costs as much as the rest of it
        self, message: M, *, timeout: float | None = 5.0, lane: Lane = Lane.NORMAL, ttl: float | None = None
    ) -> None:
        """Send, waiting for room: this is backpressure.

        Args:
            message: what to send.
            timeout: seconds to wait for room at most; None only where something else bounds the wait.
            lane: priority.
            ttl: as for `tell`; it runs from the call.

        Raises:
            MailboxFull: there was no room by then, or the mailbox drops what does not fit; the actor has not seen it.
            ActorStopped: the actor has stopped; it has not seen it.
            ActorError: it is a supervisor, or the caller runs in another thread; only `tell` may be called there.
        """
        cell = self.cell
        if lane is _NORMAL and ttl is None and get_ident() == cell.thread_id and not FENCES.up:
            inbox = cell.inbox
            if len(inbox) < cell.limit:
                inbox.append(message)
                if cell.idle:
                    cell.awaken()
                return
        self._check_caller()
        envelope = Envelope(message, lane=lane)
        if ttl is not None:
            envelope.expires = cell.system.loop.time() + ttl
        delivery = cell.put_or_wait(envelope)
        if isinstance(delivery, asyncio.Future):
            sender = CURRENT.get()
            if sender is not None:
                sender.wait_for_room(cell, delivery)
            try:
                async with asyncio.timeout(timeout):
                    await delivery
            except TimeoutError:
                if delivery.cancelled():
                    raise MailboxFull(f"{cell.path}: no room in the mailbox for {timeout:g} s; slow down") from None
                delivery.result()  # it was decided in the turn in which the time was over: that counts
            finally:
                if sender is not None and sender.sending is not None and sender.sending[1] is delivery:
                    sender.sending = None
                if delivery.cancelled():
                    cell.withdraw(delivery)
        elif delivery is Delivery.DEAD:
            raise cell.stopped_error()
        elif delivery is Delivery.DROPPED:
            raise MailboxFull(f"{cell.path}: the mailbox is full and drops what does not fit")

    @overload
    async def ask(self, message: Request[R], *, timeout: float | None = 5.0, lane: Lane = Lane.NORMAL) -> R: ...
    @overload
    async def ask(self, message: Request[Any], *, timeout: float | None = 5.0, lane: Lane = Lane.NORMAL) -> object: ...
    @overload
    async def ask(self, message: M, *, timeout: float | None = 5.0, lane: Lane = Lane.NORMAL) -> Any: ...
    async def ask(  # noqa: C901, PLR0912 - the short way stands in it, because a call more would cost each ask
        self, message: Any, *, timeout: float | None = 5.0, lane: Lane = Lane.NORMAL
    ) -> Any:
        """Send and wait for the answer, which is what `receive` returns.

        If the caller is cancelled or the time is over, a request that is still queued is never handled, and a late
        answer is discarded.

        Args:
            message: the request.
            timeout: seconds for room and answer together; None only where something else bounds the wait.
            lane: priority.

        Raises:
            AskTimeout: no answer by then; the actor may still act.
            ActorStopped: it has stopped and has not seen the request.
            ActorRestarted: it was restarted with a mailbox that drops; it has not seen the request.
            ActorCrashed: it crashed while it handled the request; it may have acted.
            MailboxFull: the mailbox drops what does not fit; it has not seen the request.
            AskCycle: it waits for the answer of the actor whose handler asks here, or is that actor.
            ValueError: `timeout` is NaN.
            NoHandler: it handles no messages of this type, and goes on.
            ActorError: it is a supervisor, or the caller runs in another thread; only `tell` may be called there.
        """
        cell = self.cell
        if (
            cell.idle
            and (cell.limit or cell.can_run_now())
            and get_ident() == cell.thread_id
            and not FENCES.up
            and (cell.scheduler.left > 0 or cell.scheduler.renew())
            and (cell.scheduler.top is not None or cell.scheduler.made < cell.scheduler.depth)
        ):
            answer = cell.run_now(message, timeout)
            if type(answer) is not Envelope:
                return answer
            reply = answer.reply
            assert reply is not None
            carrier = current_carrier(cell.scheduler.loop)
            asker = None if carrier is None else carrier.owner
            del carrier
            try:
                if timeout is not None:
                    answer.expires = cell.scheduler.deadlines.add(reply, cell.path, timeout)
                if asker is not None:
                    asker.begin_ask(cell)
                return await reply
            except BaseException:
                _settle(reply)
                del answer, reply  # an error that it holds would hold this frame, and so itself
                raise
            finally:
                if asker is not None:
                    asker.asking = None
        asker = self._check_caller()
        if asker is not None:
            if asker.is_handling_here():
                asker.begin_ask(cell)
            else:
                asker = None
        reply = cell.system.loop.create_future()
        envelope = Envelope(message, reply=reply, lane=lane)
        delivery: Delivery | asyncio.Future[None] = Delivery.DEAD
        try:
            if timeout is not None:
                envelope.expires = cell.scheduler.deadlines.add(reply, cell.path, timeout)
            delivery = cell.put_or_wait(envelope)
            if delivery is Delivery.DEAD and not reply.done():
                raise cell.stopped_error()
            if delivery is Delivery.DROPPED and not reply.done():
                raise MailboxFull(f"{cell.path}: the mailbox is full and drops what does not fit")
            return await reply
        finally:
            if asker is not None:
                asker.asking = None
            if isinstance(delivery, asyncio.Future) and not delivery.done():
                cell.withdraw(delivery)
            _settle(reply)
            del envelope, reply  # as above

    def drain(self) -> None:
        """Let the actor handle what is queued now, and then end by itself with `Normal`.

        Its restart type decides whether it is started again; what came later waits for that, or becomes dead letters.
        A crash on the way does not cancel it. May be called from any thread; an actor that has ended ignores it.
        """
        self._on_loop(self.cell.drain)

    def kill(self) -> None:
        """End the present incarnation at once, as `exit(Pid, kill)` does; its supervisor decides what follows.

        A running handler is cancelled and its ask fails with `ActorCrashed`; `on_stop` still runs, with `Killed`. For
        tests of one's own tree, and for operators. An actor that is being stopped waits no longer for its handler, its
        queue or its stop hook. May be called from any thread; an actor that has ended ignores it.
        """
        self._on_loop(self.cell.kill)

    def _on_loop(self, order: Callable[[], None]) -> None:
        if get_ident() == self.cell.thread_id:
            order()
        else:
            with contextlib.suppress(RuntimeError):  # the loop has closed, and the actor has ended with it
                self.cell.system.loop.call_soon_threadsafe(order)

    async def wait_running(self, *, timeout: float = 5.0) -> None:
        """Return when the actor runs; at once if it does.

        Args:
            timeout: seconds to wait at most.

        Raises:
            ActorStopped: it has stopped, is parked, or does so meanwhile.
            TimeoutError: it did not come up by then; it still may.
            ActorError: the caller runs in another thread.
        """
        self._check_caller()
        async with asyncio.timeout(timeout):
            await self.cell.wait_running()

    def _check_caller(self) -> Incarnation | None:
        if get_ident() != self.cell.thread_id:
            raise ActorError(
                f"{self.cell.path}: only tell may be called outside the system's own event loop thread; from another "
                "thread or loop go through a portal, see bifrost.actors.hosts"
            )
        sender = CURRENT.get()
        if sender is not None and sender.fenced:
            raise ActorStopped("this incarnation was abandoned and is fenced; it can send nothing")
        return sender


def _settle(reply: asyncio.Future[Any]) -> None:
    """Close the account of an ask: a late answer is discarded, an error counts as seen."""
    if not reply.done():
        reply.cancel()
    elif not reply.cancelled():
        reply.exception()  # seen: the loop need not report an error that nobody asked for
