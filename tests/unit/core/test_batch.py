"""The batch: what goes in comes out, bit for bit, and nothing else gets in."""

from __future__ import annotations

import math
import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.core.batch import Batch
from bifrost.core.quality import StatusCode
from bifrost.core.value import TagValue, Value
from bifrost.errors import DataTypeError, ProtocolError

I64 = st.integers(-(2**63), 2**63 - 1)
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.none(), st.booleans(), I64, st.floats(), st.text(max_size=8), st.binary(max_size=8)
)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["press/temperature", "press/on", "tür/№", ""]),
        I64,
        VALUES,
        st.integers(0, 2**32 - 1),
        st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
    ),
    max_size=30,
)
Rows = list[tuple[str, int, Value, int, int | None]]


def batch_of(rows: Rows, *, origin: str = "press", sequence: int = 7) -> Batch:
    return Batch.from_columns(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        status=[row[3] for row in rows],
        received_ts_ns=[row[4] for row in rows],
        origin=origin,
        sequence=sequence,
    )


def bits(rows: Rows) -> list[object]:
    """Make rows comparable bit for bit, and True different from 1."""
    return [
        (tag, ts, type(value), struct.pack("<d", value) if isinstance(value, float) else value, status, seen)
        for tag, ts, value, status, seen in rows
    ]


@given(rows=ROWS)
def test_rows_come_out_as_they_went_in(rows: Rows) -> None:
    """Every kind of value keeps its type and its bits, through the table and through its bytes."""
    batch = batch_of(rows)
    assert bits(batch.rows()) == bits(rows)
    decoded = Batch.decode(batch.encode())
    assert decoded == batch
    assert bits(decoded.rows()) == bits(rows)
    assert (decoded.origin, decoded.sequence, len(decoded)) == ("press", 7, len(rows))


@given(rows=ROWS, start=st.integers(-5, 40), stop=st.integers(-5, 40))
def test_a_slice_is_the_slice_of_the_rows(rows: Rows, start: int, stop: int) -> None:
    """Bounds beyond the ends are cut, as in a list, except that none counts from the end."""
    assert bits(batch_of(rows).slice(start, stop).rows()) == bits(rows[max(start, 0) : max(stop, 0)])


@given(rows=ROWS)
def test_statuses_are_listed_only_if_one_is_not_good(rows: Rows) -> None:
    """A batch without trouble, the usual one, says so without a list."""
    codes = [row[3] for row in rows]
    assert batch_of(rows).statuses() == (codes if any(codes) else None)


@given(parts=st.lists(ROWS, max_size=4))
def test_batches_joined_are_their_rows_joined(parts: list[Rows]) -> None:
    """Joining keeps order; received times that only some have stay absent elsewhere."""
    joined = Batch.concat([batch_of(rows) for rows in parts])
    assert bits(joined.rows()) == bits([row for rows in parts for row in rows])


@given(rows=ROWS)
def test_selecting_keeps_the_rows_of_the_tags_in_order(rows: Rows) -> None:
    """An unknown tag selects nothing."""
    selected = batch_of(rows).select(["press/on", "unknown"])
    assert bits(selected.rows()) == bits([row for row in rows if row[0] == "press/on"])
    assert selected.tags() in ([], ["press/on"])


@given(data=st.binary(max_size=200))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    """No bytes but an encoding decode, and the error has a name."""
    with pytest.raises(ProtocolError):
        Batch.decode(data)


def test_a_damaged_encoding_says_so() -> None:
    """One changed bit anywhere is noticed."""
    encoded = batch_of([("a", 1, 2.5, 0, None)]).encode()
    for place in range(len(encoded)):
        damaged = bytearray(encoded)
        damaged[place] ^= 0x10
        with pytest.raises(ProtocolError):
            Batch.decode(bytes(damaged))


def test_the_payload_of_a_nan_and_the_sign_of_zero_survive() -> None:
    """A signalling pattern and -0.0 come back with every bit."""
    nan = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_DEAD_BEEF))[0]
    batch = Batch.from_columns(["a"] * 4, [0, 1, 2, 3], [nan, -0.0, 0.1, math.inf])
    values = [struct.pack("<d", row[2]) for row in Batch.decode(batch.encode()).rows() if isinstance(row[2], float)]
    assert values == [struct.pack("<d", value) for value in (nan, -0.0, 0.1, math.inf)]
    assert batch != Batch.from_columns(["a"] * 4, [0, 1, 2, 3], [nan, 0.0, 0.1, math.inf])


def test_readings_go_in_and_come_out() -> None:
    """A reading keeps tag, value, status and both times."""
    reading = TagValue("press/on", value=True, status=StatusCode.GOOD, source_ts_ns=5, server_ts_ns=6)
    bad = TagValue("press/on", None, StatusCode.BAD_TIMEOUT, 7, 8, error="asked, no answer")
    batch = Batch.from_values([reading, bad], origin="press", sequence=3)
    assert list(batch.iter_values()) == [reading, TagValue("press/on", None, StatusCode.BAD_TIMEOUT, 7, 8)]
    assert (batch.first_ts_ns, batch.last_ts_ns, batch.tags()) == (5, 7, ["press/on"])


def test_an_empty_batch_has_no_times() -> None:
    """Nothing has neither a first nor a last."""
    batch = Batch.concat([])
    assert (len(batch), batch.first_ts_ns, batch.last_ts_ns, batch.rows()) == (0, None, None, [])


def test_bytes_held_are_counted_exactly() -> None:
    """A row of a double costs 29 bytes: tag id, slot, status, time, kind, value; then the dictionary and the origin."""
    assert Batch.from_columns(["ab"] * 100, [0] * 100, [1.5] * 100, origin="xyz").nbytes == 100 * 29 + 2 + 3


def test_a_batch_can_be_pickled_and_hashed() -> None:
    """It travels between processes as its own encoding."""
    batch = batch_of([("a", 1, "x", 0, None)])
    assert pickle.loads(pickle.dumps(batch)) == batch
    assert hash(batch) == hash(Batch.decode(batch.encode()))


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ((["a"], [1, 2], [1]), "expected 1 source_ts_ns, one per tag, got 2"),
        ((["a"], [1], []), "expected 1 values, one per tag, got 0"),
        ((["a"], [1], [[1]]), "the value of tag a must be bool, int, float, str, bytes or None, got list"),
        ((["a"], [1], [2**63]), "tag a: expected an integer of 64 bits with sign"),
        (([1], [1], [1]), "a tag must be str, got int"),
        ((["a"], [1.5], [1]), "source_ts_ns must be a 64-bit integer"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(columns: tuple[list[str], list[int], list[Value]], text: str) -> None:
    """The text names the tag or column, and what was expected."""
    with pytest.raises(DataTypeError, match=text.replace("(", r"\(")):
        Batch.from_columns(*columns)


def test_a_status_beyond_32_bits_is_refused() -> None:
    """A status code is 32 bits."""
    with pytest.raises(DataTypeError, match="32-bit status code"):
        Batch.from_columns(["a"], [1], [1], status=[2**32])
