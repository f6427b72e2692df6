"""Values as JSON that every program can read: one object in one line.

JSON knows no NaN, no infinity, no bytes and no time: those become ``"NaN"``, ``"Infinity"``, ``"-Infinity"``,
hexadecimal digits and ISO 8601. Integers are exact, however large.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from bifrost.core.quality import StatusCode
from bifrost.core.value import TagValue

__all__ = ["iso_time", "json_line", "plain", "reading_object", "status_name"]


def json_line(value: object) -> str:
    """Write a value as JSON in one line."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(", ", ": "))


def plain(value: object) -> Any:  # noqa: PLR0911 - a table of types reads best as one match
    """Turn a value, and whatever is in it, into what JSON knows."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case float():
            return value if math.isfinite(value) else _NOT_FINITE[str(float(value))]
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
    return str(value)


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def reading_object(reading: TagValue, address: object) -> dict[str, Any]:
    """Lay out a reading; the value is null whenever the quality is BAD."""
    return {
        "tag": reading.tag,
        "address": plain(address),
        "value": plain(reading.value),
        "quality": reading.quality.name,
        "status": reading.status,
        "status_name": status_name(reading.status),
        "source_time": iso_time(reading.source_ts_ns),
        "server_time": iso_time(reading.server_ts_ns),
        "raw": plain(reading.raw),
        "stale": reading.stale,
        "error": reading.error,
    }


def status_name(status: int) -> str:
    """Name an OPC UA status code; one that has no name here is told as a number."""
    try:
        return StatusCode(status).name
    except ValueError:
        return f"0x{status:08x}"


def iso_time(ns: int) -> str:
    """Write ns since 1970 as ISO 8601 in UTC, to the microsecond."""
    return datetime.fromtimestamp(ns // 1000 / 1e6, tz=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
