"""A read with several requests on the wire at a time.

In: blocks. Out: values, and the blocks that failed, one by one. Not here: what becomes of those (`repair`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from bifrost._native import ModbusBlock
from bifrost.core.value import Value
from bifrost.errors import BifrostError
from bifrost.plc.modbus.exchanging import Tally
from bifrost.plc.modbus.pipelined_link import PipelinedLink
from bifrost.plc.modbus.repair import note_undecodable

__all__ = ["read_windowed"]


async def read_windowed(
    link: PipelinedLink,
    blocks: Iterable[ModbusBlock],
    values: list[Value],
    errors: dict[int, BifrostError],
    settle: Callable[[ModbusBlock, BifrostError], Awaitable[None]],
    *,
    timeout: float,
    tally: Tally,
) -> None:
    """Ask for all blocks, as many at a time as the link has places; no more, so that other users get their turns.

    Args:
        link: the link.
        blocks: what to ask for; taken one by one, each when there is a place for it.
        values: where they go.
        errors: where values go that are none of their type.
        settle: takes care of a block that failed.
        timeout: seconds from sending to the answer, for each.
        tally: counts for the user who asks.
    """
    window: deque[tuple[ModbusBlock, asyncio.Future[bytes]]] = deque()

    async def finish_oldest() -> None:
        block, answer = window.popleft()
        try:
            undecodable = block.decode(await answer, values)
        except BifrostError as error:
            await settle(block, error)
        else:
            if undecodable is not None:
                note_undecodable(errors, undecodable)
            link.health.answered(block.unit)

    try:
        waiting = iter(blocks)
        with link.together():
            for block in islice(waiting, link.max_in_flight):
                window.append((block, link.begin(block.frame, block.unit, timeout, tally)))
        for block in waiting:
            await finish_oldest()
            window.append((block, link.begin(block.frame, block.unit, timeout, tally)))
        while window:
            await finish_oldest()
    finally:
        for _, answer in window:
            answer.cancel()  # also takes note of one that failed, which the loop would report as nobody's
