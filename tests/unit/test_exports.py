"""What is public is what `__all__` says, and importing it costs nothing optional."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from typing import Any

import pytest

import bifrost

_MODULES = sorted(
    name for _, name, _ in pkgutil.walk_packages(bifrost.__path__, "bifrost.") if not name.endswith("__main__")
)
_OPTIONAL = (
    "aiomqtt",
    "paho",
    "sqlite_utils",
    "rich",
    "matplotlib",
    "pymodbus",
    "pycomm3",
    "snap7",
    "serial",
    "numpy",
    "tree_sitter",
    "pyarrow",
    "opentelemetry",
    "trio",
    "pykka",
)


@pytest.mark.parametrize("name", [name for name in _MODULES if "._native._rust" not in name])
def test_every_module_says_what_is_public(name: str) -> None:
    """Each module has a docstring and `__all__`, which names what exists, once, and all that is public in it."""
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    public = list(module.__all__)
    assert len(public) == len(set(public))
    missing = [item for item in public if not hasattr(module, item)]
    assert not missing, f"{name}.__all__ names what does not exist: {missing}"
    own = {
        item
        for item, value in vars(module).items()
        if not item.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
    }
    assert own <= set(public), f"{name}.__all__ leaves out {own - set(public)}"


@pytest.mark.parametrize("name", [name for name in _MODULES if "._native._rust" not in name])
def test_whatever_is_public_says_what_it_is(name: str) -> None:
    """Each public class and function, and each public method and property of one, has a docstring."""
    module = importlib.import_module(name)
    silent = []
    for item in module.__all__:
        value = getattr(module, item)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if (value.__module__, value.__name__) != (name, item):
            continue  # a value, or defined elsewhere
        members = {item: value}
        if inspect.isclass(value):
            members |= {f"{item}.{key}": part for key, part in vars(value).items() if not key.startswith("_")}
        for path, member in members.items():
            part: Any = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if (inspect.isclass(part) or inspect.isfunction(part)) and not part.__doc__:
                silent.append(path)
    assert not silent, f"{name}: {silent} have no docstring"


@pytest.mark.parametrize(
    "names",
    [
        "bifrost",
        "bifrost.plc",
        "bifrost.plc.modbus.protocol, bifrost.plc.ethernet_ip.protocol, bifrost.plc.s7.protocol",
        "bifrost.plc.sim, bifrost.plc.sim.cip, bifrost.plc.sim.s7",
        "bifrost.gateway, bifrost.cli.main",
    ],
)
def test_importing_bifrost_imports_no_optional_dependency(names: str) -> None:
    """A plain `import bifrost` in a fresh interpreter loads none of the extras; nor do protocols and simulators."""
    code = f"import {names}, sys; print([m for m in {_OPTIONAL!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_importing_bifrost_leaves_the_application_alone() -> None:
    """No signal handler, logging handler, event loop policy or thread appears by importing."""
    code = (
        "import asyncio, logging, signal, threading;"
        "before = (signal.getsignal(signal.SIGINT), type(asyncio.get_event_loop_policy()), threading.active_count());"
        "import bifrost;"
        "after = (signal.getsignal(signal.SIGINT), type(asyncio.get_event_loop_policy()), threading.active_count());"
        "handlers = logging.getLogger().handlers + logging.getLogger('bifrost').handlers;"
        "print(before == after, handlers)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "True []"
