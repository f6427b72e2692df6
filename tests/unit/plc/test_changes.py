"""What counts as a change."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.plc import Tag
from bifrost.plc.changes import ChangeFilter

BAD = int(StatusCode.BAD_TIMEOUT)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(-5, 5), st.sampled_from([math.nan, math.inf, "a", "b"])
)


def test_the_first_values_are_news_and_the_same_again_is_none() -> None:
    """All slots, once."""
    changes = ChangeFilter([Tag("a", "HR1"), Tag("b", "HR2[2]")])
    assert changes.changed([1, 2, 3], None) == [0, 1, 2]
    assert changes.changed([1, 2, 3], None) == []
    assert changes.changed([1, 2, 4], None) == [2]
    changes.forget()
    assert changes.changed([1, 2, 4], None) == [0, 1, 2]


def test_a_change_is_measured_from_what_was_reported_last() -> None:
    """A drift of small steps shows when their sum leaves the band; equal to the band is still within."""
    changes = ChangeFilter([Tag("a", "HR1", deadband=1.0)])
    assert changes.changed([10.0], None) == [0]
    assert [changes.changed([10.0 + step * 0.4], None) for step in range(1, 6)] == [[], [], [0], [], []]
    assert changes.changed([12.2], None) == []
    assert changes.changed([12.3], None) == [0]


def test_a_band_in_per_cent_grows_with_the_value() -> None:
    """Of the value reported last; around zero everything is news."""
    changes = ChangeFilter([Tag("a", "HR1", deadband=10.0, deadband_type="pct")])
    assert changes.changed([100], None) == [0]
    assert changes.changed([110], None) == []
    assert changes.changed([111], None) == [0]
    assert changes.changed([0], None) == [0]
    assert changes.changed([1], None) == [0]


def test_another_status_is_news_whatever_the_value() -> None:
    """Going bad and coming back, both at once."""
    changes = ChangeFilter([Tag("a", "HR1", deadband=100.0)])
    changes.changed([1], None)
    assert changes.changed([None], [BAD]) == [0]
    assert changes.changed([None], [BAD]) == []
    assert changes.changed([1], None) == [0]


def test_nan_is_news_once() -> None:
    """It differs from itself, which is no change."""
    changes = ChangeFilter([Tag("a", "HR1:FLOAT32", deadband=1.0)])
    changes.changed([1.0], None)
    assert changes.changed([math.nan], None) == [0]
    assert changes.changed([math.nan], None) == []
    assert changes.changed([1.0], None) == [0]


@given(st.lists(VALUES, max_size=30), st.sampled_from([None, 0.0, 0.5, 2.0]))
def test_whoever_hears_the_changes_knows_the_value_within_the_band(values: list[Value], band: float | None) -> None:
    """Last value heard and the present one differ by no more than the deadband; without one they are the same."""
    changes = ChangeFilter([Tag("a", "HR1", deadband=band)])
    heard: Value = None
    for value in values:
        if changes.changed([value], [BAD if value is None else 0]):
            heard = value
        if isinstance(value, int | float) and isinstance(heard, int | float) and band:
            assert value == heard or abs(value - heard) <= band or (math.isnan(value) and math.isnan(heard))
        else:
            assert value == heard or (value != value and heard != heard)  # noqa: PLR0124 - NaN


def test_a_band_in_per_cent_ends_at_infinity() -> None:
    """Of no end is no per cent: what comes after it is news, and so is what a huge number becomes."""
    changes = ChangeFilter([Tag("a", "HR1:FLOAT64", deadband=5.0, deadband_type="pct")])
    for value in (1.0, math.inf, 5.0, -math.inf, math.inf, 1e308, 5.0, -1e308, 1e308):
        assert changes.changed([value], None) == [0], value
    assert changes.changed([1.01e308], None) == []


def test_a_truth_value_is_not_held_by_a_band() -> None:
    """A tag whose type only the device knows may turn out to be one."""
    changes = ChangeFilter([Tag("a", "Flag", deadband=5.0, protocol="ethernet-ip")])
    changes.changed([False], None)
    assert changes.changed([True], None) == [0]
    assert changes.changed([False], None) == [0]


def test_nan_within_a_structure_is_no_news_again() -> None:
    """As it is none by itself; another member's change is."""
    changes = ChangeFilter([Tag("a", "Recipe", protocol="ethernet-ip")])
    first: Value = {"x": float("nan"), "y": [1.0, float("nan")]}
    again: Value = {"x": float("nan"), "y": [1.0, float("nan")]}
    other: Value = {"x": float("nan"), "y": [2.0, float("nan")]}
    assert [changes.changed([value], None) for value in (first, again, other)] == [[0], [], [0]]
    assert changes.changed([{"x": float("nan")}], None) == [0]


def test_what_a_listener_does_to_a_value_is_no_change() -> None:
    """Dictionaries and lists belong to whoever got them: what was reported is remembered apart."""
    changes = ChangeFilter([Tag("a", "Recipe", protocol="ethernet-ip")])
    told: dict[str, object] = {"x": 1, "y": [1, 2]}
    changes.changed([told], None)
    told["x"] = 2
    assert changes.changed([{"x": 1, "y": [1, 2]}], None) == []
    assert changes.changed([{"x": 2, "y": [1, 2]}], None) == [0]
