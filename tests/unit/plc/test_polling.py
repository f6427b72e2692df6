from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.core.quality import StatusCode
from bifrost.errors import ConfigError
from bifrost.plc.polling import BadRowGate, RecordCounter, stagger

GOOD, TIMEOUT, GONE = int(StatusCode.GOOD), int(StatusCode.BAD_TIMEOUT), int(StatusCode.BAD_NOT_CONNECTED)
DOUBTFUL = int(StatusCode.UNCERTAIN)


@given(st.text(), st.floats(0.001, 1e5))
def test_the_stagger_lies_within_the_interval_and_repeats(name: str, interval: float) -> None:
    """The same name gives the same moment, inside the interval."""
    assert 0.0 <= stagger(name, interval) < min(interval, 1.0)
    assert stagger(name, interval) == stagger(name, interval)


def test_staggered_devices_spread_over_the_interval() -> None:
    """Of 200 devices, each fifth of the interval gets between a half and twice its share."""
    fifths = [int(stagger(f"device-{number}", 1.0) * 5) for number in range(200)]
    assert all(20 <= fifths.count(fifth) <= 80 for fifth in range(5))


def test_good_rows_always_pass() -> None:
    """Whether told by a list or by its absence; a doubtful row is no bad one."""
    gate = BadRowGate(2, repeat=10.0)
    assert gate.open_for([GOOD, GOOD], 0.0) is None
    assert gate.open_for([GOOD, DOUBTFUL], 0.1) is None
    assert gate.open_for([GOOD, DOUBTFUL], 0.2) is None
    assert gate.open_for(None, 0.3) is None


def test_a_bad_row_passes_as_news_and_then_at_the_slow_repeat() -> None:
    """At once, not again within ten seconds, then again."""
    gate = BadRowGate(2, repeat=10.0)
    assert gate.open_for([GOOD, TIMEOUT], 0.0) is None
    assert gate.open_for([GOOD, TIMEOUT], 1.0) == [0]
    assert gate.open_for([GOOD, TIMEOUT], 9.9) == [0]
    assert gate.open_for([GOOD, TIMEOUT], 10.0) is None
    assert gate.open_for([TIMEOUT, TIMEOUT], 11.0) == [0]
    assert gate.open_for([TIMEOUT, TIMEOUT], 12.0) == []


def test_a_value_that_stands_in_is_told_as_seldom_as_a_bad_one() -> None:
    """It is the same old value in each poll; another uncertain value is a new one."""
    gate = BadRowGate(2, repeat=10.0)
    last, uncertain = int(StatusCode.UNCERTAIN_LAST_USABLE_VALUE), int(StatusCode.UNCERTAIN)
    assert gate.open_for([last, uncertain], 0.0) is None
    assert gate.open_for([last, uncertain], 1.0) == [1]
    assert gate.open_for([last, uncertain], 9.9) == [1]
    assert gate.open_for([last, uncertain], 10.0) is None
    assert gate.open_for([GONE, uncertain], 11.0) is None


def test_another_reason_is_news() -> None:
    """From timeout to not connected: published at once, once."""
    gate = BadRowGate(1, repeat=10.0)
    assert gate.open_for([TIMEOUT], 0.0) is None
    assert gate.open_for([GONE], 1.0) is None
    assert gate.open_for([GONE], 2.0) == []


def test_a_relapse_is_news() -> None:
    """After a recovery the same status counts as new."""
    gate = BadRowGate(1, repeat=10.0)
    assert gate.open_for([TIMEOUT], 0.0) is None
    assert gate.open_for([TIMEOUT], 0.5) == []
    assert gate.open_for([GOOD], 1.0) is None
    assert gate.open_for([TIMEOUT], 2.0) is None


def test_a_relapse_after_a_poll_without_a_list_is_news() -> None:
    """That all are GOOD counts however it is said."""
    gate = BadRowGate(1, repeat=10.0)
    assert gate.open_for([TIMEOUT], 0.0) is None
    assert gate.open_for(None, 0.5) is None
    assert gate.open_for([TIMEOUT], 1.0) is None


def test_a_repeat_of_zero_lets_every_row_pass() -> None:
    """Who wants a row for each poll gets it."""
    gate = BadRowGate(1, repeat=0.0)
    assert [gate.open_for([TIMEOUT], at / 10) for at in range(5)] == [None] * 5


@given(
    st.lists(
        st.tuples(
            st.floats(0.01, 8.0), st.lists(st.sampled_from([GOOD, DOUBTFUL, TIMEOUT, GONE]), min_size=3, max_size=3)
        )
    ),
    st.sampled_from([0.0, 1.0, 10.0]),
)
def test_a_listener_always_knows_the_latest_status(polls: list[tuple[float, list[int]]], repeat: float) -> None:
    """Whoever remembers the rows that passed knows every row's status, and has heard of a bad one within `repeat`."""
    gate = BadRowGate(3, repeat=repeat)
    known, heard, now = [GOOD] * 3, [0.0] * 3, 0.0
    for gap, status in polls:
        now += gap
        chosen = gate.open_for(status, now)
        for at in range(3) if chosen is None else chosen:
            known[at], heard[at] = status[at], now
        assert known == status
        for at in range(3):
            if status[at] in (GOOD, DOUBTFUL):
                assert heard[at] == now
            else:
                assert now - heard[at] < repeat or heard[at] == now


def test_an_impossible_repeat_is_refused() -> None:
    """A repeat is not negative."""
    with pytest.raises(ConfigError, match="bad_repeat"):
        BadRowGate(1, repeat=-1.0)


def test_a_record_that_was_seen_is_not_new() -> None:
    """The same number again is the same record; each next one is new and none is missed."""
    counter = RecordCounter()
    assert [counter.is_new(number) for number in (0, 0, 1, 1, 1, 2)] == [True, False, True, False, False, True]
    assert counter.missed == 0


def test_a_jump_counts_the_records_that_were_missed() -> None:
    """From 3 to 7 three records were never seen, an outage between them or not."""
    counter = RecordCounter()
    assert counter.is_new(3)
    assert counter.is_new(None)
    assert counter.is_new(7)
    assert counter.missed == 3


def test_a_device_that_starts_again_misses_nothing() -> None:
    """A number that goes back begins a new count."""
    counter = RecordCounter()
    assert [counter.is_new(number) for number in (500, 0, 1)] == [True] * 3
    assert counter.missed == 0
