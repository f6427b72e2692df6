"""What one gateway is made of: the sections of a settings file as frozen structs.

In: checked sections, from a file (`bifrost.gateway.settings_file`) or from code. Out: one `GatewaySettings`. The
sections of devices, pipelines and uplinks are types of those who run them; so a plug-in's are checked like ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from bifrost.bridge.buffering.settings import WalSettings
from bifrost.bridge.delivery import DeliverySettings
from bifrost.core.settings import Problem, Settings, local_paths
from bifrost.edge.settings import PipelineSettings
from bifrost.plc.settings import DeviceSettings

__all__ = [
    "NAME_FORM",
    "NAME_WORDS",
    "ControlSettings",
    "GatewaySection",
    "GatewaySettings",
    "SurfacesSettings",
    "UplinkSettings",
]

NAME_FORM = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z"
"""Names of gateways, devices, pipelines and uplinks: parts of actors' paths and of tags' labels."""

NAME_WORDS = "up to 64 letters, digits and _ . - with a letter or digit first"
"""The same for people."""

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class GatewaySection(Settings, frozen=True):
    """`[gateway]`.

    Attributes:
        name: names the supervision tree and log lines.
        data_dir: folder of the buffer, the control socket and the kept devices; it is created. In a file, a relative
            one is relative to the file's own folder.
        stop_timeout: seconds for the whole orderly stop: pipelines flush, uplinks drain, the buffer closes.
    """

    name: Annotated[str, msgspec.Meta(pattern=NAME_FORM)] = "gateway"
    data_dir: Annotated[str, msgspec.Meta(min_length=1)] = "bifrost-data"
    stop_timeout: _Seconds = 60.0


class ControlSettings(Settings, frozen=True):
    """`[surfaces.control]`: the local control socket.

    Attributes:
        enabled: false opens none; then `bifrost device`, `bifrost tree` and `bifrost status` cannot reach this gateway.
        request_timeout: seconds within which a request is answered.
    """

    enabled: bool = True
    request_timeout: _Seconds = 30.0


class SurfacesSettings(Settings, frozen=True):
    """`[surfaces]`: the doors to a running gateway."""

    control: ControlSettings = ControlSettings()


class UplinkSettings(Settings, frozen=True):
    """One `[uplinks.<name>]`.

    Attributes:
        kind: name of the connector, such as ``historian`` or ``mqtt``.
        connector: the connector's own settings; in a file its keys stand beside `kind`.
        delivery: batches, deadlines, retries; in a file the table `[uplinks.<name>.delivery]`.
    """

    kind: str
    connector: Settings
    delivery: DeliverySettings = DeliverySettings()


class GatewaySettings(Settings, frozen=True):
    """A whole gateway.

    Attributes:
        gateway: name and data directory.
        wal: the write-ahead buffer.
        devices: by name.
        pipelines: by name; if there is none, every device's values go to the buffer as they are.
        uplinks: by name, which is also the identity of the uplink's place in the buffer.
        surfaces: the control socket.
    """

    gateway: GatewaySection = GatewaySection()
    wal: WalSettings = WalSettings()
    devices: dict[str, DeviceSettings] = msgspec.field(default_factory=dict)
    pipelines: dict[str, PipelineSettings] = msgspec.field(default_factory=dict)
    uplinks: dict[str, UplinkSettings] = msgspec.field(default_factory=dict)
    surfaces: SurfacesSettings = SurfacesSettings()

    def problems(self) -> Iterator[Problem]:
        """Tell names that are none, and an uplink that would write into the buffer's own file."""
        for section, names in (("devices", self.devices), ("pipelines", self.pipelines), ("uplinks", self.uplinks)):
            for name in names:
                if not re.fullmatch(NAME_FORM, name):
                    yield Problem((section, name), f'"{name}" is no name, expected {NAME_WORDS}')
        buffer = os.path.normpath(self.wal.path)
        for name, uplink in self.uplinks.items():
            for key, path in local_paths(uplink.connector).items():
                if os.path.normpath(path) == buffer:
                    text = f"is the buffer's own file (wal.path is {self.wal.path}), expected another"
                    yield Problem(("uplinks", name, "connector", key), text)

    @property
    def data_dir(self) -> Path:
        """The data directory; a relative one is relative to the process's own folder."""
        return Path(self.gateway.data_dir)

    @property
    def tag_count(self) -> int:
        """Tags of all devices."""
        return sum(len(device.tags) for device in self.devices.values())
