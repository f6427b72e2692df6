"""Detectors the slow way: keep the whole past, and compute each statistic from its definition.

In: (time ns, number) of one tag in order. Out: (score, is_anomaly) of each.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

Sample = tuple[int, float]
Judge = Callable[[list[Sample], Sample], float]
"""From what was learned and the newest sample: how far beyond, 1 at the threshold."""


def ratio(value: float, centre: float, scale: float, threshold: float) -> float:
    distance = abs(value - centre)
    if distance == 0:
        return 0.0
    return math.inf if scale == 0 else distance / scale / threshold


def zscore(threshold: float, min_scale: float) -> Judge:
    def judge(past: list[Sample], sample: Sample) -> float:
        numbers = [value for _, value in past]
        if len(numbers) < 2:
            return 0.0
        return ratio(sample[1], statistics.fmean(numbers), max(statistics.stdev(numbers), min_scale), threshold)

    return judge


def ewma(alpha: float, threshold: float, min_scale: float) -> Judge:
    def judge(past: list[Sample], sample: Sample) -> float:
        if len(past) < 2:
            return 0.0
        # Finch, "Incremental calculation of weighted mean and variance" (2009), section 9.
        mean = past[0][1]
        variance = 0.0
        for _, value in past[1:]:
            off = value - mean
            mean += alpha * off
            variance = (1 - alpha) * (variance + alpha * off**2)
        return ratio(sample[1], mean, max(math.sqrt(variance), min_scale), threshold)

    return judge


def mad(window: int, threshold: float, min_scale: float) -> Judge:
    def judge(past: list[Sample], sample: Sample) -> float:
        numbers = [value for _, value in past[-window:]]
        if not numbers:
            return 0.0
        median = statistics.median(numbers)
        scale = statistics.median([abs(value - median) for value in numbers]) / statistics.NormalDist().inv_cdf(0.75)
        if scale == 0:
            scale = statistics.fmean([abs(value - median) for value in numbers]) * math.sqrt(math.pi / 2)
        return ratio(sample[1], median, max(scale, min_scale), threshold)

    return judge


def run(
    samples: list[Sample],
    judge: Judge,
    *,
    min_samples: int,
    learn_on_anomaly: bool,
    relearn_after: int,
    consecutive: int,
    cooldown_ns: int,
) -> list[tuple[float, bool]]:
    past: list[Sample] = []
    verdicts: list[tuple[float, bool]] = []
    in_a_row = 0
    reported: int | None = None
    for seen, sample in enumerate(samples):
        beyond = judge(past, sample) if seen >= min_samples else 0.0
        in_a_row = in_a_row + 1 if beyond > 1 else 0
        if beyond <= 1 or learn_on_anomaly or (relearn_after and in_a_row > relearn_after):
            past.append(sample)
        cooling = reported is not None and abs(sample[0] - reported) < cooldown_ns
        is_anomaly = beyond > 1 and in_a_row >= consecutive and not cooling
        if is_anomaly:
            reported = sample[0]
        verdicts.append((1.0 if math.isinf(beyond) else beyond / (1 + beyond), is_anomaly))
    return verdicts
