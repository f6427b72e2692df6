"""A session fed with any bytes, without a socket: it answers, ends or waits, and never raises."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from bifrost.plc.sim.cip import CipFaultPlan, LogixTarget, TagStore
from bifrost.plc.sim.cip.encapsulation import Frame, Item, encode_items
from bifrost.plc.sim.cip.session import Session
from bifrost.testing import VirtualLoop

REGISTER = Frame(0x65, data=b"\x01\0\0\0").encode()
MESSAGES = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda service, rest: bytes([service]) + b"\x02\x20\x06\x24\x01" + rest,
        st.sampled_from([0x4E, 0x52, 0x54, 0x5B]),
        st.binary(max_size=60),
    ),
)
FRAMES = st.one_of(
    st.binary(max_size=60),
    st.just(REGISTER),
    st.builds(
        lambda command, session, data: Frame(command, session, data=data).encode(),
        st.sampled_from([0x00, 0x01, 0x04, 0x63, 0x64, 0x65, 0x66, 0x6F, 0x70]),
        st.sampled_from([0, 0x0100_0001]),
        st.one_of(
            st.binary(max_size=40),
            st.builds(lambda message: encode_items([Item(0), Item(0xB2, message)]), MESSAGES),
            st.builds(lambda message: encode_items([Item(0xA1, b"\x01\0\x01\0"), Item(0xB1, message)]), MESSAGES),
        ),
    ),
)


class Wire(asyncio.Transport):
    """Takes what is written; ends when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True


async def _feed(pieces: list[bytes], seed: int | None) -> None:
    store = TagStore()
    store.add("A", "DINT")
    plan = None if seed is None else CipFaultPlan.seeded(seed, rate=0.5, seconds=1.0)
    target = LogixTarget(store, faults=plan, opening_faults=plan)
    wire, session = Wire(), Session(target)
    session.connection_made(wire)
    for piece in (REGISTER, *pieces):
        if wire.ended:
            break
        session.data_received(piece)
    await asyncio.sleep(100)
    session.connection_lost(None)
    assert target.clients == 0
    assert len(target.manager) == 0
    if seed is None:
        # Without faults everything sent is whole frames, each with the command of a request.
        while wire.sent:
            end = 24 + int.from_bytes(wire.sent[2:4], "little")
            Frame.decode(wire.sent[:end])
            wire.sent = wire.sent[end:]


@given(st.lists(FRAMES, max_size=12), st.one_of(st.none(), st.integers(0, 1000)))
def test_no_bytes_break_a_session(pieces: list[bytes], seed: int | None) -> None:
    """Any frames and garbage, with and without faults: no exception, and nothing left behind."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(_feed(pieces, seed))
    finally:
        loop.close()
