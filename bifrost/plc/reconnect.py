"""Keeps one link to a device alive: connects, waits, connects again.

In: a way to make drivers. Out: the driver that is connected now, and the state. Not here: reading, polling, actors.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

import msgspec

from bifrost.core.clock import Clock
from bifrost.errors import BifrostError, ClosedError, ConfigError, LinkError, MissingExtra, NotConnected
from bifrost.plc.drivers.base import Driver

__all__ = ["LinkKeeper", "LinkState", "StateChange"]

_CLOSING_SECONDS = 1.25
"""For a driver to end; the built-in ones need a second at most, with a peer that does not answer any more."""

_CLOSED = "the connection was closed; make a new one"
_NOT_STARTED = "the connection was not started; use it as 'async with', or call start()"


class LinkState(StrEnum):
    """Where a connection stands."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DEGRADED = "degraded"
    BACKOFF = "backoff"
    CLOSED = "closed"


class StateChange(msgspec.Struct, frozen=True):
    """One change of state.

    Attributes:
        old: before.
        new: from now on.
        reason: why, in words; empty if nothing is wrong.
    """

    old: LinkState
    new: LinkState
    reason: str


class LinkKeeper:
    """Runs the connection's one task.

    Attributes:
        driver: the connected driver; None during an outage.
        state: see `LinkState`.
        reason: why it is not connected, in words.
        connects: links that came up.
        losses: links that ended by themselves.
        failures: attempts that failed.
        past: counters of links that are gone.
    """

    def __init__(
        self,
        create: Callable[[], Driver],
        *,
        clock: Clock,
        connect_timeout: float,
        backoff: tuple[float, float],
    ) -> None:
        self.driver: Driver | None = None
        self.state = LinkState.DISCONNECTED
        self.reason = "not started"
        self.connects = 0
        self.losses = 0
        self.failures = 0
        self.past: Counter[str] = Counter()
        self._create = create
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._backoff_min, self._backoff_max = backoff
        self._retry_all = False
        self._jitter = random.Random()  # noqa: S311 - spreads reconnects, keeps no secret
        self._callbacks: list[Callable[[StateChange], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def start(self, *, retry_all: bool = False) -> None:
        """Begin to connect; returns at once; idempotent until closed.

        Args:
            retry_all: what no later attempt mends by itself, such as a missing extra, is an outage like any other.
        """
        if self.state is LinkState.CLOSED:
            raise ClosedError(_CLOSED)
        self._retry_all = self._retry_all or retry_all
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="bifrost-plc-link")

    def on_change(self, callback: Callable[[StateChange], None]) -> Callable[[], None]:
        """Call `callback` soon after every change of state; returns what ends that."""
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return remove

    async def first_attempt(self) -> None:
        """Wait until the first attempt has succeeded or failed; bounded by the connect timeout."""
        while self.connects == 0 and self.failures == 0 and self.state is not LinkState.CLOSED:
            await self._next_change()

    async def wait_connected(self, *, timeout: float) -> None:
        """Wait for a link.

        Raises:
            NotConnected: none came up within `timeout` seconds, or the connection was closed.
        """
        try:
            async with asyncio.timeout(timeout):
                while self.driver is None:
                    if self.state is LinkState.CLOSED:
                        raise ClosedError(_CLOSED)
                    await self._next_change()
        except TimeoutError:
            raise NotConnected(f"no link within {timeout:g} s: {self.reason}") from None

    def down(self) -> NotConnected:
        """Make the error that says why there is no link; raises instead what no later attempt could mend."""
        self._raise_defect()
        if self.state is LinkState.CLOSED:
            return ClosedError(_CLOSED)
        return NotConnected(f"not connected: {self.reason}")

    def check_open(self) -> None:
        """Refuse what can never bring anything.

        Raises:
            ClosedError: it was closed.
            NotConnected: it was never started.
        """
        if self._task is None and self.state is not LinkState.CLOSED:
            raise NotConnected(_NOT_STARTED)
        if self.state is LinkState.CLOSED:
            raise ClosedError(_CLOSED)

    def note_quality(self, driver: Driver) -> None:
        """Tell CONNECTED from DEGRADED after a read."""
        if driver is self.driver and driver.degraded != (self.state is LinkState.DEGRADED):
            if driver.degraded:
                self._enter(LinkState.DEGRADED, "part of the device does not answer")
            else:
                self._enter(LinkState.CONNECTED, "")

    async def aclose(self) -> None:
        """End for good, within about a second; idempotent."""
        task = self._task
        if self.state is not LinkState.CLOSED:
            self._enter(LinkState.CLOSED, "closed")
            if task is not None:
                # Once: a second time would interrupt the driver on its way to the end.
                task.cancel()
        if task is not None and not task.done():
            await asyncio.wait([task])
        if self._ending is not None and not self._ending.done():
            await asyncio.wait([self._ending])
        self._raise_defect()

    def _raise_defect(self) -> None:
        for task in (self._task, self._ending):
            if task is None or not task.done() or task.cancelled() or (defect := task.exception()) is None:
                continue
            if isinstance(defect, ConfigError | MissingExtra):
                # Found only where the link was made: a missing extra, options that contradict those of another link.
                raise defect.with_traceback(None)
            raise RuntimeError("the connection's task failed; this is a defect of the driver") from defect

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        delay = self._backoff_min
        while True:
            self._enter(LinkState.CONNECTING, self.reason if self.failures or self.losses else "")
            lost: asyncio.Future[BifrostError] = loop.create_future()
            driver = self._create()
            try:
                await driver.connect(timeout=self._connect_timeout, on_lost=self._loser(driver, lost))
                since = self._clock.monotonic()
                self.connects += 1
                if not lost.done():
                    self.driver = driver
                    self._enter(LinkState.CONNECTED, "")
                reason = str(await lost)
                self.losses += 1
                # A link that is dropped as soon as it comes up must not be tried in a tight loop.
                if self._clock.monotonic() - since >= max(1.0, delay):
                    delay = self._backoff_min
            except (LinkError, ConfigError, MissingExtra) as error:
                if not (self._retry_all or isinstance(error, LinkError)):
                    raise
                # At once: who waits for the first attempt may look while the driver is still being closed.
                self.reason = reason = str(error)
                self.failures += 1
            finally:
                self.driver = None
                self.past.update(driver.counters())
                # A task of its own: who closes the connection meanwhile cancels this one, and that one ends in order.
                self._ending = loop.create_task(self._end(driver), name="bifrost-plc-link-end")
                await asyncio.wait([self._ending])
            self._ending.result()
            if self.state is not LinkState.BACKOFF:
                self._enter(LinkState.BACKOFF, reason)
            await asyncio.sleep(delay * self._jitter.uniform(0.75, 1.25))
            delay = min(delay * 2, self._backoff_max)

    async def _end(self, driver: Driver) -> None:
        """Close a driver; one that does not come to an end holds up nobody for long, and is reported."""
        loop = asyncio.get_running_loop()
        closing = loop.create_task(driver.aclose(), name="bifrost-plc-driver-close")
        try:
            await asyncio.wait([closing], timeout=_CLOSING_SECONDS)
        finally:
            if not closing.done():
                closing.cancel()
                message = f"a driver did not end within {_CLOSING_SECONDS:g} s and was left behind"
                loop.call_exception_handler({"message": message, "task": closing})
        if closing.done():
            closing.result()

    def _loser(self, driver: Driver, lost: asyncio.Future[BifrostError]) -> Callable[[BifrostError], None]:
        def on_lost(error: BifrostError) -> None:
            if lost.done():
                return
            lost.set_result(error)
            if self.driver is driver:
                # At once, not when the task runs: nobody must meet a driver whose link is gone.
                self.driver = None
                self._enter(LinkState.BACKOFF, str(error))

        return on_lost

    def _enter(self, state: LinkState, reason: str) -> None:
        if self.state is LinkState.CLOSED:
            return
        change = StateChange(self.state, state, reason)
        self.state = state
        self.reason = reason or self.reason
        self._changed.set()
        self._changed = asyncio.Event()
        for callback in self._callbacks:
            # Not called here: what a callback raises is its owner's trouble, and the loop reports it.
            asyncio.get_running_loop().call_soon(callback, change)

    async def _next_change(self) -> None:
        changed = self._changed
        task = self._task
        if task is None:
            raise NotConnected(_NOT_STARTED)
        waiter = asyncio.ensure_future(changed.wait())
        try:
            await asyncio.wait([waiter, task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
        if task.done() and self.state is not LinkState.CLOSED:
            raise self.down()
