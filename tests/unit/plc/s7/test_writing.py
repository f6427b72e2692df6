"""Writes to S7: checked before anything is sent, bits alone, texts without their room, neighbours together."""

from __future__ import annotations

import pytest

from bifrost.errors import ConfigError, DataTypeError
from bifrost.plc import Tag
from bifrost.plc.drivers.base import WriteItem
from bifrost.plc.s7 import S7Area, S7Settings
from bifrost.plc.s7.writing import Change, encode_write_item, merge_writes, write_jobs


def _item(address: str, value: object) -> WriteItem:
    return encode_write_item(Tag(address, address, access="rw", protocol="s7"), value, encoding="latin-1")


def test_a_read_only_tag_is_refused() -> None:
    """Nothing is encoded."""
    with pytest.raises(ConfigError, match="access='rw'"):
        encode_write_item(Tag("x", "DB1.DBW0", protocol="s7"), 1, encoding="latin-1")


@pytest.mark.parametrize(("address", "value"), [("DB1.DBW0", 65536), ("DB1:0:INT[2]", [1]), ("DB1:0:INT[2]", 5)])
def test_a_value_that_does_not_fit_is_refused_by_name(address: str, value: object) -> None:
    """`DataTypeError` that names the tag."""
    with pytest.raises(DataTypeError, match=f"tag '{address[:6]}"):
        _item(address, value)


def test_bits_are_items_of_their_own() -> None:
    """Each with byte and bit; no byte is written for their sake."""
    changes = _item("DB1.DBX0.6[3]", [True, False, True]).request
    assert [(change.start, change.bit, change.data) for change in changes] == [
        (0, 6, b"\1"),
        (0, 7, b"\0"),
        (1, 0, b"\1"),
    ]


def test_a_text_is_written_without_its_room() -> None:
    """The room belongs to the program: length and characters only, of each text of an array."""
    changes = _item("DB1:10:STRING(4)[2]", ["ab", ""]).request
    assert [(change.start, change.data) for change in changes] == [(11, b"\x02ab"), (17, b"\0")]
    (wide,) = _item("DB1:10:WSTRING(4)", "λ").request
    assert (wide.start, wide.data) == (12, b"\0\1\x03\xbb")


def test_neighbours_are_one_request() -> None:
    """In the order given, if the next begins where the last ended; bits, gaps and other areas are not."""
    items = [
        _item(address, 1)
        for address in ("DB1.DBW0", "DB1.DBW2", "DB1.DBD4", "DB1.DBW10", "DB1.DBW8", "DB2.DBW10", "MW12")
    ]
    items.insert(3, _item("DB1.DBX8.0", True))
    merged = merge_writes(items)
    assert [[(c.area, c.db, c.start, len(c.data)) for c in item.request] for item in merged] == [
        [(S7Area.DB, 1, 0, 8)],
        [(S7Area.DB, 1, 8, 1)],
        [(S7Area.DB, 1, 10, 2)],
        [(S7Area.DB, 1, 8, 2)],
        [(S7Area.DB, 2, 10, 2)],
        [(S7Area.MERKER, 0, 12, 2)],
    ]
    assert [item.tag.name for item in merged][:2] == ["DB1.DBW0", "DB1.DBX8.0"]
    timers = merge_writes([_item("T1", 10), _item("T2", 20)])
    assert [len(item.request[0].data) for item in timers] == [4]


def test_jobs_fit_the_pdu_and_lose_nothing() -> None:
    """A long array is cut between its values, many bits fill several jobs."""
    array = _item("DB1:0:LREAL[100]", [float(at) for at in range(100)])
    jobs = write_jobs(array.request, 112)
    assert all(10 + len(job.parameters) + len(job.data) <= 112 for job in jobs)
    assert all((len(job.data) - 4) % 8 == 0 for job in jobs)
    assert b"".join(job.data[4:] for job in jobs) == array.request[0].data
    bits = _item("DB1.DBX0.0[50]", [True] * 50)
    jobs = write_jobs(bits.request, 240)
    assert all(10 + len(job.parameters) + len(job.data) <= 240 for job in jobs)
    assert sum(job.items for job in jobs) == 50
    assert {job.items <= 20 for job in write_jobs(bits.request, 960)} == {True}


def test_joined_texts_stay_whole_if_they_can() -> None:
    """A change is cut in the middle of a value only if no job could hold it."""
    change = Change(S7Area.DB, 1, 0, bytes(90), 90)
    assert [len(piece.data) for piece in change.cut(84)] == [84, 6]
    assert [len(piece.data) for piece in Change(S7Area.DB, 1, 0, bytes(90), 30).cut(84)] == [60, 30]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("port", 0),
        ("rack", 8),
        ("slot", 32),
        ("remote_tsap", 65536),
        ("pdu_length", 100),
        ("max_gap", -1),
        ("string_encoding", "klingon"),
        ("string_encoding", "base64"),
        ("host", "not a host"),
    ],
)
def test_settings_out_of_range_are_problems(option: str, value: object) -> None:
    """Each is told with its key."""
    settings = S7Settings(**{"protocol": "s7", "host": "plc", option: value})  # type: ignore[arg-type]  # wrong on purpose
    assert [problem.path for problem in settings.problems()] == [(option,)]


def test_the_called_tsap_is_made_of_type_rack_and_slot() -> None:
    """Unless it is given."""
    assert S7Settings(protocol="s7", host="plc").called_tsap == 0x0101
    assert S7Settings(protocol="s7", host="plc", rack=1, slot=2, connection_type="op").called_tsap == 0x0222
    assert S7Settings(protocol="s7", host="plc", remote_tsap=0x0200).called_tsap == 0x0200
