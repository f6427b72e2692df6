"""A search for S7 CPUs: connect, ask who it is, hang up. Nothing is ever written.

In: a host or a network. Out: devices, as they answer. Not here: broadcasts (Siemens' own search, PROFINET DCP, needs
raw sockets).
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
from collections.abc import AsyncIterator, Iterable

import msgspec

from bifrost.core.clock import SystemClock
from bifrost.errors import AddressError, BifrostError, ConfigError, LinkError, LinkTimeout
from bifrost.plc.drivers.base import FoundDevice
from bifrost.plc.s7.driver import S7Driver
from bifrost.plc.s7.settings import S7Settings

__all__ = ["discover"]

_MOST_HOSTS = 1024
_AT_A_TIME = 32
_SLOTS = (1, 2, 0)
"""S7-1200 and S7-1500; S7-300; a software CPU. A CPU mostly refuses the slots where it is not."""


async def discover(
    target: str, *, timeout: float = 1.0, port: int = 102, rack: int = 0, slot: int | None = None, rate: float = 50.0
) -> AsyncIterator[FoundDevice]:
    """Ask each address whether an S7 CPU is there; each is told as its answer comes.

    Args:
        target: a host, ``host:port``, or a network such as ``192.0.2.0/24`` of at most 1024 addresses.
        timeout: seconds for each attempt, 0.01 to 60; default 1.
        port: TCP port, 1 to 65535; default 102.
        rack: rack to ask for, 0 to 7; default 0.
        slot: slot to ask for, 0 to 31; None (default) tries 1, 2 and 0.
        rate: connections begun in a second, at most; more than 0; default 50.

    Raises:
        AddressError: the target is no host and no network.
        ConfigError: an option is out of range, or the network is too large.
        MissingExtra: python-snap7 is not installed.
    """
    hosts, port = _hosts(target, port)
    tries = _tries(port, rack, _SLOTS if slot is None else (slot,), timeout=timeout, rate=rate)
    pace = _Pace(1 / rate)
    waiting = iter(hosts)
    tasks: set[asyncio.Task[FoundDevice | None]] = set()

    def begin(most: int) -> None:
        for host in itertools.islice(waiting, most):
            work = _ask(host, tries, pace, timeout=timeout)
            tasks.add(asyncio.get_running_loop().create_task(work, name="bifrost-s7-search"))

    try:
        begin(_AT_A_TIME)
        while tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            tasks -= done
            begin(len(done))
            for task in done:
                device = task.result()
                if device is not None:
                    yield device
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _tries(port: int, rack: int, slots: Iterable[int], *, timeout: float, rate: float) -> list[S7Settings]:
    tries = [S7Settings(protocol="s7", host="localhost", port=port, rack=rack, slot=slot) for slot in slots]
    mistakes = [problem.text for settings in tries for problem in settings.problems()]
    if not 0.01 <= timeout <= 60:
        mistakes.append(f"expected a timeout of 0.01 to 60 seconds, got {timeout:g}")
    if not rate > 0:
        mistakes.append(f"expected a rate of more than 0 connections a second, got {rate:g}")
    if mistakes:
        mistakes = list(dict.fromkeys(mistakes))
        raise ConfigError("; ".join(mistakes), mistakes=mistakes)
    return tries


class _Pace:
    """Lets one pass at a time, with a pause between."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next = 0.0

    async def wait(self) -> None:
        loop = asyncio.get_running_loop()
        at = max(self._next, loop.time())
        self._next = at + self._interval
        await asyncio.sleep(at - loop.time())


async def _ask(host: str, tries: Iterable[S7Settings], pace: _Pace, *, timeout: float) -> FoundDevice | None:
    for settings in tries:
        await pace.wait()
        driver = S7Driver(msgspec.structs.replace(settings, host=host), SystemClock())
        try:
            info = await driver.connect(timeout=timeout, on_lost=_ignore)
        except LinkTimeout:
            return None  # nobody there: another slot does not change that
        except LinkError as error:
            if isinstance(error.__cause__, OSError):
                return None
            continue
        finally:
            await driver.aclose()
        name, _, more = info.description.partition("; ")
        url = (
            f"s7://{host if ':' not in host else f'[{host}]'}:{settings.port}?rack={settings.rack}&slot={settings.slot}"
        )
        return FoundDevice(
            protocol="s7", endpoint=info.endpoint, url=url, name=name if more else "", description=more or name
        )
    return None


def _hosts(target: str, port: int) -> tuple[list[str], int]:
    text = target.strip()
    if not text:
        raise AddressError("expected a host such as 192.0.2.7 or a network such as 192.0.2.0/24, got nothing")
    if "/" not in text:
        host, colon, number = text.rpartition(":")
        if colon and number.isdecimal() and ":" not in host:
            return [host], int(number)
        return [text.strip("[]")], port
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise AddressError(f"{text!r:.60} is no network: {error}") from None
    if network.num_addresses > _MOST_HOSTS:
        raise ConfigError(f"{text} has {network.num_addresses} addresses; search at most {_MOST_HOSTS} at a time")
    return [str(host) for host in network.hosts()], port


def _ignore(error: BifrostError) -> None:
    """A device that hangs up after it was found was found."""
