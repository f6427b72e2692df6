"""`bifrost sim`: serves a simulated device to try things out on."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from bifrost.cli.exit_code import ExitCode
from bifrost.cli.json_values import json_line
from bifrost.cli.link import run_with_device
from bifrost.cli.output import print_columns
from bifrost.cli.scan import units_from_text
from bifrost.cli.stop_signals import stop_signals
from bifrost.errors import BifrostError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from bifrost.demo.simulated import SimulatedDevice

__all__ = ["add_command"]

_SHOWN_URLS = 3


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `sim modbus`, `sim s7` and `sim cip` to the command line."""
    parser = commands.add_parser("sim", help="serve a simulated device to try things out on")
    kinds = parser.add_subparsers(title="devices", metavar="DEVICE", required=True)
    modbus = _add_kind(kinds, "modbus", "a Modbus TCP device", port=5020)
    line = modbus.add_mutually_exclusive_group()
    line.add_argument("--rtu", action="store_true", help="speak RTU over TCP")
    line.add_argument("--serial", metavar="PATH", help="speak RTU on a serial port, such as /dev/ttyUSB0 or COM3")
    line.add_argument("--pty", action="store_true", help="speak RTU on a pseudo-terminal made for it")
    modbus.add_argument(
        "--baudrate", type=_bits, default=19200, metavar="BITS", help="of a serial line (default: 19200)"
    )
    modbus.add_argument("--parity", choices=["N", "E", "O"], default="E", help="of a serial line (default: E)")
    modbus.add_argument("--units", metavar="LIST", help="unit ids that answer, such as 1-3 (default: all, as one)")
    modbus.set_defaults(command=_modbus)
    s7 = _add_kind(kinds, "s7", "an S7 CPU", port=1102)
    s7.set_defaults(command=_s7)
    cip = _add_kind(kinds, "cip", "a Logix controller that speaks EtherNet/IP", port=44818)
    cip.set_defaults(command=_cip)


def _add_kind(
    kinds: _SubParsersAction[argparse.ArgumentParser], name: str, what: str, *, port: int
) -> argparse.ArgumentParser:
    kind = kinds.add_parser(
        name,
        help=f"serve {what}",
        description=f"Serve {what} until Ctrl-C, with values recorded from a machine, and say what to read there.",
    )
    kind.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default: 127.0.0.1)")
    kind.add_argument(
        "--port", type=_port, default=port, metavar="PORT", help=f"0 lets the system choose (default: {port})"
    )
    kind.add_argument("--faults", metavar="SEED:RATE", help="break this share of the answers, such as 7:0.05")
    kind.add_argument("--seconds", type=_seconds, metavar="S", help="end after so many seconds")
    kind.add_argument("--json", action="store_true", help="say where and what as one line of JSON")
    return kind


def _port(word: str) -> int:
    if not word.isdecimal() or int(word) > 65535:
        raise argparse.ArgumentTypeError(f"{word} is no port, expected 0 to 65535")
    return int(word)


def _bits(word: str) -> int:
    if not word.isdecimal() or not 50 <= int(word) <= 4_000_000:
        raise argparse.ArgumentTypeError(f"{word} is no rate of a serial line, expected 50 to 4000000")
    return int(word)


def _seconds(word: str) -> float:
    seconds = float(word)
    if not 0 < seconds <= 10**7:
        raise argparse.ArgumentTypeError(f"{word} is no length, expected seconds above 0, at most 10000000")
    return seconds


def _modbus(options: argparse.Namespace) -> int:
    from bifrost.demo.recording import load_recording
    from bifrost.demo.simulated.modbus import simulated_modbus, simulated_modbus_rtu

    units: Sequence[int] = () if options.units is None else units_from_text(options.units)
    faults = _faults(options)
    recording = load_recording()
    if options.pty or options.serial is not None:
        device = simulated_modbus_rtu(
            recording,
            port=options.serial,
            baudrate=options.baudrate,
            parity=options.parity,
            units=units,
            faults=faults,
        )
    else:
        device = simulated_modbus(
            recording, host=options.host, port=options.port, units=units, rtu=options.rtu, faults=faults
        )
    return run_with_device(_serve(device, options))


def _s7(options: argparse.Namespace) -> int:
    from bifrost.demo.recording import load_recording
    from bifrost.demo.simulated.s7 import simulated_s7

    device = simulated_s7(load_recording(), host=options.host, port=options.port, faults=_faults(options))
    return run_with_device(_serve(device, options))


def _cip(options: argparse.Namespace) -> int:
    from bifrost.demo.recording import load_recording
    from bifrost.demo.simulated.logix import simulated_logix

    device = simulated_logix(load_recording(), host=options.host, port=options.port, faults=_faults(options))
    return run_with_device(_serve(device, options))


def _faults(options: argparse.Namespace) -> tuple[int, float] | None:
    from bifrost.demo.simulated.device import fault_options

    return None if options.faults is None else fault_options(options.faults)


async def _serve(device: SimulatedDevice, options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    with stop_signals(stop, told=lambda _: None):
        try:
            server = await device.server.__aenter__()
        except OSError as error:
            raise BifrostError(
                f"cannot listen on {options.host} port {options.port}: {error.strerror or error}; "
                "choose another with --port, or another address with --host"
            ) from error
        try:
            _tell(device, json=options.json)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(options.seconds):
                    await stop.wait()  # a service ends when it is told to
        finally:
            await server.__aexit__(None, None, None)
    return ExitCode.OK


def _tell(device: SimulatedDevice, *, json: bool) -> None:
    urls = list(device.urls())
    if json:
        print(json_line({"urls": urls, "tags": [msgspec.structs.asdict(tag) for tag in device.tags]}), flush=True)
        return
    more = f" and {len(urls) - _SHOWN_URLS} more units" if len(urls) > _SHOWN_URLS else ""
    print(f"serving {', '.join(urls[:_SHOWN_URLS])}{more}; Ctrl-C ends it\n")
    print_columns(
        [
            ("ADDRESS", "ACCESS", "WHAT"),
            *((tag.address, "rw" if tag.writable else "r", tag.description) for tag in device.tags),
        ]
    )
    writable = next(tag.address for tag in device.tags if tag.writable)
    print(f"\ntry: bifrost read '{urls[0]}' '{device.tags[0].address}' '{writable}'", flush=True)
