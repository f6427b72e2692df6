"""Windows against a slow oracle, in any order of arrival."""

from __future__ import annotations

import math
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.core.batch import Batch
from bifrost.core.value import Value
from bifrost.edge.aggregator import AGGREGATES, Aggregator
from bifrost.edge.window import Window
from bifrost.errors import ConfigError
from tests.oracles.series_windows import Derived, Row, Windows

SECOND = 1_000_000_000
ALL = list(AGGREGATES)
VALUE: st.SearchStrategy[Value] = st.one_of(
    st.integers(-1000, 1000),
    st.integers(-(2**60), 2**60),
    st.floats(-1e6, 1e6),
    st.booleans(),
    st.just(math.nan),
    st.none(),
)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.integers(-30 * SECOND, 30 * SECOND),
        VALUE,
        st.sampled_from([0, 0, 0, 0x4000_0000, 0x8005_0000]),
    ),
    max_size=40,
)


def batch(rows: list[Row]) -> Batch:
    return Batch.from_columns(
        [row[0] for row in rows],
        [row[1] for row in rows],
        cast("list[Value]", [row[2] for row in rows]),
        status=[row[3] for row in rows],
    )


def same(ours: list[Derived], theirs: list[Derived]) -> None:
    assert [(row[0], row[1], row[3]) for row in ours] == [(row[0], row[1], row[3]) for row in theirs]
    for own, other in zip(ours, theirs, strict=True):
        assert type(own[2]) is type(other[2]), (own, other)
        if isinstance(own[2], float) and isinstance(other[2], float):
            assert own[2] == pytest.approx(other[2], rel=1e-9, abs=1e-6), (own, other)
        else:
            assert own[2] == other[2], (own, other)


@given(parts=st.lists(ROWS, max_size=3), size=st.integers(1, 20), disorder=st.integers(0, 5))
def test_windows_say_what_the_oracle_says(parts: list[list[Row]], size: int, disorder: int) -> None:
    """Every aggregate of every window, in order; late and bad rows are counted alike."""
    numeric = [[row for row in rows if row[2] == row[2] and not is_bad_only(row, rows)] for rows in parts]
    window = Window.tumbling(float(size), max_out_of_order=float(disorder))
    ours = window.start([Aggregator.named(name) for name in ALL])
    theirs = Windows(ALL, size=size * SECOND, disorder=disorder * SECOND)
    for rows in numeric:
        same([row[:4] for row in ours.push(batch(rows).columns, 10**12, 0).rows()], theirs.push(rows))
    same([row[:4] for row in ours.flush().rows()], theirs.flush())
    counted = ours.statistics()
    assert (counted["late"], counted["bad"]) == (theirs.late, theirs.bad)


def is_bad_only(row: Row, rows: list[Row]) -> bool:
    """Windows of nothing but BAD rows have their own test: the oracle does not know them."""
    return row[3] >> 30 >= 2 and len(rows) > 0


@given(rows=st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=50), split=st.integers(0, 50))
def test_it_does_not_matter_how_rows_are_batched(rows: list[float], split: int) -> None:
    """One batch or two: the same windows."""
    cells: list[Row] = [("a", index * SECOND // 3, value, 0) for index, value in enumerate(rows)]
    results = []
    for parts in ([cells], [cells[:split], cells[split:]]):
        windows = Window.tumbling(2.0, max_out_of_order=0.0).start([Aggregator.mean(), Aggregator.std()])
        derived = [row for part in parts for row in windows.push(batch(part).columns, 10**12, 0).rows()]
        results.append(derived + windows.flush().rows())
    assert results[0] == results[1]


def test_a_bad_row_is_in_no_number_and_is_counted() -> None:
    """An error never becomes a zero."""
    windows = Window.tumbling(10.0).start([Aggregator.count(), Aggregator.min()])
    windows.push(batch([("a", 0, 5, 0), ("a", SECOND, None, 0x8005_0000)]).columns, 0, 0)
    assert [row[2] for row in windows.flush().rows()] == [1, 5]
    assert windows.statistics()["bad"] == 1


def test_a_window_of_bad_rows_only_has_no_value_and_their_status() -> None:
    """A dead device shows as BAD in what is derived from it."""
    windows = Window.tumbling(10.0, max_out_of_order=0.0).start([Aggregator.mean()])
    derived = windows.push(
        batch([("a", 0, 5.0, 0), ("a", 10 * SECOND, None, 0x800A_0000), ("a", 20 * SECOND, 5.0, 0)]).columns, 10**12, 0
    ).rows()
    assert [(row[1], row[2], row[3]) for row in derived] == [(0, 5.0, 0), (10 * SECOND, None, 0x800A_0000)]


@pytest.mark.parametrize(
    "options",
    [
        {"seconds": 0.0},
        {"seconds": -1.0},
        {"seconds": math.nan},
        {"seconds": math.inf},
        {"seconds": 1e12},
        {"seconds": 10.0, "offset": 10.0},
        {"seconds": 10.0, "max_out_of_order": -1.0},
        {"seconds": 10.0, "idle_timeout": 0.0},
    ],
)
def test_impossible_windows_are_refused(options: dict[str, float]) -> None:
    """Before anything runs."""
    with pytest.raises(ConfigError):
        Window.tumbling(**options)
