"""What a ``[devices.<name>]`` section may say when its protocol is ``ethernet-ip``.

In: a table of the settings file. Out: checked options. The keys are the options of `PLCConnection` as well.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Literal

from bifrost.core.settings import Problem
from bifrost.plc.drivers.tcp import host_problems
from bifrost.plc.settings import DeviceSettings

__all__ = ["EtherNetIPSettings"]

_PORTS = ("bp", "backplane", "enet", "cnet", "dnet", "dhrio-a", "dhrio-b", "dh485-a", "dh485-b")


class EtherNetIPSettings(DeviceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Logix or Micro800 controller.

    Attributes:
        host: name or address of the controller, or of the communication module in its rack.
        port: TCP port, 1 to 65535; default 44818.
        slot: where the controller stands in the rack, 0 to 255; default 0. A CompactLogix is in slot 0, a Micro800 has
            none.
        path: the way from `host` to the controller, as pairs of a port and an address: ``bp/0/enet/10.0.0.9/bp/1``;
            empty (default) is ``bp/<slot>``.
        init_tags: ``auto`` (default) asks for the list of tags when the link comes up, and does without if the device
            has none; ``lazy`` asks when it is needed; ``off`` never does, and structures cannot be read.
        program_tags: whether that list includes the tags of programs; default true.
        large_packets: try packets of 4000 bytes before those of 500; default true. False for a device that does not
            answer at all to what it does not know.
        micro800: ``auto`` (default) asks the device whether it is a Micro800; ``yes`` and ``no`` decide it.
        upload_timeout: seconds that the list of tags may take, 1 to 600; default 30.
        cip_timeout: seconds without a request after which the controller may forget the connection, 10 to 3600;
            default 600. A poll that is slower than that finds no link.
    """

    protocol: str = "ethernet-ip"
    host: str
    port: int = 44818
    slot: int = 0
    path: str = ""
    init_tags: Literal["auto", "lazy", "off"] = "auto"
    program_tags: bool = True
    large_packets: bool = True
    micro800: Literal["auto", "yes", "no"] = "auto"
    upload_timeout: float = 30.0
    cip_timeout: float = 600.0

    @property
    def endpoint(self) -> str:
        """Host, port, and what tells this controller from others behind them."""
        return f"{self.host}:{self.port}"

    @property
    def route(self) -> tuple[tuple[int | str, str], ...]:
        """The way to the controller, as pairs of a port and an address."""
        words = [word for word in self.path.replace("\\", "/").replace(",", "/").split("/") if word]
        if len(words) == 1:
            return (("bp", words[0]),)
        if not words:
            return (("bp", str(self.slot)),)
        ports = [int(word) if word.isdecimal() else word.lower() for word in words[::2]]
        return tuple(zip(ports, words[1::2], strict=True))

    def problems(self) -> Iterable[Problem]:
        """Ranges, the path, and what the tags say."""
        yield from super().problems()
        yield from host_problems(self.host)
        for key, (low, high) in {"port": (1, 65535), "slot": (0, 255)}.items():
            value = getattr(self, key)
            if not low <= value <= high:
                yield Problem((key,), f"expected {key} from {low} to {high}, got {value}")
        for key, (least, most) in {"upload_timeout": (1.0, 600.0), "cip_timeout": (10.0, 3600.0)}.items():
            seconds = getattr(self, key)
            if not least <= seconds <= most:
                yield Problem((key,), f"expected {key} from {least:g} to {most:g} seconds, got {seconds:g}")
        if (wrong := self._wrong_path()) is not None:
            yield Problem(("path",), wrong)

    def _wrong_path(self) -> str | None:
        words = [word for word in self.path.replace("\\", "/").replace(",", "/").split("/") if word]
        if words and self.slot:
            return "give either slot or path, not both"
        form = "expected pairs of a port and an address, such as 'bp/0/enet/10.0.0.9/bp/1'"
        if len(words) > 1 and len(words) % 2:
            return f"{form}; got {len(words)} words in {self.path!r}"
        for port, link in zip(words[::2], words[1::2], strict=False):
            if port.lower() not in _PORTS and not (port.isdecimal() and 1 <= int(port) <= 14):
                return f"{form}; {port!r} is no port, known are {', '.join(_PORTS)} and 1 to 14"
            if not _is_link(link):
                return f"{form}; {link!r} is neither a slot of 0 to 255 nor an IP address"
        if len(words) == 1 and not (words[0].isdecimal() and int(words[0]) <= 255):
            return f"{form}; got {self.path!r}"
        return None


def _is_link(word: str) -> bool:
    if word.isdecimal():
        return int(word) <= 255
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True
