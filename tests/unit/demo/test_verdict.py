"""The verdict of a demo run: samples are compared one by one, not by their number."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from bifrost.core.batch import Batch
from bifrost.demo.history import Row
from bifrost.demo.labels import LabelledWindow, assess
from bifrost.demo.verdict import Comparison, Verdict, compare


def _batch(*values: float) -> Batch:
    count = len(values)
    return Batch.from_columns(["t"] * count, list(range(count)), list(values), received_ts_ns=[7] * count)


def _stored(*batches: Batch) -> Counter[Row]:
    return Counter(Row(*row) for batch in batches for row in batch.rows())


def test_what_left_and_arrived_is_neither_lost_nor_duplicated() -> None:
    """The same samples at both ends, in any order, give a clean comparison; derived rows are left out."""
    stored = _stored(_batch(1.0, 2.0), _batch(3.0))
    stored[Row("t.mean", 0, 2.0, 0, None)] = 1
    assert compare([_batch(3.0), _batch(1.0, 2.0)], stored) == Comparison(3, 3, 0, 0)


def test_a_sample_with_another_value_is_lost_even_if_the_number_of_rows_fits() -> None:
    """Counting rows would miss it: one sample is stored with a value that never left the device."""
    result = compare([_batch(1.0, 2.0)], _stored(_batch(1.0, 9.0)))
    assert (result.lost, result.delivered, result.duplicated) == (1, 1, 0)


def test_a_sample_that_is_stored_twice_is_a_duplicate() -> None:
    """One more copy than left the device counts one."""
    result = compare([_batch(1.0)], _stored(_batch(1.0), _batch(1.0)))
    assert (result.lost, result.duplicated) == (0, 1)


def _verdict(**changes: object) -> Verdict:
    windows = [LabelledWindow(0, 10), LabelledWindow(20, 30), LabelledWindow(40, 50), LabelledWindow(60, 70)]
    facts: dict[str, object] = {
        "samples": Comparison(10, 10, 0, 0),
        "replays": 0,
        "records": 5,
        "recording": 5,
        "dropped": 0,
        "restarts": {"uplinks/historian/sender": 1},
        "assessment": assess([5, 25, 45], windows),
        "broker": None,
        "seconds": 60.0,
    }
    return Verdict(**(facts | changes))  # type: ignore[arg-type]  # the facts above have the field's types


def test_three_of_four_windows_and_nothing_lost_is_good() -> None:
    """The verdict is good, and its words name the figures."""
    verdict = _verdict()
    assert verdict.ok
    text = "\n".join(verdict.lines())
    assert "lost                0" in text
    assert "3 of 4 labelled windows found" in text
    assert "uplinks/historian/sender 1x" in text


def test_each_shortcoming_alone_makes_the_verdict_bad() -> None:
    """A lost, doubled or dropped sample, an incomplete recording, a loss at the broker, or two windows missed."""
    few = assess([5], [LabelledWindow(0, 10), LabelledWindow(20, 30), LabelledWindow(40, 50)])
    assert not _verdict(samples=Comparison(10, 9, 1, 0)).ok
    assert not _verdict(samples=Comparison(10, 10, 0, 1)).ok
    assert not _verdict(broker=Comparison(10, 9, 1, 0)).ok
    assert not _verdict(dropped=1).ok
    assert not _verdict(records=4).ok
    assert not _verdict(assessment=few).ok


def test_the_picture_is_a_png_of_decent_size(tmp_path: Path) -> None:
    """Drawing works on a short run and writes a PNG; an empty run draws too."""
    from bifrost.demo.picture import draw
    from bifrost.demo.record import Moment, Note, Record

    moments = [
        Moment(at=at / 4, acknowledged=at, delivered=at // 2, wal_rows=at - at // 2, devices={"press": "connected"})
        for at in range(40)
    ]
    hour = 3600 * 10**9
    series = [(1386000000 * 10**9 + at * hour, 80.0 + at % 7) for at in range(100)]
    path = tmp_path / "picture.png"
    for record in (Record(moments, [Note(2.0, "something happens")]), Record()):
        assessment = assess([series[3][0]], [LabelledWindow(series[2][0], series[5][0])])
        draw(path, series=series, means=series[::10], anomalies=series[3:4], assessment=assessment, record=record)
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 20_000
