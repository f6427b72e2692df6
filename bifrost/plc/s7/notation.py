"""How S7 addresses are written: STEP 7 and PLC4X (``%DB1.DBD4:REAL``), and nodeS7 (``DB1,REAL4``).

In: a text. Out: its parts. Not here: whether the parts fit together (`address`). Pure; no I/O.
"""

from __future__ import annotations

import re

import msgspec

from bifrost.errors import AddressError
from bifrost.plc.s7.areas import S7Area
from bifrost.plc.s7.types import S7Type, type_named

__all__ = ["FORMS", "S7Notation", "read_notation", "surely_s7"]

FORMS = "'DB1.DBD4:REAL', 'DB1,REAL4', 'M10.3', 'MW20:INT', 'IW22', 'QB4', 'T5', 'C3'"

_DB = re.compile(r"DB(?P<db>\d{1,9})\.DB(?P<width>[XBWD])(?P<offset>\d{1,9})(?:\.(?P<bit>\d{1,3}))?", re.ASCII)
_DB_SHORT = re.compile(r"DB(?P<db>\d{1,9}):(?P<offset>\d{1,9})(?:\.(?P<bit>\d{1,3}))?", re.ASCII)
_DB_NODE = re.compile(r"DB(?P<db>\d{1,9}),(?P<code>[A-Z]+)(?P<offset>\d{1,9})(?P<more>(?:\.\d{1,5}){0,2})", re.ASCII)
_AREA = re.compile(r"(?P<area>[MIQEA])(?P<code>[A-Z]*)(?P<offset>\d{1,9})(?P<more>(?:\.\d{1,5}){0,2})", re.ASCII)
_NUMBERED = re.compile(r"(?P<area>[TCZ])(?P<offset>\d{1,9})", re.ASCII)
_SUFFIX = re.compile(r":(?P<type>[A-Z][A-Z0-9_]*)(?:\((?P<length>\d{1,5})\))?|\[(?P<count>\d{1,5})\]", re.ASCII)
_SURE = re.compile(r"%.|DB\d+[.,:]|[MIQ][XBWD]\d+|[MIQ]\d+\.[0-7]\b", re.IGNORECASE | re.ASCII)

_AREAS = {
    "M": S7Area.MERKER,
    "I": S7Area.INPUT,
    "E": S7Area.INPUT,
    "Q": S7Area.OUTPUT,
    "A": S7Area.OUTPUT,
    "T": S7Area.TIMER,
    "C": S7Area.COUNTER,
    "Z": S7Area.COUNTER,
}
_NODE_CODES = {
    "B": S7Type.USINT,
    "C": S7Type.CHAR,
    "I": S7Type.INT,
    "W": S7Type.UINT,
    "D": S7Type.UDINT,
    "DW": S7Type.UDINT,
    "DI": S7Type.DINT,
    "R": S7Type.REAL,
    "LI": S7Type.LINT,
    "ULI": S7Type.ULINT,
    "LW": S7Type.ULINT,
    "LR": S7Type.LREAL,
    "S": S7Type.STRING,
    "WS": S7Type.WSTRING,
}
_WIDTHS = frozenset("XBWD")


class S7Notation(msgspec.Struct, frozen=True, kw_only=True):
    """An address taken apart; None where it says nothing.

    Attributes:
        area: which memory.
        db: number of the data block, else 0.
        offset: byte, or number of a timer or counter.
        width: the letter of X (bit), B, W or D, if the address has one.
        bit: bit of the byte.
        kind: the type it names.
        length: characters of a text.
        count: values in a row.
    """

    area: S7Area
    db: int = 0
    offset: int
    width: str | None = None
    bit: int | None = None
    kind: S7Type | None = None
    length: int | None = None
    count: int | None = None


def surely_s7(text: str) -> bool:
    """Tell whether a text can only be meant as an S7 address, right or wrong."""
    return _SURE.match(text.strip()) is not None


def read_notation(text: str) -> S7Notation:
    """Take an address apart.

    Raises:
        AddressError: it is none; the text names the right form.
        DataTypeError: it names a type that S7 does not have.
    """
    rest = text.strip().upper().removeprefix("%")
    for pattern, read in _FORMS_READ:
        matched = pattern.match(rest)
        if matched is not None:
            found = read(matched)
            return _with_suffixes(found, rest[matched.end() :], text)
    raise AddressError(f"cannot read address {text!r:.60}; {_suggestion(text.strip())}")


def _suggestion(text: str) -> str:
    if text.replace("x", "").isdecimal():
        return f"a bare number is an address of Modbus; S7 ones name memory and type: {FORMS}"
    if re.match(r"P[IQ]", text, re.IGNORECASE):
        return "the periphery cannot be read past the process image; use I and Q, such as 'IW256'"
    if re.match(r'"|[A-Za-z_]\w*\.\w', text):
        return (
            "names of variables need optimized access, which classic S7 communication does not have: switch 'optimized "
            f"block access' off for the block and give the offset; known forms are {FORMS}"
        )
    return f"known forms are {FORMS}"


def _read_db(matched: re.Match[str]) -> dict[str, object]:
    return {"area": S7Area.DB, "width": matched["width"], **_numbers(matched, "db", "offset", "bit")}


def _read_db_short(matched: re.Match[str]) -> dict[str, object]:
    return {"area": S7Area.DB, **_numbers(matched, "db", "offset", "bit")}


def _read_db_node(matched: re.Match[str]) -> dict[str, object]:
    found = {"area": S7Area.DB, **_numbers(matched, "db", "offset")}
    if matched["code"] == "X":
        return {**found, "width": "X", **_trailing("X", matched)}
    return {**found, **_node(matched)}


def _read_area(matched: re.Match[str]) -> dict[str, object]:
    found = {"area": _AREAS[matched["area"]], **_numbers(matched, "offset")}
    code = matched["code"]
    if not code:
        return {**found, **_trailing("X", matched)}
    if code in _WIDTHS:
        return {**found, "width": code, **_trailing(code, matched)}
    return {**found, **_node(matched)}


def _read_numbered(matched: re.Match[str]) -> dict[str, object]:
    return {"area": _AREAS[matched["area"]], **_numbers(matched, "offset")}


_FORMS_READ = (
    (_DB, _read_db),
    (_DB_SHORT, _read_db_short),
    (_DB_NODE, _read_db_node),
    (_NUMBERED, _read_numbered),
    (_AREA, _read_area),
)


def _numbers(matched: re.Match[str], *names: str) -> dict[str, object]:
    return {name: int(matched[name]) for name in names if matched[name] is not None}


def _node(matched: re.Match[str]) -> dict[str, object]:
    kind = _NODE_CODES.get(matched["code"]) or type_named(matched["code"])
    return {"kind": kind, **_trailing(kind, matched)}


def _trailing(kind: str, matched: re.Match[str]) -> dict[str, object]:
    """What the numbers after the offset mean: bit or length first, then how many."""
    numbers = [int(number) for number in matched["more"].split(".") if number]
    names = ["count"]
    if kind in {"X", S7Type.BOOL}:
        names = ["bit", "count"]
    elif kind in S7Type.__members__ and S7Type(kind).has_length:
        names = ["length", "count"]
    if len(numbers) > len(names):
        raise AddressError(f"cannot read {matched[0]!r}: after the offset comes the {' and the '.join(names)}")
    return dict(zip(names, numbers, strict=False))


def _with_suffixes(found: dict[str, object], rest: str, text: str) -> S7Notation:
    while rest:
        suffix = _SUFFIX.match(rest)
        if suffix is None:
            raise AddressError(
                f"cannot read {rest!r:.40} at the end of address {text!r:.60}; known are :REAL (type), "
                ":STRING(20) (length) and [10] (array)"
            )
        said: dict[str, object] = _numbers(suffix, "length", "count")
        if suffix["type"] is not None:
            said["kind"] = type_named(suffix["type"])
        elif found.get("kind") in {S7Type.STRING, S7Type.WSTRING} and found.get("length") is None:
            # STRING[20] is how TIA Portal declares 20 characters; an array of texts is STRING(20)[3].
            said["length"] = said.pop("count")
        for name, value in said.items():
            if found.get(name) is not None:
                raise AddressError(f"address {text!r:.60} names the {'type' if name == 'kind' else name} twice")
            found[name] = value
        rest = rest[suffix.end() :]
    return msgspec.convert(found, S7Notation)
