"""Looks at a running gateway: refs in, frozen figures out. Asks actors, changes nothing, never waits long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from bifrost.actors import ActorRef, ActorState, ActorSystem
from bifrost.bridge.buffering.port import WalPort
from bifrost.bridge.buffering.records import WalStatistics
from bifrost.bridge.statistics import UplinkStatistics
from bifrost.bridge.uplink_actor import GetUplinkStatistics
from bifrost.core.quality import Quality, quality_of
from bifrost.edge.statistics import PipelineMeters
from bifrost.errors import ActorError, ChildNotFound, WalError
from bifrost.gateway.roster import Device, DeviceRoster
from bifrost.gateway.settings import GatewaySettings
from bifrost.gateway.status import DeviceInfo, GatewayStatus, PipelineInfo, UplinkInfo
from bifrost.plc.device import DeviceStatus, GetStatus

__all__ = ["device_info", "device_infos", "gateway_status"]

_ANSWER_TIMEOUT: Final = 1.0  # an actor that needs longer is shown as what its supervisor knows of it


async def gateway_status(
    settings: GatewaySettings,
    system: ActorSystem,
    roster: DeviceRoster,
    port: WalPort,
    meters: Mapping[str, PipelineMeters],
) -> GatewayStatus:
    """Gather everything at once."""
    looks = [_uplink_info(system, name, uplink.kind) for name, uplink in settings.uplinks.items()]
    devices, wal, uplinks = await asyncio.gather(
        device_infos(system, roster), _wal_statistics(port), asyncio.gather(*looks)
    )
    return GatewayStatus(
        name=settings.gateway.name,
        time_ns=system.clock.time_ns(),
        devices=devices,
        pipelines=tuple(_pipeline_info(system, roster, name, meter) for name, meter in meters.items()),
        wal=wal,
        uplinks=tuple(uplinks),
        dead_letters=len(system.dead_letters),
    )


async def device_infos(system: ActorSystem, roster: DeviceRoster) -> tuple[DeviceInfo, ...]:
    """Look at every device, side by side."""
    return tuple(await asyncio.gather(*(device_info(system, device) for device in roster.devices)))


async def device_info(system: ActorSystem, device: Device) -> DeviceInfo:
    """Look at one device."""
    ref = _find(system, device.path)
    status: DeviceStatus | None = await _ask(ref, GetStatus())
    state = "stopped" if ref is None else ref.state.value
    error = ""
    if status is not None:
        state, error = status.state, _trouble(status)
    elif ref is not None and ref.state is not ActorState.RUNNING:
        crashed = system.snapshot().find(device.path)
        error = (crashed.last_crash if crashed is not None else None) or ""
    return DeviceInfo(
        name=device.name,
        protocol=device.settings.protocol,
        declared_in=device.declared_in,
        state=state,
        error=error,
        tags=len(device.labels),
        good_tags=0 if status is None else status.good_tags,
        bad_tags=len(device.labels) if status is None else status.bad_tags,
        details=status,
    )


def _trouble(status: DeviceStatus) -> str:
    """Say why a device is not as it should be: of its link, else of the first of its values that is bad."""
    if status.state not in {"connected", "degraded"}:
        return status.last_error
    bad = (value for value in status.values if quality_of(value.status) is Quality.BAD)
    return next((f"{value.tag}: {value.error}" for value in bad), "")


def _pipeline_info(system: ActorSystem, roster: DeviceRoster, name: str, meters: PipelineMeters) -> PipelineInfo:
    ref = _find(system, f"pipelines/{name}")
    return PipelineInfo(
        name=name,
        state="stopped" if ref is None else ref.state.value,
        devices=roster.feeds(name),
        stages=meters.snapshot(),
    )


async def _uplink_info(system: ActorSystem, name: str, kind: str) -> UplinkInfo:
    ref = _find(system, f"uplinks/{name}/reader")
    statistics: UplinkStatistics | None = await _ask(ref, GetUplinkStatistics())
    if statistics is None:
        state = "stopped" if ref is None else ref.state.value
    else:
        state = "connected" if statistics.connected else "disconnected"
    error = "" if statistics is None else statistics.last_error
    return UplinkInfo(name=name, kind=kind, state=state, error=error, statistics=statistics)


async def _wal_statistics(port: WalPort) -> WalStatistics | None:
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            return await port.statistics()
    except (WalError, TimeoutError):
        return None


async def _ask(ref: ActorRef[Any] | None, question: object) -> Any:
    if ref is None:
        return None
    try:
        return await ref.ask(question, timeout=_ANSWER_TIMEOUT)
    except ActorError:
        return None


def _find(system: ActorSystem, path: str) -> ActorRef[Any] | None:
    try:
        return system.ref(path)
    except ChildNotFound:
        return None
