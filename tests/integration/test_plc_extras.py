"""What is not installed, or installed broken, harms only those who use it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_LIBRARIES = ("pycomm3", "snap7", "serial", "pymodbus", "rich", "cpppo", "pylogix")


def _run(code: str, *site: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, site))} if site else None
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_library_is_imported_before_a_link_is_made() -> None:
    """Not by the package, its protocols, its simulators, its tags, nor by planning."""
    code = f"""
import sys
import bifrost.plc, bifrost.plc.sim, bifrost.plc.sim.cip, bifrost.plc.sim.s7, bifrost.plc.discovery
from bifrost.plc import PLCConnection, Tag, known_protocols
from bifrost.plc.drivers.registry import protocol_named
for name in known_protocols():
    protocol_named(name)
for address in (40001, "DB1.DBW0", "Program:Main.Speed"):
    Tag("t", address)
for options in ({{}}, {{"engine": "pymodbus"}}):
    PLCConnection("modbus-tcp", host="127.0.0.1", tags=[Tag("t", "HR1")], **options)
PLCConnection("modbus-rtu", serial_port="/dev/ttyUSB0")
PLCConnection("ethernet-ip", host="127.0.0.1", tags=[Tag("t", "Speed")])
print([name for name in {_LIBRARIES} if name in sys.modules])
"""
    assert _run(code).strip() == "[]"


@pytest.mark.parametrize(
    ("library", "extra", "connection"),
    [
        ("pycomm3", "ethernet-ip", '"ethernet-ip", host="127.0.0.1", port=1'),
        ("snap7", "s7", '"s7", host="127.0.0.1", port=1'),
        ("serial", "serial", '"modbus-rtu", serial_port="/dev/ttyS0"'),
        ("pymodbus", "pymodbus", '"modbus-tcp", host="127.0.0.1", port=1, engine="pymodbus"'),
        ("serial", "serial", '"modbus-rtu", serial_port="/dev/ttyS0", engine="pymodbus"'),
    ],
)
def test_a_connection_whose_library_is_missing_names_the_extra(library: str, extra: str, connection: str) -> None:
    """However it is used; it is no outage, and is not tried again and again. Other protocols work."""
    code = f"""
import asyncio, sys
sys.modules[{library!r}] = None
from bifrost.errors import MissingExtra
from bifrost.plc import PLCConnection, Tag

async def enter():
    async with PLCConnection({connection}):
        pass

async def read():
    plc = PLCConnection({connection})
    plc.start()
    try:
        await plc.wait_connected(timeout=5.0)
    except MissingExtra:
        tag = plc.tag("t", {{"ethernet-ip": "Speed", "s7": "DB1.DBW0"}}.get(plc.settings.protocol, "HR1"))
        try:
            await plc.read(tag)
        finally:
            try:
                await plc.aclose()
            except MissingExtra:
                pass

for use in (enter, read):
    try:
        asyncio.run(use())
    except MissingExtra as error:
        print(error)
PLCConnection("modbus-tcp", host="127.0.0.1")
"""
    said = _run(code).splitlines()
    assert len(said) == 2
    assert all(f"bifrost-edge[{extra}]" in line for line in said), said


@pytest.mark.parametrize(
    ("maker", "extra"),
    [
        ("from bifrost.plc.sim.s7 import S7Target; server = S7Target({1: 8})", "s7"),
        (
            "from bifrost.plc.sim import ModbusRtuServer as Line, RegisterBank; server = Line(RegisterBank(), '/x')",
            "serial",
        ),
    ],
)
def test_a_simulator_whose_library_is_missing_names_the_extra(maker: str, extra: str) -> None:
    """Where it is started."""
    code = f"""
import asyncio, sys
sys.modules["snap7"] = sys.modules["serial"] = None
from bifrost.errors import MissingExtra
{maker}
try:
    asyncio.run(server.start())
except MissingExtra as error:
    print(error)
"""
    assert f"bifrost-edge[{extra}]" in _run(code)


def _install(site: Path, name: str, entry_points: str, module: str | None = None) -> None:
    """Lay a distribution out as an installer does."""
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (folder / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    if module is not None:
        (site / f"{name}.py").write_text(module, encoding="utf-8")


_BROKEN = {
    "raises": ("raises:SPEC", "1 / 0\n"),
    "unreadable": ("unreadable:SPEC", "def (\n"),
    "absent": ("absent:SPEC", None),
    "needy": ("needy:SPEC", "import no_such_library\n"),
    "leaves": ("leaves:SPEC", "raise SystemExit('bye')\n"),
    "hollow": ("hollow:SPEC", ""),
    "wrong": ("wrong:SPEC", "SPEC = 'a protocol'\n"),
    "nowhere": ("nowhere", "SPEC = None\n"),
}

_USE = """
import sys
import bifrost.plc
from bifrost.errors import PluginError
from bifrost.plc import PLCConnection, Tag, known_protocols
for name in {broken}:
    assert name in known_protocols(), name
    assert name not in sys.modules, name
    for attempt in range(2):
        try:
            PLCConnection(name, host="127.0.0.1")
        except PluginError as error:
            assert name in str(error), error
        else:
            raise AssertionError(name)
Tag("t", "HR1"), Tag("t", "DB1.DBW0"), Tag("t", "Speed")
for name in ("modbus-tcp", "s7", "ethernet-ip", "whole", "deep"):
    PLCConnection(name, host="127.0.0.1")
"""


def test_broken_plug_ins_harm_nobody_but_their_users(tmp_path: Path) -> None:
    """Installed for real, broken in every way: the import, the list, and all other protocols work."""
    for name, (value, module) in _BROKEN.items():
        _install(tmp_path, name, f"[bifrost.plc.protocols]\n{name} = {value}\n", module)
    whole = "from bifrost.plc.modbus.protocol import MODBUS_TCP as SPEC\nclass Inner:\n    SPEC = SPEC\n"
    _install(tmp_path, "whole", "[bifrost.plc.protocols]\nwhole = whole:SPEC\n", whole)
    _install(tmp_path, "deep", "[bifrost.plc.protocols]\ndeep = deep:Inner.SPEC [fast]\n", whole)
    _run(_USE.format(broken=list(_BROKEN)), tmp_path)


def test_unreadable_metadata_of_a_package_harms_only_plug_ins(tmp_path: Path) -> None:
    """A package whose list of entry points is no such list: the built-in protocols work, and the reason is told."""
    _install(tmp_path, "torn", "[bifrost.plc.protocols]\nno equals sign\n")
    code = """
import bifrost.plc
from bifrost.errors import ConfigError
from bifrost.plc import PLCConnection, known_protocols
assert "modbus-tcp" in known_protocols()
PLCConnection("s7", host="127.0.0.1")
try:
    PLCConnection("acme", host="127.0.0.1")
except ConfigError as error:
    print(error)
"""
    said = _run(code, tmp_path)
    assert "unknown protocol 'acme'" in said
    assert "a package is broken" in said
