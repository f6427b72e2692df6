"""A Modbus link on pymodbus's client, for what bifrost does not speak itself: ASCII, TLS, UDP.

In: requests as bytes. Out: the PDU of the answer, as it came: pymodbus frames and carries, and neither checks nor
decodes what it means. Its retries and its reconnecting are off; deadlines, turns and losses are ours. This is the only
file that touches pymodbus. Not here: what a PDU means.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bifrost.errors import BifrostError, ConfigError, LinkTimeout, MissingExtra, NotConnected, ProtocolError
from bifrost.plc.modbus.exchanging import MBAP_BYTES, Frame, OnLost, Tally
from bifrost.plc.modbus.live_link import LiveLink
from bifrost.plc.modbus.opening import let_rest
from bifrost.plc.modbus.pymodbus_tls import tls_context
from bifrost.plc.modbus.rtu_debts import Debts
from bifrost.plc.modbus.rtu_settings import ModbusRtuSettings
from bifrost.plc.modbus.turns import Turns
from bifrost.plc.modbus.units import UnitHealth

if TYPE_CHECKING:
    from bifrost.plc.modbus.settings import ModbusSettings

__all__ = ["PymodbusLink", "open_pymodbus_network", "open_pymodbus_serial"]

_NEVER = 86_400.0
"""What pymodbus is told to wait for an answer; our deadlines come first."""


class PymodbusLink(LiveLink):
    """One request at a time; alive from `open` until it is lost or closed.

    Args:
        client: one of pymodbus's asyncio clients, not connected.
        on_lost: called once if the link ends by itself.
        health: which units are silent.
        debts: units to leave alone for a while; None where transaction ids tell late answers apart.
        quiet: seconds between the end of one exchange and the next request.

    Attributes:
        connected: false before the link is up and for good after it ended.
        health: which of its units are silent.
        writing: held by whoever writes.
        max_in_flight: 1.
    """

    max_in_flight = 1

    def __init__(
        self, client: Any, on_lost: OnLost, health: UnitHealth, *, debts: Debts | None, quiet: float = 0.0
    ) -> None:
        super().__init__(asyncio.get_running_loop(), on_lost, health)
        self._client = client
        self._context: Any = client.ctx
        self._turns = Turns(self._loop)
        self._debts = debts
        self._quiet = quiet
        self._ended_at = -1.0
        self._asking: asyncio.Future[Any] | None = None
        self._asker: Tally | None = None
        self._failure: BaseException | None = None
        self._receive = self._context.callback_data
        self._create = self._context.call_create
        self._context.call_create = self._note_failure
        self._context.callback_data = self._guard
        self._context.callback_disconnected = self._was_lost
        self._context.error_received = self._was_refused
        self._context.framer.decoder = _raw_decoder()

    async def open(self, where: str, *, timeout: float, delay: float) -> None:
        """Connect, and wait `delay` seconds more: some devices are deaf for a while.

        Raises:
            NotConnected: not reachable.
            LinkTimeout: not within `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                up = await self._client.connect()
        except TimeoutError:
            self._drop()
            raise LinkTimeout(f"no link to {where} within {timeout:g} s") from None
        except BaseException:
            self._drop()
            raise
        if not up:
            self._drop()
            raise NotConnected(f"cannot connect to {where}: {self._failure or 'pymodbus does not say why'}")
        self.connected = True
        await let_rest(self, where, delay)

    async def exchange(self, frame: Frame, unit: int, timeout: float, tally: Tally) -> bytes:
        """Send one request, once, and wait for its answer.

        Raises:
            NotConnected: the link is gone. `connected` is false.
            LinkTimeout: no answer by the deadline; the link goes on.
            ProtocolError: what came is no answer.
        """
        await self._turns.take_when(tally, lambda: self._rest_of(unit))
        try:
            await self._pace()
            self._check_alive(tally)
            request = _raw_request(frame(0)[MBAP_BYTES:], unit)
            tally.requests += 1
            sent = self._loop.time()
            answer = await self._ask(request, unit, timeout, tally)
            tally.rtt[int((self._loop.time() - sent) * 1e6).bit_length() & 31] += 1
        finally:
            self._ended_at = self._loop.time()
            self._turns.pass_on()
        return answer

    async def announce(self, frame: Frame, tally: Tally) -> None:
        """Send one request that nobody answers, in its turn.

        Raises:
            NotConnected: the link is gone; nothing was sent.
        """
        await self._turns.take(tally)
        try:
            await self._pace()
            self._check_alive(tally)
            tally.requests += 1
            await self._client.execute(True, _raw_request(frame(0)[MBAP_BYTES:], 0))
        finally:
            self._ended_at = self._loop.time()
            self._turns.pass_on()

    def withdraw(self, tally: Tally, error: BifrostError) -> None:
        """Fail with `error` whatever this user waits for; the link goes on for the others."""
        tally.ended = True
        if self._asker is tally:
            self._fail(error)
        self._turns.withdraw(tally, error)

    def counters(self) -> Mapping[str, int]:
        """Nothing: pymodbus drops late and misaddressed answers without counting them."""
        return {}

    def abort(self, error: BifrostError) -> None:
        """Drop the link at once; `on_lost` hears `error`."""
        self._end(error)
        self._drop()

    async def aclose(self) -> None:
        """End the link; idempotent; `on_lost` is not called."""
        self._on_lost = None
        self._end(NotConnected("the connection was closed"))
        self._drop()
        for _ in range(3):
            await asyncio.sleep(0)  # the loop closes the descriptor in its next turns

    def _rest_of(self, unit: int) -> float:
        if self._debts is None or not self.connected:
            return 0.0
        return self._debts.remaining(unit, self._loop.time())

    async def _pace(self) -> None:
        wait = self._ended_at + self._quiet - self._loop.time()
        if wait > 0:
            await asyncio.sleep(wait)

    def _check_alive(self, tally: Tally) -> None:
        if not self.connected or tally.ended:
            raise NotConnected("the link to the device is down")

    async def _ask(self, request: Any, unit: int, timeout: float, tally: Tally) -> bytes:
        """Let pymodbus ask; what ends the link ends the wait for it as well."""
        asking = asyncio.ensure_future(self._client.execute(False, request))
        over: asyncio.Future[bytes] = self._loop.create_future()
        self._asking, self._asker = over, tally
        try:
            await asyncio.wait([asking, over], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done() and not over.done():
                tally.timeouts += 1
                over.set_exception(LinkTimeout(f"unit {unit} did not answer in time"))
            return over.result() if over.done() else _raw_answer(asking)
        except BaseException:
            if self._debts is not None:
                self._debts.owes(unit, self._loop.time(), timeout)
            raise
        finally:
            self._asking = self._asker = None
            over.cancel()
            if not asking.done():
                asking.cancel()
                await asyncio.wait([asking], timeout=1.0)

    def _fail(self, error: BifrostError) -> None:
        if self._asking is not None and not self._asking.done():
            self._asking.set_exception(error)

    def _drop(self) -> None:
        transport = self._context.transport
        self._client.close()
        if transport is not None:
            # A TLS peer that says nothing would hold up an orderly end for half a minute.
            transport.abort()

    async def _note_failure(self) -> Any:
        """Connect as pymodbus does, and keep the reason that it swallows."""
        try:
            return await self._create()
        except OSError as error:
            self._failure = error
            raise
        except ValueError as error:  # pyserial's word for a format that a port cannot have
            raise ConfigError(f"the line cannot be set up: {error}") from error

    def _guard(self, data: bytes, addr: Any = None) -> int:
        """Take what came; bytes that pymodbus breaks on end the link, in order."""
        try:
            used: int = self._receive(data, addr=addr)
        except Exception as error:  # noqa: BLE001 (its framers raise whatever garbage makes them)
            self.abort(ProtocolError(f"what came is no Modbus: {error}"))
            return len(data)
        return used

    def _was_lost(self, error: Exception | None) -> None:
        self._end(NotConnected("the device closed the link" if error is None else f"the link broke: {error}"))

    def _was_refused(self, error: Exception) -> None:
        self.abort(NotConnected(f"the device cannot be reached: {error}"))


async def open_pymodbus_network(
    settings: ModbusSettings, on_lost: OnLost, health: UnitHealth, *, timeout: float
) -> PymodbusLink:
    """Open a link in TCP, TLS or UDP.

    Raises:
        MissingExtra: pymodbus is not installed.
        ConfigError: a certificate cannot be used.
        LinkError: not reachable.
    """
    with _named_extra():
        from pymodbus.client import AsyncModbusTcpClient, AsyncModbusTlsClient, AsyncModbusUdpClient
        from pymodbus.framer import FRAMER_NAME_TO_CLASS, FramerType
        from pymodbus.pdu import DecodePDU
    host, port = settings.host, settings.port
    options: dict[str, Any] = {"port": port, "timeout": _NEVER, "retries": 0, "reconnect_delay": 0}
    client: Any
    if settings.transport == "tls":
        client = AsyncModbusTlsClient(host, sslctx=tls_context(settings), **options)
        # pymodbus takes each piece that comes for a whole frame here; the header is the same as without TLS.
        client.ctx.framer = FRAMER_NAME_TO_CLASS[FramerType.SOCKET](DecodePDU(False))
    elif settings.transport == "udp":
        client = AsyncModbusUdpClient(host, framer=FramerType(settings.framer), **options)
    else:
        client = AsyncModbusTcpClient(host, framer=FramerType(settings.framer), **options)
    debts = None if settings.framer == "socket" else Debts(None)
    link = PymodbusLink(client, on_lost, health, debts=debts, quiet=settings.inter_request_delay)
    await link.open(f"{host} port {port}", timeout=timeout, delay=settings.connect_delay)
    return link


async def open_pymodbus_serial(
    settings: ModbusRtuSettings, on_lost: OnLost, health: UnitHealth, *, timeout: float
) -> PymodbusLink:
    """Open a link on a serial line.

    Raises:
        MissingExtra: pymodbus or pyserial is not installed.
        LinkError: the port is not there, or is in use.
    """
    with _named_extra():
        from pymodbus.client import AsyncModbusSerialClient
        from pymodbus.framer import FramerType
    try:
        import serial  # noqa: F401 - pymodbus tells that it is missing in different ways, if at all
    except ImportError as error:
        raise MissingExtra("pyserial is missing: pip install 'bifrost-edge[serial]'") from error
    line = settings.line
    client = AsyncModbusSerialClient(
        line.port,
        framer=FramerType(settings.framer),
        baudrate=line.baudrate,
        bytesize=line.bytesize,
        parity=line.usable_parity,
        stopbits=line.stopbits,
        handle_local_echo=settings.local_echo,
        timeout=_NEVER,
        retries=0,
        reconnect_delay=0,
    )
    timing = settings.timing
    link = PymodbusLink(client, on_lost, health, debts=Debts(settings.quiet_after_timeout), quiet=timing.silence)
    await link.open(line.port, timeout=timeout, delay=settings.connect_delay)
    return link


@contextlib.contextmanager
def _named_extra() -> Any:
    try:
        yield
    except ImportError as error:
        raise MissingExtra("pymodbus is missing: pip install 'bifrost-edge[pymodbus]'") from error


def _raw_request(pdu: bytes, unit: int) -> Any:
    return _raw_classes()[0](pdu, unit)


def _raw_decoder() -> Any:
    return _raw_classes()[1](False)


@functools.cache
def _raw_classes() -> tuple[Any, Any]:
    """A PDU of pymodbus that is made of bytes, and a decoder that leaves the bytes of an answer alone."""
    from pymodbus.pdu import DecodePDU, ModbusPDU

    class RawPdu(ModbusPDU):
        def __init__(self, pdu: bytes, unit: int) -> None:
            super().__init__(dev_id=unit)
            self.function_code = pdu[0]
            self.body = pdu[1:]

        def encode(self) -> bytes:
            return self.body

    class RawDecoder(DecodePDU):
        def decode(self, frame: bytes) -> RawPdu:
            return RawPdu(frame, 0)

    return RawPdu, RawDecoder


def _raw_answer(asking: asyncio.Future[Any]) -> bytes:
    from pymodbus.exceptions import ModbusException

    try:
        answer = asking.result()
    except ModbusException as error:
        raise ProtocolError(f"pymodbus gave up: {error}") from error
    return bytes([answer.function_code]) + bytes(answer.body)
