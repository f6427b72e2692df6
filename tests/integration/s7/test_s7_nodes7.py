"""nodes7, an S7 client that shares no line with bifrost or snap7, talks to the simulated CPU."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bifrost.core.value import Value
from bifrost.plc.sim.s7 import S7Target
from tests.integration.node_packages import need_node, node_process

_CLIENT = Path(__file__).with_name("nodes7_client.js")
_TYPES: list[tuple[str, str, Value, Value]] = [
    ("DB1,X0.3", "DB1.DBX0.3", True, False),
    ("DB1,BYTE1", "DB1.DBB1", 200, 7),
    ("DB1,INT2", "DB1,INT2", -1234, 4321),
    ("DB1,WORD4", "DB1.DBW4", 65535, 1),
    ("DB1,DINT6", "DB1:6:DINT", -70_000, 70_000),
    ("DB1,DWORD10", "DB1.DBD10", 2**32 - 1, 5),
    ("DB1,REAL14", "DB1,REAL14", 20.5, -0.25),
    ("DB1,LREAL18", "DB1,LREAL18", 1e100, 3.25),
    ("DB1,S26.10", "DB1,S26.10", "valve", "pump"),
    ("DB1,INT40.3", "DB1,INT40.3", [1, -2, 3], [4, 5, -6]),
    ("DB1,C46.4", "DB1,C46.4", "abcd", "wxyz"),
    ("M10.3", "M10.3", True, False),
    ("MW20", "MW20", 777, 4711),
    ("MR24", "MR24", 0.5, 1.5),
    ("QB4", "QB4", 9, 10),
]


class _Nodes7:
    """The client in its own process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    async def heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(self._process.stdout.readline), timeout=10.0)
        said: dict[str, Any] = json.loads(line)
        return said

    async def ask(self, **order: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return await self.heard()


@asynccontextmanager
async def _client(target: S7Target) -> AsyncIterator[_Nodes7]:
    with node_process(need_node("nodes7"), _CLIENT, str(target.port), "0", "1") as process:
        client = _Nodes7(process)
        assert await client.heard() == {"connected": True}
        yield client


async def test_nodes7_reads_and_writes_each_type() -> None:
    """What the CPU holds is what nodes7 reads, and what it writes is what the CPU holds."""
    need_node("nodes7")
    async with S7Target({1: 64}) as target:
        for _, ours, value, _ in _TYPES:
            target.put(ours, value)
        async with _client(target) as client:
            said = await client.ask(read=[theirs for theirs, *_ in _TYPES])
            assert not said["bad"]
            for theirs, _, value, _ in _TYPES:
                came = said["values"][theirs]
                assert ("".join(came) if theirs == "DB1,C46.4" else came) == pytest.approx(value), theirs
            said = await client.ask(write=[theirs for theirs, *_ in _TYPES], values=[new for *_, new in _TYPES])
            assert said == {"bad": False}
        for _, ours, _, new in _TYPES:
            assert target.get(ours) == new, ours
        assert target.get("DB1.DBB0") == 0, "a bit was written alone"


async def test_nodes7_sees_one_bad_item_among_good_ones() -> None:
    """The target answers each item with a return code of its own."""
    need_node("nodes7")
    async with S7Target({1: 64}) as target:
        target.put("DB1,INT2", 5)
        async with _client(target) as client:
            said = await client.ask(read=["DB1,INT2", "DB9,INT0"])
    assert said["bad"]
    assert said["values"]["DB1,INT2"] == 5
    assert str(said["values"]["DB9,INT0"]).startswith("BAD")
