"""The tables of the local historian, and how a value becomes a cell and back, exactly.

A cell's `kind` says what it is: SQLite alone cannot tell a bool from an integer, and would store a NaN as NULL.
"""

from __future__ import annotations

import math
import struct
from typing import Final

from bifrost.core.value import Value

__all__ = ["KIND_BOOL", "KIND_BYTES", "KIND_FLOAT", "KIND_INT", "KIND_NULL", "KIND_TEXT", "SCHEMA", "cell", "value_of"]

KIND_NULL: Final = 0
KIND_BOOL: Final = 1
KIND_INT: Final = 2
KIND_FLOAT: Final = 3
KIND_TEXT: Final = 4
KIND_BYTES: Final = 5

# Rows arrive in the order of time, so both trees grow at their right end. An index led by the tag would touch one page
# for each tag with every batch: with thousands of tags that is tens of megabytes a second.
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS buffers (id INTEGER PRIMARY KEY, buffer_id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS tags (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS samples (
    buffer INTEGER NOT NULL REFERENCES buffers(id), seq INTEGER NOT NULL, row INTEGER NOT NULL,
    tag INTEGER NOT NULL REFERENCES tags(id), source_ts_ns INTEGER NOT NULL, received_ts_ns INTEGER,
    status INTEGER NOT NULL, kind INTEGER NOT NULL, value,
    PRIMARY KEY (buffer, seq, row)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS samples_time ON samples (source_ts_ns, tag);
CREATE VIEW IF NOT EXISTS history AS
    SELECT tags.name AS tag, source_ts_ns, value, status, received_ts_ns, kind, buffers.buffer_id, seq, row
    FROM samples JOIN tags ON tags.id = samples.tag JOIN buffers ON buffers.id = samples.buffer;
"""

_NAN_BYTES: Final = 8


def cell(value: Value) -> tuple[int, int | float | str | bytes | None]:
    """Turn a value into its kind and what SQLite stores; a NaN travels as its eight bytes, so that no bit is lost."""
    kind = type(value)
    if kind is float:
        number: float = value  # type: ignore[assignment]  # its type was just looked at
        return KIND_FLOAT, struct.pack(">d", number) if number != number else number  # noqa: PLR0124 - only a NaN
    if value is None:
        return KIND_NULL, None
    if isinstance(value, bool):
        return KIND_BOOL, int(value)
    if isinstance(value, int):
        return KIND_INT, value
    if isinstance(value, str):
        return KIND_TEXT, value
    assert isinstance(value, bytes)  # a batch holds no lists
    return KIND_BYTES, value


def value_of(kind: int, stored: float | str | bytes | None) -> Value:
    """Turn what `cell` gave back into the value."""
    if kind == KIND_BOOL:
        return bool(stored)
    if kind == KIND_FLOAT and isinstance(stored, bytes):
        number: float = struct.unpack(">d", stored)[0] if len(stored) == _NAN_BYTES else math.nan
        return number
    return stored
