"""S7 values as bytes: snap7's getters and setters as oracle, and what is no value."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snap7 import util

from bifrost.errors import DataTypeError, ProtocolError
from bifrost.plc.s7.types import S7Type
from bifrost.plc.s7.values import codec_of

_Getter = Callable[[bytearray, int], Any]
_INTEGERS: list[tuple[S7Type, _Getter, int, int]] = [
    (S7Type.SINT, util.get_sint, -(2**7), 2**7 - 1),
    (S7Type.USINT, util.get_usint, 0, 2**8 - 1),
    (S7Type.INT, util.get_int, -(2**15), 2**15 - 1),
    (S7Type.UINT, util.get_uint, 0, 2**16 - 1),
    (S7Type.DINT, util.get_dint, -(2**31), 2**31 - 1),
    (S7Type.UDINT, util.get_udint, 0, 2**32 - 1),
    (S7Type.LINT, util.get_lint, -(2**63), 2**63 - 1),
    (S7Type.ULINT, util.get_ulint, 0, 2**64 - 1),
]


@pytest.mark.parametrize(("kind", "get", "low", "high"), _INTEGERS)
@given(data=st.data())
def test_integers_are_snap7s(kind: S7Type, get: _Getter, low: int, high: int, data: st.DataObject) -> None:
    """Both ways, the edges included."""
    value = data.draw(st.sampled_from([low, high, 0]) | st.integers(low, high))
    codec = codec_of(kind)
    encoded = codec.encode(value)
    assert len(encoded) == codec.size
    assert codec.decode(encoded) == value == get(bytearray(encoded), 0)


@pytest.mark.parametrize(("kind", "low", "high"), [(kind, low, high) for kind, _, low, high in _INTEGERS])
def test_an_integer_beyond_its_type_is_refused(kind: S7Type, low: int, high: int) -> None:
    """It does not wrap, and what is no whole number is none."""
    for value in (low - 1, high + 1, 0.5, math.nan, math.inf, True, "1", None):
        with pytest.raises(DataTypeError):
            codec_of(kind).encode(value)


@given(st.floats(width=32))
def test_real_is_snap7s(value: float) -> None:
    """NaN and infinity included."""
    codec = codec_of(S7Type.REAL)
    encoded = codec.encode(value)
    assert repr(codec.decode(encoded)) == repr(value) == repr(util.get_real(bytearray(encoded), 0))


@given(st.floats())
def test_lreal_is_snap7s(value: float) -> None:
    """NaN and infinity included."""
    codec = codec_of(S7Type.LREAL)
    encoded = codec.encode(value)
    assert repr(codec.decode(encoded)) == repr(value) == repr(util.get_lreal(bytearray(encoded), 0))


def test_a_float_beyond_real_is_refused() -> None:
    """It does not become infinity."""
    with pytest.raises(DataTypeError, match="beyond the range of REAL"):
        codec_of(S7Type.REAL).encode(1e39)


_latin = st.text(st.characters(codec="latin-1"), max_size=20)


@given(_latin, st.integers(20, 254))
def test_a_string_is_snap7s(text: str, length: int) -> None:
    """What snap7 writes is read; what is written into its place is read by snap7, and the room stays."""
    codec = codec_of(S7Type.STRING, length)
    buffer = bytearray(2 + length)
    util.set_string(buffer, 0, text, length)
    assert codec.decode(bytes(buffer)) == text
    fresh = bytearray([length]) + bytearray(1 + length)
    encoded = codec.encode(text)
    fresh[1 : 1 + len(encoded)] = encoded
    assert util.get_string(fresh, 0) == text
    assert fresh[0] == length


@given(st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20), st.integers(20, 99))
def test_a_wstring_is_snap7s(text: str, length: int) -> None:
    """As STRING, in UTF-16."""
    codec = codec_of(S7Type.WSTRING, length)
    buffer = bytearray(4 + 2 * length)
    util.set_wstring(buffer, 0, text, length)
    assert codec.decode(bytes(buffer)) == text
    encoded = codec.encode(text)
    fresh = bytearray(length.to_bytes(2)) + bytearray(2 + 2 * length)
    fresh[2 : 2 + len(encoded)] = encoded
    assert util.get_wstring(fresh, 0) == text


@pytest.mark.parametrize(
    ("kind", "length", "data", "says"),
    [
        (S7Type.STRING, 10, b"\x05\x06abcdef\0\0\0\0", "no STRING here"),
        (S7Type.STRING, 4, b"\x0a\x06abcd", r"write STRING\(10\)"),
        (S7Type.STRING, 4, b"\0\x01abcd", "no STRING here"),
        (S7Type.WSTRING, 1, b"\0\x01\0\x02ab", "no WSTRING here"),
        (S7Type.WSTRING, 2, b"\0\x02\0\x01\xd8\x00\0a", "not encoded as utf-16-be"),
        (S7Type.BCD16, 0, b"\x12\x3a", "decimal digits"),
        (S7Type.DATE, 0, b"\xff\xff", "beyond 2168-12-31"),
        (S7Type.TOD, 0, (86_400_000).to_bytes(4), "beyond the day"),
        (S7Type.LTOD, 0, (86_400_000_000_000).to_bytes(8), "beyond the day"),
        (S7Type.DT, 0, bytes(8), "2000-00-00 is no date"),
        (S7Type.DT, 0, bytes.fromhex("2402302359590001"), "2024-02-30 is no date"),
        (S7Type.DT, 0, bytes.fromhex("2402282459590001"), "no time of day"),
        (S7Type.DT, 0, bytes.fromhex("24022a2359590001"), "decimal digits"),
        (S7Type.DTL, 0, bytes(12), "0000-00-00 is no date"),
        (S7Type.DTL, 0, bytes.fromhex("07e8021e01173b3b00000000"), "2024-02-30 is no date"),
        (S7Type.DTL, 0, bytes.fromhex("07e8021d01173b3bffffffff"), "no time of day"),
        (S7Type.TIMER, 0, b"\x1a\x00", "decimal digits"),
        (S7Type.COUNTER, 0, b"\x0a\x00", "decimal digits"),
    ],
)
def test_bytes_that_are_no_value_are_refused(kind: S7Type, length: int, data: bytes, says: str) -> None:
    """`ProtocolError` with the reason; never a guess."""
    with pytest.raises(ProtocolError, match=says):
        codec_of(kind, length).decode(data)


_KINDS = [kind for kind in S7Type if not kind.has_length] + [S7Type.CHAR, S7Type.WCHAR, S7Type.STRING, S7Type.WSTRING]


@given(st.sampled_from(_KINDS), st.binary(min_size=300, max_size=300))
def test_any_bytes_are_a_value_or_a_protocol_error(kind: S7Type, data: bytes) -> None:
    """Nothing else is raised, whatever the device sends."""
    codec = codec_of(kind, 20 if kind.has_length else 0)
    try:
        value = codec.decode(data[: codec.size])
    except ProtocolError:
        return
    assert value is not None


_moments = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2089, 12, 31, 23, 59, 59))  # noqa: DTZ001 - PLCs know no zone


@given(_moments)
def test_date_and_time_is_snap7s(moment: dt.datetime) -> None:
    """Milliseconds, two-digit years and the day of the week."""
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    buffer = bytearray(8)
    util.set_dt(buffer, 0, moment)
    codec = codec_of(S7Type.DT)
    assert codec.decode(bytes(buffer)) == moment.isoformat(timespec="milliseconds")
    assert codec.encode(moment) == codec.encode(moment.isoformat()) == bytes(buffer)
    assert util.get_date_time_object(bytearray(codec.encode(moment)), 0) == moment


@given(_moments, st.integers(0, 999))
def test_dtl_is_snap7s(moment: dt.datetime, ns: int) -> None:
    """Microseconds as snap7 has them, nanoseconds beyond."""
    codec = codec_of(S7Type.DTL)
    text = f"{moment.isoformat(timespec='microseconds')}{ns:03d}"
    encoded = codec.encode(text)
    assert codec.decode(encoded) == text
    assert util.get_dtl(bytearray(encoded), 0) == moment
    buffer = bytearray(12)
    util.set_dtl(buffer, 0, moment)
    assert codec.decode(bytes(buffer)) == moment.isoformat(timespec="microseconds") + "000"


@given(_moments)
def test_ldt_and_its_parts_are_snap7s(moment: dt.datetime) -> None:
    """LDT, LTOD, TOD and DATE."""
    encoded = codec_of(S7Type.LDT).encode(moment)
    assert util.get_ldt(bytearray(encoded), 0) == moment
    assert codec_of(S7Type.LDT).decode(encoded) == moment.isoformat(timespec="microseconds") + "000"
    since = moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)
    assert util.get_ltod(bytearray(codec_of(S7Type.LTOD).encode(moment.time())), 0) == since
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    tod = codec_of(S7Type.TOD)
    assert util.get_tod(bytearray(tod.encode(whole.time())), 0) == since - (moment - whole)
    assert tod.decode(tod.encode(whole.time())) == whole.time().isoformat(timespec="milliseconds")
    date = codec_of(S7Type.DATE)
    assert util.get_date(bytearray(date.encode(moment.date())), 0) == moment.date()
    assert date.decode(date.encode(moment.date().isoformat())) == moment.date().isoformat()


@given(st.integers(0, 999), st.sampled_from([10, 100, 1000, 10_000]))
def test_s5time_is_snap7s(steps: int, base: int) -> None:
    """Three digits and a base; the finest base that holds it is taken."""
    codec = codec_of(S7Type.S5TIME)
    encoded = codec.encode(steps * base)
    assert codec.decode(encoded) == steps * base
    assert util.get_s5time(bytearray(encoded), 0) == str(dt.timedelta(milliseconds=steps * base))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (S7Type.BOOL, 1),
        (S7Type.S5TIME, 10_010),  # four digits
        (S7Type.S5TIME, 5),
        (S7Type.S5TIME, -10),
        (S7Type.COUNTER, 1000),
        (S7Type.BCD16, 10_000),
        (S7Type.BCD16, -1),
        (S7Type.TIME, dt.timedelta(days=25)),
        (S7Type.TIME, dt.timedelta(microseconds=1)),
        (S7Type.DATE, "1989-12-31"),
        (S7Type.DATE, "2024-02-30"),
        (S7Type.DATE, dt.datetime(2024, 1, 1)),  # noqa: DTZ001 - PLCs know no zone
        (S7Type.DT, "2090-01-01T00:00:00"),
        (S7Type.DT, "2024-01-01T00:00:00.0001"),  # finer than a millisecond
        (S7Type.DT, "2024-01-01T00:00:00+01:00"),
        (S7Type.DT, "2024-01-01T24:00:00"),
        (S7Type.DTL, dt.datetime(2024, 1, 1, tzinfo=dt.UTC)),
        (S7Type.DTL, "1969-12-31T00:00:00"),
        (S7Type.LDT, "2300-01-01T00:00:00"),
        (S7Type.TOD, "1:2:3"),
        (S7Type.TOD, 5),
        (S7Type.STRING, "x" * 5),
        (S7Type.STRING, "λ"),
        (S7Type.STRING, b"x"),
        (S7Type.BYTES, b"12345"),
        (S7Type.BYTES, "1234"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(kind: S7Type, value: object) -> None:
    """`DataTypeError`; nothing is cut, rounded or wrapped."""
    with pytest.raises(DataTypeError):
        codec_of(kind, 4 if kind.has_length else 0).encode(value)


def test_durations_are_milliseconds_and_nanoseconds() -> None:
    """TIME counts milliseconds, LTIME nanoseconds; a timedelta does as well."""
    assert codec_of(S7Type.TIME).encode(-5000) == (-5000).to_bytes(4, signed=True)
    assert codec_of(S7Type.TIME).encode(dt.timedelta(seconds=-5)) == codec_of(S7Type.TIME).encode(-5000)
    assert codec_of(S7Type.LTIME).encode(dt.timedelta(microseconds=3)) == (3000).to_bytes(8)
    assert codec_of(S7Type.S5TIME).encode(dt.timedelta(seconds=2)) == b"\x02\x00"


def test_characters_end_with_nul() -> None:
    """CHAR(n) is as long as its place; what is missing is NUL, what is NUL at the end is missing."""
    codec = codec_of(S7Type.CHAR, 4)
    assert codec.encode("ab") == b"ab\0\0"
    assert codec.decode(b"ab\0\0") == "ab"
    assert codec.decode(b"ab c") == "ab c"
    assert codec_of(S7Type.WCHAR, 2).decode("λ\0".encode("utf-16-be")) == "λ"


def test_the_encoding_is_the_connections() -> None:
    """A STRING of a CPU whose programs are written elsewhere."""
    codec = codec_of(S7Type.STRING, 4, "cp1251")
    assert codec.encode("Я") == b"\x01\xdf"
    assert codec.decode(b"\x04\x01\xdf\0\0\0") == "Я"
