"""The types of S7 programs: how many bytes each takes, and which bifrost type its values have.

In: names, as STEP 7, TIA Portal, PLC4X and nodeS7 write them. Out: `S7Type`s. Not here: encoding (`values`).
Obeys: STEP 7 "LAD, FBD, STL data types" (elementary and complex types); TIA Portal, "Data types" of the S7-1500.
"""

from __future__ import annotations

from enum import StrEnum

from bifrost.errors import DataTypeError
from bifrost.plc.datatypes import DataType

__all__ = ["MAX_BYTES_LENGTH", "MAX_STRING_LENGTH", "MAX_WSTRING_LENGTH", "S7Type", "type_named", "type_of"]

MAX_STRING_LENGTH = 254
"""Characters of a STRING; also what a STRING without a length has."""

MAX_WSTRING_LENGTH = 16382
"""Characters of a WSTRING."""

MAX_BYTES_LENGTH = 65535
"""Bytes of a data block, and so of anything in it."""


class S7Type(StrEnum):
    """A type as an S7 program declares it."""

    BOOL = "BOOL"
    SINT = "SINT"
    USINT = "USINT"
    INT = "INT"
    UINT = "UINT"
    DINT = "DINT"
    UDINT = "UDINT"
    LINT = "LINT"
    ULINT = "ULINT"
    REAL = "REAL"
    LREAL = "LREAL"
    BCD16 = "BCD16"
    BCD32 = "BCD32"
    CHAR = "CHAR"
    WCHAR = "WCHAR"
    STRING = "STRING"
    WSTRING = "WSTRING"
    BYTES = "BYTES"
    DATE = "DATE"
    TIME = "TIME"
    TOD = "TOD"
    S5TIME = "S5TIME"
    DT = "DT"
    DTL = "DTL"
    LTIME = "LTIME"
    LTOD = "LTOD"
    LDT = "LDT"
    TIMER = "TIMER"
    COUNTER = "COUNTER"

    @property
    def datatype(self) -> DataType:
        """The type that its values have in bifrost."""
        return _DATATYPES[self]

    @property
    def has_length(self) -> bool:
        """True for texts and bytes, whose declaration carries a length."""
        return self in _PER_CHARACTER

    def bytes_of(self, length: int = 0) -> int:
        """Bytes that one value takes; a BOOL one, since that is what is transferred.

        Args:
            length: characters, or bytes, of a type that has a length.
        """
        header, each = _PER_CHARACTER.get(self, (0, 0))
        return header + each * length if each else _SIZES[self]


_DATATYPES = {
    S7Type.BOOL: DataType.BOOL,
    S7Type.SINT: DataType.INT8,
    S7Type.USINT: DataType.UINT8,
    S7Type.INT: DataType.INT16,
    S7Type.UINT: DataType.UINT16,
    S7Type.DINT: DataType.INT32,
    S7Type.UDINT: DataType.UINT32,
    S7Type.LINT: DataType.INT64,
    S7Type.ULINT: DataType.UINT64,
    S7Type.REAL: DataType.FLOAT32,
    S7Type.LREAL: DataType.FLOAT64,
    S7Type.BCD16: DataType.BCD16,
    S7Type.BCD32: DataType.BCD32,
    S7Type.CHAR: DataType.STRING,
    S7Type.WCHAR: DataType.STRING,
    S7Type.STRING: DataType.STRING,
    S7Type.WSTRING: DataType.STRING,
    S7Type.BYTES: DataType.BYTES,
    S7Type.DATE: DataType.STRING,
    S7Type.TIME: DataType.INT32,
    S7Type.TOD: DataType.STRING,
    S7Type.S5TIME: DataType.INT32,
    S7Type.DT: DataType.STRING,
    S7Type.DTL: DataType.STRING,
    S7Type.LTIME: DataType.INT64,
    S7Type.LTOD: DataType.STRING,
    S7Type.LDT: DataType.STRING,
    S7Type.TIMER: DataType.INT32,
    S7Type.COUNTER: DataType.UINT16,
}

_SIZES = {
    S7Type.BOOL: 1,
    S7Type.SINT: 1,
    S7Type.USINT: 1,
    S7Type.INT: 2,
    S7Type.UINT: 2,
    S7Type.DINT: 4,
    S7Type.UDINT: 4,
    S7Type.LINT: 8,
    S7Type.ULINT: 8,
    S7Type.REAL: 4,
    S7Type.LREAL: 8,
    S7Type.BCD16: 2,
    S7Type.BCD32: 4,
    S7Type.DATE: 2,
    S7Type.TIME: 4,
    S7Type.TOD: 4,
    S7Type.S5TIME: 2,
    S7Type.DT: 8,
    S7Type.DTL: 12,
    S7Type.LTIME: 8,
    S7Type.LTOD: 8,
    S7Type.LDT: 8,
    S7Type.TIMER: 2,
    S7Type.COUNTER: 2,
}

_PER_CHARACTER = {
    S7Type.CHAR: (0, 1),
    S7Type.WCHAR: (0, 2),
    S7Type.STRING: (2, 1),
    S7Type.WSTRING: (4, 2),
    S7Type.BYTES: (0, 1),
}
"""Bytes of the header, and of each character."""

_OTHER_NAMES = {
    "BYTE": S7Type.USINT,
    "WORD": S7Type.UINT,
    "DWORD": S7Type.UDINT,
    "LWORD": S7Type.ULINT,
    "DATE_AND_TIME": S7Type.DT,
    "TIME_OF_DAY": S7Type.TOD,
    "LTIME_OF_DAY": S7Type.LTOD,
    "DATE_AND_LTIME": S7Type.LDT,
}

_OF_DATATYPE = {
    DataType.BOOL: S7Type.BOOL,
    DataType.INT8: S7Type.SINT,
    DataType.UINT8: S7Type.USINT,
    DataType.INT16: S7Type.INT,
    DataType.UINT16: S7Type.UINT,
    DataType.INT32: S7Type.DINT,
    DataType.UINT32: S7Type.UDINT,
    DataType.INT64: S7Type.LINT,
    DataType.UINT64: S7Type.ULINT,
    DataType.FLOAT32: S7Type.REAL,
    DataType.FLOAT64: S7Type.LREAL,
    DataType.BCD16: S7Type.BCD16,
    DataType.BCD32: S7Type.BCD32,
    DataType.STRING: S7Type.STRING,
    DataType.BYTES: S7Type.BYTES,
}
_OF_AREAS_ALONE = frozenset({S7Type.TIMER, S7Type.COUNTER})
"""What T5 and C3 are; nothing else can be declared so."""


def type_named(name: str) -> S7Type:
    """Find a type by any of its names: S7's, IEC 61131-3's, or bifrost's own.

    Raises:
        DataTypeError: no S7 program has such a type; the text suggests one.
    """
    upper = name.upper()
    found = _OTHER_NAMES.get(upper)
    if found is not None:
        return found
    if upper in S7Type.__members__ and upper not in _OF_AREAS_ALONE:
        return S7Type(upper)
    return type_of(DataType(upper))


def type_of(datatype: DataType) -> S7Type:
    """Tell the S7 type that a bifrost type stands for.

    Raises:
        DataTypeError: there is none.
    """
    kind = _OF_DATATYPE.get(datatype)
    if kind is None:
        raise DataTypeError(
            f"S7 has no {datatype}; known are {', '.join(_OF_DATATYPE)}, and S7's own such as DTL, TIME"
        )
    return kind
