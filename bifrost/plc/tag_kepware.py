"""Lists of tags that Kepware's server exports: its cells in, those of bifrost out.

Known are its types, its access words and its linear scaling. What bifrost cannot do, such as scaling by a square root,
is a mistake and never left out in silence.

Obeys: the columns of KEPServerEX's "Export CSV".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bifrost.core.checking.mistakes import Mistake
from bifrost.plc.tag_columns import CLAMPS, CellError, numbered

__all__ = ["IGNORED_COLUMNS", "is_kepware", "translate"]

_SIGNS: Final = {"tag name", "data type", "client access"}
IGNORED_COLUMNS: Final = frozenset(
    {
        "respect data type",
        "scaling",
        "raw low",
        "raw high",
        "scaled low",
        "scaled high",
        "scaled data type",
        "clamp low",
        "clamp high",
        "eng units",
        "negate value",
    }
)
"""Columns that only Kepware has; `translate` makes of them what bifrost knows."""

_TYPES: Final = {
    "BOOLEAN": "BOOL",
    "CHAR": "INT8",
    "BYTE": "UINT8",
    "SHORT": "INT16",
    "WORD": "UINT16",
    "LONG": "INT32",
    "DWORD": "UINT32",
    "LLONG": "INT64",
    "QWORD": "UINT64",
    "FLOAT": "FLOAT32",
    "DOUBLE": "FLOAT64",
    "BCD": "BCD16",
    "LBCD": "BCD32",
    "STRING": "STRING",
    "DEFAULT": "",
}
_YES: Final = {"1", "yes", "true"}


def is_kepware(titles: Sequence[str]) -> bool:
    """Tell such an export by its header."""
    return {title.strip().casefold() for title in titles} >= _SIGNS


def translate(row: Mapping[str, str], line: int, mistakes: list[Mistake]) -> dict[str, str]:
    """Turn a row of Kepware's into one of bifrost's; both map columns to cells."""
    cells = {column: cell for column, cell in row.items() if column not in IGNORED_COLUMNS}
    word = cells.pop("datatype", "").upper().removesuffix(" ARRAY")
    datatype = _TYPES.get(word, word)
    if datatype:
        cells["datatype"] = datatype
    if unit := row.get("eng units"):
        cells["description"] = f"{cells.get('description', '')} [{unit}]".strip()
    try:
        cells |= _scaling(row)
    except CellError as error:
        mistakes.append(Mistake(("Scaling",), str(error), line))
    return cells


def _scaling(row: Mapping[str, str]) -> dict[str, str]:
    kind = row.get("scaling", "none").casefold()
    if kind == "none":
        return {}
    if kind != "linear":
        raise CellError(f'found "{row["scaling"]}", expected None or Linear; scale such a tag in a pipeline')
    ends = [numbered(row.get(name, "")) for name in ("raw low", "raw high", "scaled low", "scaled high")]
    raw_low, raw_high, low, high = ends
    if raw_low == raw_high or low == high:
        raise CellError("expected Raw Low and Raw High, Scaled Low and Scaled High to differ")
    scale = (high - low) / (raw_high - raw_low)
    offset = low - raw_low * scale
    if row.get("negate value", "").casefold() in _YES:
        scale, offset, low, high = -scale, -offset, -high, -low
    cells = {"scale": repr(scale), "offset_value": repr(offset)}
    clamped = [row.get(name, "").casefold() in _YES for name in ("clamp low", "clamp high")]
    if any(clamped) and not all(clamped):
        raise CellError("found a clamp at one end only, expected both or none")
    if all(clamped):
        cells |= dict(zip(CLAMPS, (repr(min(low, high)), repr(max(low, high))), strict=True))
    return cells
