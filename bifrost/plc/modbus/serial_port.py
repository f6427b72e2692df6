"""Opens a serial port for this process alone: its name and format in, a transport out.

pyserial opens and sets up; the loop reads and writes the descriptor, and only on Windows threads do. Not here: framing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bifrost.errors import ConfigError, MissingExtra, NotConnected
from bifrost.plc.modbus.serial_thread import SerialThreadTransport
from bifrost.plc.modbus.serial_transport import SerialTransport

if TYPE_CHECKING:
    import serial

__all__ = ["Rs485", "SerialLine", "open_serial_port", "place_of"]

_THREADED = sys.platform == "win32"
_PSEUDO_TERMINALS = "/dev/pts/"


@dataclasses.dataclass(frozen=True, slots=True)
class Rs485:
    """How the driver chip is switched between sending and receiving, where the system does not do it by itself.

    Attributes:
        rts_when_sending: level of RTS while sending; the other one while receiving.
        delay_before_send: seconds between switching and the first bit.
        delay_after_send: seconds between the last bit and switching back.
    """

    rts_when_sending: bool = True
    delay_before_send: float = 0.0
    delay_after_send: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class SerialLine:
    """A port and its format.

    Attributes:
        port: such as ``/dev/ttyUSB0`` or ``COM3``.
        baudrate: bits per second.
        bytesize: 7 or 8.
        parity: N, E or O.
        stopbits: 1 or 2.
        rs485: None leaves RTS alone.
    """

    port: str
    baudrate: int = 19200
    bytesize: int = 8
    parity: str = "E"
    stopbits: int = 1
    rs485: Rs485 | None = None

    @property
    def usable_parity(self) -> str:
        """The parity, or N on a pseudo-terminal: it has none, and the C library takes the wish for a wrong format."""
        return "N" if place_of(self.port).startswith(_PSEUDO_TERMINALS) else self.parity


def place_of(port: str) -> str:
    """Name a port so that two names of the same one are equal."""
    return port.upper() if sys.platform == "win32" else os.path.realpath(port)


def open_serial_port(
    line: SerialLine, protocol: asyncio.Protocol, *, threaded: bool | None = None
) -> SerialTransport | SerialThreadTransport:
    """Open a port, and let `protocol` hear what comes.

    Args:
        line: which port, and how it is set up.
        protocol: hears everything; its `connection_made` is called before this returns.
        threaded: read and write by threads, for loops that know no descriptors; None: on Windows.

    Raises:
        MissingExtra: pyserial is not installed.
        NotConnected: the port is not there, or is in use.
        ConfigError: the port cannot be set up so.
    """
    loop = asyncio.get_running_loop()
    port = _opened(line)
    if _THREADED if threaded is None else threaded:
        return SerialThreadTransport(loop, port, protocol, name=line.port)
    return SerialTransport(loop, port.fileno(), protocol, close=port.close, name=line.port)


def _opened(line: SerialLine) -> serial.Serial:
    try:
        import serial
        import serial.rs485
    except ImportError as error:
        raise MissingExtra("pyserial is missing: pip install 'bifrost-edge[serial]'") from error
    try:
        port = serial.Serial(
            line.port,
            baudrate=line.baudrate,
            bytesize=line.bytesize,
            parity=line.usable_parity,
            stopbits=line.stopbits,
            timeout=0,
            exclusive=True,
        )
    except ValueError as error:
        raise ConfigError(f"serial port {line.port}: {error}") from error
    except OSError as error:
        raise NotConnected(f"cannot open serial port {line.port}: {_why(error)}") from error
    except Exception as error:  # termios.error is no OSError, and not there on Windows
        raise _not_set_up(line, f"it refuses its format, {line}: {error}") from error
    try:
        if line.rs485 is not None:
            port.rs485_mode = serial.rs485.RS485Settings(
                rts_level_for_tx=line.rs485.rts_when_sending,
                rts_level_for_rx=not line.rs485.rts_when_sending,
                delay_before_tx=line.rs485.delay_before_send or None,
                delay_before_rx=line.rs485.delay_after_send or None,
            )
    except (OSError, ValueError) as error:
        port.close()
        raise _not_set_up(line, f"it knows no RS-485 mode: {error}; leave rs485 out") from error
    return port


def _not_set_up(line: SerialLine, why: str) -> NotConnected | ConfigError:
    """A port that is there will never take what it refused; one that was just unplugged may, when it is back."""
    text = f"serial port {line.port}: {why}"
    return ConfigError(text) if Path(line.port).exists() or sys.platform == "win32" else NotConnected(text)


def _why(error: OSError) -> str:
    text = str(error)
    if "exclusively lock" in text or "Resource temporarily unavailable" in text:
        return "it is in use by another program, or by another event loop of this one"
    if error.errno is not None:
        return os.strerror(error.errno)
    return text
