"""The services on tags: read, write, their fragmented forms, and read-modify-write.

In: a place, the request's data. Out: the answer's data, memory changed.
Not here: paths (`symbols`), dispatch (`router`).

Obeys: 1756-PM020, "CIP services and user-created tags": services 0x4C, 0x4D, 0x4E, 0x52, 0x53 and their statuses.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from bifrost.errors import CIPFault
from bifrost.plc.sim.cip.replies import Reply
from bifrost.plc.sim.cip.store import Access, TagStore, WriteRecord
from bifrost.plc.sim.cip.symbols import Place
from bifrost.plc.sim.cip.types import BOOL, DWORD, SHORT_STRING, Structure

__all__ = ["TagService", "serve_tag"]

_STRUCTURE_TYPE = b"\xa0\x02"
_PARTIAL = 0x06
_OFFSET_BEYOND = 0x2104
_END_BEYOND = 0x2105
_TYPE_MISMATCH = 0x2107


class TagService(IntEnum):
    """Services that a tag's path takes."""

    READ = 0x4C
    WRITE = 0x4D
    MODIFY = 0x4E
    READ_FRAGMENT = 0x52
    WRITE_FRAGMENT = 0x53


def serve_tag(store: TagStore, service: int, place: Place, data: bytes, room: int) -> Reply:
    """Act on a tag.

    Args:
        store: where it lives.
        service: one of `TagService`.
        place: where the path points.
        data: the request's data.
        room: bytes that the answer's data may have.

    Raises:
        CIPFault: any status that a controller answers.
    """
    if place.symbol.access == Access.NONE:
        raise CIPFault(f"{place.path} is not open to clients", code=0x0F)
    if service in (TagService.READ, TagService.READ_FRAGMENT):
        return _read(store, service, place, data, room)
    if place.symbol.access != Access.READ_WRITE:
        raise CIPFault(f"{place.path} is read-only", code=0x0F)
    if service == TagService.MODIFY:
        return _modify(store, place, data)
    return _write(store, service, place, data)


def _read(store: TagStore, service: int, place: Place, data: bytes, room: int) -> Reply:
    fragment = service == TagService.READ_FRAGMENT
    _check_length(data, 6 if fragment else 2)
    elements = int.from_bytes(data[:2], "little")
    _check_elements(place, elements)
    store.refresh(place.symbol)
    store.read_count += 1
    start = int.from_bytes(data[2:6], "little") if fragment else 0
    head, whole = _type_of(place), _content(place, elements)
    if start and start >= len(whole):
        raise CIPFault(f"{place.path} ends before byte {start}", code=0xFF, extended=_OFFSET_BEYOND)
    rest = whole[start:]
    space = room - len(head)
    if len(rest) <= space:
        return Reply(head + rest)
    # A part ends where an element does; of a structure, at a multiple of 4.
    step = 4 if isinstance(place.type, Structure) else max(place.type.size, 1) if place.type is not SHORT_STRING else 1
    fits = max(space, 0) // step * step
    if not fits:
        raise CIPFault("not even one element fits the answer", code=0x11)
    return Reply(head + rest[:fits], status=_PARTIAL)


def _write(store: TagStore, service: int, place: Place, data: bytes) -> Reply:
    fragment = service == TagService.WRITE_FRAGMENT
    head = _type_of(place)
    _check_length(data, len(head) + (6 if fragment else 2))
    if data[: len(head)] != head:
        text = f"{place.path} is of type {head.hex()}, the request says {data[: len(head)].hex()}"
        raise CIPFault(text, code=0xFF, extended=_TYPE_MISMATCH)
    rest = data[len(head) :]
    elements = int.from_bytes(rest[:2], "little")
    _check_elements(place, elements)
    start = int.from_bytes(rest[2:6], "little") if fragment else 0
    content = rest[6:] if fragment else rest[2:]
    if place.type is SHORT_STRING:
        content = _short_strings(content, elements)
    total = elements * place.type.size
    if fragment and start + len(content) > total:
        code = _OFFSET_BEYOND if start >= total else _END_BEYOND
        raise CIPFault(f"{place.path} ends before byte {start + len(content)}", code=0xFF, extended=code)
    if not fragment:
        _check_length(content, total)
        content = content[:total]
    _store(place, start, content)
    store.wrote(WriteRecord(place.path, service, start, content))
    return Reply()


def _modify(store: TagStore, place: Place, data: bytes) -> Reply:
    _check_length(data, 2)
    size = int.from_bytes(data[:2], "little")
    if isinstance(place.type, Structure) or place.type.format in ("?", "f", "d", ""):
        raise CIPFault(f"{place.path} has no bits", code=0xFF, extended=_TYPE_MISMATCH)
    if not 1 <= size <= place.type.size:
        raise CIPFault(f"masks of {size} bytes for {place.type.size}", code=0x03)
    _check_length(data, 2 + 2 * size)
    setting = int.from_bytes(data[2 : 2 + size], "little")
    keeping = int.from_bytes(data[2 + size : 2 + 2 * size], "little")
    memory = place.symbol.data
    before = int.from_bytes(memory[place.offset : place.offset + size], "little")
    after = ((before | setting) & keeping).to_bytes(size, "little")
    memory[place.offset : place.offset + size] = after
    store.wrote(WriteRecord(place.path, TagService.MODIFY, 0, after))
    return Reply()


def _type_of(place: Place) -> bytes:
    if isinstance(place.type, Structure):
        return _STRUCTURE_TYPE + struct.pack("<H", place.type.handle)
    return struct.pack("<H", place.type.code)


def _content(place: Place, elements: int) -> bytes:
    memory, size = place.symbol.data, place.type.size
    if place.bit is not None:
        return bytes([memory[place.offset] >> place.bit & 1])
    if place.type is SHORT_STRING:
        starts = range(place.offset, place.offset + elements * size, size)
        return b"".join(bytes(memory[at : at + 1 + min(memory[at], size - 1)]) for at in starts)
    return bytes(memory[place.offset : place.offset + elements * size])


def _store(place: Place, start: int, content: bytes) -> None:
    memory, at = place.symbol.data, place.offset + start
    if place.bit is not None:
        memory[at] = memory[at] & ~(1 << place.bit) | (content[0] != 0) << place.bit
        return
    if place.type is BOOL:
        content = bytes(one != 0 for one in content)
    memory[at : at + len(content)] = content


def _short_strings(content: bytes, elements: int) -> bytes:
    whole, at, room = bytearray(), 0, SHORT_STRING.size - 1
    for _ in range(elements):
        if at >= len(content) or at + 1 + content[at] > len(content):
            raise CIPFault("a string is cut off", code=0x13)
        length = content[at]
        if length > room:
            raise CIPFault(f"a string of {length} characters, {room} fit", code=0x15)
        whole += bytes([length]) + content[at + 1 : at + 1 + length].ljust(room, b"\0")
        at += 1 + length
    return bytes(whole)


def _check_elements(place: Place, elements: int) -> None:
    # A DWORD stands for a BOOL array's 32 elements, on the wire too.
    if not 1 <= elements <= place.count:
        text = f"{elements} elements from {place.path} on, {place.count} are there ({DWORD.name} counts 32 BOOLs)"
        raise CIPFault(text, code=0xFF, extended=_END_BEYOND)


def _check_length(data: bytes, expected: int) -> None:
    # Surplus bytes are ignored, as by controllers: a widespread client sends single writes twice in one message, and
    # always 8 bytes of the second mask.
    if len(data) < expected:
        raise CIPFault(f"at least {expected} bytes expected, {len(data)} came", code=0x13)
