"""The S7 driver keeps the driver's contract, against the simulated CPU."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bifrost.core.clock import Clock
from bifrost.core.value import Value
from bifrost.plc import DataType, Tag
from bifrost.plc.drivers.base import Driver
from bifrost.plc.s7 import S7Driver, S7Settings
from bifrost.plc.sim import Fault, FaultPlan
from bifrost.plc.sim.s7 import S7Target
from bifrost.testing import DriverContract

_VALUES: dict[str, Value] = {
    "DB1.DBX0.3": True,
    "DB1.DBB1": 201,
    "DB1:2:INT": -1234,
    "DB1.DBD4:REAL": 20.5,
    "DB1:8:LREAL": 1e300,
    "DB1,INT16.3": [1, -2, 3],
    "DB1:24:STRING(20)": "Grüße",
    "DB1:48:WSTRING(4)": "Ωλ",
    "DB1:60:DTL": "2024-02-29T23:59:58.123456789",
    "DB1:72:DT": "1999-12-31T00:00:00.007",
    "DB1:80:DATE": "2024-05-06",
    "DB1:82:TIME": -5000,
    "DB1:86:TOD": "13:04:05.678",
    "DB1:90:ULINT": 2**64 - 1,
    "DB1:98:BYTES(4)": b"\x00\xff\x01\xfe",
    "DB1.DBX102.5:BOOL[6]": [True, False, True, True, False, True],
    "M10.3": True,
    "MW20:BCD16": 1234,
    "IW22": 65535,
    "QB4": 7,
    "T5": 12_300,
    "C3": 321,
}
_WRITABLE: list[tuple[str, Value]] = [
    ("DB1.DBX0.3", False),
    ("DB1:2:INT", 4321),
    ("DB1.DBD4:REAL", -0.25),
    ("DB1:24:STRING(20)", "neu"),
    ("DB1:72:DT", "2024-05-06T07:08:09.010"),
    ("M10.3", False),
    ("T5", 990),
    ("C3", 7),
]


def _tag(address: str, **more: object) -> Tag:
    return Tag(address, address, protocol="s7", **more)  # type: ignore[arg-type]  # fields of Tag


class TestS7(DriverContract):
    """Against our own target."""

    @asynccontextmanager
    async def device(self) -> AsyncIterator[None]:
        async with S7Target({1: 128}) as self.target:
            for address, value in _VALUES.items():
                self.target.put(address, value)
            yield

    def make(self, clock: Clock) -> Driver:
        return S7Driver(S7Settings(host="127.0.0.1", port=self.target.port, protocol="s7"), clock)

    def make_unreachable(self, clock: Clock) -> Driver:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        return S7Driver(S7Settings(host="127.0.0.1", port=port, protocol="s7"), clock)

    def known(self) -> Sequence[tuple[Tag, Value]]:
        writable = [address for address, _ in _WRITABLE]
        return [(_tag(at, access="rw" if at in writable else "r"), value) for at, value in _VALUES.items()]

    def writable(self) -> Sequence[tuple[Tag, Value]]:
        return [(_tag(address, access="rw"), value) for address, value in _WRITABLE]

    def unfit(self) -> tuple[Tag, object]:
        return _tag("DB1:2:INT", access="rw"), 40_000

    def missing(self) -> Tag:
        return Tag("missing", "DB9.DBX0.0", DataType.BOOL, access="rw", protocol="s7")

    def wrong_addresses(self) -> Sequence[str]:
        return ["", "40001", "DB1", "DB1.DBX0.8", "M", "MX", "Motor.Speed", "DB0.DBB0", "T5.1", "PIW4"]

    async def cut(self) -> None:
        self.target.drop_clients()

    async def mute(self) -> None:
        self.target.faults = FaultPlan.always(Fault.DROP)

    async def restore(self) -> None:
        self.target.faults = None

    async def writes_taken(self) -> int:
        return self.target.write_count
