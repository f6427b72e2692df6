"""The encapsulation layer: whatever comes in, frames come out or one error does, and nothing piles up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import ProtocolError
from bifrost.plc.sim.cip.encapsulation import (
    HEADER_BYTES,
    Frame,
    FrameReader,
    Item,
    decode_items,
    encode_items,
)

FRAMES = st.builds(
    Frame,
    command=st.integers(0, 0xFFFF),
    session=st.integers(0, 0xFFFF_FFFF),
    status=st.integers(0, 0xFFFF_FFFF),
    context=st.binary(min_size=8, max_size=8),
    options=st.integers(0, 0xFFFF_FFFF),
    data=st.binary(max_size=60),
)
ITEMS = st.lists(st.builds(Item, st.integers(0, 0xFFFF), st.binary(max_size=20)), max_size=16)


def test_a_register_session_request_is_read_field_by_field() -> None:
    """The very bytes of volume 2, 2-4.4."""
    wire = bytes.fromhex(
        "6500"  # command
        "0400"  # length of the data
        "00000000"  # session handle
        "00000000"  # status
        "0102030405060708"  # sender context
        "00000000"  # options
        "01000000"  # protocol version 1, no option flags
    )
    (frame,) = FrameReader().feed(wire)
    assert frame == Frame(0x65, context=bytes(range(1, 9)), data=b"\x01\0\0\0")
    assert frame.encode() == wire


@given(st.lists(FRAMES, max_size=5), st.randoms(use_true_random=False))
def test_frames_survive_any_cut_of_the_stream(frames: list[Frame], random: object) -> None:
    """Each frame comes out once, in order, wherever TCP cuts."""
    wire, reader, seen = b"".join(one.encode() for one in frames), FrameReader(), list[Frame]()
    while wire:
        step = random.randint(1, 40)  # type: ignore[attr-defined]  # a random.Random
        seen += reader.feed(wire[:step])
        wire = wire[step:]
    assert seen == frames
    assert reader.pending == 0


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_garbage_raises_nothing_else_and_leaves_no_more_than_came(pieces: list[bytes]) -> None:
    """Any bytes: frames or `ProtocolError`, and never more kept than was fed."""
    reader = FrameReader()
    try:
        for piece in pieces:
            for frame in reader.feed(piece):
                assert len(frame.data) <= sum(map(len, pieces))
    except ProtocolError:
        assert reader.pending == 0
    assert reader.pending <= sum(map(len, pieces))


def test_a_length_that_no_frame_can_have_loses_the_stream() -> None:
    """65,511 bytes of data are possible, 65,512 are not; what was kept is let go."""
    head = bytes.fromhex("6f00") + (65512).to_bytes(2, "little")
    reader = FrameReader()
    assert list(reader.feed(head + bytes(10))) == []
    with pytest.raises(ProtocolError, match="65535"):
        list(reader.feed(bytes(HEADER_BYTES)))
    assert reader.pending == 0


@given(ITEMS)
def test_items_come_back_as_they_went(items: list[Item]) -> None:
    """The common packet format, there and back."""
    assert decode_items(encode_items(items)) == items


@given(st.binary(max_size=80))
def test_no_bytes_make_the_items_raise_anything_else(data: bytes) -> None:
    """Any bytes: items that lie within them, or `ProtocolError`."""
    try:
        items = decode_items(data)
    except ProtocolError:
        return
    assert 8 + sum(4 + len(one.data) for one in items) == len(data)


@pytest.mark.parametrize("cut", range(len(encode_items([Item(0), Item(0xB2, b"abc")]))))
def test_items_that_are_cut_off_are_refused(cut: int) -> None:
    """Every proper beginning of a packet is an error, not a shorter packet."""
    with pytest.raises(ProtocolError):
        decode_items(encode_items([Item(0), Item(0xB2, b"abc")])[:cut])


@given(st.binary(max_size=60))
def test_a_datagram_is_one_frame_or_an_error(datagram: bytes) -> None:
    """By UDP nothing may be missing and nothing may follow."""
    try:
        frame = Frame.decode(datagram)
    except ProtocolError:
        return
    assert frame.encode() == datagram
