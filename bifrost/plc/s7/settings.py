"""What a settings file says about an S7 CPU.

In: one table of the file. Out: checked options, and tags whose addresses were understood, before any I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bifrost.core.settings import Problem
from bifrost.plc.datatypes import ProtocolType
from bifrost.plc.drivers.tcp import host_problems
from bifrost.plc.settings import DeviceSettings

__all__ = ["S7Settings"]

_CONNECTION_TYPES = {"pg": 1, "op": 2, "basic": 3}


class S7Settings(DeviceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One S7 CPU.

    Attributes:
        host: name or address.
        port: TCP port, 1 to 65535; default 102.
        rack: rack of the CPU, 0 to 7; default 0.
        slot: slot of the CPU, 0 to 31; default 1, which an S7-1200 and S7-1500 have. An S7-300 has 2; an S7-400 and a
            software CPU have what their hardware configuration says.
        connection_type: which of the CPU's connections is taken: ``pg`` (default), ``op`` or ``basic``.
        local_tsap: our end of the connection, 0 to 65535; default 0x0100.
        remote_tsap: the CPU's end; None (default) makes it of `connection_type`, `rack` and `slot`. LOGO! and S7-200
            want one of their own, such as 0x0200.
        pdu_length: bytes of a PDU to ask for, 112 to 960; default 960. The CPU may grant less.
        max_gap: unwanted bytes that are read to save an item, 0 to 900; default 16.
        string_encoding: how CHAR and STRING are encoded; default latin-1.
        identify: ask the CPU who it is after connecting; default true. Switch it off if a device takes offence.
    """

    protocol: str = ProtocolType.S7.value
    host: str
    port: int = 102
    rack: int = 0
    slot: int = 1
    connection_type: Literal["pg", "op", "basic"] = "pg"
    local_tsap: int = 0x0100
    remote_tsap: int | None = None
    pdu_length: int = 960
    max_gap: int = 16
    string_encoding: str = "latin-1"
    identify: bool = True

    @property
    def endpoint(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def called_tsap(self) -> int:
        """The CPU's end of the connection."""
        if self.remote_tsap is not None:
            return self.remote_tsap
        return _CONNECTION_TYPES[self.connection_type] << 8 | self.rack << 5 | self.slot

    def problems(self) -> Iterable[Problem]:
        """Ranges, and what the tags say."""
        yield from super().problems()
        yield from host_problems(self.host)
        ranges = {
            "port": (1, 65535),
            "rack": (0, 7),
            "slot": (0, 31),
            "local_tsap": (0, 65535),
            "remote_tsap": (0, 65535),
            "pdu_length": (112, 960),
            "max_gap": (0, 900),
        }
        for key, (low, high) in ranges.items():
            value = getattr(self, key)
            if value is not None and not low <= value <= high:
                yield Problem((key,), f"expected {key} from {low} to {high}, got {value}")
        try:
            "a".encode(self.string_encoding)
        except LookupError:
            text = f"expected an encoding such as latin-1 or cp1252, got {self.string_encoding!r}"
            yield Problem(("string_encoding",), text)
