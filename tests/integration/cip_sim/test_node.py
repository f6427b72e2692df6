"""st-ethernet-ip, a client in JavaScript, uploads, reads and writes the simulated controller."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from bifrost.plc.sim.cip import LogixTarget
from tests.integration.cip_sim.plant import MANY, plant_store
from tests.integration.node_packages import need_node, node_environment

_SCRIPT = Path(__file__).with_name("st_ethernet_ip.js")


@pytest.mark.parametrize("mode", ["connected", "unconnected"])
async def test_a_javascript_client_uploads_reads_and_writes(mode: str) -> None:
    """Over a connection and without one: tag list, templates, values, refusals, fragments, structures."""
    folder, store = need_node("st-ethernet-ip"), plant_store()
    motor: Any = store.value("Motor1")
    async with LogixTarget(store) as target:
        seen = await _run(folder, str(target.port), mode)
    assert seen["name"] == "1756-L83E/B"
    assert len(seen["tags"]) == 22 + MANY
    assert {"Program:Main.Level", "Program:Other.Level", "Motors"} < set(seen["tags"])
    values = seen["values"]
    read = [values[name] for name in ("Speed", "Count", "On", "Arr[3]", "Big", "Count.1", "Text", "Short", "Level")]
    assert read == [1.5, 34, True, 3, -(2**40), True, "hello", "abc", 7.0]
    assert values["Arr"] == list(range(10))
    assert values["Huge"] == list(range(5000))
    visible = {name: value for name, value in values["Motor1"].items() if not name.startswith("ZZZZ")}
    assert (visible["Running"], visible["Speed"], visible["Name"]) == (True, 2.5, "pump")
    assert values["Motors[39]"]["Name"] == "m39"
    assert seen["refused"] == {"Nope": [0x04, [0]], "Fixed": [0x0F, []]}
    assert [store.value(name) for name in ("Speed", "Count", "On", "Text", "Fixed")] == [9.5, 78, False, "node", 5]
    # This client writes a 64-bit member of a structure 8 bytes too far, into padding here.
    motor["Name"], motor["Axis"]["Homed"], motor["Wide"] = "joe", False, 0
    assert store.value("Motor1") == motor


async def _run(folder: Path, *arguments: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(_SCRIPT),
        *arguments,
        env=node_environment(folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(20):
            out, errors = await process.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself just now
            process.kill()
        await process.communicate()
        raise
    assert process.returncode == 0, errors.decode()
    return json.loads(out)
