"""Delivery of the write-ahead log to one destination: read, send, acknowledge what is contiguous, retry the rest.

In: a log and a way to send. Out: acknowledged records, dead letters, figures. Not here: actors (`uplink_actor`), what a
destination is (`connectors`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, Protocol

import msgspec

from bifrost.bridge.buffering.port import WalPort
from bifrost.bridge.buffering.records import WalRecord
from bifrost.bridge.retry import RetryDelay, RetrySettings
from bifrost.bridge.statistics import UplinkStatistics
from bifrost.core.ports import Deferred, Delivered, Envelope, Outcome, Refused
from bifrost.core.settings import Settings
from bifrost.errors import ConfigError, LinkError, ProtocolError, WalError

__all__ = ["Delivery", "DeliverySettings", "Transport", "TransportDefect"]

_log = logging.getLogger(__name__)


class DeliverySettings(Settings, frozen=True):
    """How one destination is served.

    Attributes:
        start: where a destination that the log does not know yet begins: the oldest record kept, or now.
        batch_records: records per send at most.
        batch_bytes: encoded bytes per send at most.
        timeout: seconds that one send may take before the link counts as dead.
        drain_grace: seconds that an orderly stop goes on delivering what is still in the log.
        safety_poll: seconds after which an idle reader looks at the log and the link without being woken.
        retry: delays and attempts.
    """

    start: Literal["oldest", "now"] = "oldest"
    batch_records: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 64
    batch_bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)] = 1 << 20
    timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    drain_grace: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 10.0
    safety_poll: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 5.0
    retry: RetrySettings = RetrySettings()


class TransportDefect(Exception):  # never leaves this package: the tree in `errors` is for users
    """The connector raised something that no connector should; one record may be what it cannot digest."""


class Transport(Protocol):
    """What a delivery sends through."""

    async def connect(self) -> None:
        """Connect, or see that it is connected; raises `LinkError`."""
        ...

    async def deliver(self, items: Sequence[Envelope]) -> Sequence[Outcome]:
        """One outcome per item; raises `LinkError` or `TransportDefect`."""
        ...


class _Send(NamedTuple):
    records: list[WalRecord]  # as read, from the cursor on
    items: list[Envelope]  # those of them that still have to go
    answer: asyncio.Future[Sequence[Outcome]]


class Delivery:
    """Serves one destination for as long as `run` runs; `drain` afterwards finishes within a grace period."""

    def __init__(
        self,
        name: str,
        port: WalPort,
        transport: Transport,
        settings: DeliverySettings,
        *,
        delay: RetryDelay | None = None,
    ) -> None:
        """Serve the destination `name`, which is also the identity of its cursor."""
        self._name = name
        self._port = port
        self._transport = transport
        self._settings = settings
        self._delay = delay or RetryDelay(settings.retry)
        self._work = asyncio.Event()
        self._settled: set[int] = set()  # delivered or dead-lettered, but not yet contiguous with the cursor
        self._attempts: dict[int, int] = {}
        self._one_by_one = 0  # sends of a single record still to come, to find the one that the connector chokes on
        self._replay_until = 0
        self._send: _Send | None = None
        self._buffer_id = ""
        self._is_registered = False
        self._told: set[str] = set()  # troubles that were logged and are not over
        self.statistics = UplinkStatistics(name=name)

    async def run(self) -> None:
        """Deliver until cancelled."""
        unlisten = self._port.listen(lambda _seq: self._work.set())
        try:
            while True:
                self._work.clear()
                wait = await self._step()
                if wait is None:
                    continue
                if wait > 0:
                    await asyncio.sleep(wait)
                else:
                    await self._idle()
        finally:
            unlisten()

    async def drain(self) -> bool:
        """Deliver what is left, for `drain_grace` seconds at most; true if nothing is left. Ends the delivery."""
        try:
            async with asyncio.timeout(self._settings.drain_grace):
                while (wait := await self._step()) is None:
                    pass
                return wait == 0
        except TimeoutError:
            return False
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Wait no more for what was sent; it will be sent again."""
        send, self._send = self._send, None
        if send is not None and not send.answer.cancel() and not send.answer.cancelled():
            send.answer.exception()  # seen: it came too late to matter

    async def _idle(self) -> None:
        try:
            async with asyncio.timeout(self._settings.safety_poll):
                await self._work.wait()
        except TimeoutError:
            try:
                await self._transport.connect()  # an idle link that died is mended before it is needed
            except LinkError as error:
                self._link_down(error)

    async def _step(self) -> float | None:
        """Take one step. None: go on at once; 0: nothing to do; else the seconds to wait."""
        try:
            if self._send is None and not await self._start_send():
                return 0.0
            return None if self._send is None else await self._finish_send(self._send)
        except LinkError as error:
            self._link_down(error)
        except (WalError, TimeoutError) as error:
            self.statistics.last_error = str(error) or "the write-ahead log did not answer in time"
            self._is_registered = False  # a damaged log may have forgotten its destinations: register again
        return self._delay.next()

    def _tell(self, trouble: str, reason: str, *, unless: str) -> None:
        """Log a trouble once, however long it lasts."""
        if unless not in self._told:
            self._told.add(unless)
            _log.warning("uplink %s: %s: %s", self._name, trouble, reason)

    def _link_down(self, error: LinkError) -> None:
        if self._send is not None:
            self._replay_until = max(self._replay_until, self._send.items[-1].seq)
            self._send = None
        self.statistics.in_flight_records = 0
        self.statistics.link_failures += 1
        self.statistics.last_error = str(error)
        self._tell("link lost" if self.statistics.connected else "no link", str(error), unless="no link")
        self.statistics.connected = False

    async def _start_send(self) -> bool:
        if not self._is_registered:
            await self._register()
        if not self.statistics.connected:
            await self._transport.connect()
            self.statistics.connected = True
            self._told.discard("no link")
            _log.info("uplink %s: connected", self._name)
        limit = 1 if self._one_by_one else self._settings.batch_records
        records = await self._port.read(self._name, limit=limit, max_bytes=self._settings.batch_bytes)
        if not records:
            self._one_by_one = 0
            return False
        items = await self._envelopes(records)
        if items:
            self.statistics.in_flight_records = len(items)
            self._send = _Send(records, items, asyncio.ensure_future(self._transport.deliver(items)))
        else:
            await self._acknowledge(records)
        return True

    async def _register(self) -> None:
        self.statistics.cursor = await self._port.register_destination(self._name, start=self._settings.start)
        log = await self._port.log()
        self._replay_until = log.last_seq  # an earlier incarnation may have sent these
        if log.buffer_id != self._buffer_id:  # another file, with places of its own: nothing of it is settled yet
            self._buffer_id = log.buffer_id
            self._settled.clear()
            self._attempts.clear()
        self._is_registered = True

    async def _envelopes(self, records: Sequence[WalRecord]) -> list[Envelope]:
        items = []
        for record in records:
            if record.seq in self._settled:
                continue
            try:
                batch = record.batch()
            except ProtocolError as error:
                await self._give_up(record.seq, f"the stored batch cannot be read: {error}")
                continue
            replayed = record.seq <= self._replay_until
            items.append(Envelope(self._buffer_id, record.seq, record.stream, batch, replayed))
        return items

    async def _finish_send(self, send: _Send) -> float | None:
        """Wait for the outcomes and act on them; cancelled while it waits, `drain` takes up the same send."""
        try:
            outcomes = await asyncio.shield(send.answer)
        except TransportDefect as defect:
            return await self._isolate(send, str(defect))
        if len(outcomes) != len(send.items):
            return await self._isolate(send, f"{len(outcomes)} outcomes for {len(send.items)} records")
        self._send, self.statistics.in_flight_records = None, 0
        self.statistics.batches += 1
        self._one_by_one = max(0, self._one_by_one - 1)
        after = 0.0
        for item, outcome in zip(send.items, outcomes, strict=True):
            match outcome:
                case Delivered():
                    self._settle(item.seq)
                    self.statistics.delivered_records += 1
                    self.statistics.delivered_rows += len(item.batch)
                case Deferred(reason, least):
                    self._replay_until = max(self._replay_until, item.seq)
                    self.statistics.last_error = reason
                    after = max(after, least or 0.0)
                case Refused(reason):
                    await self._refused(item.seq, reason)
        return await self._after_send(send, after)

    async def _after_send(self, send: _Send, after: float) -> float | None:
        done = self._settled.issuperset(item.seq for item in send.items)
        await self._acknowledge(send.records)
        if done:
            self._told.discard("held")
            self._delay.reset()
            return None
        self._tell("not taken for now", self.statistics.last_error, unless="held")
        self.statistics.retries += 1
        return self._delay.next(after)

    async def _isolate(self, send: _Send, reason: str) -> float | None:
        self._send, self.statistics.in_flight_records = None, 0
        self.statistics.connected = False  # the connector is made anew
        self.statistics.last_error = reason
        _log.error("uplink %s: the connector failed on %d records: %s", self._name, len(send.items), reason)
        self._replay_until = max(self._replay_until, send.items[-1].seq)
        if len(send.items) == 1:
            await self._refused(send.items[0].seq, reason)
        else:
            self._one_by_one = len(send.items)
        return await self._after_send(send, 0.0)

    async def _refused(self, seq: int, reason: str) -> None:
        attempts = self._attempts[seq] = self._attempts.get(seq, 0) + 1
        self.statistics.last_error = reason
        if attempts >= self._settings.retry.max_attempts:
            await self._give_up(seq, reason)

    async def _give_up(self, seq: int, reason: str) -> None:
        attempts = self._attempts.get(seq, 1)
        try:
            await self._port.dead_letter(self._name, seq, reason, attempts=attempts)
        except ConfigError as error:  # it made room for newer ones meanwhile, and is on record as a gap
            _log.error("uplink %s: record %d was refused (%s) and is gone: %s", self._name, seq, reason, error)
        else:
            _log.error("uplink %s: record %d is a dead letter after %d attempts: %s", self._name, seq, attempts, reason)
            self.statistics.dead_lettered_records += 1
        self._settle(seq)

    def _settle(self, seq: int) -> None:
        self._settled.add(seq)
        self._attempts.pop(seq, None)

    async def _acknowledge(self, records: Sequence[WalRecord]) -> None:
        """Move the cursor over every record from the front that is settled."""
        contiguous = 0
        for record in records:
            if record.seq not in self._settled:
                break
            contiguous = record.seq
        if contiguous:
            self.statistics.cursor = await self._port.ack(self._name, contiguous)
            self._settled = {seq for seq in self._settled if seq > contiguous}
