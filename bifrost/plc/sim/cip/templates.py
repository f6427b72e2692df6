"""Templates: how members lie in a structure, and how a controller describes that to a client.

In: names and declarations of members. Out: a `Structure`, its attributes and its definition in the wire's form.
Not here: values (`types`), which service was asked for (`router`).

Obeys: 1756-PM020, "template object" (class 0x6C): attributes, Read Template, member information.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence

from bifrost.errors import DataTypeError
from bifrost.plc.sim.cip.types import BOOL, DWORD, SINT, DataType, Elementary, Member, Structure, parse_declaration

__all__ = ["STRING_82", "definition_of", "definition_words", "lay_out", "string_structure", "type_code", "wire_members"]

_STRING_ID = 0xFCE
_ARRAY = 0x2000
_STRUCTURE = 0x8000
_DINT = Elementary("DINT", 0xC4, "i", 4)
_PREDEFINED = "ASCIISTRING82"


def lay_out(
    name: str, members: Mapping[str, str], template_id: int, find: Callable[[str], DataType | None]
) -> Structure:
    """Place members as Studio 5000 does.

    Each begins at a multiple of its own size, arrays and structures at a multiple of 4 (8 with 64-bit members);
    neighbouring BOOLs share a hidden SINT, eight to a byte; BOOL arrays are DWORDs; the end is padded.

    Args:
        name: of the structure.
        members: declaration for each member, in order.
        template_id: instance of the template object.
        find: gives the type for a name, None if there is none.

    Raises:
        DataTypeError: no member, an unknown type, two dimensions, or a BOOL array that is no multiple of 32.
    """
    if not members:
        raise DataTypeError(f"expected at least one member of {name}, got none")
    placed: list[Member] = []
    end, alignment, host, used = 0, 4, -1, 8
    for member, text in members.items():
        declared = parse_declaration(text)
        kind = find(declared.name)
        if kind is None:
            raise DataTypeError(f"{name}.{member}: no type {declared.name!r}: define it first")
        if len(declared.dimensions) > 1:
            raise DataTypeError(f"{name}.{member}: members have one dimension at most, got {text!r}")
        count = declared.dimensions[0] if declared.dimensions else 0
        if kind is BOOL and not count:
            if used == 8:
                host, used = end, 0
                hidden = sum(one.hidden for one in placed)
                placed.append(Member(f"ZZZZZZZZZZ{name[:20]}{hidden}", SINT, 0, host, hidden=True))
                end += 1
            placed.append(Member(member, BOOL, 0, host, bit=used))
            used += 1
            continue
        used = 8
        if kind is BOOL:
            kind, count = DWORD, _dwords(f"{name}.{member}", count)
        step = kind.alignment if isinstance(kind, Structure) else max(kind.size, 4 if count else 1)
        alignment = max(alignment, step)
        start = _padded(end, step)
        placed.append(Member(member, kind, count, start))
        end = start + kind.size * max(count, 1)
    size = _padded(end, alignment)
    return Structure(name, template_id, _handle(name, placed), size, alignment, tuple(placed))


def string_structure(name: str, length: int, template_id: int, handle: int | None = None) -> Structure:
    """Make a string type: a DINT `LEN` and `length` characters `DATA`, padded to a multiple of 4.

    Raises:
        DataTypeError: `length` is outside 1..65535.
    """
    if not 1 <= length <= 0xFFFF:
        raise DataTypeError(f"{name}: expected 1 to 65535 characters, got {length}")
    members = (Member("LEN", _DINT, 0, 0), Member("DATA", SINT, length, 4))
    chosen = _handle(name, members) if handle is None else handle
    return Structure(name, template_id, chosen, _padded(4 + length, 4), 4, members, text_length=length)


def type_code(kind: DataType, *, array: int = 0) -> int:
    """Return the 16-bit type of a symbol or member: `array` dimensions, structure flag, type code or template."""
    base = _STRUCTURE | kind.template_id if isinstance(kind, Structure) else kind.code
    return base | array * _ARRAY


def definition_of(kind: Structure) -> bytes:
    """Return what Read Template gives: 8 bytes for each member, the structure's name, the members' names."""
    info = b"".join(
        (member.count if member.bit is None else member.bit).to_bytes(2, "little")
        + type_code(member.type, array=1 if member.count else 0).to_bytes(2, "little")
        + member.offset.to_bytes(4, "little")
        for member in kind.members
    )
    if kind is STRING_82:
        head = _PREDEFINED.encode()
    else:
        # After the name: "n", then two letters for each member, the second of which tells hidden ones.
        head = kind.name.encode() + b";n" + b"".join(b"ED" if one.hidden else b"EB" for one in kind.members)
    names = b"".join(member.name.encode() + b"\0" for member in kind.members)
    whole = info + head + b"\0" + names
    # Clients ask for 20 to 23 bytes less than the words of attribute 4, whichever book they read.
    return whole.ljust(definition_words(len(whole)) * 4 - 20, b"\0")


def definition_words(length: int) -> int:
    """Return the definition's size as attribute 4 tells it: 32-bit words, 23 bytes of overhead included."""
    return -(-(length + 23) // 4)


def wire_members(kind: Structure) -> Mapping[int, bytes]:
    """Return the template's attributes by number: handle, member count, (undocumented), definition and data size."""
    words = (len(definition_of(kind)) + 20) // 4
    return {
        1: kind.handle.to_bytes(2, "little"),
        2: len(kind.members).to_bytes(2, "little"),
        3: bytes(2),
        4: words.to_bytes(4, "little"),
        5: kind.size.to_bytes(4, "little"),
    }


def _dwords(where: str, bits: int) -> int:
    if bits % 32:
        raise DataTypeError(f"{where}: a BOOL array holds a multiple of 32, got {bits}")
    return bits // 32


def _padded(end: int, step: int) -> int:
    return -(-end // step) * step


def _handle(name: str, members: Iterable[Member] | Sequence[Member]) -> int:
    text = name + "".join(f"{one.type.name}{one.count}{one.offset}{one.bit}" for one in members)
    handle = binascii.crc_hqx(text.encode(), 0)
    return handle if handle not in (0, _STRING_ID) else 1


STRING_82 = string_structure("STRING", 82, _STRING_ID, _STRING_ID)
"""The predefined STRING of 82 characters; clients know its handle by heart."""
