"""A partner for the actor under test: an actor whose messages the test reads and answers.

In: messages that actors send to `probe.ref`. Out: `expect` for what must come, `expect_nothing` for what must not, and
answers at the moment that the test chooses. On a `VirtualLoop` every wait is virtual.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, overload

from bifrost.actors.actor import Actor
from bifrost.actors.child_spec import ChildSpec, Restart
from bifrost.actors.exit_reason import ExitReason
from bifrost.actors.mailbox import Envelope
from bifrost.actors.ref import ActorRef
from bifrost.errors import ActorStopped

__all__ = ["Probe"]

_T = TypeVar("_T")


class _Received:
    """One message, and the answer that is owed for it if it was an ask."""

    __slots__ = ("message", "reply")

    def __init__(self, message: Any, reply: asyncio.Future[Any] | None) -> None:
        self.message = message
        self.reply = reply

    @property
    def is_owed(self) -> bool:
        return self.reply is not None and not self.reply.done()


class Probe:
    """Stands in for an actor that the actor under test speaks to.

    An ask is answered when the test calls `reply` or `fail`, in any order, or at once by what `answer` has set up;
    other messages come through meanwhile. A probe that is killed or crashes is not started again.

    Args:
        id: its id below the supervisor that it is started under.

    Attributes:
        spec: give it to a system or a supervisor, or to `start_child`.

    Example:
        >>> async def test_the_press_reports_to_the_log() -> None:
        ...     log = Probe("log")
        ...     async with ActorSystem(children=[log.spec]) as system:
        ...         await system.start_child(ChildSpec(id="press", start=Press, args=(log.ref,)))
        ...         report = await log.expect(Report)
    """

    def __init__(self, id: str = "probe") -> None:  # noqa: A002 - it is called so in `ChildSpec`
        self.spec = ChildSpec(id=id, start=self._start, restart=Restart.TEMPORARY)
        self._actor: _ProbeActor | None = None
        self._received: list[_Received] = []
        self._unread: deque[_Received] = deque()
        self._in_hand: _Received | None = None
        self._arrived = asyncio.Event()
        self._answers: list[tuple[Any, Any]] = []
        self._target: ActorRef[Any] | None = None

    def _start(self) -> _ProbeActor:
        self._actor = _ProbeActor(self)
        return self._actor

    @property
    def _started(self) -> _ProbeActor:
        if self._actor is None:
            raise AssertionError(f"probe {self.spec.id!r} was not started: give its spec to a system")
        return self._actor

    @property
    def ref(self) -> ActorRef[Any]:
        """What to hand to the actor under test, once the probe is started."""
        return self._started.ctx.ref

    @property
    def messages(self) -> tuple[Any, ...]:
        """Every message so far, read or not, oldest first."""
        return tuple(one.message for one in self._received)

    @property
    def unread(self) -> tuple[Any, ...]:
        """The messages that no `expect` has taken yet, oldest first."""
        return tuple(one.message for one in self._unread)

    # What the test expects

    @overload
    async def expect(self, what: type[_T], *, timeout: float = ..., skip_others: bool = ...) -> _T: ...
    @overload
    async def expect(self, what: Callable[[Any], bool], *, timeout: float = ..., skip_others: bool = ...) -> Any: ...
    @overload
    async def expect(self, what: _T, *, timeout: float = ..., skip_others: bool = ...) -> _T: ...

    async def expect(self, what: Any, *, timeout: float = 3.0, skip_others: bool = False) -> Any:
        """Take the next message, which must be `what`, and return it.

        Args:
            what: a type, a predicate, or a value that the message must equal.
            timeout: seconds to wait for it.
            skip_others: take and forget what comes before it, instead of failing.

        Raises:
            AssertionError: something else came, or nothing by then.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    received = await self._next()
                    if _matches(what, received.message):
                        self._in_hand = received
                        return received.message
                    if not skip_others:
                        raise AssertionError(f"{self._name} expected {_words(what)}, got {received.message!r}")
        except TimeoutError:
            came = f"; so far it got {list(self.messages)!r}" if self._received else ""
            raise AssertionError(f"{self._name} expected {_words(what)}, got nothing in {timeout:g} s{came}") from None

    async def expect_nothing(self, *, within: float = 1.0) -> None:
        """Return when `within` seconds have passed without a message, unread ones included.

        Raises:
            AssertionError: there was one.
        """
        try:
            async with asyncio.timeout(within):
                received = await self._next()
        except TimeoutError:
            return
        raise AssertionError(f"{self._name} expected nothing for {within:g} s, got {received.message!r}")

    async def _next(self) -> _Received:
        self._started  # noqa: B018 - a wait on a probe that nobody started would only end by its deadline
        while not self._unread:
            self._arrived.clear()
            await self._arrived.wait()
        return self._unread.popleft()

    # What the probe does

    def reply(self, answer: Any) -> None:
        """Answer the ask that the last `expect` returned.

        Raises:
            AssertionError: that was no ask, or its sender waits no more.
        """
        self._owed().set_result(answer)

    def fail(self, error: Exception) -> None:
        """Let the ask that the last `expect` returned raise `error`.

        Raises:
            AssertionError: that was no ask, or its sender waits no more.
        """
        self._owed().set_exception(error)

    def _owed(self) -> asyncio.Future[Any]:
        received = self._in_hand
        if received is None:
            raise AssertionError(f"{self._name} has nothing to answer: expect a message first")
        if received.reply is None:
            raise AssertionError(f"{self._name} cannot answer {received.message!r}: it was no ask")
        if received.reply.done():
            raise AssertionError(f"{self._name} cannot answer {received.message!r}: nobody waits for the answer now")
        return received.reply

    def answer(self, what: Any, answer: Any) -> None:
        """From now on, answer asks that match `what` at once, and keep them among the messages.

        Args:
            what: as for `expect`; the rule that was added last is tried first.
            answer: the answer, or a function of the message that makes it; what the function raises crashes the probe.
        """
        self._answers.insert(0, (what, answer))

    def forward_to(self, target: ActorRef[Any] | None) -> None:
        """From now on, also pass every message on to `target`, whose answers go back to the senders; None ends it."""
        self._target = target

    def watch(self, ref: ActorRef[Any]) -> None:
        """Expect one `Down` when the actor's present incarnation ends; at once if it has ended already."""
        self._started.ctx.watch(ref)

    # What the actor brings

    @property
    def _name(self) -> str:
        return f"probe {self.spec.id!r}"

    def take(self, message: Any, envelope: Envelope | None) -> object:
        """Keep a message and return its answer, if there is one already."""
        received = _Received(message, None if envelope is None else envelope.reply)
        self._received.append(received)
        self._unread.append(received)
        self._arrived.set()
        if received.reply is not None:
            for what, answer in self._answers:
                if _matches(what, message):
                    return answer(message) if callable(answer) else answer
        if self._target is not None:
            self._forward(received, self._target)
        if envelope is not None:
            envelope.reply = None  # the answer is the probe's to give now, and later than its handler returns
        return None

    def _forward(self, received: _Received, target: ActorRef[Any]) -> None:
        reply = received.reply
        if reply is None:
            target.tell(received.message)
            return
        # The sender's own deadline bounds the ask: it ends with the sender's wait.
        task = self._started.ctx.spawn_task(_pass_on(target, received.message, reply), name="forward")
        reply.add_done_callback(lambda _: task.cancel())

    def ended(self) -> None:
        """Fail what was not answered: the probe is gone."""
        for received in self._received:
            if received.is_owed and received.reply is not None:
                received.reply.set_exception(ActorStopped(f"{self._name} ended and gave no answer"))


class _ProbeActor(Actor[Any]):
    """The probe's side in the system."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    async def receive(self, message: Any) -> object:
        if not isinstance(self._in_hand, Envelope):
            await asyncio.sleep(0)  # an ask that runs on the asker's stack gets its envelope when it suspends
        envelope = self._in_hand
        return self._probe.take(message, envelope if isinstance(envelope, Envelope) else None)

    @property
    def _in_hand(self) -> object:
        return self.ctx.life.current

    async def on_stop(self, reason: ExitReason) -> None:
        self._probe.ended()


async def _pass_on(target: ActorRef[Any], message: Any, reply: asyncio.Future[Any]) -> None:
    try:
        answer = await target.ask(message, timeout=None)
    except Exception as error:  # noqa: BLE001 - the sender gets what the target's answer would have been
        if not reply.done():
            reply.set_exception(error)
    else:
        if not reply.done():
            reply.set_result(answer)


def _matches(what: Any, message: Any) -> bool:
    if isinstance(what, type):
        return isinstance(message, what)
    if callable(what):
        return bool(what(message))
    return bool(what == message)


def _words(what: Any) -> str:
    if isinstance(what, type) or callable(what):
        return str(getattr(what, "__name__", what))
    return repr(what)
