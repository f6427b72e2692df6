"""What somebody may have meant with an address that is none here: the forms of other products.

In: the text that was not understood. Out: the right form, or None. Pure.
"""

from __future__ import annotations

import re

__all__ = ["hint_for", "two_meanings"]

_IGNITION_TYPES = {
    "F": "FLOAT32",
    "D": "FLOAT64",
    "I": "INT32",
    "UI": "UINT32",
    "I_64": "INT64",
    "UI_64": "UINT64",
    "US": "UINT16",
    "BCD": "BCD16",
    "BCD_32": "BCD32",
}
_IGNITION = re.compile(r"(HR|IR)(UI_64|I_64|UI|US|BCD_32|BCD|F|D|I)(\d{1,6})", re.IGNORECASE)
_DOT_UNIT = re.compile(r"(\d{1,3})\.((?:HR|IR|DI|C)_?\d{1,6}.*)", re.IGNORECASE)
_SEPARATED = re.compile(r"(HR|IR|DI|C)[\s:#-]+(\d{1,6})(.*)", re.IGNORECASE)
_SHORT_X = re.compile(r"([0134])x(\d{1,3}|\d{7,9})(?!\w)", re.IGNORECASE)
_NEURON = re.compile(r"(?:\d{1,3}!)?\d{5,6}(?:\.\d+)?#(BB|LB|BL|LL|B|L)\b.*", re.IGNORECASE)
_S7 = re.compile(r"%?(?:DB\d+[.,:]|[MIQEA][BWD]\d).*", re.IGNORECASE)
_WHOLE = (
    (_NEURON, "a byte order is written as an option, such as '40001:FLOAT32{order=CDAB}'"),
    (_S7, "that is an address of an S7 (protocol 's7'); a Modbus device has numbers, such as 'HR1'"),
)
_PREFIXES = {"0": "C", "1": "DI", "3": "IR", "4": "HR"}


def hint_for(address: str) -> str | None:
    """Name the right form of an address that is written as elsewhere; None if it is not like any that is known."""
    text = address.strip()
    if matched := _DOT_UNIT.fullmatch(text):
        return f"a unit is written {matched[1]}!{matched[2]}"
    if matched := _IGNITION.match(text):
        datatype = _IGNITION_TYPES[matched[2].upper()]
        return f"a type is written behind the number: '{matched[1].upper()}{matched[3]}:{datatype}'"
    if matched := _SEPARATED.match(text):
        return f"write '{matched[1].upper()}{matched[2]}{matched[3]}'"
    if matched := _SHORT_X.match(text):
        number = matched[2]
        right = f"'{matched[1]}x{int(number):05d}' or '{_PREFIXES[matched[1]]}{int(number)}'"
        return f"behind the x stand 4 to 6 digits: {right}"
    return next((hint for form, hint in _WHOLE if form.fullmatch(text)), None)


def two_meanings(digits: str) -> str:
    """Say what the short numbers may mean in which some products write an address, such as 41, 401 and 4001."""
    number, prefix = int(digits), _PREFIXES.get(digits[0])
    own = f"'HR{number}' or {40000 + number}"
    if prefix is None or len(digits) < 2 or not (rest := int(digits[1:])):
        return f"{number} alone is coil {number}, a BOOL; for a register write {own}"
    far = f"{digits[0]}{rest:04d}"
    return (
        f"{number} alone is coil {number}, a BOOL; if {digits[0]} names the area, write '{prefix}{rest}' or {far}; "
        f"if it is a register's number, write {own}"
    )
