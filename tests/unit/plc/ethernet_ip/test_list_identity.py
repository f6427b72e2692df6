"""ListIdentity: a real answer is read, and no bytes make the parser raise."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from bifrost.plc.ethernet_ip.list_identity import REQUEST, parse_identities
from bifrost.plc.sim.cip import LOGIX, Keyswitch
from bifrost.plc.sim.cip.encapsulation import Command, Frame, Item, ItemType, encode_items

# CIP volume 2 table 2-4.4, filled in for a 1756-ENBT as its maker documents it.
_ITEM = bytes.fromhex(
    "0100"  # encapsulation protocol version
    "0002 af12 c0a80159 0000000000000000"  # sin_family, sin_port, sin_addr, sin_zero, big-endian
    "0100 0c00 3a00"  # vendor, device type, product code
    "0401 3000 78563412"  # revision, status, serial number
    "0b 313735362d454e42542f41"  # length and letters of the product's name
    "03"  # state
)


def _answer(item: bytes, count: int = 1) -> bytes:
    body = struct.pack("<H", count) + struct.pack("<HH", 0x0C, len(item)) + item
    return struct.pack("<HHIIQI", 0x63, len(body), 0, 0, 0, 0) + body


def test_the_question_is_a_bare_header() -> None:
    """24 bytes, command 0x63; volume 2 section 2-4.2."""
    assert b"\x63" + bytes(23) == REQUEST


def test_an_answer_is_read_field_by_field() -> None:
    """The socket address is big-endian, all else is not."""
    (identity,) = parse_identities(_answer(_ITEM))
    assert identity.address == "192.168.1.89"
    assert identity.port == 44818
    assert (identity.vendor, identity.device_type, identity.product_code) == (1, 12, 58)
    assert identity.revision == (4, 1)
    assert identity.serial == 0x12345678
    assert identity.name == "1756-ENBT/A"
    assert identity.vendor_name.startswith("Rockwell")
    assert identity.description == "communications adapter, revision 4.1, serial 12345678"


def test_the_simulators_answer_is_read() -> None:
    """Two parties that were written apart agree."""
    item = LOGIX.list_item("127.0.0.1", 44818, Keyswitch.RUN)
    frame = Frame(Command.LIST_IDENTITY, 0, 0, bytes(8), 0, encode_items([Item(ItemType.IDENTITY, item)], prefix=b""))
    (identity,) = parse_identities(frame.encode())
    assert identity.name == LOGIX.product_name
    assert identity.serial == LOGIX.serial


def test_makers_and_types_that_are_not_known_have_their_numbers() -> None:
    """Nothing is guessed."""
    item = _ITEM[:18] + struct.pack("<HH", 60000, 999) + _ITEM[22:]
    (identity,) = parse_identities(_answer(item))
    assert identity.vendor_name == "vendor 60000"
    assert "999" in identity.description


def test_what_is_cut_short_is_nobody() -> None:
    """Every prefix of an answer is none."""
    whole = _answer(_ITEM)
    for length in range(len(whole)):
        assert parse_identities(whole[:length]) == []


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    """Neither as a datagram nor as the items of one."""
    parse_identities(raw)
    parse_identities(struct.pack("<HHIIQI", 0x63, len(raw), 0, 0, 0, 0) + raw)
    for identity in parse_identities(_answer(raw, count=3)):
        assert identity.name.isprintable()
        assert identity.description
