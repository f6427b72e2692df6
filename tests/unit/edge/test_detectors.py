"""Detectors against slow oracles, and the faults that plants ask for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.core.batch import Batch
from bifrost.edge.detector import Detector
from bifrost.errors import ConfigError
from tests.oracles import series_detectors as oracle

SECOND = 1_000_000_000
# Whole numbers keep sums exact in both, so that a sample is on the same side of the threshold in both.
SAMPLES = st.lists(st.integers(-20, 20) | st.integers(-500, 500), max_size=60).map(
    lambda values: [(index * SECOND, float(value)) for index, value in enumerate(values)]
)


def judge(detector: Detector, samples: list[tuple[int, float]]) -> list[tuple[float, bool]]:
    batch = Batch.from_columns(["a"] * len(samples), [time for time, _ in samples], [value for _, value in samples])
    return [(score, is_anomaly) for _, _, score, is_anomaly in detector.start().judge(batch.columns)]


def compare(ours: list[tuple[float, bool]], theirs: list[tuple[float, bool]]) -> None:
    assert len(ours) == len(theirs)
    for own, other in zip(ours, theirs, strict=True):
        assert own[0] == pytest.approx(other[0], abs=1e-6)
        if abs(other[0] - 0.5) < 1e-9:
            return  # on the threshold itself rounding decides, and the two pasts part
        assert own[1] is other[1]


COMMON = {
    "min_samples": st.integers(0, 6),
    "learn_on_anomaly": st.booleans(),
    "relearn_after": st.integers(0, 4),
    "consecutive": st.integers(1, 3),
    "cooldown": st.integers(0, 4).map(float),
}


@given(
    samples=SAMPLES, window=st.integers(3, 12), scale=st.sampled_from([0.0, 2.0]), common=st.fixed_dictionaries(COMMON)
)
def test_mad_says_what_its_definition_says(
    samples: list[tuple[int, float]], window: int, scale: float, common: dict[str, float]
) -> None:
    """Median and median absolute deviation of the last numbers, and the rules for learning and reporting."""
    detector = Detector.mad(window=window, min_scale=scale, **common)  # type: ignore[arg-type]  # typed by their strategies
    compare(judge(detector, samples), expected(oracle.mad(window, 3.5, scale), samples, common))


@given(samples=SAMPLES, common=st.fixed_dictionaries(COMMON))
def test_zscore_says_what_its_definition_says(samples: list[tuple[int, float]], common: dict[str, float]) -> None:
    """Mean and sample standard deviation of everything learned."""
    detector = Detector.zscore(threshold=2.0, min_scale=0.5, **common)  # type: ignore[arg-type]  # typed by their strategies
    compare(judge(detector, samples), expected(oracle.zscore(2.0, 0.5), samples, common))


@given(samples=SAMPLES, alpha=st.sampled_from([0.1, 0.5]), common=st.fixed_dictionaries(COMMON))
def test_ewma_says_what_its_definition_says(
    samples: list[tuple[int, float]], alpha: float, common: dict[str, float]
) -> None:
    """Exponentially weighted mean and variance."""
    detector = Detector.ewma(alpha=alpha, threshold=2.0, min_scale=0.5, **common)  # type: ignore[arg-type]  # typed by their strategies
    compare(judge(detector, samples), expected(oracle.ewma(alpha, 2.0, 0.5), samples, common))


def expected(
    rule: oracle.Judge, samples: list[tuple[int, float]], common: dict[str, float]
) -> list[tuple[float, bool]]:
    return oracle.run(
        samples,
        rule,
        min_samples=int(common["min_samples"]),
        learn_on_anomaly=bool(common["learn_on_anomaly"]),
        relearn_after=int(common["relearn_after"]),
        consecutive=int(common["consecutive"]),
        cooldown_ns=round(common["cooldown"] * SECOND),
    )


def flags(detector: Detector, samples: list[tuple[int, float]]) -> list[bool]:
    return [is_anomaly for _, is_anomaly in judge(detector, samples)]


def test_limits_hold_on_both_sides() -> None:
    """The limits themselves are allowed."""
    samples = [(0, 1.0), (1, 0.999), (2, 2.0), (3, 2.001)]
    assert flags(Detector.limits(low=1.0, high=2.0), samples) == [False, True, False, True]


def test_a_stuck_sensor_is_found_after_the_time_and_not_at_it() -> None:
    """Changes within the tolerance count as none."""
    samples = [(0, 1.0), (5 * SECOND, 1.1), (10 * SECOND, 0.9), (11 * SECOND, 1.0), (12 * SECOND, 1.2)]
    assert flags(Detector.flatline(seconds=10, tolerance=0.15), samples) == [False, False, False, True, False]


def test_a_jump_is_found_both_ways() -> None:
    """Rate is change over source time."""
    samples = [(0, 0.0), (SECOND, 1.0), (2 * SECOND, 3.0), (4 * SECOND, 1.0), (5 * SECOND, -0.5)]
    assert flags(Detector.rate(max_per_second=1.0), samples) == [False, False, True, False, True]


def test_a_new_operating_point_stops_alarming() -> None:
    """After `relearn_after` in a row the new level is learned, and soon is ordinary."""
    samples = [(index, 10.0 + index % 3) for index in range(40)] + [
        (40 + index, 50.0 + index % 3) for index in range(60)
    ]
    found = flags(Detector.mad(window=20, relearn_after=5), samples)
    assert found[40]
    assert not any(found[-20:])


def test_bad_partial_and_wordy_rows_are_passed_over() -> None:
    """What is no number, or not all of it, is not judged."""
    batch = Batch.from_columns(
        ["a"] * 5, [0, 1, 2, 3, 4], [9.0, "text", None, math.nan, 9.0], status=[0x8000_0000, 0, 0, 0, 0x405]
    )
    assert Detector.limits(high=1.0).start().judge(batch.columns) == []


def test_only_the_aggregate_asked_for_is_judged_and_each_tag_by_itself() -> None:
    """The suffix decides; the report says which row."""
    batch = Batch.from_columns(["a.mean", "a.std", "b.mean"], [0, 0, 0], [5.0, 5.0, 0.5])
    judged, found = Detector.limits(high=1.0).start(on="mean").push(batch.columns)
    assert judged == 2
    assert [(row, value) for row, value, _, _ in found] == [(0, 5.0)]
    assert found[0][3] == "5 is above the limit 1"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Detector.mad(window=2),
        lambda: Detector.mad(threshold=0.0),
        lambda: Detector.mad(threshold=math.nan),
        lambda: Detector.mad(min_scale=-1.0),
        lambda: Detector.ewma(alpha=1.5),
        lambda: Detector.zscore(min_samples=-1),
        lambda: Detector.zscore(consecutive=0),
        Detector.limits,
        lambda: Detector.limits(low=2.0, high=1.0),
        lambda: Detector.flatline(seconds=0.0),
        lambda: Detector.rate(max_per_second=-1.0),
        lambda: Detector.rate(max_per_second=1.0, cooldown=-1.0),
    ],
)
def test_impossible_detectors_are_refused(make: object) -> None:
    """Before anything runs, with the detector's name in the text."""
    assert callable(make)
    with pytest.raises(ConfigError, match="detector"):
        make()
