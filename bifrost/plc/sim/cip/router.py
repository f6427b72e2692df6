"""The message router of a simulated controller: one request in, one answer out, whatever the request.

Not here: sessions and connections (`session`, `connection_manager`), what tags do (`services`).

Obeys: CIP volume 1, section 2-4 and appendix A; 1756-PM020 for the objects 0x6B, 0x6C and service 0x55.
"""

from __future__ import annotations

import dataclasses
import struct
from collections import Counter
from collections.abc import Mapping

from bifrost.core.clock import Clock, SystemClock
from bifrost.errors import CIPFault
from bifrost.plc.sim.cip.identity import Identity, Keyswitch
from bifrost.plc.sim.cip.paths import Logical, LogicalKind, Segment
from bifrost.plc.sim.cip.replies import Reply, Request
from bifrost.plc.sim.cip.services import TagService, serve_tag
from bifrost.plc.sim.cip.store import TagStore
from bifrost.plc.sim.cip.symbols import SYMBOL_CLASS, find_place, split_scope, symbol_entry
from bifrost.plc.sim.cip.templates import definition_of, wire_members

__all__ = ["MessageRouter", "Tampering"]

_ROUTER_CLASS = 0x02
_TEMPLATE_CLASS = 0x6C
_PROGRAM_NAME_CLASS = 0x64
_CLOCK_CLASS = 0x8B
_MULTIPLE_SERVICE = 0x0A
_LIST_SYMBOLS = 0x55
_PARTIAL = 0x06
_TOO_LARGE = 0x11
_EMBEDDED_ERROR = 0x1E
_WRITES = frozenset({TagService.WRITE, TagService.MODIFY, TagService.WRITE_FRAGMENT})
_MAX_EMBEDDED = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Tampering:
    """What an injected fault does to services.

    Attributes:
        refusal: the answer instead of acting.
        embedded: of a multiple service, which one is refused; None refuses the whole request.
        room: bytes of data that an answer may have, if less than the connection allows.
    """

    refusal: Reply | None = None
    embedded: int | None = None
    room: int | None = None


_UNTOUCHED = Tampering()


class MessageRouter:
    """The objects of one controller.

    Args:
        store: its tags.
        identity: who it says it is.
        name: of the project in it.
        clock: its wall clock.

    Attributes:
        keyswitch: the mode that the identity object tells.
        locked: writes are refused with 0x10 and 0x2802, as with a safety signature.
        services: how often each service was asked for, inside multiple services and when refused as well.
    """

    def __init__(self, store: TagStore, identity: Identity, *, name: str, clock: Clock | None = None) -> None:
        self.store = store
        self.identity = identity
        self.keyswitch = Keyswitch.REMOTE_RUN
        self.locked = False
        self.services: Counter[int] = Counter()
        self._name = name.encode("iso-8859-1", errors="replace")
        self._clock = SystemClock() if clock is None else clock
        self._clock_offset_us = 0

    def handle(self, message: bytes, room: int, tampering: Tampering = _UNTOUCHED) -> bytes:
        """Answer a request; never raises.

        Args:
            message: service, path and data.
            room: bytes that the whole answer may have.
            tampering: what an injected fault asks for.
        """
        service = message[0] if message else 0
        self.services[service] += 1
        if tampering.refusal is not None and (tampering.embedded is None or service != _MULTIPLE_SERVICE):
            return tampering.refusal.encode(service)
        limit = room - 4 if tampering.room is None else min(room - 4, tampering.room)
        try:
            request = Request.decode(message)
            if request.service == _MULTIPLE_SERVICE and _class_of(request.path) == _ROUTER_CLASS:
                reply = self._multiple(request, room - 4, tampering)
            else:
                reply = self._dispatch(request, limit)
        except CIPFault as fault:
            reply = Reply.refusing(fault)
        answer = reply.encode(service)
        return answer if len(answer) <= max(room, 4) else Reply(status=_TOO_LARGE).encode(service)

    def _dispatch(self, request: Request, room: int) -> Reply:
        scope, rest = split_scope(request.path)
        number = _class_of(rest)
        if number is None or (number == SYMBOL_CLASS and request.service != _LIST_SYMBOLS):
            return self._tag(request, number, room)
        instance = _value_of(rest, LogicalKind.INSTANCE) or 0
        attribute = _value_of(rest, LogicalKind.ATTRIBUTE)
        match number:
            case 0x6B:
                return self._list(scope, instance, request.data, room)
            case 0x01:
                return self.identity.serve(request, instance, attribute, self.keyswitch)
            case 0x6C:
                return self._template(request, instance, room)
            case 0x64 if not self.store.micro800:
                return self._program_name(request)
            case 0x8B:
                return self._wall_clock(request)
        raise CIPFault(f"no object of class 0x{number:02x}", code=0x05, extended=0)

    def _tag(self, request: Request, number: int | None, room: int) -> Reply:
        if number is not None and self.store.micro800:
            raise CIPFault("a Micro800 knows no instance ids", code=0x05, extended=0)
        place = find_place(self.store, request.path)
        try:
            service = TagService(request.service)
        except ValueError as exc:
            raise CIPFault(f"tags have no service 0x{request.service:02x}", code=0x08) from exc
        if self.locked and service in _WRITES:
            raise CIPFault("the controller is locked", code=0x10, extended=0x2802)
        return serve_tag(self.store, service, place, request.data, room)

    def _multiple(self, request: Request, room: int, tampering: Tampering) -> Reply:
        if self.store.micro800:
            raise CIPFault("a Micro800 has no multiple services", code=0x08)
        messages = _embedded(request.data)
        answers: list[bytes] = []
        left = room - 2 - 2 * len(messages)
        if left < 4 * len(messages):
            raise CIPFault("the answers cannot fit", code=_TOO_LARGE)
        for at, message in enumerate(messages):
            touched = tampering if at == tampering.embedded else dataclasses.replace(tampering, refusal=None)
            if message[:1] == b"\x0a":
                answer = Reply(status=0x08).encode(_MULTIPLE_SERVICE)
            else:
                # Every answer that is still to come needs its 4 bytes at least.
                answer = self.handle(message, left - 4 * (len(messages) - at - 1), touched)
            answers.append(answer)
            left -= len(answer)
        starts, start = b"", 2 + 2 * len(answers)
        for answer in answers:
            starts += struct.pack("<H", start)
            start += len(answer)
        failed = any(answer[2] not in (0, _PARTIAL) for answer in answers)
        data = struct.pack("<H", len(answers)) + starts + b"".join(answers)
        return Reply(data, status=_EMBEDDED_ERROR if failed else 0)

    def _list(self, scope: str, instance: int, data: bytes, room: int) -> Reply:
        symbols = self.store.symbols(scope)
        if symbols is None:
            raise CIPFault(f"no program {scope!r}", code=0x05, extended=0)
        attributes = _words(data)
        listed = b""
        for symbol in symbols:
            if symbol.instance < instance:
                continue
            entry = symbol_entry(symbol, attributes)
            if len(listed) + len(entry) > room:
                if not listed:
                    raise CIPFault("not even one symbol fits the answer", code=_TOO_LARGE)
                return Reply(listed, status=_PARTIAL)
            listed += entry
        return Reply(listed)

    def _template(self, request: Request, instance: int, room: int) -> Reply:
        structure = self.store.types.template(instance)
        if structure is None or self.store.micro800:
            raise CIPFault(f"no template {instance}", code=0x05, extended=0)
        if request.service == 0x03:
            return _attribute_list(request.data, wire_members(structure))
        if request.service != TagService.READ:
            raise CIPFault(f"templates have no service 0x{request.service:02x}", code=0x08)
        if len(request.data) < 6:
            raise CIPFault("offset and length expected", code=0x13)
        offset, length = struct.unpack_from("<IH", request.data)
        whole = definition_of(structure)
        if offset > len(whole):
            raise CIPFault(f"the definition ends before byte {offset}", code=0xFF, extended=0x2105)
        part = whole[offset : offset + length]
        if len(part) > room:
            return Reply(part[: room // 4 * 4], status=_PARTIAL)
        return Reply(part)

    def _program_name(self, request: Request) -> Reply:
        if request.service != 0x01:
            raise CIPFault(f"the program name has no service 0x{request.service:02x}", code=0x08)
        return Reply(struct.pack("<H", len(self._name)) + self._name)

    def _wall_clock(self, request: Request) -> Reply:
        now = struct.pack("<Q", self._clock.time_ns() // 1000 + self._clock_offset_us)
        if request.service == 0x03:
            return _attribute_list(request.data, {6: now, 10: b"\0", 11: now})
        if request.service != 0x04:
            raise CIPFault(f"the wall clock has no service 0x{request.service:02x}", code=0x08)
        if len(request.data) < 12 or request.data[2:4] != b"\x06\x00":
            raise CIPFault("attribute 6 and 8 bytes of time expected", code=0x13)
        count = int.from_bytes(request.data[:2], "little")
        self._clock_offset_us = int.from_bytes(request.data[4:12], "little") - self._clock.time_ns() // 1000
        done = b"".join(struct.pack("<HH", number, 0) for number in (6, 10)[:count])
        return Reply(struct.pack("<H", min(count, 2)) + done)


def _class_of(path: tuple[Segment, ...] | list[Segment] | object) -> int | None:
    return _value_of(path, LogicalKind.CLASS)


def _value_of(path: object, kind: int) -> int | None:
    assert isinstance(path, tuple | list)
    return next((one.value for one in path[:3] if isinstance(one, Logical) and one.kind == kind), None)


def _words(data: bytes) -> list[int]:
    count = int.from_bytes(data[:2], "little")
    if len(data) < 2 + 2 * count:
        raise CIPFault(f"{count} attributes announced, {len(data) // 2 - 1} came", code=0x13)
    return [int.from_bytes(data[at : at + 2], "little") for at in range(2, 2 + 2 * count, 2)]


def _attribute_list(data: bytes, known: Mapping[int, bytes]) -> Reply:
    asked = _words(data)
    parts, failed = b"", False
    for number in asked:
        value = known.get(number)
        failed |= value is None
        parts += struct.pack("<HH", number, 0x14) if value is None else struct.pack("<HH", number, 0) + value
    return Reply(struct.pack("<H", len(asked)) + parts, status=0x0A if failed else 0)


def _embedded(data: bytes) -> list[bytes]:
    starts = _words(data)
    if not starts or len(starts) > _MAX_EMBEDDED:
        raise CIPFault(f"{len(starts)} services in one", code=0x13)
    ends = [*starts[1:], len(data)]
    if starts[0] < 2 + 2 * len(starts) or any(start >= end for start, end in zip(starts, ends, strict=True)):
        raise CIPFault("the offsets of the services are wrong", code=0x13)
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]
