"""Dates and times of S7 programs as ISO 8601 text, and back.

In: the bytes of one value, or a text, date or time. Out: a text, or bytes. A PLC's clock knows no time zone, so neither
does the text. Pure. What is no date raises `ProtocolError` when read and `DataTypeError` when written.
Obeys: STEP 7 "Format of the data type DATE_AND_TIME"; TIA Portal, "DTL", "LDT", "LTOD".
"""

from __future__ import annotations

import datetime as dt
import re
import struct

from bifrost.errors import DataTypeError, ProtocolError

__all__ = [
    "decode_date",
    "decode_dt",
    "decode_dtl",
    "decode_ldt",
    "decode_ltod",
    "decode_tod",
    "encode_date",
    "encode_dt",
    "encode_dtl",
    "encode_ldt",
    "encode_ltod",
    "encode_tod",
    "from_bcd",
    "to_bcd",
]

_EPOCH = dt.date(1990, 1, 1)
_LAST_DATE = dt.date(2168, 12, 31)
_UNIX_EPOCH = dt.date(1970, 1, 1)
_DAY_NS = 86_400_000_000_000
_DTL = struct.Struct(">HBBBBBBI")
_TIME = re.compile(r"(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?")
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](.+)")


def from_bcd(data: bytes) -> int:
    """Read decimal digits, two in each byte.

    Raises:
        ProtocolError: one of them is no digit.
    """
    digits = data.hex()
    if not digits.isdecimal():
        raise ProtocolError(f"expected decimal digits (BCD), got 0x{digits}")
    return int(digits)


def to_bcd(number: int, digits: int) -> bytes:
    """Write decimal digits, two in each byte; the number must fit."""
    return bytes.fromhex(f"{number:0{digits}d}")


def decode_date(data: bytes) -> str:
    """DATE: days since 1990-01-01, until 2168-12-31."""
    days = int.from_bytes(data)
    if days > (_LAST_DATE - _EPOCH).days:
        raise ProtocolError(f"day {days} after 1990-01-01 is beyond 2168-12-31, the last DATE")
    return (_EPOCH + dt.timedelta(days=days)).isoformat()


def encode_date(value: object) -> bytes:
    """DATE, from ``2024-05-06`` or a date."""
    date = _date(value)
    if not _EPOCH <= date <= _LAST_DATE:
        raise DataTypeError(f"a DATE runs from 1990-01-01 to 2168-12-31, got {date}")
    return (date - _EPOCH).days.to_bytes(2)


def decode_tod(data: bytes) -> str:
    """TIME_OF_DAY: milliseconds since midnight."""
    return _clock(int.from_bytes(data) * 1_000_000, digits=3)


def encode_tod(value: object) -> bytes:
    """TIME_OF_DAY, from ``13:04:05.678`` or a time."""
    return (_ns_of_day(value, digits=3) // 1_000_000).to_bytes(4)


def decode_ltod(data: bytes) -> str:
    """LTIME_OF_DAY: nanoseconds since midnight."""
    return _clock(int.from_bytes(data), digits=9)


def encode_ltod(value: object) -> bytes:
    """LTIME_OF_DAY, from ``13:04:05.678901234`` or a time."""
    return _ns_of_day(value, digits=9).to_bytes(8)


def decode_dt(data: bytes) -> str:
    """DATE_AND_TIME: decimal digits, years 1990 to 2089; the day of the week is not looked at."""
    year, month, day, hour, minute, second = (from_bcd(data[at : at + 1]) for at in range(6))
    milliseconds = from_bcd(data[6:7]) * 10 + from_bcd(bytes([data[7] >> 4]))
    date = _checked_date(year + (2000 if year < 90 else 1900), month, day)
    return f"{date}T{_checked_clock(hour, minute, second, milliseconds * 1_000_000, digits=3)}"


def encode_dt(value: object) -> bytes:
    """DATE_AND_TIME, from ``2024-05-06T13:04:05.678`` or a datetime."""
    date, ns = _moment(value, digits=3)
    if not 1990 <= date.year <= 2089:
        raise DataTypeError(f"a DATE_AND_TIME runs from 1990 to 2089, got {date}")
    seconds, milliseconds = divmod(ns // 1_000_000, 1000)
    digits = f"{date:%y%m%d}{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}{milliseconds:03d}"
    return bytes.fromhex(f"{digits}{_weekday(date)}")


def decode_dtl(data: bytes) -> str:
    """DTL: year to second as numbers, and nanoseconds; the day of the week is not looked at."""
    year, month, day, _, hour, minute, second, ns = _DTL.unpack(data)
    return f"{_checked_date(year, month, day)}T{_checked_clock(hour, minute, second, ns, digits=9)}"


def encode_dtl(value: object) -> bytes:
    """DTL, from ``2024-05-06T13:04:05.678901234`` or a datetime."""
    date, ns = _moment(value, digits=9)
    if not 1970 <= date.year <= 2554:
        raise DataTypeError(f"a DTL runs from 1970 to 2554, got {date}")
    seconds, rest = divmod(ns, 1_000_000_000)
    clock = (seconds // 3600, seconds // 60 % 60, seconds % 60)
    return _DTL.pack(date.year, date.month, date.day, _weekday(date), *clock, rest)


def decode_ldt(data: bytes) -> str:
    """DATE_AND_LTIME: nanoseconds since 1970."""
    days, ns = divmod(int.from_bytes(data), _DAY_NS)
    return f"{_UNIX_EPOCH + dt.timedelta(days=days)}T{_clock(ns, digits=9)}"


def encode_ldt(value: object) -> bytes:
    """DATE_AND_LTIME, from ``2024-05-06T13:04:05.678901234`` or a datetime."""
    date, ns = _moment(value, digits=9)
    total = (date - _UNIX_EPOCH).days * _DAY_NS + ns
    if not 0 <= total < 2**63:
        raise DataTypeError(f"a DATE_AND_LTIME runs from 1970-01-01 to 2262-04-11, got {date}")
    return total.to_bytes(8)


def _checked_date(year: int, month: int, day: int) -> dt.date:
    try:
        return dt.date(year, month, day)
    except ValueError:
        raise ProtocolError(f"{year:04d}-{month:02d}-{day:02d} is no date") from None


def _checked_clock(hour: int, minute: int, second: int, ns: int, *, digits: int) -> str:
    if hour > 23 or minute > 59 or second > 59 or ns > 999_999_999:
        raise ProtocolError(f"{hour:02d}:{minute:02d}:{second:02d} and {ns} ns is no time of day")
    return f"{hour:02d}:{minute:02d}:{second:02d}.{ns // 10 ** (9 - digits):0{digits}d}"


def _clock(ns: int, *, digits: int) -> str:
    if ns >= _DAY_NS:
        raise ProtocolError(f"{ns / 1e9:.0f} s after midnight is beyond the day")
    seconds, rest = divmod(ns, 1_000_000_000)
    return _checked_clock(seconds // 3600, seconds // 60 % 60, seconds % 60, rest, digits=digits)


def _weekday(date: dt.date) -> int:
    """1 is Sunday, 7 Saturday."""
    return date.isoweekday() % 7 + 1


def _date(value: object) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    try:
        if isinstance(value, str) and len(value) == 10:
            return dt.date.fromisoformat(value)
    except ValueError:
        pass
    raise DataTypeError(f"expected a date such as '2024-05-06', got {value!r:.60}")


def _ns_of_day(value: object, *, digits: int) -> int:
    text = _text(value, dt.time)
    matched = None if text is None else _TIME.fullmatch(text)
    if matched is None:
        raise DataTypeError(f"expected a time without zone such as '13:04:05.678', got {value!r:.60}")
    hour, minute, second = (int(matched[part]) for part in (1, 2, 3))
    ns = int((matched[4] or "").ljust(9, "0"))
    if hour > 23 or minute > 59 or second > 59:
        raise DataTypeError(f"{matched[0]!r} is no time of day")
    if ns % 10 ** (9 - digits):
        raise DataTypeError(f"expected at most {digits} digits of a second, got {matched[0]!r}")
    return (hour * 3600 + minute * 60 + second) * 1_000_000_000 + ns


def _moment(value: object, *, digits: int) -> tuple[dt.date, int]:
    text = _text(value, dt.datetime)
    matched = None if text is None else _MOMENT.fullmatch(text)
    if matched is None:
        raise DataTypeError(f"expected a date and time without zone such as '2024-05-06T13:04:05', got {value!r:.60}")
    return _date(matched[1]), _ns_of_day(matched[2], digits=digits)


def _text(value: object, kind: type[dt.datetime | dt.time]) -> str | None:
    if isinstance(value, kind):
        return value.isoformat()
    return value if isinstance(value, str) else None
