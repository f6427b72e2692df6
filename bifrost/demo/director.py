"""The script of the demo: starts the plant and the gateway, breaks things, mends them, and watches.

In: options. Out: the record of the run and what a listener beside the buffer saw. Not here: judging, drawing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bifrost.core.batch import Batch
from bifrost.demo.broker_tap import BrokerTap
from bifrost.demo.outage import FileLock, Forwarder
from bifrost.demo.plant_process import PlantProcess
from bifrost.demo.record import Moment, Note, Record
from bifrost.demo.recording import load_recording
from bifrost.demo.scene import Scene, UplinkLine
from bifrost.demo.settings_text import HISTORY_FILE, device_table, settings_text
from bifrost.edge.anomaly import Anomaly
from bifrost.gateway.gateway import Gateway
from bifrost.gateway.settings_file import read_settings
from bifrost.gateway.status import GatewayStatus

__all__ = ["Director", "Step"]

_PERIOD = 0.25
"""Seconds between two looks at the gateway."""
_RATE_OVER = 12
"""Looks over which the rate is taken."""
_REPLAY_SHARE = 0.75
"""Part of the run in which the press replays its recording."""
_FINISH_GRACE = 180.0
"""Seconds that a slow machine may take beyond the run until the recording has come through."""
_PRESS_INTERVAL_MS = 1.0


class Step(msgspec.Struct, frozen=True):
    """One step of the script.

    Attributes:
        at: when, as a part of the run, 0 to 1.
        text: what is said about it.
        act: what is done.
    """

    at: float
    text: str
    act: Callable[[], Awaitable[object]]


class Director:
    """Runs the demo once.

    Args:
        folder: an empty folder for the settings, the buffer and the historian.
        seconds: length of the run.
        keep_running: stay after the script until cancelled.
        broker: host and port of an MQTT broker to deliver to as well.
        show: called with every new scene.

    Attributes:
        record: what happened, for the picture.
        seen: every batch that left a device, as it passed a listener beside the buffer.
        settings_path: the gateway's settings file.
        history_path: the historian's file.
        status: the gateway's last status.
        restarts: how often each actor was restarted, by path.
        broker: the subscriber that counts at the broker, if there is one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seconds: float,
        keep_running: bool = False,
        broker: tuple[str, int] | None = None,
        show: Callable[[Scene], None] = lambda _scene: None,
    ) -> None:
        self.record = Record()
        self.seen: list[Batch] = []
        self.settings_path = folder / "gateway.toml"
        self.history_path = folder / "state" / HISTORY_FILE
        self.status: GatewayStatus | None = None
        self.restarts: dict[str, int] = {}
        self._seconds = seconds
        self._keep_running = keep_running
        self._show = show
        self._plant = {
            name: PlantProcess(name, self._plant_options(name)) for name in ("press", "pump", "oven", "mixer")
        }
        self._lock = FileLock(self.history_path)
        self._forwarder = None if broker is None else Forwarder(*broker)
        self.broker = None if broker is None else BrokerTap(*broker, "bifrost-demo/#")
        self._began = 0.0
        self._delivered: deque[tuple[float, int]] = deque(maxlen=_RATE_OVER)
        self._anomalies: list[str] = []
        self._last_record = len(load_recording()) - 1

    async def run(self) -> None:
        """Run the script to its end; the plant is gone afterwards, whatever happens."""
        async with contextlib.AsyncExitStack() as stack:
            for process in self._plant.values():
                stack.push_async_callback(process.kill)
            await asyncio.gather(*(process.start() for process in self._plant.values()))
            url = None
            if self._forwarder is not None and self.broker is not None:
                url = f"mqtt://127.0.0.1:{await self._forwarder.start()}"
                stack.push_async_callback(self._forwarder.cut)
                await stack.enter_async_context(self.broker)
            self._write_settings(url)
            stack.push_async_callback(self._lock.restore)
            self._began = time.monotonic()
            async with self._gateway() as gateway:
                await self._direct(gateway)

    def _plant_options(self, name: str) -> tuple[str, ...]:
        return ("--seconds", f"{self._seconds * _REPLAY_SHARE:g}") if name == "press" else ()

    def _write_settings(self, mqtt_url: str | None) -> None:
        ports = {name: self._plant[name].port for name in ("press", "pump", "oven")}
        text = settings_text(ports, press_interval_ms=_PRESS_INTERVAL_MS, mqtt_url=mqtt_url)
        self.settings_path.write_text(text, encoding="utf-8")

    def _gateway(self) -> Gateway:
        """The gateway of the settings file, with two listeners of our own in its pipelines."""
        settings = read_settings(self.settings_path)
        raw, watch = settings.pipelines["raw"], settings.pipelines["watch"]
        pipelines = {
            # Before the buffer in the same pipeline, so that it sees all that the buffer is offered.
            "raw": msgspec.structs.replace(raw, sinks=("listener", *raw.sinks)),
            "watch": msgspec.structs.replace(watch, anomaly_sinks=(*watch.anomaly_sinks, "alarm")),
        }
        settings = msgspec.structs.replace(settings, pipelines=pipelines)
        return Gateway(settings, sinks={"listener": self._listen, "alarm": self._alarm})

    async def _listen(self, batch: Batch) -> None:
        self.seen.append(batch)

    async def _alarm(self, anomalies: list[Anomaly]) -> None:
        for anomaly in anomalies:
            when = datetime.fromtimestamp(anomaly.source_ts_ns / 1e9, tz=UTC)
            self._anomalies.append(f"{when:%Y-%m-%d %H:%M} {anomaly.tag} {anomaly.value:.1f}")

    def _script(self, gateway: Gateway) -> list[Step]:
        async def add_mixer() -> None:
            await gateway.add_device("mixer", device_table("mixer", self._plant["mixer"].port))

        async def cut() -> None:
            await self._lock.cut()
            if self._forwarder is not None:
                await self._forwarder.cut()

        async def restore() -> None:
            await self._lock.restore()
            if self._forwarder is not None:
                await self._forwarder.restore()

        async def crash() -> None:
            gateway.system.ref("uplinks/historian/sender").kill()

        return [
            Step(0.10, "pump loses power", self._plant["pump"].kill),
            Step(0.25, "pump is back", self._plant["pump"].start),
            Step(0.33, "mixer added at run time", add_mixer),
            Step(0.42, "uplink cut", cut),
            Step(0.58, "uplink restored", restore),
            Step(0.68, "uplink sender killed", crash),
        ]

    async def _direct(self, gateway: Gateway) -> None:
        steps = deque(self._script(gateway))
        while True:
            elapsed = time.monotonic() - self._began
            if steps and elapsed >= steps[0].at * self._seconds:
                step = steps.popleft()
                await step.act()
                self.record.notes.append(Note(time.monotonic() - self._began, step.text))
            await self._look(gateway)
            if not steps and self._is_over(elapsed):
                return
            await asyncio.sleep(_PERIOD)

    def _is_over(self, elapsed: float) -> bool:
        if self._keep_running or elapsed < self._seconds:
            return False
        return elapsed >= self._seconds + _FINISH_GRACE or self._shown_record() == self._last_record

    def _shown_record(self) -> object:
        assert self.status is not None
        readings = (value for device in self.status.devices if device.details for value in device.details.values)
        return next((value.value for value in readings if value.tag == "press/sample_index"), None)

    async def _look(self, gateway: Gateway) -> None:
        status = self.status = await gateway.status()
        tree = gateway.tree()
        self.restarts = {actor.path: actor.restarts for actor in tree.walk() if actor.restarts}
        elapsed = time.monotonic() - self._began
        waiting = 0 if status.wal is None else status.wal.rows
        appended = 0 if status.wal is None else status.wal.appended_rows
        delivered = max(appended - waiting, 0)
        self._delivered.append((elapsed, delivered))
        moment = Moment(
            at=elapsed,
            acknowledged=appended,
            delivered=delivered,
            wal_rows=waiting,
            devices={device.name: device.state for device in status.devices},
        )
        self.record.moments.append(moment)
        self._show(
            Scene(
                moment=moment,
                seconds=None if self._keep_running else self._seconds,
                tree=tree,
                tags=tuple(value for device in status.devices if device.details for value in device.details.values),
                rate=self._rate(),
                wal_bytes=0 if status.wal is None else status.wal.file_bytes + status.wal.wal_bytes,
                uplinks=tuple(UplinkLine(up.name, up.state, up.error) for up in status.uplinks),
                anomalies=tuple(self._anomalies),
                notes=tuple(self.record.notes),
            )
        )

    def _rate(self) -> float:
        (first_at, first), (last_at, last) = self._delivered[0], self._delivered[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0
