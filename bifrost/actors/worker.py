"""The cell of an ordinary actor: its mailbox, its message loop and its end.

In: envelopes, and orders from the supervisor. Out: calls of `on_start`, `receive` and `on_stop`, one at a time; reports
to the supervisor.

An idle actor has no task. A task is made when mail arrives, handles what is queued, and ends. What must happen at the
end of an incarnation is done by the cell, not by the actor's coroutine, because a coroutine that is cancelled before
its first step never runs.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from bifrost.actors import events, steps
from bifrost.actors.actor import Actor
from bifrost.actors.carrier import CURRENT_TASKS, NOTHING, REFERENCES_AT_REST, Carrier, swap_current_task
from bifrost.actors.cell import Cell
from bifrost.actors.context import ActorContext
from bifrost.actors.dead_letters import DeadLetterReason
from bifrost.actors.ending import end_incarnation
from bifrost.actors.exit_reason import Crash, ExitReason, Killed, Shutdown, StartFailure, is_abnormal
from bifrost.actors.incarnation import FOR_THE_HOST, Incarnation
from bifrost.actors.mailbox import Envelope, Lane, MailboxQueue, OnRestart, Overflow
from bifrost.actors.ref import ActorRef
from bifrost.actors.state import ActorState, Delivery, Down
from bifrost.actors.steps import Fate
from bifrost.errors import ActorCrashed, ActorRestarted, MailboxFull

if TYPE_CHECKING:
    from bifrost.actors.child_spec import ChildSpec
    from bifrost.actors.meter import Meter
    from bifrost.actors.supervisor_cell import SupervisorCell
    from bifrost.actors.system import ActorSystem

__all__ = ["WorkerCell"]

_log = logging.getLogger("bifrost.actors")


class WorkerCell(Cell):
    """One actor's place in the tree."""

    __slots__ = ("_fate", "_inc", "_mailbox", "_senders")

    def __init__(self, system: ActorSystem, parent: SupervisorCell, spec: ChildSpec, path: str) -> None:
        super().__init__(system, parent, spec, path)
        self._mailbox: MailboxQueue | None = None
        self._inc: Incarnation | None = None
        self._fate = Fate.UNDECIDED
        self._senders: deque[tuple[asyncio.Future[None], Envelope]] | None = None

    def make_ref(self) -> ActorRef[Any]:
        """A plain ref."""
        return ActorRef(self)

    def is_current(self, inc: Incarnation) -> bool:
        """True until `inc` has ended completely."""
        return self._inc is inc

    @property
    def mailbox(self) -> MailboxQueue:
        """The mailbox, made when the first message comes."""
        if self._mailbox is None:
            self._mailbox = MailboxQueue(self.spec.mailbox)
            self.inbox = self._mailbox.normal
            self._regate()
        return self._mailbox

    def _regate(self) -> None:
        """Open or shut the short way into the mailbox: after every change of what it depends on."""
        box = self._mailbox
        if (
            box is None
            or box.settings.key is not None
            or self._senders
            or not self._takes_mail
            or self.system.meter is not None
        ):
            self.limit = 0
        else:
            self.limit = box.limit

    # Starting

    def launch(self) -> None:
        """Make a new instance and call its `on_start`."""
        self.begin_incarnation()
        self._fate = Fate.UNDECIDED
        if self._mailbox is not None and self._mailbox.settings is not self.spec.mailbox:
            self._mailbox.resize(self.spec.mailbox)
        inc = self._inc = Incarnation(self, self.incarnation, self.system.context.copy())
        self._regate()
        if self.scheduler.has_room_now:
            self._start(inc)
        else:
            self.scheduler.add(functools.partial(self._start, inc))

    def _start(self, inc: Incarnation) -> None:
        if self._inc is not inc or inc.ending is not None:
            return  # it was stopped before its turn came
        try:
            actor = inc.context.run(self._make, inc)
        except FOR_THE_HOST:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a user's factory raises is a failed start
            self._begin_end(inc, StartFailure(error))
            return
        if type(actor).on_start is Actor.on_start:
            self._started(inc)
            return
        inc.runner = self.scheduler.step(inc, self._call_on_start(inc, actor), inc.name)
        if inc.runner is not None and inc.ending is None:
            overdue = self.system.loop.call_later(self.spec.start_timeout, self._start_overdue, inc)
            inc.runner.add_done_callback(lambda _task: overdue.cancel())

    def _make(self, inc: Incarnation) -> Actor[Any]:
        actor = self.spec.start(*self.spec.args, **self.spec.kwargs)
        if not isinstance(actor, Actor):
            raise TypeError(f"start must return an Actor, got {actor!r}")
        inc.actor = actor
        inc.ctx = actor.ctx = ActorContext(self, inc)
        return actor

    async def _call_on_start(self, inc: Incarnation, actor: Actor[Any]) -> None:
        try:
            await actor.on_start()
        except asyncio.CancelledError as error:
            if inc.killed:
                raise
            self._begin_end(inc, StartFailure(error))
        except FOR_THE_HOST:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a user's start raises is a failed start
            self._begin_end(inc, StartFailure(error))
        else:
            self._started(inc)

    def _started(self, inc: Incarnation) -> None:
        inc.started = True
        if inc.ending is not None or inc.fenced:
            return
        inc.announced = True
        self.is_up()
        event = events.ActorStarted if inc.number == 1 else events.ActorRestarted
        self.system.publish(event, self.path, incarnation=inc.number)
        assert self.parent is not None
        self.parent.feed(steps.Started(self.spec.id))
        self._rest(inc)

    def _start_overdue(self, inc: Incarnation) -> None:
        seconds = self.spec.start_timeout
        error = TimeoutError(
            f"on_start took longer than start_timeout={seconds:g} s; connect in a running state instead"
        )
        self._begin_end(inc, StartFailure(error))

    # Messages

    @property
    def _takes_mail(self) -> bool:
        if self.state in (ActorState.STOPPED, ActorState.FAILED):
            return False
        return self.state is not ActorState.STOPPING or self._fate is Fate.RESTART or self._is_undecided

    @property
    def _is_undecided(self) -> bool:
        return self._fate is Fate.UNDECIDED and not self.system.is_stopping

    def put(self, envelope: Envelope) -> Delivery:
        """Queue a message, or do what the overflow policy says."""
        if not self._takes_mail:
            self._bounce(envelope, DeadLetterReason.STOPPED)
            return Delivery.DEAD
        box = self.mailbox
        key = box.settings.key
        if key is not None and envelope.reply is None:
            envelope.key = self._key_of(envelope, key)
            if box.conflate(envelope):
                return Delivery.ACCEPTED
        if not box.has_room and not self._make_room(envelope):
            self._bounce(envelope, DeadLetterReason.FULL)
            return Delivery.DROPPED
        self._push(envelope)
        return Delivery.ACCEPTED

    def _push(self, envelope: Envelope) -> None:
        """Queue a message that is to be queued."""
        box = self.mailbox
        box.push(envelope)
        if self.system.meter is not None:
            self.system.meter.sent(self, envelope)
        if self.limit:
            self.limit = box.limit
        if self.idle:
            self.awaken()

    def awaken(self) -> None:
        """Handle what is queued when this actor's turn comes."""
        self.idle = False
        self.scheduler.add(self._burst)

    def _key_of(self, envelope: Envelope, key: Callable[[Any], Hashable]) -> Hashable:
        try:
            return key(envelope.message)
        except Exception as error:  # noqa: BLE001 - the key is the user's code, and tell never raises
            _log.warning("%s: the mailbox key failed; the message is queued by itself", self.path, exc_info=error)
            return envelope

    def _make_room(self, envelope: Envelope) -> bool:
        overflow = self.mailbox.settings.overflow
        if overflow is Overflow.DROP_OLDEST:
            victim = self.mailbox.drop_oldest(envelope.lane)
            if victim is not NOTHING:
                self._bounce_item(victim, DeadLetterReason.FULL)
                self._regate()
                return True
        elif overflow is Overflow.FAIL and self._inc is not None:
            capacity = self.mailbox.settings.capacity
            self._crash(self._inc, MailboxFull(f"{self.path}: more than {capacity} messages waited, and overflow=fail"))
        return False

    def put_unbounded(self, envelope: Envelope, inc: Incarnation) -> None:
        """Take a timer's message or a notice, past the bound; only `inc`, which asked for it, will see it."""
        if self._takes_mail:
            envelope.bounded = False
            envelope.owner = inc
            self._push(envelope)

    def put_or_wait(self, envelope: Envelope) -> Delivery | asyncio.Future[None]:
        """Queue a message, or queue its sender until there is room."""
        if (
            self.mailbox.settings.overflow is not Overflow.BACKPRESSURE
            or not self._takes_mail
            or (self.mailbox.has_room and not self._senders)
        ):
            return self.put(envelope)
        waiter: asyncio.Future[None] = self.system.loop.create_future()
        if self._senders is None:
            self._senders = deque()
        self._senders.append((waiter, envelope))
        self._regate()
        return waiter

    def admit(self, waiter: asyncio.Future[None]) -> None:
        """Take the message of a sender that waits for room, past the bound."""
        for index, (own, envelope) in enumerate(self._senders or ()):
            if own is waiter and self._senders is not None:
                if self._takes_mail and not waiter.done():
                    del self._senders[index]
                    self._push(envelope)
                    waiter.set_result(None)
                    self._regate()
                return

    def withdraw(self, waiter: asyncio.Future[None]) -> None:
        """Forget a message whose sender no longer waits for room."""
        for index, (own, _) in enumerate(self._senders or ()):
            if own is waiter and self._senders is not None:
                del self._senders[index]
                self._regate()
                return

    def _admit_senders(self) -> None:
        while self._senders and self.mailbox.has_room:
            waiter, envelope = self._senders.popleft()
            # An ask waits on its reply, not on the waiter: its sender is gone when the reply is done.
            if not waiter.done() and not envelope.is_dead:
                self._push(envelope)
                waiter.set_result(None)
        self._regate()

    def _bounce_item(self, item: Any, reason: DeadLetterReason, error: Exception | None = None) -> None:
        """Answer for what was taken out of the mailbox, bare or in its envelope."""
        if type(item) is Envelope:
            self._bounce(item, reason, error)
        else:
            self.dead_letter(item, reason)

    def _bounce(self, envelope: Envelope, reason: DeadLetterReason, error: Exception | None = None) -> None:
        """Answer for a message that will not be handled."""
        if envelope.is_dead:
            return
        if envelope.reply is not None:
            if error is None and reason is DeadLetterReason.FULL:
                error = MailboxFull(f"{self.path}: the mailbox is full and the request was dropped")
            envelope.reply.set_exception(error or self.stopped_error())
        self.dead_letter(envelope.message, reason)

    # Handling

    def _burst(self) -> None:
        """Handle what is queued: this actor's turn has come."""
        inc = self._inc
        if inc is None or not inc.announced or inc.runner is not None or (inc.ending is not None and not inc.draining):
            return
        self.idle = False
        inc.runner = self.scheduler.step(inc, self._drain(inc), inc.name)

    async def _drain(self, inc: Incarnation) -> None:  # noqa: C901, PLR0912 - one loop: a message costs one await
        """Handle what is queued, up to a fair share."""
        box = self.mailbox
        normal = box.normal
        receive = inc.receive or self._arm(inc)
        left = self.scheduler.share
        meter = self.system.meter
        try:
            while inc.ending is None or inc.draining:
                if box.rush:
                    item = box.pop()
                elif normal:
                    item = normal.popleft()
                    if type(item) is Envelope:
                        box.left(item)
                else:
                    break
                if self._senders:
                    self._admit_senders()
                if type(item) is Envelope:
                    self._regate()
                    if item.is_dead or (item.owner is not None and item.owner is not inc):
                        continue
                    inc.current = item
                    inc.handled += 1
                    if meter is None:
                        self._answer(inc, item, await receive(item.message))
                    else:
                        self._answer(inc, item, await self._metered(meter, receive, item))
                else:
                    inc.current = item
                    inc.handled += 1
                    await receive(item)
                left -= 1
                if not left:
                    if not self.scheduler.allows_more():
                        break
                    left = self.scheduler.share
        except asyncio.CancelledError as error:
            if inc.killed:
                raise
            self._crash(inc, error)
        except FOR_THE_HOST:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a user's handler raises is a crash
            self._crash(inc, error)
        else:
            if not inc.fenced:
                inc.current = NOTHING
                self._rest(inc)

    def _arm(self, inc: Incarnation) -> Callable[[Any], Coroutine[Any, Any, Any]]:
        """Find what handles a message; wrap it unless it is an ``async def``, whose call runs no code yet."""
        assert inc.actor is not None
        receive: Any = inc.actor.receive
        if not inspect.iscoroutinefunction(receive):
            receive = functools.partial(_await, receive)
        inc.receive = receive
        return inc.receive

    async def _metered(self, meter: Meter, receive: Callable[[Any], Any], envelope: Envelope) -> object:
        token = meter.begin(self, envelope)
        try:
            answer: object = await receive(envelope.message)
        except BaseException as error:
            meter.end(self, envelope, token, error)
            raise
        meter.end(self, envelope, token, None)
        return answer

    def _answer(self, inc: Incarnation, item: Any, answer: object) -> None:
        if type(item) is Envelope and item.reply is not None and not inc.fenced and not item.reply.done():
            item.reply.set_result(answer)

    def _rest(self, inc: Incarnation) -> None:
        """Be idle, or go on when the next turn comes."""
        if inc.ending is None:
            box = self._mailbox
            if box is None or not (box.normal or box.rush):
                self.idle = True
            else:
                self.scheduler.add(self._burst)
        elif inc.draining and self.waiting_messages():
            self.scheduler.add(self._burst)
        else:
            inc.is_quiet()

    def can_run_now(self) -> bool:
        """True if an ask may run the handler on the asker's stack: it is idle, and nothing special is to be done."""
        return self.idle and len(self.mailbox) == 0 and self.limit > 0

    def run_now(self, message: Any) -> Any:  # noqa: PLR0915 - every call taken out of it would cost each ask
        """Handle `message` on the asker's stack until it is done or suspends.

        Returns:
            The answer; or the `Envelope` with the answer to wait for, if the handler has suspended.

        Raises:
            ActorCrashed: the handler raised.
        """
        inc = self._inc
        box = self._mailbox
        assert inc is not None
        assert box is not None
        scheduler = self.scheduler
        loop = scheduler.loop
        receive = inc.receive or self._arm(inc)
        left = scheduler.left = scheduler.left - 1
        if not left and not scheduler.turning:
            scheduler.wake()
        depth = scheduler.depth
        carrier = (scheduler.carriers[depth] if depth < len(scheduler.carriers) else None) or scheduler.carrier()
        carrier.owner = inc
        self.idle = False
        inc.current = message
        inc.handled += 1
        # `swap_current_task`, written out: this is the path of every ask that does not suspend.
        if CURRENT_TASKS is None:
            previous = swap_current_task(loop, carrier.task)
        else:
            previous = CURRENT_TASKS.get(loop)
            CURRENT_TASKS[loop] = carrier.task
        scheduler.depth = depth + 1
        try:
            coro = receive(message)
            yielded = inc.context.run(coro.send, None)
        except StopIteration as stop:
            scheduler.depth = depth
            if CURRENT_TASKS is None or previous is None:
                swap_current_task(loop, previous)
            else:
                CURRENT_TASKS[loop] = previous
            carrier.owner = None
            if getrefcount(carrier.task) > REFERENCES_AT_REST:
                scheduler.replace(carrier)
            inc.current = NOTHING
            if inc.ending is None and not box.normal and not box.rush:
                self.idle = True
            else:
                self._rest(inc)
            return stop.value
        except BaseException as error:
            scheduler.depth = depth
            swap_current_task(loop, previous)
            carrier.owner = None
            scheduler.replace(carrier)
            if isinstance(error, FOR_THE_HOST):
                raise
            self._crash(inc, error)
            raise self._crashed_error(error) from error
        scheduler.depth = depth
        swap_current_task(loop, previous)
        return self._suspended(inc, carrier, coro, yielded)

    def _suspended(self, inc: Incarnation, carrier: Carrier, coro: Coroutine[Any, Any, Any], yielded: Any) -> Envelope:
        """Let `carrier` carry on the handler in hand."""
        envelope = inc.current = Envelope(inc.current, reply=self.scheduler.loop.create_future())
        carrier.envelope = envelope
        carrier.adopt(coro, yielded, inc.context, inc.name)
        self.scheduler.replace(carrier)
        inc.runner = carrier.task
        return envelope

    def handler_done(self, inc: Incarnation, envelope: Envelope, answer: object) -> None:
        """A handler that began on its asker's stack has returned."""
        reply = envelope.reply
        inc.runner = None
        if not inc.fenced:
            if reply is not None and not reply.done():
                reply.set_result(answer)
            inc.current = NOTHING
            self._rest(inc)

    def handler_failed(self, inc: Incarnation, error: BaseException) -> bool:
        """A handler that began on its asker's stack has raised; True if that was a crash of this actor."""
        if isinstance(error, FOR_THE_HOST) or (isinstance(error, asyncio.CancelledError) and inc.killed):
            return False
        self._crash(inc, error)
        return True

    def _crash(self, inc: Incarnation, error: BaseException) -> None:
        if inc.fenced or self._inc is not inc:
            return
        if inc.ending is not None and not is_abnormal(inc.ending):
            inc.ending = Crash(error)  # it crashed while it was being stopped: that is its own reason
            self._note_crash(inc, error)
        self._begin_end(inc, Crash(error))
        self._fail_current(inc, error)

    def _fail_current(self, inc: Incarnation, error: BaseException) -> None:
        item, inc.current = inc.current, NOTHING
        if item is not NOTHING:
            failure = self._crashed_error(error)
            failure.__cause__ = error
            self._bounce_item(item, DeadLetterReason.CRASHED, failure)

    def _crashed_error(self, error: BaseException) -> ActorCrashed:
        return ActorCrashed(
            f"{self.path} crashed while it handled the request: {type(error).__name__}: {error}", cause=error
        )

    def task_crashed(self, inc: Incarnation, error: BaseException) -> None:
        """A task of the incarnation raised."""
        if inc is self._inc and (inc.started or inc.ending is None):
            self._begin_end(inc, Crash(error) if inc.started else StartFailure(error))

    # Ending

    def stop_self(self, inc: Incarnation, reason: ExitReason) -> None:
        """The actor wants to end after the message in hand."""
        if inc is self._inc and not inc.fenced:
            self._begin_end(inc, reason)

    def halt(self, fate: Fate) -> None:
        """Stop in order: the message in hand first, or the whole queue if the actor drains."""
        self._fate = fate
        self._regate()
        inc = self._inc
        if inc is None:
            return
        if inc.ending is None and self.spec.drain and inc.announced and fate is not Fate.RESTART:
            inc.draining = True
        self._begin_end(inc, Shutdown())
        if fate is Fate.RESTART:
            inc.yield_to_restart()
        if not self._takes_mail and not inc.draining:
            self._flush(DeadLetterReason.STOPPED)

    def force(self) -> None:
        """Stop now."""
        inc = self._inc
        if inc is not None:
            self._begin_end(inc, Killed())
            inc.draining = False
            inc.force()

    def kill(self) -> None:
        """End the incarnation: its handler and tasks are cancelled, its stop hook runs."""
        if self._inc is not None:
            self._begin_end(self._inc, Killed())

    def _begin_end(self, inc: Incarnation, reason: ExitReason) -> None:
        if inc.ending is not None or self._inc is not inc:
            return
        inc.ending = reason
        self.idle = False
        self.state = ActorState.STOPPING
        self._regate()
        if isinstance(reason, Crash):
            self._note_crash(inc, reason.error)
        elif isinstance(reason, StartFailure):
            self.last_crash = str(reason)
            self.system.publish(events.ActorStartFailed, self.path, incarnation=inc.number, error=reason.error)
            _log.warning("%s: %s", self.path, reason)
        if inc.draining and inc.runner is None and self.waiting_messages():
            self.scheduler.add(self._burst)
        self.scheduler.add(functools.partial(self._begin_ending, inc))

    def _begin_ending(self, inc: Incarnation) -> None:
        """End the incarnation: at once if nothing can hold it up, else in a task."""
        actor = inc.actor
        if (
            inc.runner is None
            and not inc.draining
            and not inc.tasks
            and not (inc.started and actor is not None and type(actor).on_stop is not Actor.on_stop)
        ):
            if inc.timers is not None:
                inc.timers.cancel_all()
            self._ended(inc, [])
        else:
            inc.ender = self.system.loop.create_task(
                self._end(inc), name=f"{self.path}#{inc.number}:end", context=self.system.context.copy()
            )

    def _note_crash(self, inc: Incarnation, error: BaseException) -> None:
        self.last_crash = f"{type(error).__name__}: {error}"
        self.system.publish(events.ActorCrashed, self.path, incarnation=inc.number, error=error)
        _log.error("%s: incarnation %d crashed", self.path, inc.number, exc_info=error)

    async def _end(self, inc: Incarnation) -> None:
        """End the incarnation completely, then report."""
        self._ended(inc, await end_incarnation(self, inc))

    def _ended(self, inc: Incarnation, leaks: list[str]) -> None:
        reason = inc.ending
        assert reason is not None
        if leaks and isinstance(reason, Killed):
            reason = Killed(leaked=True)
        self._fail_current(inc, reason.error if isinstance(reason, Crash) else TimeoutError(str(reason)))
        for watched in inc.watching or ():
            watched.remove_watcher(self, inc)
        self.last_reason = reason
        self._inc = None
        assert self.parent is not None
        if inc.announced:
            self.system.publish(events.ActorStopped, self.path, incarnation=inc.number, reason=reason)
            self.parent.feed(steps.Exited(self.spec.id, reason))
        else:
            error = reason.error if isinstance(reason, StartFailure | Crash) else TimeoutError(str(reason))
            self.parent.feed(steps.StartFailed(self.spec.id, error))

    def on_settled(self, fate: Fate) -> None:
        """Keep or answer for what is still queued."""
        self._fate = fate
        self._regate()
        if fate is not Fate.RESTART:
            self._flush(DeadLetterReason.STOPPED)
        elif self.mailbox.settings.on_restart is OnRestart.DROP:
            error = ActorRestarted(f"{self.path} was restarted before it saw the request; it is safe to send it again")
            self._flush(DeadLetterReason.RESTARTING_DROP, error)

    def _flush(self, reason: DeadLetterReason, error: Exception | None = None) -> None:
        for item in self._mailbox.clear() if self._mailbox is not None else ():
            self._bounce_item(item, reason, error)
        senders, self._senders = self._senders, None
        for waiter, envelope in senders or ():
            if envelope.reply is not None:
                self._bounce(envelope, reason, error)
            elif not waiter.done():
                waiter.set_exception(error or self.stopped_error())
        self._regate()

    # Watching

    def watch(self, inc: Incarnation, target: Cell) -> None:
        """Let this actor's incarnation `inc` hear of the end of `target`."""
        if inc.fenced or self._inc is not inc:
            return
        if inc.watching is None:
            inc.watching = set()
        inc.watching.add(target)
        target.add_watcher(self, inc)

    def unwatch(self, inc: Incarnation, target: Cell) -> None:
        """Take a watch back."""
        if inc.watching is not None:
            inc.watching.discard(target)
        target.remove_watcher(self, inc)

    def notify_down(self, inc: Incarnation, down: Down) -> None:
        """Queue a `Down` for the incarnation that asked for it."""
        if inc is self._inc and not inc.fenced:
            if inc.watching is not None:
                inc.watching.discard(down.ref.cell)
            self.put_unbounded(Envelope(down, lane=Lane.SYSTEM), inc)

    def waiting_messages(self) -> int:
        """What is in the mailbox."""
        return 0 if self._mailbox is None else len(self._mailbox)


async def _await(receive: Callable[[Any], Any], message: Any) -> Any:
    return await receive(message)
