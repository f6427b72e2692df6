"""The message router byte for byte: services, statuses, and no request that breaks it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.plc.sim.cip import LOGIX, Access, Keyswitch, TagStore, WriteRecord
from bifrost.plc.sim.cip.replies import Reply
from bifrost.plc.sim.cip.router import MessageRouter, Tampering

ROOM = 500


def store() -> TagStore:
    made = TagStore()
    made.define("Axis", {"Position": "REAL", "Homed": "BOOL", "Counts": "DINT[3]"})
    made.add("Speed", "REAL", 1.5)
    made.add("Arr", "DINT[10]", list(range(10)))
    made.add("Grid", "INT[2,3]", [[1, 2, 3], [4, 5, 6]])
    made.add("Bits", "BOOL[64]")
    made.add("On", "BOOL", True)
    made.add("Text", "STRING", "hello")
    made.add("Axes", "Axis[2]", [{"Homed": True}, {"Position": 2.0, "Counts": [7, 8, 9]}])
    made.add("Fixed", "DINT", 5, access=Access.READ_ONLY)
    made.add("Secret", "DINT", 5, access=Access.NONE)
    made.add("Level", "REAL", 7.0, program="Main")
    return made


def router(tags: TagStore | None = None) -> MessageRouter:
    return MessageRouter(store() if tags is None else tags, LOGIX, name="Test")


def symbol(name: str) -> bytes:
    return bytes([0x91, len(name)]) + name.encode() + bytes(len(name) % 2)


def request(service: int, path: bytes, data: bytes = b"") -> bytes:
    return bytes([service, len(path) // 2]) + path + data


def read(name: str, extra: bytes = b"", count: int = 1) -> bytes:
    return request(0x4C, b"".join(map(symbol, name.split("."))) + extra, struct.pack("<H", count))


REAL_ONE_AND_A_HALF = "cc000000ca000000c03f"


@pytest.mark.parametrize(
    ("wire", "answer"),
    [
        (read("Speed"), REAL_ONE_AND_A_HALF),
        (read("sPEED"), REAL_ONE_AND_A_HALF),
        (request(0x4C, b"\x20\x6b\x24\x01", b"\x01\0"), REAL_ONE_AND_A_HALF),
        (read("Arr", b"\x28\x08", 2), "cc000000c4000800000009000000"),
        (read("Arr", b"\x29\0\x09\0"), "cc000000c40009000000"),
        (read("Arr", b"\x2a\0\x09\0\0\0"), "cc000000c40009000000"),
        (read("Grid", b"\x28\x01\x28\x02"), "cc000000c3000600"),
        (read("On"), "cc000000c10001"),
        (read("Program:Main.Level"), "cc000000ca000000e040"),
        (request(0x4C, symbol("Axes") + b"\x28\x00" + symbol("Homed"), b"\x01\0"), "cc000000c10001"),
        (
            request(0x4C, symbol("Axes") + b"\x28\x01" + symbol("Counts") + b"\x28\x02", b"\x01\0"),
            "cc000000c40009000000",
        ),
        # From here on: what is refused, and how.
        (read("Nope"), "cc0004010000"),
        (read("Program:Main.Nope"), "cc0004010000"),
        (read("Program:Nope.Level"), "cc0004010000"),
        (read("Speed.Nope"), "cc0004010000"),
        (read("Axes.Homed"), "cc0004010000"),
        (request(0x4C, b"\x20\x6b\x24\x63", b"\x01\0"), "cc0005010000"),
        (read("Arr", b"\x28\x0a"), "cc00ff010521"),
        (read("Arr", b"\x28\x00\x28\x00"), "cc0004010000"),
        (read("Arr", b"\x28\x08", 3), "cc00ff010521"),
        (read("Speed", count=0), "cc00ff010521"),
        (request(0x4C, symbol("Speed")), "cc001300"),
        (request(0x4C, symbol("Speed"), b"\x01"), "cc001300"),
        (b"\x4c\x09\x91", "cc002600"),
        (b"\x4c", "cc001300"),
        (request(0x4C, b"\xe0\x00", b"\x01\0"), "cc0004010000"),
        (request(0x52, symbol("Arr"), b"\x0a\0\x28\0\0\0"), "d200ff010421"),
        (request(0x77, symbol("Speed")), "f7000800"),
        (request(0x01, b"\x20\x77\x24\x01"), "810005010000"),
        (read("Secret"), "cc000f00"),
        (request(0x0E, b"\x20\x01\x24\x01\x30\x09"), "8e001400"),
        (request(0x0E, b"\x20\x01\x24\x01\x30\x05"), "8e0000006030"),
        (request(0x05, b"\x20\x01\x24\x01"), "85000800"),
        (request(0x01, b"\x20\x01\x24\x02"), "810005010000"),
        (request(0x01, b"\x20\x64\x24\x01"), "810000000400" + b"Test".hex()),
    ],
)
def test_each_read_has_its_answer(wire: bytes, answer: str) -> None:
    """Service with the reply bit, a zero, general status, words of extended status, data."""
    assert router().handle(wire, ROOM).hex() == answer


@pytest.mark.parametrize(
    ("service", "path", "data", "answer"),
    [
        (0x4D, symbol("Speed"), "ca00010000002041", "cd000000"),
        (0x4D, symbol("Speed"), "ca00010000002041ffff", "cd000000"),
        (0x4D, symbol("Speed"), "c400010000002041", "cd00ff010721"),
        (0x4D, symbol("Speed"), "ca000100000020", "cd001300"),
        (0x4D, symbol("Speed"), "ca00", "cd001300"),
        (0x4D, symbol("Speed"), "ca0002000000204100002041", "cd00ff010521"),
        (0x4D, symbol("Text"), "a00200000100" + "00" * 88, "cd00ff010721"),
        (0x4D, symbol("Fixed"), "c400010001000000", "cd000f00"),
        (0x53, symbol("Arr"), "c4000a00240000000100000002000000", "d300ff010521"),
        (0x53, symbol("Arr"), "c4000a002800000001000000", "d300ff010421"),
        (0x4E, symbol("Speed"), "040001000000ffffffff", "ce00ff010721"),
        (0x4E, symbol("Arr"), "0800" + "00" * 16, "ce000300"),
        (0x4E, symbol("Arr"), "040001000000ffffff", "ce001300"),
        (0x4E, symbol("Fixed"), "040001000000ffffffff", "ce000f00"),
    ],
)
def test_each_write_has_its_answer_and_only_success_changes_anything(
    service: int, path: bytes, data: str, answer: str
) -> None:
    """A refused write leaves no trace in memory or in the log."""
    tags = store()
    before = {one.full_name: bytes(one.data) for one in tags.symbols("") or []}
    assert router(tags).handle(request(service, path, bytes.fromhex(data)), ROOM).hex() == answer
    changed = {one.full_name for one in tags.symbols("") or [] if bytes(one.data) != before[one.full_name]}
    succeeded = answer.endswith("0000")
    assert bool(changed) == succeeded
    assert tags.write_count == len(tags.writes) == succeeded


def test_writes_are_logged_as_they_took_effect() -> None:
    """Place, service, offset and bytes; a callback hears of each."""
    tags, heard = store(), list[WriteRecord]()
    tags.on_write = heard.append
    served = router(tags)
    element = symbol("Axes") + b"\x28\x01" + symbol("Position")
    served.handle(request(0x4D, element, bytes.fromhex("ca00010000002041")), ROOM)
    served.handle(request(0x53, symbol("Arr"), bytes.fromhex("c4000a000800000063000000")), ROOM)
    served.handle(request(0x4E, symbol("Arr") + b"\x28\x00", bytes.fromhex("040005000000fdffffff")), ROOM)
    assert heard == list(tags.writes)
    assert heard == [
        WriteRecord("Axes[1].Position", 0x4D, 0, bytes.fromhex("00002041")),
        WriteRecord("Arr", 0x53, 8, bytes.fromhex("63000000")),
        WriteRecord("Arr[0]", 0x4E, 0, bytes.fromhex("05000000")),
    ]
    assert tags.value("Axes[1].Position") == 10.0
    assert tags.value("Arr") == [5, 1, 99, 3, 4, 5, 6, 7, 8, 9]


def test_a_bool_member_is_one_bit_of_its_byte() -> None:
    """Neighbours in the same hidden byte stay as they are."""
    tags = TagStore()
    tags.define("Two", {"A": "BOOL", "B": "BOOL"})
    tags.add("T", "Two", {"A": True})
    served = router(tags)
    assert served.handle(request(0x4D, symbol("T") + symbol("B"), b"\xc1\0\x01\0\xff"), ROOM).hex() == "cd000000"
    assert tags.value("T") == {"A": True, "B": True}
    served.handle(request(0x4D, symbol("T") + symbol("A"), b"\xc1\0\x01\0\x00"), ROOM)
    assert tags.value("T") == {"A": False, "B": True}


@pytest.mark.parametrize("room", [10, 11, 20, 46, 47, 500])
def test_a_large_read_comes_in_parts_that_join(room: int) -> None:
    """Status 0x06 until the last; each part ends with an element."""
    served, whole, start, parts = router(), b"", 0, 0
    while True:
        wire = request(0x52, symbol("Arr"), struct.pack("<HI", 10, start))
        answer = served.handle(wire, room)
        assert len(answer) <= room
        assert answer[4:6] == b"\xc4\0"
        assert len(answer[6:]) % 4 == 0
        whole, start, parts = whole + answer[6:], start + len(answer[6:]), parts + 1
        if answer[2] == 0:
            break
        assert answer[2] == 0x06
    assert struct.unpack("<10i", whole) == tuple(range(10))
    assert parts == -(-40 // ((room - 6) // 4 * 4))


def test_what_cannot_fit_says_so() -> None:
    """Not even one element: 0x11."""
    assert router().handle(read("Arr", count=10), 9).hex() == "cc001100"
    assert router().handle(read("Speed"), 4).hex() == "cc001100"


def test_a_multiple_service_answers_each_and_marks_the_failure() -> None:
    """Offsets from the count on; outer status 0x1E if one failed; nesting is refused."""
    inner = [read("Speed"), read("Nope"), read("On"), request(0x0A, b"\x20\x02\x24\x01")]
    served = router()
    answer = served.handle(multiple(inner), ROOM)
    assert answer[:4].hex() == "8a001e00"
    assert [one.hex() for one in split(answer)] == [REAL_ONE_AND_A_HALF, "cc0004010000", "cc000000c10001", "8a000800"]
    assert served.handle(multiple(inner[:1]), ROOM)[:4].hex() == "8a000000"
    assert served.handle(multiple(inner[:2]), ROOM)[:4].hex() == "8a001e00"


def multiple(inner: list[bytes]) -> bytes:
    starts, start = b"", 2 + 2 * len(inner)
    for one in inner:
        starts, start = starts + struct.pack("<H", start), start + len(one)
    return request(0x0A, b"\x20\x02\x24\x01", struct.pack("<H", len(inner)) + starts + b"".join(inner))


def split(answer: bytes) -> list[bytes]:
    data = answer[4:]
    count = int.from_bytes(data[:2], "little")
    starts = [int.from_bytes(data[2 + 2 * at : 4 + 2 * at], "little") for at in range(count)]
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


@pytest.mark.parametrize("data", ["", "0000", "0100", "01000300", "0200060005004c00", "ffff"])
def test_a_broken_multiple_service_is_refused_whole(data: str) -> None:
    """Offsets that point into the header, backwards or nowhere."""
    assert router().handle(request(0x0A, b"\x20\x02\x24\x01", bytes.fromhex(data)), ROOM).hex() == "8a001300"


def test_a_multiple_service_shares_the_room() -> None:
    """Whatever is asked, the answer fits the connection; what does not fit has its own status."""
    answer = router().handle(multiple([read("Arr", count=10), read("Arr", count=10), read("Speed")]), 80)
    assert len(answer) <= 80
    assert [one[2] for one in split(answer)] == [0, 6, 0x11]


def test_faults_of_services_are_answers_without_acts() -> None:
    """A refusal for the whole, or for one of a multiple service; a smaller room for data."""
    tags = store()
    served, wire = router(tags), request(0x4D, symbol("Speed"), bytes.fromhex("ca00010000002041"))
    refusal = Reply(status=0x10, extended=0x2101)
    assert served.handle(wire, ROOM, Tampering(refusal=refusal)).hex() == "cd0010010121"
    answer = served.handle(multiple([wire, wire, read("On")]), ROOM, Tampering(refusal=refusal, embedded=0))
    assert [one.hex() for one in split(answer)] == ["cd0010010121", "cd000000", "cc000000c10001"]
    assert answer[2] == 0x1E
    assert tags.write_count == 1
    assert served.handle(read("Arr", count=10), ROOM, Tampering(room=12)).hex() == "cc000600c4000000000001000000"


def test_a_locked_controller_refuses_writes_and_serves_reads() -> None:
    """0x10 with 0x2802, as with a safety signature."""
    served = router()
    served.locked = True
    wire = request(0x4D, symbol("Speed"), bytes.fromhex("ca00010000002041"))
    assert served.handle(wire, ROOM).hex() == "cd0010010228"
    assert served.handle(read("Speed"), ROOM)[2] == 0


def test_the_keyswitch_stands_in_the_status_word() -> None:
    """Attribute 5 of the identity."""
    served = router()
    served.keyswitch = Keyswitch.PROGRAM
    assert served.handle(request(0x0E, b"\x20\x01\x24\x01\x30\x05"), ROOM).hex() == "8e0000007020"


@pytest.mark.parametrize("room", [40, 100, 500])
def test_the_tag_list_comes_in_parts_that_join(room: int) -> None:
    """Continued from the last instance and one; the program's tags under its name only."""
    names: list[str] = []
    served, start = router(), 0
    while True:
        path = b"\x20\x6b\x25\0" + struct.pack("<H", start)
        answer = served.handle(request(0x55, path, struct.pack("<HHHH", 3, 1, 2, 8)), room)
        data = answer[4:]
        while data:
            start, length = struct.unpack_from("<IH", data)
            names.append(data[6 : 6 + length].decode())
            data = data[20 + length :]
        start += 1
        if answer[2] == 0:
            break
        assert answer[2] == 0x06
    assert names == ["Speed", "Arr", "Grid", "Bits", "On", "Text", "Axes", "Fixed", "Secret", "Program:Main"]
    path = symbol("Program:Main") + b"\x20\x6b\x24\x00"
    answer = served.handle(request(0x55, path, struct.pack("<HH", 1, 1)), ROOM)
    assert answer[8:] == b"\x05\0Level"
    assert served.handle(request(0x55, symbol("Program:X") + b"\x20\x6b\x24\0", b"\0\0"), ROOM)[2] == 0x05
    assert served.handle(request(0x55, b"\x20\x6b\x24\0", b"\x01\0\x63\0"), ROOM)[2] == 0x0A


@given(st.binary(max_size=120), st.integers(0, 600))
def test_no_request_breaks_the_router_or_overfills_the_answer(wire: bytes, room: int) -> None:
    """Any bytes: an answer to that service that fits."""
    answer = FUZZED.handle(wire, room)
    assert answer[0] == (wire[0] if wire else 0) | 0x80
    assert 4 <= len(answer) <= max(room, 4)


@given(
    st.sampled_from([0x01, 0x03, 0x04, 0x0A, 0x0E, 0x4C, 0x4D, 0x4E, 0x52, 0x53, 0x55]),
    st.sampled_from(
        [
            *map(symbol, ("Speed", "Arr", "Grid", "Bits", "On", "Text", "Axes")),
            symbol("Axes") + b"\x28\x01" + symbol("Homed"),
            b"\x20\x02\x24\x01",
            b"\x20\x01\x24\x01",
            b"\x20\x6b\x24\x00",
            b"\x20\x6c\x25\x00\x01\x01",
            b"\x20\x6c\x25\x00\xce\x0f",
            b"\x20\x8b\x24\x01",
            symbol("Program:Main") + b"\x20\x6b\x24\x00",
        ]
    ),
    st.one_of(
        st.binary(max_size=40),
        st.builds(
            lambda kind, count, rest: struct.pack("<HH", kind, count) + rest,
            st.sampled_from([0xC1, 0xC3, 0xC4, 0xCA, 0xD3, 0x02A0, 1, 2, 10]),
            st.integers(0, 12),
            st.binary(max_size=60),
        ),
    ),
    st.integers(0, 600),
)
def test_no_data_breaks_a_service(service: int, path: bytes, data: bytes, room: int) -> None:
    """Real services on real paths with any data: an answer that fits, and memory of the same size."""
    sizes = [len(one.data) for one in FUZZED.store.symbols("") or []]
    answer = FUZZED.handle(request(service, path, data), room)
    assert answer[0] == service | 0x80
    assert 4 <= len(answer) <= max(room, 4)
    assert [len(one.data) for one in FUZZED.store.symbols("") or []] == sizes


FUZZED = router()
