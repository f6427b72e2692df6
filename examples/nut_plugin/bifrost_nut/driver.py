"""What bifrost asks of a driver, answered for Network UPS Tools.

Obeys: RFC 9271 section 4.2.
"""

from __future__ import annotations

import asyncio
import math
import shlex
from collections.abc import Callable, Mapping, Sequence

import msgspec

from bifrost.core.clock import Clock
from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.errors import (
    BifrostError,
    ConfigError,
    DataTypeError,
    DeviceFault,
    LinkError,
    LinkTimeout,
    NotConnected,
    ProtocolError,
    WriteError,
)
from bifrost.plc import BrowsedTag, DataType, Tag
from bifrost.plc.drivers.base import Capabilities, DeviceInfo, Readings, WriteItem
from bifrost_nut.address import NutAddress
from bifrost_nut.session import ERRORS, NutSession
from bifrost_nut.settings import NutSettings

__all__ = ["NutDriver", "NutPlan"]

_UNREACHABLE = {ERRORS.index(word) + 1 for word in ("DATA-STALE", "DRIVER-NOT-CONNECTED")}
_TRACK_EVERY = 0.02  # seconds between two questions whether a write was carried out


class NutPlan:
    """The variables to ask for, in the order of the tags."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        self.tags = tuple(tags)
        self.slots = list(range(len(tags)))
        self.total = len(tags)
        self.wide: Sequence[int] = ()


class NutDriver:
    """One link to one server; see `bifrost.plc.drivers.base.Driver` for the contract."""

    capabilities = Capabilities(browse=True)

    def __init__(self, settings: NutSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._session: NutSession | None = None
        self._tracks = False

    @property
    def degraded(self) -> bool:
        """A silent server ends the link, so the link is whole or gone."""
        return False

    def counters(self) -> Mapping[str, int]:
        """Lines sent."""
        return {"requests": 0 if self._session is None else self._session.requests}

    def plan(self, tags: Sequence[Tag]) -> NutPlan:
        """One question for each tag; pure."""
        return NutPlan(tags)

    def prepare(self, tag: Tag, value: object) -> WriteItem:
        """Write a value as the protocol does; pure."""
        address: NutAddress = tag.resolved
        if tag.access != "rw":
            raise ConfigError(f"tag {tag.name!r} is read-only; declare it with access='rw' to write it")
        return WriteItem(tag, f"SET VAR {address.ups} {address.variable} {_quoted(tag, value)}")

    async def connect(self, *, timeout: float, on_lost: Callable[[BifrostError], None]) -> DeviceInfo:
        """Open the link, and log in if there is a user."""
        settings = self._settings
        where = f"{settings.host}:{settings.port}"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, session = await loop.create_connection(lambda: NutSession(on_lost), settings.host, settings.port)
        except TimeoutError:
            raise LinkTimeout(f"no link to {where} within {timeout:g} s") from None
        except OSError as error:
            raise NotConnected(f"cannot connect to {where}: {error.strerror or error}") from error
        self._session = session
        (version,) = await session.ask("VER", timeout=timeout)
        if settings.username is not None:
            await session.ask(f"USERNAME {shlex.quote(settings.username)}", timeout=timeout)
            await session.ask(f"PASSWORD {shlex.quote(settings.password or '')}", timeout=timeout)
            try:
                await session.ask("SET TRACKING ON", timeout=timeout)
                self._tracks = True
            except DeviceFault:
                self._tracks = False  # an older server only says that it passed a write on
        return DeviceInfo(endpoint=where, description=version)

    async def aclose(self) -> None:
        """End the link; idempotent."""
        if self._session is not None:
            await self._session.aclose()

    async def read(self, plan: NutPlan, *, timeout: float) -> Readings:
        """Ask for every variable; one that the server does not have is no matter of the others."""
        session = self._live()
        values: list[Value] = [None] * plan.total
        errors: dict[int, BifrostError] = {}
        for slot, tag in enumerate(plan.tags):
            address: NutAddress = tag.resolved
            try:
                (line,) = await session.ask(f"GET VAR {address.ups} {address.variable}", timeout=timeout)
                values[slot] = _value(line, address)
            except (DeviceFault, DataTypeError) as error:
                errors[slot] = error
            except LinkError as error:
                # Without numbers in its answers, a link that missed one is of no more use.
                raise NotConnected(str(error)) from error
        status = [_status(errors.get(slot)) for slot in range(plan.total)] if errors else None
        return Readings(values, self._clock.time_ns(), status, errors)

    async def write(self, item: WriteItem, *, timeout: float) -> None:
        """Send one SET, once, and wait until it was carried out where the server can tell."""
        session = self._live()
        try:
            async with asyncio.timeout(timeout):
                (answer,) = await session.ask(item.request, timeout=timeout)
                if self._tracks and answer.startswith("OK TRACKING "):
                    await self._carried_out(session, answer.split()[-1], timeout)
        except DeviceFault:
            raise
        except (LinkError, ProtocolError, TimeoutError) as error:
            reason = str(error) or f"it was not carried out within {timeout:g} s"
            text = f"tag {item.tag.name!r}: the write was sent, but {reason}; the device may have acted"
            raise WriteError(text, unknown_outcome=True) from error

    async def browse(self, *, timeout: float) -> Sequence[BrowsedTag]:
        """List the variables of the UPS of the settings, or of all."""
        session = self._live()
        names = [self._settings.ups]
        if names == [None]:
            names = [line.split()[1] for line in await session.ask("LIST UPS", timeout=timeout)]
        found: list[BrowsedTag] = []
        for ups in names:
            writable = {line.split()[2] for line in await session.ask(f"LIST RW {ups}", timeout=timeout)}
            for line in await session.ask(f"LIST VAR {ups}", timeout=timeout):
                variable = line.split()[2]
                name = f"{ups}/{variable}"
                tag = BrowsedTag(name=name, address=name, datatype=DataType.STRING, access="rw")
                found.append(tag if variable in writable else msgspec.structs.replace(tag, access="r"))
        return found

    async def _carried_out(self, session: NutSession, tracking: str, timeout: float) -> None:
        while True:
            (answer,) = await session.ask(f"GET TRACKING {tracking}", timeout=timeout)
            if answer == "SUCCESS":
                return
            if answer != "PENDING":
                raise DeviceFault(f"the UPS did not take it: {answer}", code=0)
            await asyncio.sleep(_TRACK_EVERY)

    def _live(self) -> NutSession:
        if self._session is None or not self._session.alive:
            raise NotConnected("the link to the server is down")
        return self._session


def _quoted(tag: Tag, value: object) -> str:
    kind = tag.datatype
    if kind is DataType.STRING and isinstance(value, str) and value.isprintable():
        text = value
    elif kind is DataType.INT64 and isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    elif kind is DataType.FLOAT64 and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise DataTypeError(f"tag {tag.name!r}: expected a finite number, got {value!r}")
        text = repr(value)
    else:
        raise DataTypeError(f"tag {tag.name!r}: expected a value for {kind}, got {value!r:.60}")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _value(line: str, address: NutAddress) -> Value:
    """Take the value from ``VAR <ups> <variable> "<value>"``."""
    text = shlex.split(line)[3]
    try:
        if address.datatype is DataType.FLOAT64:
            return float(text)
        return int(text) if address.datatype is DataType.INT64 else text
    except ValueError:
        raise DataTypeError(f"expected a value for {address.datatype}, the UPS has {text!r:.60}") from None


def _status(error: BifrostError | None) -> int:
    if error is None:
        return StatusCode.GOOD
    if isinstance(error, DataTypeError):
        return StatusCode.BAD_TYPE_MISMATCH
    code = error.code if isinstance(error, DeviceFault) else 0
    return StatusCode.BAD_NO_COMMUNICATION if code in _UNREACHABLE else StatusCode.BAD_NODE_ID_UNKNOWN
