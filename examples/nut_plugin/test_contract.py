"""The driver keeps bifrost's contract, against the `upsd` of Debian's nut-server."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
from bifrost_nut import NutDriver, NutSettings
from nut_server import NutServer, Ups, missing

from bifrost.core.clock import Clock
from bifrost.core.value import Value
from bifrost.plc import DataType, PLCConnection, Tag, known_protocols
from bifrost.testing import DriverContract


@pytest.fixture(scope="module")
def ups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ups]:
    if (command := missing()) is not None:
        if os.environ.get("CI"):
            pytest.fail(f"nut-server is missing; run: {command}")
        pytest.skip(f"needs nut-server; run: {command}")
    running = Ups(tmp_path_factory.mktemp("nut"))
    yield running
    running.stop()


def variable(name: str, datatype: DataType = DataType.STRING, *, writable: bool = False) -> Tag:
    return Tag(name, f"cabinet/{name}", datatype, protocol="nut", access="rw" if writable else "r")


class TestNut(DriverContract):
    """All promises of a driver."""

    server: NutServer
    served = 0
    taken_before = 0

    @pytest.fixture(autouse=True)
    def _on(self, ups: Ups) -> None:
        self.ups = ups

    @asynccontextmanager
    async def device(self) -> AsyncIterator[None]:
        TestNut.served += 1  # the UPS outlives each test, so each writes values of its own
        self.server = self.ups.server()
        self.taken_before = self.server.writes_taken()
        try:
            yield
        finally:
            self.server.resume()

    def make(self, clock: Clock) -> NutDriver:
        return self._make(self.server.port, clock)

    def make_unreachable(self, clock: Clock) -> NutDriver:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            return self._make(taken.getsockname()[1], clock)

    def _make(self, port: int, clock: Clock) -> NutDriver:
        return NutDriver(NutSettings(host="127.0.0.1", port=port, username="operator", password="secret"), clock)

    def known(self) -> Sequence[tuple[Tag, Value]]:
        return [
            (variable("battery.charge", DataType.FLOAT64), 87.5),
            (variable("battery.runtime", DataType.INT64), 1200),
            (variable("ups.mfr"), "ACME"),
            (variable("input.voltage", DataType.FLOAT64, writable=True), 229.1),
        ]

    def writable(self) -> Sequence[tuple[Tag, Value]]:
        return [
            (variable("output.current", DataType.FLOAT64, writable=True), self.served + 0.25),
            (variable("battery.runtime.low", DataType.INT64, writable=True), 900 + self.served),
            (variable("ups.status", writable=True), f"OB {self.served}"),
        ]

    def wrong_addresses(self) -> Sequence[str]:
        return ["", "cabinet", "/ups.status", "cabinet/ups status", "cabinet/ups.status[2]"]

    def missing(self) -> Tag | None:
        return variable("battery.colour", DataType.FLOAT64, writable=True)

    def unfit(self) -> tuple[Tag, object] | None:
        return variable("battery.charge", DataType.FLOAT64, writable=True), float("nan")

    async def cut(self) -> None:
        self.server.kill()

    async def mute(self) -> None:
        self.server.pause()

    async def restore(self) -> None:
        self.server.resume()

    async def writes_taken(self) -> int:
        return self.server.writes_taken() - self.taken_before


async def test_the_protocol_is_found_by_its_entry_point(ups: Ups) -> None:
    """Installed is all that it has to be; URLs, scaling and browsing come with it."""
    assert "nut" in known_protocols()
    port = ups.server().port
    async with PLCConnection.from_url(f"nut://127.0.0.1:{port}/cabinet") as plc:
        charge = plc.tag("charge", "cabinet/battery.charge:FLOAT64", scale=0.01)
        readings = await plc.read_tags([charge, plc.tag("maker", "cabinet/ups.mfr")])
        assert float(readings["charge"]) == pytest.approx(0.875)
        assert readings["maker"].value == "ACME"
        assert "cabinet/input.voltage" in [found.address for found in await plc.browse()]
