"""The handling side of an actor's cell: one message at a time, on whose stack and in which task.

In: what is in the mailbox, and asks that may run at once. Out: calls of `receive`, answers, crashes. Not here: the
mailbox (`mail_cell.py`), the beginning and the end of an incarnation (`worker.py`).
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from bifrost.actors.carrier import CURRENT_TASKS, DONE, NOTHING, REFERENCES_AT_REST, Carrier, swap_current_task
from bifrost.actors.dead_letters import DeadLetterReason
from bifrost.actors.exit_reason import Crash, ExitReason, StartFailure, error_text, is_abnormal
from bifrost.actors.handler_table import Unhandled, is_dispatcher
from bifrost.actors.headroom import HEADROOM, LIMIT
from bifrost.actors.incarnation import FOR_THE_HOST, LET_THROUGH, Incarnation
from bifrost.actors.mail_cell import MailCell
from bifrost.actors.mailbox import Envelope
from bifrost.actors.stash import NOBODY, nudge
from bifrost.errors import ActorCrashed, ActorStopped

if TYPE_CHECKING:
    from bifrost.actors.meter import Meter

__all__ = ["HandlingCell"]


class HandlingCell(MailCell):
    """A cell that handles its mail."""

    @abstractmethod
    def _note_crash(self, inc: Incarnation, error: BaseException) -> None:
        """Tell the world that it crashed."""

    def _burst(self) -> None:
        """Handle what is queued: this actor's turn has come."""
        inc = self._inc
        if inc is None or not inc.announced or inc.runner is not None or (inc.ending is not None and not inc.draining):
            return
        self.idle = False
        inc.runner = self.scheduler.step(inc, self._drain(inc))

    async def _drain(self, inc: Incarnation) -> None:  # noqa: C901, PLR0912, PLR0915 - one loop, one await
        """Handle what is queued, up to a fair share."""
        box = self.mailbox
        normal = box.normal
        receive = inc.receive or self._arm(inc)
        share = self.scheduler.share
        inc.allowed = None
        meter = self.system.meter
        try:
            while True:
                for count in range(inc.handled + 1, inc.handled + 1 + share):
                    if inc.ending is not None and not inc.draining:
                        break
                    if normal and not box.rush:
                        item = normal.popleft()
                        if type(item) is not Envelope:
                            if self._senders:
                                self._admit_senders()
                            inc.current = item
                            inc.handled = count
                            await receive(item)
                            continue
                        box.left(item)
                    elif box.rush:
                        item = box.pop()
                    else:
                        break
                    if self._senders:
                        self._admit_senders()
                    self.regate()
                    receive = inc.receive or receive  # a nudge comes between `become` and the next message
                    if item.expires is not None and item.reply is None and self._is_over(item):
                        continue
                    if item.is_dead or (item.owner is not None and item.owner is not inc):
                        continue
                    inc.current = item
                    inc.handled = count
                    if meter is None:
                        self._answer(inc, item, await receive(item.message))
                    else:
                        self._answer(inc, item, await self._metered(meter, receive, item))
                else:
                    if self.scheduler.allows_more():
                        continue
                break
        except asyncio.CancelledError as error:
            if inc.killed:
                raise
            item = NOTHING  # its reply will hold the error, and the error holds this frame
            self._crash(inc, error)
        except LET_THROUGH:
            raise
        except Unhandled as error:
            self._refuse(inc, error)
        except BaseException as error:  # noqa: BLE001 - whatever a user's handler raises is a crash
            item = NOTHING  # as above
            self._crash(inc, error)
        else:
            if not inc.fenced:
                inc.current = NOTHING
                self._rest(inc)

    def _arm(self, inc: Incarnation, receive: Any = None) -> Callable[[Any], Coroutine[Any, Any, Any]]:
        """Find what handles a message; wrap it unless it is an ``async def``, whose call runs no code yet."""
        assert inc.actor is not None
        inc.own_context()
        if receive is None:
            receive = inc.actor.receive
        if not (_is_async(receive) or is_dispatcher(receive)):
            receive = functools.partial(_await, receive)
        inc.receive = receive
        return inc.receive

    def become(self, inc: Incarnation, receive: Callable[[Any], Any] | None) -> None:
        """Handle what comes after the message in hand with `receive`; None is the actor's own."""
        if inc.fenced or self._inc is not inc or inc.actor is None:
            return
        self._arm(inc, receive)
        if self._mailbox is not None:
            self._mailbox.push(nudge())
            if self.idle:
                self.awaken()

    async def _metered(self, meter: Meter, receive: Callable[[Any], Any], envelope: Envelope) -> object:
        token = meter.begin(self, envelope)
        try:
            answer: object = await receive(envelope.message)
        except BaseException as error:
            meter.end(self, envelope, token, error)
            del envelope, token  # its reply will hold the error, and the error holds this frame
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

    def run_now(  # noqa: PLR0915 - every call taken out of it would cost each ask
        self, message: Any, timeout: float | None
    ) -> Any:
        """Handle `message` on the asker's stack until it is done or suspends; its asker waits for `timeout` seconds.

        Returns:
            The answer; or the `Envelope` with the answer to wait for, if the handler has suspended.

        Raises:
            ActorCrashed: the handler raised.
        """
        inc = self._inc
        box = self._mailbox
        if inc is None or box is None:
            raise self.stopped_error()
        scheduler = self.scheduler
        loop = scheduler.loop
        receive = inc.receive or self._arm(inc)
        carrier = scheduler.top or scheduler.extend()
        # `swap_current_task`, written out: this is the path of every ask that does not suspend. What may find the stack
        # used up stands before the first change of state, or in the `try`.
        if CURRENT_TASKS is None:
            previous = swap_current_task(loop, carrier.task)
        else:
            previous = CURRENT_TASKS.get(loop)
            CURRENT_TASKS[loop] = carrier.task
        scheduler.left -= 1
        scheduler.top = carrier.below
        carrier.owner = inc
        self.idle = False
        inc.current = message
        inc.allowed = timeout
        try:
            yielded = inc.context.run(carrier.drive, receive(message))
        except BaseException as error:  # noqa: BLE001 - told to the asker as `ActorCrashed`, below
            with LIMIT:  # the asker may have used up the stack; what ends the incarnation must not be cut short
                sys.setrecursionlimit(sys.getrecursionlimit() + HEADROOM)
            try:
                swap_current_task(loop, previous)
                failure = self._failed_now(inc, carrier, error)
            finally:
                with LIMIT:
                    sys.setrecursionlimit(sys.getrecursionlimit() - HEADROOM)
            try:
                raise failure from error
            finally:
                del failure  # it holds this frame
        if CURRENT_TASKS is None or previous is None:
            swap_current_task(loop, previous)
        else:
            CURRENT_TASKS[loop] = previous
        if yielded is not DONE:
            return self._suspended(inc, carrier, yielded)
        carrier.owner = None
        answer = carrier.answer
        carrier.answer = None
        if getrefcount(carrier.task) > REFERENCES_AT_REST:
            scheduler.give_back(carrier)
        else:
            carrier.below = scheduler.top
            scheduler.top = carrier
        if inc.ending is None and not box.normal and not box.rush:
            inc.current = NOTHING
            self.idle = True
            return answer
        item, inc.current = inc.current, NOTHING
        self._rest(inc)
        return item if type(item) is Envelope else answer  # it was stashed: the answer is still owed

    def _failed_now(self, inc: Incarnation, carrier: Carrier, error: BaseException) -> ActorCrashed:
        """The handler has raised on its asker's stack; raises what the asker hears if that is not a crash."""
        carrier.rearm()
        self.scheduler.give_back(carrier)
        if isinstance(error, FOR_THE_HOST):
            raise error
        if isinstance(error, Unhandled):
            self._refuse(inc, error)
            raise error.for_asker(self.path) from None
        self._crash(inc, error)
        return self._crashed_error(error)

    def _suspended(self, inc: Incarnation, carrier: Carrier, yielded: Any) -> Envelope:
        """Let `carrier` carry on the handler in hand."""
        if type(inc.current) is Envelope:  # it was stashed before it suspended: what it returns answers nobody
            envelope = inc.current
            carrier.envelope = Envelope(NOTHING)
        else:
            envelope = inc.current = carrier.envelope = Envelope(inc.current, reply=self.scheduler.loop.create_future())
            if inc.extras is not None and inc.extras.asked is not None and envelope.reply is not None:
                inc.extras.asked(envelope.reply)
        inc.handled += 1
        self.scheduler.made -= 1
        carrier.adopt(yielded, inc.context, inc.name)
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
        """A handler that began on its asker's stack has raised; True if that is dealt with."""
        if isinstance(error, FOR_THE_HOST) or (isinstance(error, asyncio.CancelledError) and inc.killed):
            return False
        if isinstance(error, Unhandled):
            inc.runner = None
            self._refuse(inc, error)
        else:
            self._crash(inc, error)
        return True

    def _refuse(self, inc: Incarnation, error: Unhandled) -> None:
        """Answer for the message in hand, which has no handler, and go on."""
        if not inc.fenced:
            item, inc.current = inc.current, NOTHING
            self._bounce_item(item, DeadLetterReason.NO_HANDLER, error.for_asker(self.path))
            self._rest(inc)

    def _crash(self, inc: Incarnation, error: BaseException) -> None:
        if inc.fenced or self._inc is not inc:
            return
        if inc.ending is not None and not is_abnormal(inc.ending):
            inc.ending = Crash(error)  # it crashed while it was being stopped: that is its own reason
            self._note_crash(inc, error)
        self._begin_end(inc, Crash(error))
        self._fail_current(inc, Crash(error))
        inc.draining = False  # what is still queued is not for it any more, and nobody is to wait for that
        inc.is_quiet()

    def _fail_current(self, inc: Incarnation, reason: ExitReason) -> None:
        item, inc.current = inc.current, NOTHING
        if item is not NOTHING:
            if isinstance(reason, Crash):
                failure = self._crashed_error(reason.error)
                failure.__cause__ = reason.error
            else:
                stopped = ActorStopped(f"{self.path} ended: {reason}")
                failure = ActorCrashed(f"{self.path} ended while it handled the request: {reason}", cause=stopped)
            self._bounce_item(item, DeadLetterReason.CRASHED, failure)
            if type(item) is Envelope and item.stashed:
                item.reply = NOBODY  # wherever it waits now, it is passed over: what was in hand is never tried again

    def _crashed_error(self, error: BaseException) -> ActorCrashed:
        return ActorCrashed(f"{self.path} crashed while it handled the request: {error_text(error)}", cause=error)

    def task_crashed(self, inc: Incarnation, error: BaseException) -> None:
        """A task of the incarnation raised."""
        if inc is self._inc and (inc.started or inc.ending is None):
            self._begin_end(inc, Crash(error) if inc.started else StartFailure(error))


async def _await(receive: Callable[[Any], Any], message: Any) -> Any:
    return await receive(message)


def _is_async(receive: Any) -> bool:
    """True for a bound ``async def``; `inspect.iscoroutinefunction` looks at more, and takes ten times as long."""
    code = getattr(getattr(receive, "__func__", receive), "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_COROUTINE)
