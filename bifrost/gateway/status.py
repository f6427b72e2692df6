"""How a running gateway is, at one moment: frozen values for programs, the control socket and the console."""

from __future__ import annotations

from typing import Literal

import msgspec

from bifrost.bridge.buffering.records import WalStatistics
from bifrost.bridge.statistics import UplinkStatistics
from bifrost.edge.statistics import StageStatistics
from bifrost.plc.device import DeviceStatus

__all__ = ["DeclaredIn", "DeviceInfo", "GatewayStatus", "PipelineInfo", "UplinkInfo"]

DeclaredIn = Literal["settings", "run time", "kept"]
"""Where a device comes from: the settings, a call while the gateway ran, or such a call with ``persist``."""


class DeviceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One device.

    Attributes:
        name: the device's name.
        protocol: its protocol.
        declared_in: where it comes from.
        state: the link's state (disconnected, connecting, connected, degraded, backoff, closed) while its actor runs,
            else the actor's: starting, restarting, stopping, stopped, failed (parked).
        error: why it is not as it should be; empty if nothing is wrong.
        tags: how many values it has.
        good_tags: values whose latest status is not BAD.
        bad_tags: values whose latest status is BAD; all of them while its actor does not run.
        details: everything else, the latest values too; None if its actor did not answer, or was not asked.
    """

    name: str
    protocol: str
    declared_in: DeclaredIn
    state: str
    error: str
    tags: int
    good_tags: int
    bad_tags: int
    details: DeviceStatus | None = None


class PipelineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One pipeline.

    Attributes:
        name: the pipeline's name.
        state: of its supervisor.
        devices: whose batches it gets at the moment.
        stages: what each stage has counted since the gateway started, in the order of the flow.
    """

    name: str
    state: str
    devices: tuple[str, ...]
    stages: tuple[StageStatistics, ...]


class UplinkInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One uplink.

    Attributes:
        name: the uplink's name.
        kind: of its connector.
        state: connected, disconnected, or what its reader is instead of running.
        error: its newest trouble; empty if there was none.
        statistics: its figures; None if its reader did not answer.
    """

    name: str
    kind: str
    state: str
    error: str
    statistics: UplinkStatistics | None


class GatewayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The whole gateway.

    Attributes:
        name: the gateway's name.
        time_ns: when this was gathered; ns since 1970, UTC.
        devices: in the order in which they were added.
        pipelines: in the order of the settings.
        wal: the buffer's figures; None while it is being reopened.
        uplinks: in the order of the settings.
        dead_letters: messages between actors that were not handled.
    """

    name: str
    time_ns: int
    devices: tuple[DeviceInfo, ...]
    pipelines: tuple[PipelineInfo, ...]
    wal: WalStatistics | None
    uplinks: tuple[UplinkInfo, ...]
    dead_letters: int
