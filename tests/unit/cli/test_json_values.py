"""Values as JSON: whatever a device gives, every program can read it."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.cli.json_values import iso_time, json_line, plain, reading_object, status_name
from bifrost.core.quality import StatusCode
from bifrost.core.value import TagValue


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, '"NaN"'),
        (math.inf, '"Infinity"'),
        (-math.inf, '"-Infinity"'),
        (-0.0, "-0.0"),
        (2**64 - 1, "18446744073709551615"),
        (b"\x00\xff", '"00ff"'),
        (bytearray(b"\x01"), '"01"'),
        (True, "true"),
        (None, "null"),
        ("größe\n\ud800", '"größe\\n\ud800"'),
        (StatusCode.BAD_TIMEOUT, "2148139008"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), '"2026-01-02T03:04:05+00:00"'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (time(3, 4), '"03:04:00"'),
        (timedelta(seconds=1.5), "1.5"),
        ({"a": [1, math.nan, {"b": b"\x10"}], 5: (1, 2)}, '{"a": [1, "NaN", {"b": "10"}], "5": [1, 2]}'),
        (object, "\"<class 'object'>\""),
    ],
)
def test_what_json_does_not_know_is_told_in_a_form_it_knows(value: object, text: str) -> None:
    """Not as the words NaN and Infinity, which most readers refuse."""
    assert json_line(value) == text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_any_value_is_one_line_that_a_strict_reader_takes(value: object) -> None:
    """No line break inside, and no constant that JSON does not have."""

    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    line = json_line({"value": value})
    assert "\n" not in line
    assert json.loads(line, parse_constant=refuse) == {"value": plain(value)}


def test_a_reading_has_all_its_parts() -> None:
    """Value, quality, status by number and name, both times, and why it is not good."""
    reading = TagValue("t", 1.5, 0x4094_0000, 1_000_000_000, 2_000_001_999, "held", raw=3, stale=True)
    assert reading_object(reading, 40001) == {
        "tag": "t",
        "address": 40001,
        "value": 1.5,
        "quality": "UNCERTAIN",
        "status": 0x4094_0000,
        "status_name": "UNCERTAIN_ENGINEERING_UNITS_EXCEEDED",
        "source_time": "1970-01-01T00:00:01.000000Z",
        "server_time": "1970-01-01T00:00:02.000001Z",
        "raw": 3,
        "stale": True,
        "error": "held",
    }


def test_a_status_without_a_name_is_told_as_a_number() -> None:
    """Any 32-bit code may travel in a value."""
    assert (status_name(0), status_name(0x80AB_0000)) == ("GOOD", "0x80ab0000")


def test_times_are_exact_to_the_microsecond() -> None:
    """Also those that a float of seconds cannot hold."""
    assert iso_time(1_795_453_166_987_654_321) == "2026-11-23T16:59:26.987654Z"
