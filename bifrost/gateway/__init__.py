"""Joins devices, pipelines, buffer and uplinks into one supervised tree, from a TOML file or from code.

In: settings (`read_settings`, `GatewaySettings`). Out: a running `Gateway` whose devices come and go, its tree and its
figures, and a control socket for the command line. Not here: any protocol, any algorithm.

Layout: `settings*.py`, `sections.py` read and check, by `bifrost.core.checking`; `tree.py` says what is supervised
how; `gateway.py` runs it, `roster.py` its devices; `inspection.py` and `status.py` look at it; `control/` is its door
for other processes.
"""

from bifrost.gateway.gateway import Gateway
from bifrost.gateway.settings import (
    ControlSettings,
    GatewaySection,
    GatewaySettings,
    SurfacesSettings,
    UplinkSettings,
)
from bifrost.gateway.settings_file import parse_settings, read_settings
from bifrost.gateway.status import DeviceInfo, GatewayStatus, PipelineInfo, UplinkInfo
from bifrost.gateway.tree import GatewaySink

__all__ = [
    "ControlSettings",
    "DeviceInfo",
    "Gateway",
    "GatewaySection",
    "GatewaySettings",
    "GatewaySink",
    "GatewayStatus",
    "PipelineInfo",
    "SurfacesSettings",
    "UplinkInfo",
    "UplinkSettings",
    "parse_settings",
    "read_settings",
]
