"""Numbers that no device can hold are refused as such by every protocol, before anything is sent."""

from __future__ import annotations

import math

import pytest

from bifrost.core.clock import SystemClock
from bifrost.core.settings import Settings
from bifrost.errors import DataTypeError
from bifrost.plc import Tag
from bifrost.plc.drivers.registry import protocol_named
from bifrost.plc.scaling import unscaled

_ADDRESSES = {"modbus-tcp": "HR1:{}", "s7": "DB1:0:{}", "ethernet-ip": "T:{}"}


def _prepare(protocol: str, kind: str, value: object, scale: float | None = None) -> None:
    spec = protocol_named(protocol)
    make: type[Settings] = spec.settings
    driver = spec.create(make(host="device"), SystemClock())
    tag = Tag("t", _ADDRESSES[protocol].format(kind), access="rw", protocol=protocol, scale=scale)
    driver.prepare(tag, unscaled(tag, value))


@pytest.mark.parametrize("protocol", _ADDRESSES)
@pytest.mark.parametrize("kind", ["UINT", "LINT", "REAL", "LREAL"])
@pytest.mark.parametrize("scale", [None, 0.1])
@pytest.mark.parametrize("value", [10**5000, -(10**5000), 2**1024, [1, 2]], ids=["huge", "low", "float", "list"])
def test_what_is_beyond_every_type_is_a_data_type_error(
    protocol: str, kind: str, scale: float | None, value: object
) -> None:
    """Also where the number has more digits than Python writes down; the text stays short."""
    with pytest.raises(DataTypeError) as caught:
        _prepare(protocol, kind, value, scale)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("protocol", _ADDRESSES)
def test_a_whole_number_goes_into_a_float_as_far_as_the_float_reaches(protocol: str) -> None:
    """2**100 is a REAL, 2**1000 a LREAL; one beyond REAL is refused, whether it is written whole or as a float."""
    _prepare(protocol, "REAL", 2**100)
    _prepare(protocol, "LREAL", 2**1000)
    for beyond in (2**128, -(2**128), float(2**128), 2**1000):
        with pytest.raises(DataTypeError):
            _prepare(protocol, "REAL", beyond)


@pytest.mark.parametrize("protocol", _ADDRESSES)
def test_a_number_that_is_none_goes_into_floats_only(protocol: str) -> None:
    """NaN and infinity are values of a float and of no integer."""
    for value in (math.nan, math.inf):
        _prepare(protocol, "REAL", value)
        with pytest.raises(DataTypeError):
            _prepare(protocol, "INT", value)


def test_numbers_within_lists_and_structures_are_looked_at() -> None:
    """Wherever they stand."""
    array = Tag("a", "HR1[2]:UINT64", access="rw", protocol="modbus-tcp")
    with pytest.raises(DataTypeError, match="65 bits"):
        unscaled(array, [1, 2**64])
    structure = Tag("s", "T", access="rw", protocol="ethernet-ip")
    with pytest.raises(DataTypeError, match="2001 bits"):
        unscaled(structure, {"members": [{"count": 2**2000}]})
    assert unscaled(structure, {"members": [{"count": 2**63}]}) == {"members": [{"count": 2**63}]}
