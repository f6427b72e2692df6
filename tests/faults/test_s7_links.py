"""Links to an S7 CPU that do not come up, break, or only look as if they were there; and its odd values."""

from __future__ import annotations

import math

import pytest

from bifrost.core.quality import StatusCode
from bifrost.plc import PLCConnection, Tag
from bifrost.plc.sim.s7 import S7Target
from tests.faults.link_promises import LinkPromises, SimulatedDevice
from tests.integration.leftovers import nothing_left_behind


class TestS7Links(LinkPromises):
    """On the simulated CPU."""

    protocol = "s7"
    tag = Tag("t", "DB1.DBW0", access="rw", protocol="s7")
    value = 42

    def device(self) -> SimulatedDevice:
        """One data block."""
        target = S7Target({1: 64})
        target.put("DB1.DBW0", 42)
        return target


@pytest.mark.parametrize(
    ("raw", "address", "expected"),
    [
        ("7fc00000", "DB1.DBD0:REAL", math.nan),
        ("7f800000", "DB1.DBD0:REAL", math.inf),
        ("ff800000", "DB1.DBD0:REAL", -math.inf),
        ("8000000000000000", "DB1:0:LREAL", -0.0),
        ("ffffffffffffffff", "DB1:0:ULINT", 2**64 - 1),
        ("8000000000000000", "DB1:0:LINT", -(2**63)),
        ("0402c328", "DB1:0:STRING(4)", "\u00c3("),
        ("040441424344", "DB1:0:STRING(4)", "ABCD"),
        ("0400", "DB1:0:STRING(4)", ""),
    ],
)
async def test_values_at_the_edge_of_their_type_are_what_the_bits_say(raw: str, address: str, expected: object) -> None:
    """No number is invented, none is bent, and text is Latin-1 unless the connection says otherwise."""
    async with (
        nothing_left_behind(),
        S7Target({1: 64}) as target,
        PLCConnection("s7", host="127.0.0.1", port=target.port) as plc,
    ):
        for at, byte in enumerate(bytes.fromhex(raw)):
            target.put(f"DB1.DBB{at}", byte)
        assert repr(await plc.read(Tag("edge", address, protocol="s7"))) == repr(expected)


@pytest.mark.parametrize("header", ["0405", "00ff", "ffff"])
async def test_a_text_whose_lengths_contradict_each_other_harms_no_other(header: str) -> None:
    """Longer than its room, or than the address says: it is BAD and no text at all, its neighbour is read."""
    async with (
        nothing_left_behind(),
        S7Target({1: 64}) as target,
        PLCConnection("s7", host="127.0.0.1", port=target.port) as plc,
    ):
        for at, byte in enumerate(bytes.fromhex(header)):
            target.put(f"DB1.DBB{at}", byte)
        target.put("DB1.DBW10", 11)
        readings = await plc.read_tags(
            [Tag("text", "DB1:0:STRING(4)", protocol="s7"), Tag("beside", "DB1.DBW10", protocol="s7")]
        )
        assert (readings["text"].value, readings["text"].status) == (None, StatusCode.BAD_DECODING_ERROR)
        assert readings["beside"].value == 11
