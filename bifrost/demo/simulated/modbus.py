"""A Modbus device to try things out on: an oven whose temperature was recorded from a machine."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Literal
from urllib.parse import quote

from bifrost.demo.recording import Recording
from bifrost.demo.simulated.device import SimulatedDevice, SimulatedTag, host_in_url
from bifrost.errors import ConfigError
from bifrost.plc.datatypes import DataType
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim import Counter, FaultPlan, Framing, ModbusTcpServer, RegisterBank, Replay, Sine, Square
from bifrost.plc.sim.pty import PtyPair, open_pty_pair
from bifrost.plc.sim.rtu_server import ModbusRtuServer

__all__ = ["oven_bank", "simulated_modbus", "simulated_modbus_rtu"]

_IDENTIFICATION = {0: "bifrost", 1: "SIM-OVEN", 2: "1.0", 4: "simulated oven"}
_TAGS = (
    SimulatedTag("HR1:FLOAT32", "temperature of a machine, recorded; a sample each second"),
    SimulatedTag("IR1:INT16", "the same in tenths of a degree"),
    SimulatedTag("HR3:UINT32", "number of the sample"),
    SimulatedTag("HR5:FLOAT64", "synthetic pressure in bar"),
    SimulatedTag("HR9:UINT32", "synthetic count of pieces"),
    SimulatedTag("DI1", "synthetic door, open now and then"),
    SimulatedTag("HR11:STRING(16)", "name", writable=True),
    SimulatedTag("HR21:FLOAT32", "set point", writable=True),
    SimulatedTag("HR23:UINT16", "mode", writable=True),
    SimulatedTag("HR31[10]:INT16", "recipe", writable=True),
    SimulatedTag("C1", "heater", writable=True),
)


def simulated_modbus(
    recording: Recording,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    units: Sequence[int] = (),
    rtu: bool = False,
    faults: tuple[int, float] | None = None,
) -> SimulatedDevice:
    """Make a Modbus TCP device, or one that speaks RTU over TCP.

    Args:
        recording: the temperature.
        host: address to listen on.
        port: TCP port; 0 lets the system choose.
        units: unit ids that answer, each with registers of its own; none: one device answers for every unit.
        rtu: RTU over TCP instead of Modbus TCP.
        faults: seed and rate of faults; None: no faults.
    """
    server = ModbusTcpServer(
        {unit: oven_bank(recording) for unit in units} or oven_bank(recording),
        host=host,
        port=port,
        framing="rtu" if rtu else "mbap",
        faults=_plan(faults, Framing.RTU_OVER_TCP if rtu else Framing.TCP),
        identification=_IDENTIFICATION,
    )
    scheme = "modbus-rtu-over-tcp" if rtu else "modbus-tcp"
    return SimulatedDevice(server, lambda: _urls(f"{scheme}://{host_in_url(host)}:{server.port}", units), _TAGS)


def simulated_modbus_rtu(
    recording: Recording,
    *,
    port: str | None,
    baudrate: int = 19200,
    parity: Literal["N", "E", "O"] = "E",
    units: Sequence[int] = (),
    faults: tuple[int, float] | None = None,
) -> SimulatedDevice:
    """Make a device on a serial line.

    Args:
        recording: the temperature.
        port: a serial port, which needs the extra ``serial``; None makes a pseudo-terminal, on POSIX systems.
        baudrate: bits per second.
        parity: N, E or O.
        units: unit ids that answer; none: one device answers for every unit.
        faults: seed and rate of faults; None: no faults.

    Raises:
        ConfigError: a pseudo-terminal cannot be had.
    """
    line = None if port is not None else _pseudo_terminal()
    path = port or (line.path if line is not None else "")
    server = ModbusRtuServer(
        {unit: oven_bank(recording) for unit in units} or oven_bank(recording),
        path if line is None else line.descriptor,
        baudrate=baudrate,
        parity=parity,
        faults=_plan(faults, Framing.RTU),
        identification=_IDENTIFICATION,
    )
    base = f"modbus-rtu://{quote(path, safe='/')}?baudrate={baudrate}&parity={parity}"
    served = server if line is None else _OnPseudoTerminal(server, line)
    return SimulatedDevice(served, lambda: [f"{base}&unit={unit}" for unit in units] or [base], _TAGS)


def _plan(faults: tuple[int, float] | None, framing: Framing) -> FaultPlan | None:
    return None if faults is None else FaultPlan.seeded(faults[0], rate=faults[1], framing=framing)


class _OnPseudoTerminal:
    """A server whose line ends with it."""

    def __init__(self, server: ModbusRtuServer, line: PtyPair) -> None:
        self._server = server
        self._line = line

    async def __aenter__(self) -> ModbusRtuServer:
        return await self._server.__aenter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._server.__aexit__(exc_type, exc, traceback)
        finally:
            self._line.unplug()


def _pseudo_terminal() -> PtyPair:
    try:
        return open_pty_pair()
    except (ImportError, OSError, AttributeError) as error:
        raise ConfigError(f"no pseudo-terminal here ({error}); name a serial port with --serial") from error


def _urls(base: str, units: Sequence[int]) -> list[str]:
    return [f"{base}?unit={unit}" for unit in units] or [base]


def oven_bank(recording: Recording) -> RegisterBank:
    """Make the registers of one oven.

    Raises:
        ConfigError: the recording is empty.
    """
    temperatures = [recording[index].temperature for index in range(len(recording))]
    if not temperatures:
        raise ConfigError("the recording is empty: expected at least one sample")
    bank = RegisterBank()
    bank.map(Area.HOLDING, 0, 50)
    bank.map(Area.COIL, 0, 8)
    bank.bind(Area.HOLDING, 0, Replay(temperatures, period=1.0), DataType.FLOAT32)
    bank.bind(Area.INPUT, 0, Replay([value * 10 for value in temperatures], period=1.0), DataType.INT16)
    bank.bind(Area.HOLDING, 2, Counter(1.0), DataType.UINT32)
    bank.bind(Area.HOLDING, 4, Sine(6.0, 0.4, period=12.0), DataType.FLOAT64)
    bank.bind(Area.HOLDING, 8, Counter(0.25), DataType.UINT32)
    bank.bind(Area.DISCRETE_INPUT, 0, Square(0.0, 1.0, period=20.0, duty=0.1))
    bank.put(Area.HOLDING, 10, "OVEN 1", DataType.STRING, length=16)
    bank.put(Area.HOLDING, 20, 180.0, DataType.FLOAT32)
    bank.put(Area.HOLDING, 22, 1)
    for index in range(10):
        bank.put(Area.HOLDING, 30 + index, 10 * (index + 1))
    return bank
