"""Serial ports as transports, by the loop and by threads: what is written arrives, what ends is told, nothing stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bifrost.errors import ConfigError, MissingExtra, NotConnected
from bifrost.plc import PLCConnection, Tag
from bifrost.plc.modbus.serial_port import Rs485, SerialLine, open_serial_port
from bifrost.plc.sim import ModbusRtuServer, PtyPair, RegisterBank, open_pty_pair
from tests.integration.leftovers import nothing_left_behind
from tests.integration.simulated_units import simulated_unit
from tests.integration.waiting import until

WAYS = pytest.mark.parametrize("threaded", [False, True], ids=["loop", "threads"])


class Listener(asyncio.Protocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.ended: list[Exception | None] = []
        self.paused = 0

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.append(exc)

    def pause_writing(self) -> None:
        self.paused += 1

    def resume_writing(self) -> None:
        self.paused -= 1


async def _read_all(line: PtyPair, size: int) -> bytes:
    """Read at the other end without holding up the loop."""
    arrived = bytearray()

    def take() -> bool:
        with contextlib.suppress(BlockingIOError):
            arrived.extend(os.read(line.descriptor, 4096))
        return len(arrived) >= size

    await until(take)
    return bytes(arrived)


@WAYS
async def test_bytes_arrive_both_ways_and_a_close_waits_for_them(threaded: bool) -> None:
    """Far more than the kernel takes at once, in order."""
    async with nothing_left_behind():
        with open_pty_pair() as line:
            listener = Listener()
            transport = open_serial_port(SerialLine(line.path), listener, threaded=threaded)
            sent = bytes(range(256)) * 600
            transport.write(sent)
            transport.close()
            assert transport.is_closing()
            transport.write(b"too late")
            assert await _read_all(line, len(sent)) == sent
            await until(lambda: listener.ended == [None])
            assert listener.paused <= 1

            listener = Listener()
            transport = open_serial_port(SerialLine(line.path), listener, threaded=threaded)
            os.write(line.descriptor, b"hello")
            await until(lambda: bytes(listener.heard) == b"hello")
            transport.pause_reading()
            transport.resume_reading()
            os.write(line.descriptor, b" again")
            await until(lambda: bytes(listener.heard) == b"hello again")
            transport.abort()
            await until(lambda: listener.ended == [None])


@WAYS
async def test_a_device_that_vanishes_is_told_at_once(threaded: bool) -> None:
    """As `connection_lost` with the system's reason, once."""
    async with nothing_left_behind():
        line = open_pty_pair()
        listener = Listener()
        transport = open_serial_port(SerialLine(line.path), listener, threaded=threaded)
        await asyncio.sleep(0.02)
        line.unplug()
        await until(lambda: bool(listener.ended), timeout=1.0)
        assert isinstance(listener.ended[0], OSError)
        transport.write(b"into nothing")
        transport.close()
        transport.abort()
        await asyncio.sleep(0.1)
        assert len(listener.ended) == 1


@WAYS
async def test_writing_to_a_line_that_takes_nothing_never_holds_up_the_loop(threaded: bool) -> None:
    """Nobody reads at the other end; an abort ends it all the same."""
    loop = asyncio.get_running_loop()
    async with nothing_left_behind():
        with open_pty_pair() as line:
            listener = Listener()
            transport = open_serial_port(SerialLine(line.path), listener, threaded=threaded)
            begin = loop.time()
            transport.write(bytes(1_000_000))
            assert loop.time() - begin < 0.1
            await asyncio.sleep(0.05)
            transport.abort()
            await until(lambda: listener.ended == [None], timeout=2.0)


@WAYS
async def test_a_port_has_one_owner(threaded: bool) -> None:
    """A second one is refused until the first has left."""
    async with nothing_left_behind():
        with open_pty_pair() as line:
            listener = Listener()
            transport = open_serial_port(SerialLine(line.path), listener, threaded=threaded)
            with pytest.raises(NotConnected, match="in use by another program"):
                open_serial_port(SerialLine(line.path), Listener(), threaded=threaded)
            transport.abort()
            await until(lambda: listener.ended == [None])
            open_serial_port(SerialLine(line.path), listener, threaded=threaded).abort()
            await until(lambda: listener.ended == [None, None])


async def test_a_port_that_is_not_there_or_is_none_is_told(tmp_path: Path) -> None:
    """With its name and the reason."""
    with pytest.raises(NotConnected, match=r"/dev/no-such-port: No such file"):
        open_serial_port(SerialLine("/dev/no-such-port"), Listener())
    (tmp_path / "file").write_text("no port")
    with pytest.raises((NotConnected, ConfigError), match="file"):
        open_serial_port(SerialLine(str(tmp_path / "file")), Listener())
    with open_pty_pair() as line:
        with pytest.raises(ConfigError, match="RS-485"):
            open_serial_port(SerialLine(line.path, rs485=Rs485()), Listener())
        with pytest.raises(ConfigError, match="baud"):
            open_serial_port(SerialLine(line.path, baudrate=-1), Listener())


async def test_without_pyserial_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is opened."""
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(MissingExtra, match=r"bifrost-edge\[serial\]"):
        open_serial_port(SerialLine("/dev/ttyS0"), Listener())


async def test_a_server_leaves_a_borrowed_descriptor_open() -> None:
    """It can be stopped and started on the same line, and counts go on."""
    tag = Tag("t", "HR11")
    async with nothing_left_behind():
        with open_pty_pair() as line:
            server = ModbusRtuServer(simulated_unit(), line.descriptor)
            async with PLCConnection(protocol="modbus-rtu", serial_port=line.path, timeout=0.1) as plc:
                for _ in range(2):
                    async with server:
                        await server.start()
                        assert await plc.read(tag) == 10
                    await server.stop()
                readings = await plc.read_tags([tag])
                assert readings["t"].value is None
                async with server:
                    await until(lambda: _good(plc, tag))
            assert server.counters.connections == 3


async def test_a_server_opens_a_port_by_name() -> None:
    """As a device at the other end of a cable would."""
    from tests.integration.null_modem import null_modem

    async with nothing_left_behind():
        with null_modem() as (ours, theirs):
            async with (
                ModbusRtuServer(simulated_unit(), theirs, baudrate=9600, parity="N"),
                PLCConnection(protocol="modbus-rtu", serial_port=ours, baudrate=9600, parity="N") as plc,
            ):
                assert await plc.read(Tag("t", "HR11")) == 10
        with pytest.raises(NotConnected):
            await ModbusRtuServer(RegisterBank(), "/dev/no-such-port").start()


async def _good(plc: PLCConnection, tag: Tag) -> bool:
    return (await plc.read_tags([tag]))[tag.name].value is not None


def test_the_helper_runs_on_any_loop() -> None:
    """Also on uvloop, which reads descriptors in its own way."""
    uvloop = pytest.importorskip("uvloop")

    async def use() -> object:
        with open_pty_pair() as line:
            async with (
                ModbusRtuServer(simulated_unit(), line.descriptor),
                PLCConnection(protocol="modbus-rtu", serial_port=line.path) as plc,
            ):
                return await plc.read(Tag("t", "HR11[50]"))

    make: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=make) as runner:
        assert runner.run(use()) == list(range(10, 60))
