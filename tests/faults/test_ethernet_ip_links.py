"""Links to a Logix controller that do not come up, break, or only look as if they were there; and its odd values."""

from __future__ import annotations

import math

import pytest

from bifrost.plc import PLCConnection, Tag
from bifrost.plc.sim.cip import LogixTarget, TagStore
from tests.faults.link_promises import LinkPromises, SimulatedDevice
from tests.integration.leftovers import nothing_left_behind


class TestEtherNetIPLinks(LinkPromises):
    """On the simulated controller."""

    protocol = "ethernet-ip"
    tag = Tag("t", "Count", access="rw", protocol="ethernet-ip")
    value = 7
    lookup_threads = 8 + 3  # each link has one of its own; of those that were given up, three

    def device(self) -> SimulatedDevice:
        """One tag."""
        store = TagStore()
        store.add("Count", "DINT", 7)
        return LogixTarget(store)


@pytest.mark.parametrize("init_tags", ["auto", "off"])
async def test_values_at_the_edge_of_their_type_are_what_the_bits_say(init_tags: str) -> None:
    """No number is invented, none is bent, and what has no character of its own in a text still has a value."""
    edges: dict[str, tuple[str, object, object]] = {
        "NotANumber": ("REAL", math.nan, math.nan),
        "Infinite": ("REAL", math.inf, math.inf),
        "Least": ("LREAL", -math.inf, -math.inf),
        "MinusZero": ("LREAL", -0.0, -0.0),
        "Widest": ("ULINT", 2**64 - 1, 2**64 - 1),
        "Lowest": ("LINT", -(2**63), -(2**63)),
        "Accent": ("STRING", "\u00c3(", "\u00c3("),
        "Full": ("STRING", "x" * 82, "x" * 82),
        "Empty": ("STRING", "", ""),
    }
    store = TagStore()
    for name, (declaration, value, _) in edges.items():
        store.add(name, declaration, value)
    types = {"STRING": "STRING", "ULINT": "UINT64", "LINT": "INT64", "REAL": "FLOAT32", "LREAL": "FLOAT64"}
    tags = [
        Tag(name, f"{name}:{types[declaration]}" if init_tags == "off" else name, protocol="ethernet-ip")
        for name, (declaration, _, _) in edges.items()
    ]
    async with (
        nothing_left_behind(),
        LogixTarget(store) as target,
        PLCConnection("ethernet-ip", host="127.0.0.1", port=target.port, init_tags=init_tags) as plc,
    ):
        readings = await plc.read_tags(tags)
        assert readings.ok, readings.errors
        for name, (_, _, expected) in edges.items():
            assert repr(readings[name].value) == repr(expected), name
