from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import ConfigError
from bifrost.plc.sim import Constant, Counter, Noise, Replay, Sine, Square, Sum


@given(st.floats(0, 1e6))
def test_a_signal_is_a_function_of_time(seconds: float) -> None:
    """Whoever asks, and however often: the same second gives the same value."""
    first, second = (Sum((Sine(5.0, 1.0, period=7.0), Noise(0.5, seed=9))) for _ in range(2))
    assert first.at(seconds) == second.at(seconds) == first.at(seconds)


def test_noise_follows_its_seed_and_deviation() -> None:
    """Two seeds differ; a thousand steps have the mean and deviation that were asked for."""
    one = [Noise(2.0, seed=1).at(step * 0.1 + 0.05) for step in range(1000)]
    two = [Noise(2.0, seed=2).at(step * 0.1 + 0.05) for step in range(1000)]
    assert one != two
    assert abs(statistics.fmean(one)) < 0.3
    assert 1.8 < statistics.stdev(one) < 2.2


def test_square_and_counter_change_at_their_period() -> None:
    """High for the duty's share of the period, then low; the counter counts whole periods."""
    square = Square(1.0, 9.0, period=10.0, duty=0.3)
    assert [square.at(t) for t in (0.0, 2.9, 3.0, 9.9, 10.0)] == [9.0, 9.0, 1.0, 1.0, 9.0]
    assert [Counter(period=0.5).at(t) for t in (0.0, 0.49, 0.5, 2.6)] == [0.0, 0.0, 1.0, 5.0]


def test_a_replay_holds_its_last_value() -> None:
    """Each value for one period, in order, then the last one for ever."""
    replay = Replay([3.0, 1.0, 2.0], period=2.0)
    assert [replay.at(t) for t in (0.0, 1.9, 2.0, 4.1, 1e9)] == [3.0, 3.0, 1.0, 2.0, 2.0]


def test_invented_signals_say_so() -> None:
    """A sum is synthetic as soon as one part is; a replay is not."""
    assert Constant(1.0).synthetic
    assert not Replay([1.0], period=1.0).synthetic
    assert Sum((Replay([1.0], period=1.0), Noise(0.1, seed=1))).synthetic


def test_impossible_signals_are_refused() -> None:
    """A period is a positive number of seconds, a replay has something to replay."""
    for make in (
        lambda: Sine(0, 1, period=0.0),
        lambda: Counter(period=float("nan")),
        lambda: Noise(1.0, 1, hold=-1.0),
    ):
        with pytest.raises(ConfigError, match="positive number of seconds"):
            make()
    with pytest.raises(ConfigError, match="at least one recorded value"):
        Replay([], period=1.0)
