"""Searching for EtherNet/IP devices: bounded, harmless, and deaf to everything that is no answer."""

from __future__ import annotations

import asyncio
import struct

import pytest

from bifrost.errors import AddressError, ConfigError
from bifrost.plc.drivers.base import FoundDevice
from bifrost.plc.ethernet_ip.discovery import discover
from bifrost.plc.sim.cip import Identity, LogixTarget, TagStore
from tests.integration.ethernet_ip.logix import link
from tests.integration.leftovers import nothing_left_behind


async def _found(target: str, *, timeout: float = 0.1, port: int = 44818) -> list[FoundDevice]:
    return [device async for device in discover(target, timeout=timeout, port=port)]


async def test_a_device_is_told_once_with_what_it_says_of_itself() -> None:
    """Asked twice, told once; its address can be connected to."""
    identity = Identity(product_name="1769-L33ER", serial=0x1234ABCD)
    async with LogixTarget(TagStore(), udp=True, identity=identity) as target, nothing_left_behind():
        (device,) = await _found(f"127.0.0.1:{target.port}")
        assert device.protocol == "ethernet-ip"
        assert device.name == "1769-L33ER"
        assert "Rockwell" in device.vendor
        assert "1234abcd" in device.description
        assert device.url == f"ethernet-ip://127.0.0.1:{target.port}"
        assert target.counters.datagrams == 2
        assert target.counters.connections == 0, "a search opens nothing"
        made = link(int(device.endpoint.rpartition(":")[2]))
        assert "1769-L33ER" in (await made.driver.connect(timeout=1.0, on_lost=made.losses.append)).description
        await made.driver.aclose()


async def test_nobody_there_is_an_empty_answer_in_time() -> None:
    """The search ends when its time is up."""
    async with nothing_left_behind():
        began = asyncio.get_running_loop().time()
        assert await _found("127.0.0.1", port=9, timeout=0.05) == []
        assert asyncio.get_running_loop().time() - began < 0.5


async def test_a_search_that_is_given_up_leaves_nothing() -> None:
    """Breaking out closes the socket."""
    async with LogixTarget(TagStore(), udp=True) as target, nothing_left_behind():
        devices = discover(f"127.0.0.1:{target.port}", timeout=5.0)
        async for _ in devices:
            break
        await devices.aclose()  # type: ignore[attr-defined]  # it is a generator


class _Babbler(asyncio.DatagramProtocol):
    """Answers with everything but an answer, and far too much of it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        for answer in (b"", b"\x63", data, b"\xff" * 600, struct.pack("<HHIIQI", 0x63, 9999, 0, 0, 0, 0) + b"\x01\0"):
            for _ in range(50):
                self.transport.sendto(answer, addr)  # type: ignore[attr-defined]  # a datagram endpoint makes no other


async def test_garbage_is_ignored() -> None:
    """Hundreds of datagrams that are no answers are nobody."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Babbler, local_addr=("127.0.0.1", 0))
    try:
        port = transport.get_extra_info("sockname")[1]
        assert await _found(f"127.0.0.1:{port}") == []
    finally:
        transport.close()


@pytest.mark.parametrize("target", ["", "plc.local", "1.2.3", "::1", "1.2.3.4.5"])
async def test_a_target_that_is_no_ipv4_address_is_refused(target: str) -> None:
    """Names are not looked up: nothing waits for a name server here."""
    with pytest.raises(AddressError):
        await _found(target)


async def test_ports_and_times_are_checked() -> None:
    """Nothing is sent."""
    for target, options in (("127.0.0.1:0", {}), ("127.0.0.1:x", {}), ("127.0.0.1", {"port": 70000})):
        with pytest.raises(ConfigError):
            await _found(target, **options)
    with pytest.raises(ConfigError):
        await _found("127.0.0.1", timeout=0)
