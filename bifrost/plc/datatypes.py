"""Tags and their types, whatever the protocol.

In: what a user writes. Out: frozen, hashable `Tag`s whose address has been understood. Not here: any I/O, and what an
address means, which is the protocol's own business (`bifrost.plc.drivers.registry`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from bifrost.errors import AddressError, ConfigError, DataTypeError

if TYPE_CHECKING:
    from bifrost.plc.drivers.base import ProtocolSpec

__all__ = ["ByteOrder", "DataType", "ProtocolType", "Tag"]

_IEC_NAMES = {
    "BYTE": "UINT8",
    "DINT": "INT32",
    "DWORD": "UINT32",
    "INT": "INT16",
    "LINT": "INT64",
    "LREAL": "FLOAT64",
    "LWORD": "UINT64",
    "REAL": "FLOAT32",
    "SINT": "INT8",
    "UDINT": "UINT32",
    "UINT": "UINT16",
    "ULINT": "UINT64",
    "USINT": "UINT8",
    "WORD": "UINT16",
}
"""What IEC 61131-3 table 10 calls the types; accepted wherever a type is written."""

_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""What no topic, log line or UTF-8 can carry: control characters, and halves of characters."""

_OTHER_NAMES = {"BIT": "BOOL", "BOOLEAN": "BOOL", "DOUBLE": "FLOAT64", "FLOAT": "FLOAT32", "LONG": "INT32"}
"""Names that mean different things to different makers: suggested, never assumed."""


class ProtocolType(StrEnum):
    """The protocols that come with bifrost; wherever one is asked for, a plug-in's name does as well."""

    MODBUS_TCP = "modbus-tcp"
    MODBUS_RTU = "modbus-rtu"
    MODBUS_RTU_OVER_TCP = "modbus-rtu-over-tcp"
    ETHERNET_IP = "ethernet-ip"
    S7 = "s7"


class DataType(StrEnum):
    """What a value is. Integers are exact; FLOAT16 and FLOAT32 arrive as the same number in a Python float.

    The names of IEC 61131-3 do as well: ``DataType("REAL")`` is FLOAT32. BCD is binary coded decimal, 4 or 8 digits.
    STRUCT, a dictionary, and AUTO, whatever the device says, are for protocols whose devices know their own types.
    """

    BOOL = "BOOL"
    INT8 = "INT8"
    UINT8 = "UINT8"
    INT16 = "INT16"
    UINT16 = "UINT16"
    INT32 = "INT32"
    UINT32 = "UINT32"
    INT64 = "INT64"
    UINT64 = "UINT64"
    FLOAT16 = "FLOAT16"
    FLOAT32 = "FLOAT32"
    FLOAT64 = "FLOAT64"
    STRING = "STRING"
    BYTES = "BYTES"
    BCD16 = "BCD16"
    BCD32 = "BCD32"
    STRUCT = "STRUCT"
    AUTO = "AUTO"

    @classmethod
    def _missing_(cls, value: object) -> DataType:
        name = str(value).upper()
        name = _IEC_NAMES.get(name, name)
        for member in cls:
            if member.value == name:
                return member
        raise DataTypeError(f"unknown data type {value!r}{_nearest(name)}")

    @property
    def is_number(self) -> bool:
        """True for what can be scaled; AUTO counts, since it may turn out to be a number."""
        return self not in _NO_NUMBERS


_NO_NUMBERS = frozenset({DataType.BOOL, DataType.STRING, DataType.BYTES, DataType.STRUCT})


class ByteOrder(StrEnum):
    """The order in which the bytes of 32 bits travel, A the highest; 64 bits follow the same pattern."""

    ABCD = "ABCD"
    CDAB = "CDAB"
    BADC = "BADC"
    DCBA = "DCBA"

    @classmethod
    def _missing_(cls, value: object) -> ByteOrder:
        name = str(value).upper()
        for member in cls:
            if member.value == name:
                return member
        raise ConfigError(f"expected byte order ABCD, CDAB, BADC or DCBA, got {value!r}")


def _is_finite(number: object) -> bool:
    try:
        return not isinstance(number, bool) and isinstance(number, int | float) and math.isfinite(number)
    except OverflowError:  # an integer beyond every float
        return False


def _nearest(name: str) -> str:
    import difflib

    known = _OTHER_NAMES.get(name)
    close = [known] if known else difflib.get_close_matches(name, list(DataType), n=1)
    return f"; did you mean {close[0]}" if close else f"; known are {', '.join(DataType)}"


@dataclass(frozen=True, slots=True, eq=True)
class Tag:
    """One named value in a device. Wrong ones fail here, before anything is sent.

    Attributes:
        name: how the value is called from here on; unique on its connection.
        address: where it is, in any form that the protocol knows: ``40001``, ``"HR1"``, ``"holding-register:1"``.
        datatype: None takes the one in the address, else BOOL for bits and UINT16 for registers.
        count: values in a row; more than 1 makes the value a list.
        length: room of a STRING in bytes.
        bit: bit of a register, 0 = lowest.
        byte_order: None takes the connection's.
        scale: factor; numbers become ``value * scale + offset_value``, a float.
        offset_value: added after `scale`.
        clamp: lowest and highest number; one beyond is set to the limit and UNCERTAIN, `raw` keeps what came.
        deadband: least change that counts as one where only changes are reported; 0 or more.
        deadband_type: ``abs`` (default): in the value's unit; ``pct``: per cent of the value reported last.
        max_age: seconds for which the last good value stands in, UNCERTAIN and stale, while the device cannot be
            reached; None: it never does.
        interval_ms: milliseconds between two polls by a device actor, 1 to 86,400,000; None takes the device's. Tags of
            one interval are polled together.
        unit: unit id; None takes the connection's.
        area: with `offset`: the explicit form of an address, such as ``Area.HOLDING``.
        offset: protocol address, from 0.
        access: ``r`` (default), or ``rw`` if it may be written.
        protocol: whose address forms are meant; None: the connection's. It is then tried as an address of Modbus, of S7
            and of EtherNet/IP, so that what is none fails here, and the connection's protocol has the last word.
        description: for people.
        metadata: for programs; travels with the tag, takes no part in comparing tags.
        resolved: the address as the protocol understood it.

    Raises:
        AddressError: the address is none, or the value does not fit behind it; the text names the right form.
        DataTypeError: the data type is unknown, or does not fit the address.
    """

    name: str
    address: str | int | None = None
    datatype: DataType | None = None
    count: int = field(default=1, kw_only=True)
    length: int | None = field(default=None, kw_only=True)
    bit: int | None = field(default=None, kw_only=True)
    byte_order: ByteOrder | None = field(default=None, kw_only=True)
    scale: float | None = field(default=None, kw_only=True)
    offset_value: float | None = field(default=None, kw_only=True)
    clamp: tuple[float, float] | None = field(default=None, kw_only=True)
    deadband: float | None = field(default=None, kw_only=True)
    deadband_type: Literal["abs", "pct"] = field(default="abs", kw_only=True)
    max_age: float | None = field(default=None, kw_only=True)
    interval_ms: float | None = field(default=None, kw_only=True)
    unit: int | None = field(default=None, kw_only=True)
    area: str | None = field(default=None, kw_only=True)
    offset: int | None = field(default=None, kw_only=True)
    access: Literal["r", "rw"] = field(default="r", kw_only=True)
    protocol: str | None = field(default=None, kw_only=True)
    description: str = field(default="", kw_only=True, compare=False)
    metadata: Mapping[str, object] = field(default_factory=dict, kw_only=True, compare=False, repr=False)
    resolved: Any = field(init=False, compare=False, repr=False)
    _written: tuple[DataType | None, int] = field(init=False, compare=False, repr=False)
    _spec: ProtocolSpec = field(init=False, compare=False, repr=False)
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        from bifrost.plc.drivers.registry import parse_address

        self._check_fields()
        written = (self.datatype, self.count)
        try:
            spec, resolved = parse_address(self)
        except ConfigError as error:
            raise type(error)(f"tag {self.name!r}: {error}") from None
        identity = (self.name, str(self.address), resolved.datatype, resolved.count, self.unit, self.offset)
        self._settle(
            resolved=resolved,
            datatype=resolved.datatype,
            count=resolved.count,
            _written=written,
            _spec=spec,
            _hash=hash((*identity, self.protocol)),
        )
        kind: DataType = resolved.datatype
        if self._is_scaled and not kind.is_number:
            what = "scale, offset_value, clamp and deadband"
            raise DataTypeError(f"tag {self.name!r}: {what} are for numbers, not for {kind}")

    def __reduce__(self) -> tuple[object, ...]:
        """Travel as it was written: the hash is of one process, and what was understood is understood again there."""
        datatype, count = self._written
        written = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        return _made_again, ({**written, "datatype": datatype, "count": count},)

    def bound_to(self, spec: ProtocolSpec) -> Tag:
        """Give the same tag with its address understood by this protocol; the tag itself if it is already.

        Raises:
            AddressError: the protocol knows no such address, or the tag names another protocol.
            DataTypeError: the type does not fit the address.
        """
        if self._spec.parse_address == spec.parse_address:
            return self
        if self.protocol is not None:
            text = f"tag {self.name!r} has an address of {self._spec.name}, this connection speaks {spec.name}"
            raise AddressError(text)
        datatype, count = self._written
        return replace(self, protocol=spec.name, datatype=datatype, count=count)

    @property
    def dialect(self) -> str:
        """The protocol that understood the address."""
        return self._spec.name

    @property
    def _is_scaled(self) -> bool:
        return not (self.scale is None and self.offset_value is None and self.clamp is None and self.deadband is None)

    def _check_fields(self) -> None:
        name: object = self.name
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"expected a tag name, got {name!r}")
        if _NO_NAME.search(name):
            raise ConfigError(f"expected a tag name without control characters, got {name!r:.60}")
        if self.datatype is not None:
            self._settle(datatype=DataType(self.datatype))
        if self.byte_order is not None:
            self._settle(byte_order=ByteOrder(self.byte_order))
        if self.access not in {"r", "rw"}:
            raise ConfigError(f"tag {name!r}: expected access 'r' or 'rw', got {self.access!r}")
        if self.deadband_type not in {"abs", "pct"}:
            raise ConfigError(f"tag {name!r}: expected deadband_type 'abs' or 'pct', got {self.deadband_type!r}")
        self._check_numbers()
        if self.address is None and self.offset is None:
            forms = "'HR1' (Modbus), 'DB1.DBD4:REAL' (S7) or 'Motor.Speed' (EtherNet/IP)"
            raise AddressError(f"tag {name!r} has no address; give one, such as {forms}, or area and offset (Modbus)")

    def _check_numbers(self) -> None:
        for what in ("scale", "offset_value", "deadband", "max_age"):
            number = getattr(self, what)
            if number is not None and not _is_finite(number):
                raise ConfigError(f"tag {self.name!r}: expected a finite {what}, got {number!r:.40}")
            if what in {"deadband", "max_age"} and number is not None and number < 0:
                raise ConfigError(f"tag {self.name!r}: expected a {what} of 0 or more, got {number!r}")
        if self.interval_ms is not None and not (_is_finite(self.interval_ms) and 1 <= self.interval_ms <= 86_400_000):
            text = f"expected interval_ms from 1 to 86400000, got {self.interval_ms!r:.40}"
            raise ConfigError(f"tag {self.name!r}: {text}")
        if self.scale == 0:
            raise ConfigError(f"tag {self.name!r}: a scale of 0 makes every value the same; leave it out for none")
        clamp: object = self.clamp
        if clamp is None:
            return
        if (
            not isinstance(clamp, tuple | list)
            or len(clamp) != 2
            or not all(map(_is_finite, clamp))
            or clamp[0] > clamp[1]
        ):
            raise ConfigError(
                f"tag {self.name!r}: expected clamp=(lowest, highest), two finite numbers, got {clamp!r:.60}"
            )
        self._settle(clamp=tuple(clamp))

    def _settle(self, **fields: object) -> None:
        for field_name, value in fields.items():
            object.__setattr__(self, field_name, value)

    def __hash__(self) -> int:
        """Computed once: tags are keys on the way of every read."""
        return self._hash

    @property
    def labels(self) -> tuple[str, ...]:
        """The name, or ``name[0]`` … for an array: how the values are called in a batch."""
        if self.count == 1:
            return (self.name,)
        return tuple(f"{self.name}[{index}]" for index in range(self.count))


def _made_again(written: dict[str, Any]) -> Tag:
    return Tag(**written)
