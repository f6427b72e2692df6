"""Who a CPU is and which data blocks it has, as it says itself. Reads only.

Needs the extra ``s7``; import it where it is used. Obeys: system status lists 0x0011 and 0x001C; block list services.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from snap7.async_client import AsyncClient
from snap7.type import Block as BlockType

from bifrost.errors import S7Fault
from bifrost.plc.datatypes import DataType
from bifrost.plc.drivers.base import BrowsedTag
from bifrost.plc.s7.link import S7Link

__all__ = ["ask_identity", "list_data_blocks"]

_MOST_BLOCKS = 65535


async def ask_identity(link: S7Link, *, timeout: float) -> str:
    """Ask a CPU for its type and order number, within `timeout` seconds.

    Returns:
        Such as ``CPU 315-2 PN/DP, 6ES7 315-2EH14-0AB0 V3.2.6``; what it does not tell is left out.

    Raises:
        LinkError: no answer; the link was dropped.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    parts = []
    for question in (_cpu_type, _order_number):
        try:
            parts.append(await link.ask(question, timeout=max(deadline - loop.time(), 0.01)))
        except S7Fault:
            continue  # it may keep that to itself
    return ", ".join(part for part in parts if part)


async def list_data_blocks(link: S7Link, *, timeout: float) -> list[BrowsedTag]:
    """List the data blocks, each as an array of its bytes; each request has `timeout` seconds.

    Raises:
        LinkError: no answer; the link was dropped.
        S7Fault: the CPU does not list its blocks.
    """
    numbers = await link.ask(lambda client: client.list_blocks_of_type(BlockType.DB, _MOST_BLOCKS), timeout=timeout)
    return [await _data_block(link, number, timeout) for number in sorted(numbers)]


async def _data_block(link: S7Link, number: int, timeout: float) -> BrowsedTag:
    name = f"DB{number}"
    try:
        size, about = await link.ask(_block_info(number), timeout=timeout)
    except S7Fault as fault:
        size, about = 0, str(fault)
    if size < 1:
        about = about or "the CPU does not tell its size; a block with optimized access cannot be read"
    address = f"DB{number}.DBB0:BYTE[{size}]" if size > 1 else f"DB{number}.DBB0"
    return BrowsedTag(
        name=name,
        address=address,
        datatype=DataType.UINT8,
        count=max(size, 1),
        description=about,
        type_name="DB",
    )


def _block_info(number: int) -> Callable[[AsyncClient], Awaitable[tuple[int, str]]]:
    async def ask(client: AsyncClient) -> tuple[int, str]:
        info = await client.get_block_info(BlockType.DB, number)
        words = (_text(info.Header), _text(info.Family), _text(info.Author))
        return int(info.MC7Size), " ".join(word for word in words if word)

    return ask


async def _cpu_type(client: AsyncClient) -> str:
    return _text((await client.get_cpu_info()).ModuleTypeName)


async def _order_number(client: AsyncClient) -> str:
    code = await client.get_order_code()
    number = _text(code.OrderCode)
    return f"{number} V{code.V1}.{code.V2}.{code.V3}" if number else ""


def _text(raw: bytes) -> str:
    """A name as the CPU gives it: padded, and of whatever bytes it likes."""
    text = raw.split(b"\0", 1)[0].decode("latin-1")
    return "".join(letter for letter in text if letter.isprintable()).strip()
