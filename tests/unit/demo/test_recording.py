from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from bifrost.demo.recording import load_recording, parse_recording
from bifrost.errors import ConfigError


def test_the_package_carries_the_whole_recording() -> None:
    """22,695 samples, from the first to the last line of the file."""
    recording = load_recording()
    assert len(recording) == 22_695
    first, last = recording[0], recording[-1]
    assert (first.index, first.temperature) == (0, 73.96732207)
    assert datetime.fromtimestamp(first.recorded_at, tz=UTC).isoformat() == "2013-12-02T21:15:00+00:00"
    assert (last.index, last.temperature) == (22_694, 96.90386085)
    assert datetime.fromtimestamp(last.recorded_at, tz=UTC).isoformat() == "2014-02-19T15:25:00+00:00"


def test_the_recordings_clock_was_set_back_once() -> None:
    """Twelve times occur twice, so only the index tells samples apart."""
    recording = load_recording()
    times = Counter(recording[at].recorded_at for at in range(len(recording)))
    assert sorted(Counter(times.values()).items()) == [(1, 22_671), (2, 12)]
    steps = [at for at in range(1, len(recording)) if recording[at].recorded_at <= recording[at - 1].recorded_at]
    assert steps == [10_149]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("time,value\n", "line 1: expected the header"),
        ("", "line 1"),
        ("timestamp,value\n", "empty"),
        ("timestamp,value\n2013-12-02 21:15:00,73.9\n2013-12-02 21:20:00,warm\n", "line 3: expected date and number"),
        ("timestamp,value\n2013-12-02 21:15:00\n", "line 2"),
        ("timestamp,value\nyesterday,1.0\n", "line 2"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(text: str, complaint: str) -> None:
    """No sample is skipped or guessed."""
    with pytest.raises(ConfigError, match=complaint):
        parse_recording(text)
