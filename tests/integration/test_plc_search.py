"""A search sends nothing but questions: every byte of it is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from bifrost.plc import Area, FoundDevice
from bifrost.plc.discovery import discover
from bifrost.plc.sim import ModbusTcpServer, RegisterBank
from bifrost.plc.sim.cip import LogixTarget, TagStore
from bifrost.plc.sim.s7 import S7Target
from tests.faults.silent_relay import silent_relay
from tests.integration.leftovers import nothing_left_behind

_READ_HOLDING, _IDENTIFY = 3, 43
_SETUP, _USERDATA, _JOB = 0xF0, 7, 1
_READ_LIST = 0x44  # type "request", group "CPU functions"; sub-function 1 reads the system status list
_LIST_IDENTITY = 0x63


async def _found(protocol: str, target: str, **options: object) -> list[FoundDevice]:
    return [device async for device in discover(protocol, target, timeout=0.3, **options)]


def _cut(stream: bytes, at: int, extra: int) -> Iterator[bytes]:
    """Cut a stream into frames whose length, in two bytes at `at`, leaves `extra` bytes out."""
    while stream:
        length = int.from_bytes(stream[at : at + 2]) + extra
        assert 0 < length <= len(stream), "the search sent something that is no frame"
        yield stream[:length]
        stream = stream[length:]


async def test_a_scan_of_modbus_units_only_reads_and_asks_what_they_are() -> None:
    """Functions 3 and 43, on one link."""
    bank = RegisterBank()
    bank.map(Area.HOLDING, 0, 1)
    async with (
        nothing_left_behind(),
        ModbusTcpServer({3: bank}, identification={0: "x"}) as server,
        silent_relay(server.port) as relay,
    ):
        (device,) = await _found("modbus-tcp", f"127.0.0.1:{relay.port}", units=range(1, 6), rate=1000.0)
        assert device.unit_id == 3
        frames = [frame for stream in relay.asked for frame in _cut(bytes(stream), 4, 6)]
        assert len(frames) >= 6
        assert {frame[7] for frame in frames} == {_READ_HOLDING, _IDENTIFY}


async def test_a_search_for_s7_cpus_only_opens_and_asks_who_they_are() -> None:
    """A connection, the length of a PDU, the system status list; no variable is read or written, nothing is started."""
    async with nothing_left_behind(), S7Target({1: 8}) as target, silent_relay(target.port) as relay:
        (device,) = await _found("s7", f"127.0.0.1:{relay.port}")
        assert device.protocol == "s7"
        frames = [frame for stream in relay.asked for frame in _cut(bytes(stream), 2, 0)]
        kinds = [frame[5] for frame in frames]
        assert kinds[0] == 0xE0, "first a connection request"
        data = [frame[7:] for frame in frames if frame[5] == 0xF0]
        assert data
        for pdu in data:
            if pdu[1] == _JOB:
                assert pdu[10] == _SETUP
            else:
                assert pdu[1] == _USERDATA
                assert (pdu[10 + 5], pdu[10 + 6]) == (_READ_LIST, 1)


async def test_a_search_for_ethernet_ip_devices_only_asks_for_identities() -> None:
    """One sort of datagram, without a session and without a connection."""
    seen: list[bytes] = []

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            seen.append(data)

    loop = asyncio.get_running_loop()
    async with nothing_left_behind(), LogixTarget(TagStore(), udp=True):
        transport, _ = await loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0))
        try:
            port = transport.get_extra_info("sockname")[1]
            assert await _found("ethernet-ip", f"127.0.0.1:{port}") == []
        finally:
            transport.close()
    assert seen
    assert {int.from_bytes(datagram[:2], "little") for datagram in seen} == {_LIST_IDENTITY}
    assert all(len(datagram) == 24 for datagram in seen)
