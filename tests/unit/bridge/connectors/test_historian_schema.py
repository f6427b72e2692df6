"""A value goes into a cell and comes back, every bit of it."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from bifrost.bridge.connectors.historian_schema import cell, value_of
from bifrost.core.value import Value

VALUES = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(), st.binary(max_size=64), st.none()
)


def bits(value: Value) -> object:
    return struct.pack(">d", value) if isinstance(value, float) else (type(value), value)


@given(VALUES)
def test_a_value_survives_the_round_trip(value: Value) -> None:
    """Kind and bits are the same, for NaN payloads and -0.0 too."""
    assert bits(value_of(*cell(value))) == bits(value)
