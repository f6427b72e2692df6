"""The recorded machine temperature that the demo replays: a file of the package in, samples in file order out.

The recording is real: the temperature of an internal component of a large industrial machine, one sample every five
minutes from December 2013 to February 2014, from the Numenta Anomaly Benchmark (licence beside the file).
Not here: its labelled windows (`bifrost.demo.labels`), its replay (`bifrost.demo.press`).
"""

from __future__ import annotations

import csv
import io
from array import array
from datetime import UTC, datetime
from importlib import resources

import msgspec

from bifrost.errors import ConfigError

__all__ = ["Recording", "Sample", "load_recording", "parse_recording"]

_FILE = "machine_temperature_system_failure.csv"


class Sample(msgspec.Struct, frozen=True):
    """One sample of the recording.

    Attributes:
        index: position in the file, from 0. The only identity of a sample: the recording's clock was once set back
            by an hour (sample 10,149), so twelve times occur twice.
        recorded_at: seconds since 1970; the file names no zone, bifrost reads it as UTC.
        temperature: degrees as recorded, 64-bit.
    """

    index: int
    recorded_at: int
    temperature: float


class Recording:
    """Samples in file order, held in two columns.

    Args:
        recorded_at: seconds since 1970, UTC, one for each sample.
        temperature: degrees, one for each sample.
    """

    __slots__ = ("_recorded_at", "_temperature")

    def __init__(self, recorded_at: array[int], temperature: array[float]) -> None:
        if len(recorded_at) != len(temperature):
            raise ConfigError(f"expected as many times as temperatures, got {len(recorded_at)} and {len(temperature)}")
        if not recorded_at:
            raise ConfigError("the recording is empty: expected at least one sample")
        self._recorded_at = recorded_at
        self._temperature = temperature

    def __len__(self) -> int:
        return len(self._recorded_at)

    def __getitem__(self, index: int) -> Sample:
        return Sample(range(len(self))[index], self._recorded_at[index], self._temperature[index])


def parse_recording(text: str) -> Recording:
    """Read a recording from CSV: a header ``timestamp,value``, then ``2013-12-02 21:15:00,73.96`` and so on.

    Raises:
        ConfigError: a line is not of that form; the text names the line.
    """
    rows = csv.reader(io.StringIO(text))
    if next(rows, None) != ["timestamp", "value"]:
        raise ConfigError("line 1: expected the header timestamp,value")
    recorded_at: array[int] = array("q")
    temperature: array[float] = array("d")
    for row in rows:
        try:
            stamp, value = row
            moment = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
            temperature.append(float(value))
        except ValueError as exc:
            raise ConfigError(f"line {rows.line_num}: expected date and number, got {','.join(row)!r}") from exc
        recorded_at.append(int(moment.timestamp()))
    return Recording(recorded_at, temperature)


def load_recording() -> Recording:
    """Read the recording that comes with the package: 22,695 samples."""
    path = resources.files("bifrost.demo") / "data" / _FILE
    return parse_recording(path.read_text(encoding="ascii"))
