"""The EtherNet/IP driver keeps the driver's contract, against a simulated controller and against cpppo."""

from __future__ import annotations

import abc
import itertools
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import ClassVar

import pytest

from bifrost.core.clock import Clock
from bifrost.core.value import Value
from bifrost.errors import DeviceFault
from bifrost.plc import DataType, Tag
from bifrost.plc.drivers.base import Driver
from bifrost.plc.ethernet_ip import EtherNetIPSettings
from bifrost.plc.ethernet_ip.driver import EtherNetIPDriver
from bifrost.plc.sim.cip import CipFault, CipFaultPlan, LogixTarget, TagStore
from bifrost.testing import DriverContract
from bifrost.testing.driver_device import LONG
from bifrost.testing.expectations import refused_later
from tests.integration.ethernet_ip.cpppo_server import CpppoServer, need_cpppo, serve_cpppo


def _tag(address: str, datatype: DataType | None = None, **more: object) -> Tag:
    return Tag(address, address, datatype, protocol="ethernet-ip", **more)  # type: ignore[arg-type]  # tests name any


class _OnLogix(DriverContract, abc.ABC):
    port = 0

    def make(self, clock: Clock) -> Driver:
        return EtherNetIPDriver(EtherNetIPSettings(host="127.0.0.1", port=self.port), clock)

    def make_unreachable(self, clock: Clock) -> Driver:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        return EtherNetIPDriver(EtherNetIPSettings(host="127.0.0.1", port=port), clock)

    def wrong_addresses(self) -> Sequence[str]:
        return ["", "40001", "HR 1", "DB1.DBX0.0", "%MW20:INT", "Tag[", "Tag..Member", "1Tag", "Arr{0}", "Tag.64"]

    def missing(self) -> Tag | None:
        return _tag("Nowhere", DataType.FLOAT32, access="rw")

    def unfit(self) -> tuple[Tag, object] | None:
        return _tag("Count[1]", DataType.INT32, access="rw"), 2**31


class TestOnTheSimulator(_OnLogix):
    """Against our own controller, which has a list of tags, structures and texts."""

    store: TagStore
    target: LogixTarget

    @asynccontextmanager
    async def device(self) -> AsyncIterator[None]:
        self.store = store = TagStore()
        store.define("Motor", {"Speed": "REAL", "Running": "BOOL", "Counts": "DINT[2]", "Name": "STRING"})
        store.add("Speed", "REAL", 1.5)
        store.add("Count", "DINT[5]", [10, 20, 30, 40, 50])
        store.add("Large", "REAL[1500]", [number / 4 for number in range(1500)])
        store.add("Flags", "BOOL[64]", [at % 3 == 0 for at in range(64)])
        store.add("Text", "STRING", "hello")
        store.add("Word", "INT", 0b100)
        store.add("Local", "LINT", 2**40, program="Main")
        store.add("Motors", "Motor[3]")
        async with LogixTarget(store) as self.target:
            self.port = self.target.port
            yield

    def known(self) -> Sequence[tuple[Tag, Value]]:
        motor = {"Speed": 0.0, "Running": False, "Counts": [0, 0], "Name": ""}
        return [
            (_tag("Speed"), 1.5),
            (_tag("Speed:REAL", access="rw"), 1.5),
            (_tag("Count{5}"), [10, 20, 30, 40, 50]),
            (_tag("Count[3]", DataType.INT32), 40),
            (_tag("Large{1500}"), [number / 4 for number in range(1500)]),
            (_tag("Flags[30]", count=4), [True, False, False, True]),
            (_tag("Text"), "hello"),
            (_tag("Word.2"), True),
            (_tag("Program:Main.Local"), 2**40),
            (_tag("Motors[1]"), motor),
            (_tag("Motors[1].Counts{2}"), [0, 0]),
        ]

    def writable(self) -> Sequence[tuple[Tag, Value]]:
        return [
            (_tag("Speed", access="rw"), -2.5),
            (_tag("Count[1]", count=3, access="rw"), [-1, -2, -3]),
            (_tag("Flags[4]", access="rw"), True),
            (_tag("Text", DataType.STRING, access="rw"), "good bye"),
            (_tag("Word.15", access="rw"), True),
            (_tag("Motors[2].Name", access="rw"), "pump"),
            (_tag("Motors[0]", access="rw"), {"Speed": 9.5, "Running": True, "Counts": [3, 4], "Name": "fan"}),
        ]

    async def cut(self) -> None:
        self.target.drop_clients()

    async def mute(self) -> None:
        self.target.faults = CipFaultPlan.always(CipFault.DROP)

    async def restore(self) -> None:
        self.target.faults = None

    async def writes_taken(self) -> int:
        return self.store.write_count


class TestOnCpppo(_OnLogix):
    """Against a program that shares no line with bifrost; it is made mute by stopping its process."""

    _serving: ClassVar[ExitStack]
    _server: ClassVar[CpppoServer | None] = None
    _fresh: ClassVar[Iterator[int]] = itertools.count(100)
    _number = 0
    _writes = 0

    @pytest.fixture(autouse=True)
    def _needs_cpppo(self) -> None:
        need_cpppo()

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _shared(cls) -> Iterator[None]:
        with ExitStack() as cls._serving:
            yield
        cls._server = None

    @asynccontextmanager
    async def device(self) -> AsyncIterator[None]:
        kind = type(self)
        if kind._server is None or kind._server.process.poll() is not None:
            tags = ["Speed=REAL", "Count=DINT[5]", "Word=INT", "Other=REAL[3]", "Text=SSTRING"]
            values = ["Speed=(REAL)1.5", "Count[0-4]=(DINT)10,20,30,40,50", "Word=(INT)4"]
            kind._server = self._serving.enter_context(serve_cpppo(tags, values))
        self.port = kind._server.port
        self._number = next(self._fresh)
        self._writes = kind._server.writes_taken()
        try:
            yield
        finally:
            kind._server.thaw()

    @property
    def server(self) -> CpppoServer:
        assert self._server is not None
        return self._server

    def known(self) -> Sequence[tuple[Tag, Value]]:
        return [
            (_tag("Speed"), 1.5),
            (_tag("Speed:REAL", access="rw"), 1.5),
            (_tag("Count{5}"), [10, 20, 30, 40, 50]),
            (_tag("Count[3]", DataType.INT32), 40),
            (_tag("Word.2"), True),
        ]

    def writable(self) -> Sequence[tuple[Tag, Value]]:
        number = self._number
        return [
            (_tag("Other[0]", DataType.FLOAT32, access="rw"), float(number)),
            (_tag("Other[1]", DataType.FLOAT32, count=2, access="rw"), [number + 0.5, -float(number)]),
            (_tag("Text", access="rw"), f"text {number}"),
        ]

    async def test_browsing_tells_what_can_be_read(self) -> None:
        """It cannot: cpppo has no list of its tags, and ends a link on which it is asked for one."""
        async with self.device(), self._linked() as driver:
            await self._connect(driver)
            error = await refused_later(DeviceFault, driver.browse(timeout=LONG))  # type: ignore[attr-defined]  # it can
            assert "no list" in str(error)
            self._check([self.known()[0][0]], await driver.read(driver.plan([self.known()[0][0]]), timeout=LONG))

    async def cut(self) -> None:
        self.server.process.kill()
        self.server.process.wait()

    async def mute(self) -> None:
        self.server.freeze()

    async def restore(self) -> None:
        self.server.thaw()

    async def writes_taken(self) -> int:
        return self.server.writes_taken() - self._writes
