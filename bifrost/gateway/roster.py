"""The devices of a running gateway: which there are, where they come from, which pipelines they feed.

In: names and checked settings. Out: device actors under the supervisor ``devices``, wired to pipelines. Not here:
reading settings, other parts of the tree.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bifrost.actors import ActorEvent, ActorRef, ActorSystem, SupervisorStarted
from bifrost.core.batch import Batch
from bifrost.core.quality import StatusCode
from bifrost.errors import ActorError, ChildNotFound, ConfigError
from bifrost.gateway.references import EVERY_DEVICE
from bifrost.gateway.status import DeclaredIn
from bifrost.plc.actor import Outputs, device_spec
from bifrost.plc.settings import DeviceSettings

__all__ = ["Device", "DeviceRoster"]

_LAST_WORD_TIMEOUT = 5.0
_STOP_TIMEOUT = 30.0
_UNDO_TIMEOUT = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Device:
    """One device as the roster knows it.

    Attributes:
        name: its name.
        settings: its checked settings.
        declared_in: where it comes from.
        outputs: who gets its batches; shared with its actor.
        labels: of its values, such as ``press/temperature``.
    """

    name: str
    settings: DeviceSettings
    declared_in: DeclaredIn
    outputs: Outputs
    labels: tuple[str, ...]

    @property
    def path(self) -> str:
        """Of its actor."""
        return f"devices/{self.name}"


class DeviceRoster:
    """Adds and removes devices, and keeps them wired when supervisors are restarted.

    Args:
        system: the running tree.
        sources: for each pipeline, the names of its devices, or `EVERY_DEVICE` among them.
    """

    def __init__(self, system: ActorSystem, sources: Mapping[str, Iterable[str]]) -> None:
        self._system = system
        self._sources = {pipeline: frozenset(names) for pipeline, names in sources.items()}
        self._devices: dict[str, Device] = {}
        self._turn = asyncio.Lock()
        self._restoring: set[asyncio.Task[None]] = set()
        self._unsubscribe = system.events.subscribe(self._on_event)

    @property
    def devices(self) -> tuple[Device, ...]:
        """Every device, in the order in which they were added."""
        return tuple(self._devices.values())

    def feeds(self, pipeline: str) -> tuple[str, ...]:
        """Names of the devices whose batches a pipeline gets."""
        wanted = self._sources[pipeline]
        return tuple(name for name in self._devices if name in wanted or EVERY_DEVICE in wanted)

    def find(self, name: str) -> Device:
        """The device of a name.

        Raises:
            ChildNotFound: there is none.
        """
        try:
            return self._devices[name]
        except KeyError:
            known = ", ".join(self._devices) or "none"
            raise ChildNotFound(f"there is no device {name}; devices: {known}") from None

    async def add(self, name: str, settings: DeviceSettings, declared_in: DeclaredIn) -> Device:
        """Start a device.

        Raises:
            ConfigError: the name is taken, or the settings cannot work; nothing was started.
            StartFailed: its actor did not start; the roster is as before.
        """
        async with self._turn:
            if name in self._devices:
                raise ConfigError(f"there is a device {name} already; remove it first, or choose another name")
            labels = tuple(f"{name}/{label}" for tag in settings.plc_tags() for label in tag.labels)
            device = Device(name, settings, declared_in, Outputs(self._receivers(name)), labels)
            try:
                await self._start(device)
            except asyncio.CancelledError:
                # The supervisor may have it in hand: without this it would run and nobody would know it.
                with contextlib.suppress(ActorError, TimeoutError):
                    await self._system.supervisor("devices").terminate_child(name, timeout=_UNDO_TIMEOUT)
                raise
            self._devices[name] = device
            return device

    async def remove(self, name: str) -> Device:
        """Stop a device; its pipelines then get one last row for each of its values, BAD_OUT_OF_SERVICE.

        Raises:
            ChildNotFound: there is no such device.
        """
        async with self._turn:
            device = self.find(name)
            with contextlib.suppress(ChildNotFound):  # it may have been lost with its supervisor
                await self._system.supervisor("devices").terminate_child(name, timeout=_STOP_TIMEOUT)
            del self._devices[name]
            await self._say_last_word(device)
            return device

    async def aclose(self) -> None:
        """End the wiring; the tree ends the devices."""
        self._unsubscribe()
        restoring = list(self._restoring)
        for task in restoring:
            task.cancel()
        await asyncio.gather(*restoring, return_exceptions=True)

    async def _start(self, device: Device) -> None:
        spec = device_spec(device.settings, name=device.name, outputs=device.outputs)
        await self._system.supervisor("devices").start_child(spec)

    async def _say_last_word(self, device: Device) -> None:
        rows = len(device.labels)
        if not rows:
            return
        now_ns = self._system.clock.time_ns()
        batch = Batch.from_columns(
            device.labels,
            [now_ns] * rows,
            [None] * rows,
            status=[int(StatusCode.BAD_OUT_OF_SERVICE)] * rows,
            origin=device.name,
            sequence=now_ns,  # a device counts on from the time of its start, so this is beyond what it sent
        )
        for ref in device.outputs.refs:
            try:
                await ref.send(batch, timeout=_LAST_WORD_TIMEOUT)
            except ActorError as error:
                _log.warning("the last rows of device %s are lost: %s", device.name, error)

    def _receivers(self, name: str) -> tuple[ActorRef[Any], ...]:
        refs = []
        for pipeline, wanted in self._sources.items():
            if name in wanted or EVERY_DEVICE in wanted:
                with contextlib.suppress(ChildNotFound):  # it is being restarted: it is wired when it is up again
                    refs.append(self._system.ref(f"pipelines/{pipeline}/source"))
        return tuple(refs)

    def _on_event(self, event: ActorEvent) -> None:
        """A supervisor that came back has new children: wire devices to them, or start the devices themselves."""
        if not isinstance(event, SupervisorStarted) or event.incarnation == 1:
            return
        for device in self._devices.values():
            device.outputs.refs = self._receivers(device.name)
        if event.path == "devices":
            task = asyncio.get_running_loop().create_task(self._restore(), name="restore devices")
            self._restoring.add(task)
            task.add_done_callback(self._restoring.discard)

    async def _restore(self) -> None:
        async with self._turn:
            for device in self.devices:
                try:
                    await self._start(device)
                except (ActorError, ConfigError):
                    _log.exception("device %s did not come back", device.name)
