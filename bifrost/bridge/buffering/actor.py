"""The actor that owns the write-ahead log: opens it when it starts, closes it last."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bifrost.actors import Actor, ChildSpec, ExitReason
from bifrost.bridge.buffering.log import WriteAheadLog
from bifrost.bridge.buffering.port import WalPort
from bifrost.bridge.buffering.records import WalEvent
from bifrost.bridge.buffering.settings import WalSettings
from bifrost.core.batch import Batch
from bifrost.errors import WalError

__all__ = ["Append", "GetWalStatistics", "LogEnded", "WalActor", "WalMessage", "wal_spec"]


class Append(msgspec.Struct, frozen=True):
    """Append a batch; ask for its place. For throughput write through a `WalSink` on the port: those share commits."""

    batch: Batch
    stream: str = "telemetry"


class GetWalStatistics(msgspec.Struct, frozen=True):
    """Ask for `WalStatistics`."""


class LogEnded(msgspec.Struct, frozen=True):
    """The log's thread has ended by itself: the actor crashes, and its restart opens the file again."""


WalMessage = Append | GetWalStatistics | LogEnded


class WalActor(Actor[WalMessage]):
    """Owns the log for as long as it runs; everybody else holds the port."""

    def __init__(
        self, settings: WalSettings, port: WalPort, on_event: Callable[[WalEvent], None] | None = None
    ) -> None:
        """Open with `settings`, serve through `port`, report damage and drops to `on_event`."""
        self._settings = settings
        self._port = port
        self._on_event = on_event
        self._log: WriteAheadLog | None = None

    async def on_start(self) -> None:
        """Open the file."""
        self._log = await WriteAheadLog.open(self._settings, clock=self.ctx.clock, on_event=self._on_event)
        ref = self.ctx.ref
        self._port.attach(self._log, lambda: ref.tell(LogEnded()))

    async def receive(self, message: WalMessage) -> object:
        """Answer `Append` with the place, `GetWalStatistics` with the figures."""
        assert self._log is not None
        match message:
            case Append(batch, stream):
                return await self._log.append(batch, stream)
            case GetWalStatistics():
                return await self._log.statistics()
            case LogEnded():
                raise WalError("the thread of the write-ahead log has ended")

    async def on_stop(self, reason: ExitReason) -> None:
        """Close the file; what was acknowledged is in it."""
        self._port.detach()
        if self._log is not None:
            await self._log.aclose()


def wal_spec(
    settings: WalSettings, port: WalPort, *, on_event: Callable[[WalEvent], None] | None = None, name: str = "wal"
) -> ChildSpec:
    """The specification of a `WalActor`; start it before everything that uses `port`."""
    return ChildSpec(
        id=name,
        start=WalActor,
        args=(settings, port, on_event),
        start_timeout=120.0,  # a damaged file may have to be read through first
        shutdown=30.0,  # a slow disk may take its time for the last commit
        drain=True,
    )
