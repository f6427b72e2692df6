"""The two actors of an uplink: one reads the write-ahead log, one speaks to the destination.

In: a log port and a way to make the connector. Out: acknowledged records. The sender starts first; when it crashes, the
reader is restarted with it and takes up at the cursor. A destination that is down is a state, not a crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bifrost.actors import Actor, ActorRef, ActorState, ChildSpec, ExitReason, Strategy, Supervisor
from bifrost.actors.exit_reason import is_abnormal
from bifrost.bridge.buffering.port import WalPort
from bifrost.bridge.delivery import Delivery, DeliverySettings, TransportDefect
from bifrost.bridge.retry import RetryDelay
from bifrost.bridge.statistics import UplinkStatistics
from bifrost.core.ports import Deferred, Envelope, Outcome, Refused, Uplink
from bifrost.errors import (
    ActorError,
    ConfigError,
    LinkError,
    MissingExtra,
    NotConnected,
    Rejected,
    RetryLater,
    WalError,
)

__all__ = ["GetUplinkStatistics", "ReaderActor", "SenderActor", "uplink_spec"]

_log = logging.getLogger(__name__)

_ANSWER_MARGIN = 5.0  # seconds beyond the sender's own deadline, so that the sender is the one to report it


class GetUplinkStatistics(msgspec.Struct, frozen=True):
    """Ask the reader for `UplinkStatistics`."""


@dataclass(frozen=True, slots=True)
class _Connect:
    """Connect if there is no link."""


@dataclass(frozen=True, slots=True)
class _Deliver:
    items: Sequence[Envelope]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of it: outcomes, no link, or a connector that failed."""

    outcomes: Sequence[Outcome] = ()
    link_down: str | None = None
    defect: str | None = None
    figures: Mapping[str, int | float | str] | None = None


class _Siblings:
    """Where the sender leaves its ref for the reader; refs stay valid over restarts."""

    sender: ActorRef[_Connect | _Deliver] | None = None


class SenderActor(Actor[_Connect | _Deliver]):
    """Owns the connector: opens it when asked, closes it at the end, turns every outcome into an answer."""

    def __init__(self, make_uplink: Callable[[], Uplink], timeout: float, siblings: _Siblings) -> None:
        """Make the connector with `make_uplink`; give every call `timeout` seconds."""
        self._make_uplink = make_uplink
        self._timeout = timeout
        self._siblings = siblings
        self._uplink: Uplink | None = None

    async def on_start(self) -> None:
        """Start without waiting for the destination."""
        self._siblings.sender = self.ctx.ref

    async def receive(self, message: _Connect | _Deliver) -> _Answer:
        """Connect or deliver, within the deadline."""
        try:
            async with asyncio.timeout(self._timeout):
                match message:
                    case _Connect():
                        await self._open()
                        return self._answered(())
                    case _Deliver(items):
                        uplink = await self._open()
                        return self._answered(await uplink.deliver(items))
        except (LinkError, OSError, TimeoutError, ConfigError, MissingExtra) as error:
            # Settings that can never work are no crash either: nobody would mend them sooner for it.
            await self._close()
            return _Answer(link_down=str(error) or f"no answer within {self._timeout:g} s")
        except RetryLater as error:
            return self._answered([Deferred(str(error), error.after)] * _count(message))
        except Rejected as error:
            return self._answered([Refused(error.reason)] * _count(message))
        except Exception as error:  # noqa: BLE001 - a connector is a plug-in; its defect must not end the gateway
            _log.exception("%s: the connector failed", self.ctx.path)
            await self._close()
            return _Answer(defect=f"{type(error).__name__}: {error}")

    async def on_stop(self, reason: ExitReason) -> None:
        """Close the connector."""
        await self._close()

    async def _open(self) -> Uplink:
        try:
            if self._uplink is None:
                self._uplink = self._make_uplink()
            await self._uplink.open()
        except (LinkError, OSError, TimeoutError, ConfigError, MissingExtra):
            raise
        except Exception as error:
            # Whatever a plug-in raises here, no record is to blame: it is an outage, tried again like any other.
            _log.exception("%s: the connector did not open", self.ctx.path)
            raise NotConnected(f"the connector did not open: {type(error).__name__}: {error}") from error
        return self._uplink

    async def _close(self) -> None:
        uplink, self._uplink = self._uplink, None
        if uplink is None:
            return
        try:
            async with asyncio.timeout(self._timeout):
                await uplink.aclose()
        except Exception:  # noqa: BLE001 - a connector is a plug-in; a new one is made in any case
            _log.warning("%s: the connector did not close", self.ctx.path, exc_info=True)

    def _answered(self, outcomes: Sequence[Outcome]) -> _Answer:
        figures = getattr(self._uplink, "figures", None)
        return _Answer(outcomes, figures=figures() if callable(figures) else None)


def _count(message: _Connect | _Deliver) -> int:
    return len(message.items) if isinstance(message, _Deliver) else 0


class _SenderTransport:
    """The sender as `Delivery` sees it."""

    def __init__(self, siblings: _Siblings, timeout: float) -> None:
        self._siblings = siblings
        self._timeout = 2 * timeout + _ANSWER_MARGIN  # one for the call, one for closing after it failed
        self.figures: Mapping[str, int | float | str] = {}

    @property
    def is_up(self) -> bool:
        """True if there is a sender that takes messages."""
        sender = self._siblings.sender
        return sender is not None and sender.state is ActorState.RUNNING

    async def connect(self) -> None:
        await self._ask(_Connect())

    async def deliver(self, items: Sequence[Envelope]) -> Sequence[Outcome]:
        return (await self._ask(_Deliver(items))).outcomes

    async def _ask(self, message: _Connect | _Deliver) -> _Answer:
        sender = self._siblings.sender
        if sender is None:
            raise NotConnected("the sender has not started yet")
        try:
            answer: _Answer = await sender.ask(message, timeout=self._timeout)
        except ActorError as error:
            raise NotConnected(f"the sender did not answer: {error}") from error
        if answer.figures is not None:
            self.figures = answer.figures
        if answer.link_down is not None:
            raise NotConnected(answer.link_down)
        if answer.defect is not None:
            raise TransportDefect(answer.defect)
        return answer


class ReaderActor(Actor[GetUplinkStatistics]):
    """Reads the log behind its cursor, has it sent, acknowledges; drains within the grace period when it is stopped."""

    def __init__(self, name: str, port: WalPort, settings: DeliverySettings, siblings: _Siblings) -> None:
        """Serve the destination `name` from `port`."""
        self._port = port
        self._transport = _SenderTransport(siblings, settings.timeout)
        self._delivery = Delivery(name, port, self._transport, settings, delay=RetryDelay(settings.retry))

    async def on_start(self) -> None:
        """Begin to deliver beside the mailbox."""
        self.ctx.spawn_task(self._delivery.run(), name="deliver")

    async def receive(self, message: GetUplinkStatistics) -> UplinkStatistics:
        """Answer with the figures of this moment."""
        delivery = self._delivery.statistics
        backlog = delivery.backlog_records
        try:
            log = await self._port.statistics()
        except (WalError, TimeoutError):
            pass  # the log is being reopened: the last known backlog stands
        else:
            backlog = delivery.backlog_records = log.backlog(delivery.name)
        return msgspec.structs.replace(delivery, backlog_records=backlog, connector=dict(self._transport.figures))

    async def on_stop(self, reason: ExitReason) -> None:
        """Drain at an orderly stop; leave the rest to the next start."""
        # Stopped because its sender crashed, it has nobody to send through, and the sender waits for it to end.
        if not is_abnormal(reason) and self._transport.is_up:
            await self._delivery.drain()
        self._delivery.abandon()


def uplink_spec(
    name: str, make_uplink: Callable[[], Uplink], port: WalPort, settings: DeliverySettings | None = None
) -> ChildSpec:
    """The specification of one uplink: a supervisor over the sender and, behind it, the reader.

    Args:
        name: the destination; identity of its cursor, so keep it over restarts.
        make_uplink: makes the connector without any I/O; called again after the connector has failed.
        port: the log.
        settings: batches, deadlines, retries.

    Returns:
        A specification for the supervisor of uplinks; the reader is at ``<name>/reader`` and answers
        `GetUplinkStatistics`.
    """
    settings = settings or DeliverySettings()
    siblings = _Siblings()
    sender = ChildSpec(
        id="sender", start=SenderActor, args=(make_uplink, settings.timeout, siblings), shutdown=settings.timeout + 5.0
    )
    reader = ChildSpec(
        id="reader", start=ReaderActor, args=(name, port, settings, siblings), shutdown=settings.drain_grace + 5.0
    )
    return Supervisor.spec(name, [sender, reader], strategy=Strategy.REST_FOR_ONE)
