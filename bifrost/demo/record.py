"""What a demo run leaves behind: one moment every fraction of a second, and the script's notes.

In: counters read from the running gateway. Out: plain frozen records for the verdict and the picture.
"""

from __future__ import annotations

import dataclasses

import msgspec

__all__ = ["Moment", "Note", "Record"]


class Moment(msgspec.Struct, frozen=True):
    """The gateway's counters at one instant.

    Attributes:
        at: seconds since the run began.
        acknowledged: rows that the write-ahead buffer has taken, so far; derived ones are among them.
        delivered: of those, rows that every uplink has acknowledged.
        wal_rows: the rest: rows that wait in the buffer.
        devices: state of each device, by name.
    """

    at: float
    acknowledged: int
    delivered: int
    wal_rows: int
    devices: dict[str, str]


class Note(msgspec.Struct, frozen=True):
    """One line of the script, when it happened."""

    at: float
    text: str


@dataclasses.dataclass
class Record:
    """Everything that was seen during one run, in time order."""

    moments: list[Moment] = dataclasses.field(default_factory=list)
    notes: list[Note] = dataclasses.field(default_factory=list)
