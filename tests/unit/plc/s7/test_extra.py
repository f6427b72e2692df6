"""python-snap7 is optional: addresses are understood without it, and whoever connects is told what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bifrost.core.clock import SystemClock
from bifrost.errors import MissingExtra
from bifrost.plc.datatypes import ProtocolType, Tag
from bifrost.plc.s7 import S7Driver, S7Settings

_SCRIPT = """
import sys
from bifrost.plc import Tag
import bifrost.plc.s7
import bifrost.plc.sim.s7
assert Tag("x", "DB1.DBD4:REAL").dialect == "s7"
assert not [name for name in sys.modules if name.startswith("snap7")]
"""


def test_understanding_addresses_imports_no_snap7() -> None:
    """Neither do the driver's and the simulator's modules."""
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


async def test_a_driver_without_snap7_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """`MissingExtra`, where the connection is made; what needs no link works."""
    for module in [name for name in sys.modules if name.startswith(("snap7", "bifrost.plc.s7."))]:
        if module.rsplit(".", 1)[-1] in {"link", "wire", "identity"}:
            monkeypatch.delitem(sys.modules, module)
    for module in ("snap7", "snap7.async_client", "snap7.error", "snap7.type"):
        monkeypatch.setitem(sys.modules, module, None)
    driver = S7Driver(S7Settings(host="plc"), SystemClock())
    assert driver.plan([Tag("x", "DB1.DBD4:REAL", protocol="s7")]).total == 1
    with pytest.raises(MissingExtra, match=r"bifrost-edge\[s7\]"):
        await driver.connect(timeout=1.0, on_lost=lambda _error: None)
    await driver.aclose()


def test_settings_are_of_s7_by_themselves() -> None:
    """Their tags are understood as S7's."""
    assert S7Settings(host="plc").protocol == ProtocolType.S7
