"""Whether a device kept what was written to it."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.core.value import Value
from bifrost.plc import DataType, Tag
from bifrost.plc.readback import was_kept
from bifrost.testing import VirtualClock
from tests.unit.plc.memory import Machine, memory

AUTO = Tag("a", "Recipe", protocol="ethernet-ip")
SINGLE = struct.unpack("<f", struct.pack("<f", 0.1))[0]
HALF = struct.unpack("<e", struct.pack("<e", 0.1))[0]


@pytest.mark.parametrize(
    ("tag", "sent", "found"),
    [
        (Tag("t", "HR1:FLOAT16"), 0.1, HALF),
        (Tag("t", "HR1:FLOAT32"), 0.1, SINGLE),
        (Tag("t", "HR1:FLOAT32"), 1, 1.0),
        (Tag("t", "HR1:FLOAT32"), math.nan, math.nan),
        (Tag("t", "HR1:FLOAT32"), math.inf, math.inf),
        (Tag("t", "HR1[2]:FLOAT32"), (0.1, math.nan), [SINGLE, math.nan]),
        (Tag("t", "HR1:INT16"), 5.0, 5),
        (Tag("t", "C1"), True, True),
        (Tag("t", "HR1:STRING(4)"), "ab", "ab"),
        (AUTO, 0.1, SINGLE),
        (AUTO, 0.1, 0.1),
        (AUTO, {"x": 0.1, "y": [1, 2]}, {"x": SINGLE, "y": [1, 2], "z": "not written"}),
    ],
)
def test_what_the_type_rounds_is_kept(tag: Tag, sent: object, found: Value) -> None:
    """A type has only so many digits, and a structure may be written in part."""
    assert was_kept(tag, sent, found)


@pytest.mark.parametrize(
    ("tag", "sent", "found"),
    [
        (Tag("t", "HR1:FLOAT16"), 0.1, SINGLE),
        (Tag("t", "HR1:FLOAT32"), 1e-9, 0.0),
        (Tag("t", "HR1:FLOAT64"), 1e-9, 0.0),
        (Tag("t", "HR1:FLOAT64"), 1.0, 1.0000001),
        (Tag("t", "HR1:FLOAT32"), math.nan, 0.0),
        (Tag("t", "HR1:INT16"), 5, 6),
        (Tag("t", "HR1[2]:INT16"), [1, 2], [1]),
        (Tag("t", "HR1[2]:INT16"), [1, 2], None),
        (Tag("t", "HR1:STRING(4)"), "ab", "ab "),
        (AUTO, {"x": 1}, {"y": 1}),
        (AUTO, {"x": 1}, [1]),
        (AUTO, 2**60 + 1, 2**60),
    ],
)
def test_anything_else_is_told(tag: Tag, sent: object, found: Value) -> None:
    """However small the difference is, and where there is no value at all."""
    assert not was_kept(tag, sent, found)


@given(st.floats(width=64))
def test_every_number_that_goes_through_a_type_is_kept(number: float) -> None:
    """By the type itself."""
    tag = Tag("t", "HR1:FLOAT32")
    try:
        found = struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        return
    assert was_kept(tag, number, found)


async def test_a_verified_write_sees_what_a_clamp_would_hide(clock: VirtualClock) -> None:
    """The device has 500 still; the reading is held at 10, which is what was written."""
    plc = memory(Machine({"a": 500}))(clock)
    tag = Tag("a", "a", DataType.UINT32, clamp=(0, 10), access="rw", protocol=plc.settings.protocol)
    async with plc:
        assert not (await plc.write_tags({tag: 10}, verify=True)).ok
