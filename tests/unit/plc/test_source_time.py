"""The device's own clock as the time of its values."""

from __future__ import annotations

import pytest

from bifrost.core.value import Value
from bifrost.plc.drivers.base import Readings
from bifrost.plc.source_time import SourceTime

ARRIVED = 1_800_000_000_000_000_000


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1_700_000_000, "s", 1_700_000_000_000_000_000),
        (1_700_000_000_123, "ms", 1_700_000_000_123_000_000),
        (1_700_000_000_123_456, "us", 1_700_000_000_123_456_000),
        (1_700_000_000_123_456_789, "ns", 1_700_000_000_123_456_789),
        (1_700_000_000.5, "s", 1_700_000_000_500_000_000),
        (None, "s", ARRIVED),
        (0, "s", ARRIVED),
        (-5, "s", ARRIVED),
        (float("nan"), "s", ARRIVED),
        (float("inf"), "s", ARRIVED),
        (2**63, "ns", ARRIVED),
        (1e300, "s", ARRIVED),
        (True, "s", ARRIVED),
        ("now", "s", ARRIVED),
    ],
)
def test_a_clock_that_tells_no_time_is_not_believed(value: Value, unit: str, expected: int) -> None:
    """Then the arrival counts; integers lose no nanosecond."""
    assert SourceTime("clock", unit).read(Readings([value], ARRIVED), 0) == expected


def test_without_a_clock_the_arrival_counts() -> None:
    """Also if the clock is not among the tags of the poll."""
    assert SourceTime(None, "s").read(Readings([5], ARRIVED), None) == ARRIVED
