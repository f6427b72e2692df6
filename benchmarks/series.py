"""What batches, windows and detectors cost: rows per second and bytes per value on this machine.

Run: ``python -m benchmarks.series``. Every figure is the best of five runs in one process; the rows as JSON under zlib
stand beside the encoding, measured in the same run.
"""

from __future__ import annotations

import csv
import json
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files

from benchmarks._report import heading
from bifrost.core.batch import Batch
from bifrost.edge.aggregator import Aggregator
from bifrost.edge.detector import Detector
from bifrost.edge.window import Window

SECOND = 1_000_000_000
ROUNDS = 5


def best(action: Callable[[], object]) -> float:
    """Seconds of the fastest of `ROUNDS` runs."""
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return min(times)


def recorded() -> Batch:
    """The recorded machine temperature: 22,695 values with up to nine decimals."""
    text = files("bifrost.demo").joinpath("data/machine_temperature_system_failure.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    times = [int(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp()) * SECOND for row in rows]
    return Batch.from_columns(["t"] * len(rows), times, [float(row["value"]) for row in rows], origin="machine")


def polls(tags: int, rounds: int) -> list[Batch]:
    """One poll a second of tags with one decimal, as a PLC's scaled integers are."""
    labels = [f"press/t{tag}" for tag in range(tags)]
    return [
        Batch.from_columns(
            labels, [step * SECOND] * tags, [20 + (tag * 7 + step * 3) % 100 / 10 for tag in range(tags)], sequence=step
        )
        for step in range(rounds)
    ]


def report(what: str, rows: int, seconds: float) -> None:
    """Print one line."""
    print(f"{what:<58} {rows / seconds / 1e6:8.2f} M rows/s  {seconds / rows * 1e9:8.0f} ns/row")


def main() -> None:
    """Print the table."""
    print(heading("the series engine, by operation"))
    tags, rounds = 1_000, 100
    batches = polls(tags, rounds)
    rows = tags * rounds
    labels, times = batches[0].tags(), [0] * tags
    values = [row[2] for row in batches[0].rows()]
    report("from_columns, 1,000 rows a batch", tags, best(lambda: Batch.from_columns(labels, times, values)))
    report("rows(), 1,000 rows a batch", tags, best(batches[0].rows))
    report("encode, 1,000 rows a batch", rows, best(lambda: [batch.encode() for batch in batches]))
    encoded = [batch.encode() for batch in batches]
    report("decode, 1,000 rows a batch", rows, best(lambda: [Batch.decode(each) for each in encoded]))

    def window() -> None:
        windows = Window.tumbling(10).start([Aggregator.mean(), Aggregator.std()])
        for batch in batches:
            windows.push(batch.columns, 10**12, 0)

    report("tumbling 10 s, mean and std, 1,000 tags", rows, best(window))
    for name, detector in (("mad, window 120", Detector.mad()), ("zscore", Detector.zscore())):

        def detect(detector: Detector = detector) -> None:
            running = detector.start()
            for batch in batches:
                running.push(batch.columns)

        report(f"detector {name}, 1,000 tags", rows, best(detect))
    print()
    measured = {"recorded temperature, one batch": recorded(), "1,000 tags x 100 s": Batch.concat(batches)}
    for what, batch in measured.items():
        ours = len(batch.encode())
        theirs = len(zlib.compress(json.dumps(batch.rows()).encode(), 6))
        ratio = theirs / ours
        print(
            f"{what:<36} {ours / len(batch):6.2f} bytes/row; json+zlib {theirs / len(batch):6.2f} ({ratio:.1f} x ours)"
        )


if __name__ == "__main__":
    main()
