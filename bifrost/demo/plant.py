"""One device of the demo plant as a program: `python -m bifrost.demo.plant --device press --seconds 45`.

In: a device name and options. Out: Modbus TCP, and one line of JSON on standard output, ``{"port": 51234, ...}``,
once it serves. It ends on SIGTERM or SIGINT, and when its standard input closes, so it never outlives its parent.
Not here: starting such processes (`bifrost.demo.plant_process`).

`press` replays recorded data; every signal of the other devices is invented and named ``synthetic_...``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType, MappingProxyType

import msgspec

from bifrost.demo.press import Press
from bifrost.demo.recording import load_recording
from bifrost.errors import ConfigError
from bifrost.plc.datatypes import DataType
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim import ModbusTcpServer, Noise, RegisterBank, Signal, Sine, Square, Sum

__all__ = ["PLANT", "PlantTag", "build_device", "main"]


class PlantTag(msgspec.Struct, frozen=True):
    """A value that a plant device serves.

    Attributes:
        name: the tag's name.
        address: where it is, in the form that settings use.
        datatype: what it is.
    """

    name: str
    address: str
    datatype: DataType


def _floats(*names: str) -> tuple[PlantTag, ...]:
    return tuple(PlantTag(name, f"HR{1 + 2 * at}", DataType.FLOAT32) for at, name in enumerate(names))


PLANT: Mapping[str, tuple[PlantTag, ...]] = MappingProxyType(
    {
        "press": (
            PlantTag("recorded_at", "HR1", DataType.UINT32),
            PlantTag("temperature", "HR3", DataType.FLOAT32),
            PlantTag("sample_index", "HR5", DataType.UINT32),
            PlantTag("samples_due", "HR7", DataType.UINT32),
            PlantTag("running", "DI1", DataType.BOOL),
            PlantTag("finished", "DI2", DataType.BOOL),
        ),
        "pump": _floats("synthetic_pressure", "synthetic_flow", "synthetic_vibration"),
        "oven": _floats("synthetic_zone_1", "synthetic_zone_2", "synthetic_zone_3", "synthetic_door_open"),
        "mixer": _floats("synthetic_speed", "synthetic_torque", "synthetic_level"),
        "chiller": _floats("synthetic_inlet", "synthetic_outlet", "synthetic_load"),
    }
)
"""Every device of the plant and what it serves; the tags of a device lie side by side, so one request reads them."""


def _signals(device: str, seed: int) -> tuple[Signal, ...]:
    def noisy(signal_: Signal, sigma: float, number: int) -> Signal:
        return Sum((signal_, Noise(sigma, seed=seed * 100 + number)))

    return {
        "pump": (
            noisy(Sine(6.0, 0.4, period=12.0), 0.03, 1),
            noisy(Sine(120.0, 8.0, period=12.0, phase=3.0), 0.8, 2),
            noisy(Sine(1.8, 0.2, period=3.0), 0.1, 3),
        ),
        "oven": (
            noisy(Sine(180.0, 4.0, period=30.0), 0.3, 1),
            noisy(Sine(220.0, 5.0, period=30.0, phase=10.0), 0.3, 2),
            noisy(Sine(200.0, 4.0, period=30.0, phase=20.0), 0.3, 3),
            Square(0.0, 1.0, period=20.0, duty=0.1),
        ),
        "mixer": (
            noisy(Square(40.0, 90.0, period=16.0), 0.5, 1),
            noisy(Square(12.0, 31.0, period=16.0), 0.4, 2),
            noisy(Sine(55.0, 30.0, period=40.0), 0.2, 3),
        ),
        "chiller": (
            noisy(Sine(14.0, 1.0, period=25.0), 0.05, 1),
            noisy(Sine(7.0, 0.6, period=25.0, phase=5.0), 0.05, 2),
            noisy(Sine(60.0, 20.0, period=25.0), 0.5, 3),
        ),
    }[device]


def build_device(device: str, *, seconds: float = 60.0, seed: int = 1) -> RegisterBank:
    """Make the memory of one plant device.

    Args:
        device: a name in `PLANT`.
        seconds: in which `press` replays the whole recording.
        seed: of the synthetic noise.

    Raises:
        ConfigError: no such device, or `seconds` is not positive.
    """
    if device not in PLANT:
        raise ConfigError(f"device: expected one of {', '.join(PLANT)}, got {device}")
    if device == "press":
        return Press(load_recording(), seconds=seconds).bank
    bank = RegisterBank()
    for at, (tag, measured) in enumerate(zip(PLANT[device], _signals(device, seed), strict=True)):
        bank.bind(Area.HOLDING, 2 * at, measured, tag.datatype)
    return bank


async def _serve(bank: RegisterBank, options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop(_signum: int = 0, _frame: FrameType | None = None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: the process is ending already
            loop.call_soon_threadsafe(stopped.set)

    async with ModbusTcpServer(bank, host=options.host, port=options.port) as server:
        # Plain handlers, since a loop on Windows has no `add_signal_handler`.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        ready = {"port": server.port, "device": options.device, "pid": os.getpid()}
        sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
        sys.stdout.flush()
        if not options.detached:
            threading.Thread(target=_wait_for_end_of_input, args=(stop,), daemon=True).start()
        await stopped.wait()  # a service ends when it is told to: this is the one wait without a deadline


def _wait_for_end_of_input(stop: Callable[[], None]) -> None:
    # The descriptor is read directly: a thread inside the buffered reader would hold its lock at interpreter exit.
    with contextlib.suppress(OSError):  # no usable standard input counts as closed
        while os.read(0, 4096):
            pass
    stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one plant device until it is told to end; return the exit code (2: unusable arguments or port)."""
    parser = argparse.ArgumentParser(prog="python -m bifrost.demo.plant", description="One device of the demo plant.")
    parser.add_argument("--device", required=True, choices=tuple(PLANT), help="which device to serve")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 lets the system choose (default)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="press: time in which the recording passes (default: %(default)g)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the synthetic noise (default: %(default)s)")
    parser.add_argument("--detached", action="store_true", help="go on when standard input closes")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(_serve(build_device(options.device, seconds=options.seconds, seed=options.seed), options))
    except (ConfigError, OSError, OverflowError) as exc:
        sys.stderr.write(f"{parser.prog}: {exc}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
