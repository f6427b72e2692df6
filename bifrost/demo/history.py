"""What the historian holds after a run, read with plain SQLite: the end of the way, seen by somebody else.

In: the historian's file. Out: rows and series. Not here: writing (`bifrost.bridge.connectors.historian`).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from bifrost.bridge.connectors.historian_schema import value_of

__all__ = ["Row", "numbers", "read_rows"]


class Row(NamedTuple):
    """One stored sample, by everything that makes it the sample that left the device."""

    tag: str
    source_ts_ns: int
    value: object
    status: int
    received_ts_ns: int | None


def read_rows(path: Path) -> Counter[Row]:
    """Count every stored sample; a sample stored twice counts two."""
    query = "SELECT tag, source_ts_ns, kind, value, status, received_ts_ns FROM history"
    with closing(sqlite3.connect(path)) as connection:
        return Counter(
            Row(tag, source_ts, value_of(kind, value), status, received)
            for tag, source_ts, kind, value, status, received in connection.execute(query)
        )


def numbers(path: Path, tag: str) -> list[tuple[int, float]]:
    """Good values of one tag with their source times (ns since 1970, UTC), in time order."""
    query = "SELECT source_ts_ns, value FROM history WHERE tag = ? AND status = 0 ORDER BY source_ts_ns"
    with closing(sqlite3.connect(path)) as connection:
        return [(source_ts, float(value)) for source_ts, value in connection.execute(query, (tag,))]
