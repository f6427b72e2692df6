"""A gateway: devices, pipelines, buffer and uplinks joined into one supervised tree.

In: settings, from a file or from code. Out: samples at their destinations; devices added and removed while it runs.
Not here: any protocol, any algorithm; and nothing of the process is touched: no signal handler, no logging handler.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from bifrost.actors import ActorSnapshot, ActorSystem
from bifrost.bridge.buffering.port import WalPort
from bifrost.core.checking.checker import problems_of
from bifrost.core.checking.mistakes import Mistake, config_error
from bifrost.core.clock import Clock
from bifrost.errors import ActorError, BifrostError, ConfigError, MissingExtra, WalError
from bifrost.gateway import inspection
from bifrost.gateway.device_store import DeviceStore
from bifrost.gateway.operations import operations
from bifrost.gateway.references import LOG_SINK, WAL_SINK, check_references
from bifrost.gateway.roster import DeviceRoster
from bifrost.gateway.sections import check_device, check_name
from bifrost.gateway.settings import GatewaySettings
from bifrost.gateway.settings_file import read_settings
from bifrost.gateway.status import DeviceInfo, GatewayStatus
from bifrost.gateway.tree import GatewaySink, GatewayTree
from bifrost.plc.actor import device_spec
from bifrost.plc.settings import DeviceSettings

__all__ = ["Gateway"]

_log = logging.getLogger(__name__)


class Gateway:
    """One gateway for the length of an `async with`.

    ```python
    async with Gateway.from_file("gateway.toml") as gateway:
        await gateway.add_device("oven", {"host": "192.0.2.8", "tags": [{"name": "t", "address": 40001}]})
        await gateway.wait()
    ```

    Leaving the block, or cancelling the task that is in it, stops in order: devices fall silent, pipelines flush into
    the buffer, uplinks drain within their grace period, the buffer closes. If the tree gives up, the block is cancelled
    and `SupervisorGaveUp` is raised from the `async with`.

    Args:
        settings: what to run.
        sinks: the application's own sinks, by the names under which pipelines' `sinks`, `raw_sinks` and `anomaly_sinks`
            may name them, beside ``wal`` and ``log``.
        clock: where actors read time; the event loop's and the machine's by default.

    Raises:
        ConfigError: the settings have mistakes; all are in `.mistakes`, and nothing was started.
    """

    def __init__(
        self, settings: GatewaySettings, *, sinks: Mapping[str, GatewaySink] | None = None, clock: Clock | None = None
    ) -> None:
        sinks = dict(sinks or {})
        mistakes = [Mistake(problem.path, problem.text) for problem in problems_of(settings)]
        mistakes += check_references(
            settings.pipelines,
            {} if mistakes else settings.devices,
            declared=settings.devices,
            sinks=[WAL_SINK, *sinks],
            anomaly_sinks=[WAL_SINK, LOG_SINK, *sinks],
        )
        if mistakes:
            raise config_error("the gateway's settings", mistakes)
        self._settings = settings
        self._store = DeviceStore(settings.data_dir)
        self._port = WalPort()
        self._tree = GatewayTree(settings, self._port, operations(self), sinks)
        self._clock = clock
        self._system: ActorSystem | None = None
        self._roster: DeviceRoster | None = None
        self._ended = asyncio.Event()

    @classmethod
    def from_file(
        cls, path: str | Path, *, sinks: Mapping[str, GatewaySink] | None = None, clock: Clock | None = None
    ) -> Self:
        """Make a gateway from a settings file.

        Raises:
            ConfigError: the file cannot be read or has mistakes; nothing was started.
        """
        return cls(read_settings(path, more_sinks=sinks or ()), sinks=sinks, clock=clock)

    async def __aenter__(self) -> Self:
        """Start everything; return when it runs, be the devices there or not.

        Raises:
            ConfigError: the kept devices have mistakes, or the data directory cannot be made; nothing was started.
            SupervisorGaveUp: the buffer or another part did not start.
        """
        if self._system is not None:
            raise ActorError("this gateway was started before; make a new one")
        kept = self._kept_devices()
        self._system = ActorSystem(
            self._settings.gateway.name,
            self._tree.children(),
            clock=self._clock,
            stop_timeout=self._settings.gateway.stop_timeout,
        )
        await self._system.__aenter__()
        try:
            self._roster = DeviceRoster(self._system, self._tree.sources)
            for name, settings in self._settings.devices.items():
                await self._start_at_first(name, settings)
            for name, settings in kept.items():
                await self._start_at_first(name, settings, kept=True)
            await self._tell_left_cursors()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop in order."""
        try:
            if self._roster is not None:
                await self._roster.aclose()
        finally:
            try:
                await self._running_system().__aexit__(exc_type, exc, traceback)
            finally:
                self._ended.set()

    async def wait(self) -> None:
        """Wait until the gateway has ended; inside its own block that is until the block is cancelled."""
        await self._ended.wait()

    @property
    def settings(self) -> GatewaySettings:
        """What it was started with."""
        return self._settings

    @property
    def system(self) -> ActorSystem:
        """The actors underneath: events, dead letters, refs."""
        return self._running_system()

    @property
    def wal(self) -> WalPort:
        """The buffer; stays valid when its actor is restarted."""
        return self._port

    async def add_device(
        self, name: str, settings: DeviceSettings | Mapping[str, Any], *, persist: bool = False
    ) -> DeviceInfo:
        """Add a device to the running gateway; whether the device is there shows later.

        Every pipeline whose sources name it, or ``*``, gets its batches.

        Args:
            name: unique among the gateway's devices.
            settings: the keys of a `[devices.<name>]` table, or the settings of its protocol.
            persist: keep it in the data directory and add it again at every start.

        Raises:
            ConfigError: name or settings are wrong; all mistakes are in `.mistakes`, and nothing was started.
            StartFailed: its actor did not start; the gateway is as before.
            BifrostError: it could not be kept; it was removed again.
        """
        roster = self._running_roster()
        # In a thread: the first device of a protocol imports its library, and the others poll meanwhile.
        checked = await asyncio.to_thread(_checked_device, name, settings)
        device = await roster.add(name, checked, "kept" if persist else "run time")
        if persist:
            try:
                await asyncio.to_thread(self._store.keep, name, msgspec.to_builtins(checked))
            except BifrostError:
                await roster.remove(name)
                raise
        return await inspection.device_info(self.system, device)

    async def remove_device(self, name: str) -> None:
        """Remove a device; its values get one last row of status BAD_OUT_OF_SERVICE.

        A kept device is forgotten. One from the settings is back at the next start.

        Raises:
            ChildNotFound: there is no such device.
            BifrostError: it was removed, but is still among the kept devices.
        """
        await self._running_roster().remove(name)
        await asyncio.to_thread(self._store.forget, name)

    async def devices(self) -> tuple[DeviceInfo, ...]:
        """Every device and its state, in the order in which they were added."""
        return await inspection.device_infos(self.system, self._running_roster())

    def tree(self) -> ActorSnapshot:
        """The supervision tree as it stands now."""
        return self.system.snapshot()

    async def status(self) -> GatewayStatus:
        """Everything about the gateway at this moment; waits a second at most for what does not answer."""
        roster = self._running_roster()
        return await inspection.gateway_status(self._settings, self.system, roster, self._port, self._tree.meters)

    def _running_system(self) -> ActorSystem:
        if self._system is None:
            raise ActorError("the gateway does not run; use it inside `async with`")
        return self._system

    def _running_roster(self) -> DeviceRoster:
        if self._roster is None or self._ended.is_set():
            raise ActorError("the gateway does not run; use it inside `async with`")
        return self._roster

    def _kept_devices(self) -> dict[str, DeviceSettings]:
        try:
            self._settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        except (OSError, ValueError) as error:  # the latter for a name with a NUL in it
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"cannot make the data directory {self._settings.data_dir}: {reason}") from error
        kept: dict[str, DeviceSettings] = {}
        mistakes: list[Mistake] = []
        for name, table in self._store.load().items():
            if name in self._settings.devices:
                mistakes.append(Mistake((name,), "is in the settings too; remove it here or there"))
            check_name(name, (name,), mistakes)
            settings = check_device(table, (name,), mistakes)
            if settings is not None:
                kept[name] = settings
        if mistakes:
            raise config_error(str(self._store.path), mistakes)
        return kept

    async def _tell_left_cursors(self) -> None:
        """Warn of uplinks that are gone from the settings: the buffer keeps everything for them, up to its cap."""
        try:
            cursors = (await self._port.statistics()).cursors
        except (WalError, TimeoutError):
            return  # the buffer is being reopened: the next start tells
        for name in sorted(cursors.keys() - self._settings.uplinks.keys()):
            _log.warning(
                "the buffer keeps records for '%s', which is no uplink of the settings: bring it back, or drop what it"
                " has not got with `await gateway.wal.forget_destination('%s')`",
                name,
                name,
            )

    async def _start_at_first(self, name: str, settings: DeviceSettings, *, kept: bool = False) -> None:
        """Start a device with the gateway: a defect of one plug-in must not keep the others from starting."""
        try:
            await self._running_roster().add(name, settings, "kept" if kept else "settings")
        except (ConfigError, MissingExtra) as error:
            _log.error("device %s did not start; the others go on: %s", name, error)
        except Exception:  # noqa: BLE001 - a plug-in may raise anything; the other devices must start
            _log.exception("device %s did not start; the others go on", name)


def _checked_device(name: str, settings: DeviceSettings | Mapping[str, Any]) -> DeviceSettings:
    mistakes: list[Mistake] = []
    check_name(name, (name,), mistakes)
    if isinstance(settings, DeviceSettings):
        mistakes += [Mistake((name, *problem.path), problem.text) for problem in problems_of(settings)]
        checked: DeviceSettings | None = settings
    else:
        checked = check_device(settings, (name,), mistakes)
    if mistakes or checked is None:
        raise config_error("", mistakes)
    device_spec(checked, name=name)  # imports what its connection will need
    return checked
