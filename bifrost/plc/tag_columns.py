"""The columns of a list of tags, and what stands in their cells: text in, plain values with the keys of a tag out.

A spreadsheet changes what it takes for a number; what can be seen of that is refused here with a hint. Not here: the
file (`bifrost.plc.tag_table`), and what an address means.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec
from msgspec import inspect

from bifrost.plc.settings import TagSettings

__all__ = ["CLAMPS", "COLUMNS", "CellError", "address_of", "column_of", "is_six_digits", "numbered", "value_of"]

CLAMPS = ("clamp_low", "clamp_high")
COLUMNS: tuple[str, ...] = (
    *(field.name for field in msgspec.structs.fields(TagSettings) if field.name != "clamp"),
    *CLAMPS,
)
"""Names of the columns as bifrost writes them: the keys of a tag, `clamp` as two."""

_OTHER_NAMES = {
    "tag": "name",
    "tagname": "name",
    "itemname": "name",
    "symbol": "name",
    "variable": "name",
    "register": "address",
    "logicaladdress": "address",
    "type": "datatype",
    "clientaccess": "access",
    "readwrite": "access",
    "rw": "access",
    "comment": "description",
    "unitid": "unit",
    "slave": "unit",
    "slaveid": "unit",
    "factor": "scale",
    "multiplier": "scale",
    "scanrate": "interval_ms",
    "interval": "interval_ms",
    "arraysize": "count",
    "elements": "count",
}
_ACCESS = {
    "r": "r",
    "ro": "r",
    "read": "r",
    "readonly": "r",
    "rw": "rw",
    "readwrite": "rw",
}
_FORCED_TEXT = re.compile(r"=\"([^\"]+)\"|'(.+)")  # how people keep a spreadsheet from taking a number for one
_SCIENTIFIC = re.compile(r"\d+(?:[.,]\d+)?[eE]\+?\d+")
_WITH_FRACTION = re.compile(r"(\d{1,6})[.,]0+")
_GROUPED = re.compile(r"\d{1,3}(?:[ ,'.\u00a0\u202f]\d{3})+")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_FEW_DIGITS = re.compile(r"\d{1,4}")
_FIVE_DIGITS = re.compile(r"1\d{4}")
_SIX_DIGITS = re.compile(r"[0134]\d{5}")


class CellError(ValueError):
    """A cell cannot be taken; the text says what was found and what is expected."""


def column_of(title: str) -> str | None:
    """Tell which column a title means, whatever its case, blanks and underscores; None if it is unknown."""
    key = re.sub(r"[^a-z0-9]", "", title.casefold())
    return _KEYS.get(key) or _OTHER_NAMES.get(key)


_KEYS = {re.sub(r"[^a-z0-9]", "", name): name for name in COLUMNS}
_TYPES = {field.name: field.type for field in inspect.type_info(TagSettings).fields}  # type: ignore[attr-defined]  # a struct has fields


def _kinds(info: inspect.Type) -> tuple[type[inspect.Type], ...]:
    options = info.types if isinstance(info, inspect.UnionType) else (info,)
    return tuple(type(option) for option in options)


_INTEGERS = {name for name, info in _TYPES.items() if inspect.IntType in _kinds(info) and name != "address"}
_FLOATS = {*CLAMPS} | {name for name, info in _TYPES.items() if inspect.FloatType in _kinds(info)}


def value_of(column: str, cell: str) -> object:
    """Turn a cell into the value of its column; addresses and names stay text.

    Raises:
        CellError: it is no such value.
    """
    if column == "access":
        access = _ACCESS.get(re.sub(r"[^a-z]", "", cell.casefold()))
        if access is None:
            raise CellError(f'found "{cell}", expected r or rw')
        return access
    if column == "deadband_type":
        return cell.casefold()
    if column in _INTEGERS:
        return _integer(column, cell)
    return numbered(cell) if column in _FLOATS else cell


def _integer(column: str, cell: str) -> int:
    text = cell.removesuffix(".0")  # a spreadsheet's whole number
    try:
        if len(text) <= 20 and text.isascii():
            return int(text)
    except ValueError:
        pass
    hint = "; engineering units belong into the description" if column == "unit" else ""
    raise CellError(f'found "{cell[:60]}", expected a whole number{hint}')


def numbered(cell: str) -> float:
    """Read a number with a decimal point.

    Raises:
        CellError: it is none; a decimal comma is not guessed at.
    """
    if _DECIMAL_COMMA.fullmatch(cell):
        raise CellError(f'found "{cell}", expected a number with a decimal point, such as {cell.replace(",", ".")}')
    try:
        number = float(cell) if cell.isascii() else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise CellError(f'found "{cell[:60]}", expected a number, such as 0.1')
    return number


def address_of(row: Mapping[str, str], *, has_six_digits: bool) -> str | None:
    """Take the address of a row, unless a spreadsheet has changed it.

    Args:
        row: cells by column, empty ones left out.
        has_six_digits: other addresses of the list have six digits, such as 400001.

    Raises:
        CellError: it cannot be known any more what the address was.
    """
    cell = row.get("address")
    if cell is None:
        return None
    if forced := _FORCED_TEXT.fullmatch(cell):
        cell = forced[1] or forced[2]
    as_text = "format the column as text before you fill it"
    if _SCIENTIFIC.fullmatch(cell):
        raise CellError(f'found "{cell}": a spreadsheet took the address for a number; {as_text}')
    if _GROUPED.fullmatch(cell):
        digits = re.sub(r"\D", "", cell)
        raise CellError(f'found "{cell}": a spreadsheet has grouped the digits; write {digits}, and {as_text}')
    datatype = row.get("datatype", "").upper()
    is_bit = datatype in {"BOOL", "BOOLEAN", "BIT"}
    whole = _WITH_FRACTION.fullmatch(cell)
    if whole is not None and not is_bit:
        raise CellError(
            f'found "{cell}": a spreadsheet took the address for a number, or bit 0 is meant; '
            f"write {whole[1]}, or give the datatype BOOL for the bit; {as_text}"
        )
    if _FEW_DIGITS.fullmatch(cell) and not is_bit and "bit" not in row:
        raise CellError(
            f'found "{cell}", which does not say where: a spreadsheet may have cut off leading zeros; '
            f"write C{cell.lstrip('0')} for a coil, HR{cell.lstrip('0')} for a holding register"
        )
    if has_six_digits and _FIVE_DIGITS.fullmatch(cell) and (is_bit or not datatype):
        raise CellError(
            f'found "{cell}" among addresses of six digits: a spreadsheet may have cut off a leading zero; '
            f"write DI{int(cell[1:])} for a discrete input, or C{cell} for a coil"
        )
    return cell


def is_six_digits(cell: str) -> bool:
    """Tell a Modbus address of six digits."""
    return _SIX_DIGITS.fullmatch(cell) is not None
