"""Searching for devices: the protocol's own search, with its own options, or a word about what is wrong."""

from __future__ import annotations

import sys
import types
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from bifrost.errors import ConfigError, PluginError
from bifrost.plc import register_protocol
from bifrost.plc.discovery import FoundDevice, discover, search_options
from bifrost.plc.drivers import registry
from bifrost.plc.modbus.protocol import MODBUS_TCP


class Search:
    """A search that notes what it was asked, and whether it was ended."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.ended = False

    async def __call__(self, target: str, *, timeout: float, depth: int = 1) -> AsyncIterator[FoundDevice]:
        self.asked = {"target": target, "timeout": timeout, "depth": depth}
        try:
            for number in range(1000):
                yield FoundDevice(protocol="acme", endpoint=target, url=f"acme://{target}", unit_id=number)
        finally:
            self.ended = True


def protocol_with(name: str, search: str | None) -> None:
    register_protocol(name, msgspec.structs.replace(MODBUS_TCP, name=name, discover=search), replace=True)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Search:
    made = Search()
    module = types.ModuleType("acme_search")
    module.__dict__["search"] = made.__call__
    monkeypatch.setitem(sys.modules, "acme_search", module)
    protocol_with("acme-found", "acme_search:search")
    return made


async def test_a_search_gets_its_own_options_and_tells_each_device(search: Search) -> None:
    """As they answer; leaving the loop ends the search."""
    devices: Any = discover("acme-found", "192.0.2.7", timeout=0.5, depth=3)
    async for device in devices:
        if device.unit_id == 2:
            break
    await devices.aclose()
    assert search.asked == {"target": "192.0.2.7", "timeout": 0.5, "depth": 3}
    assert search.ended
    assert search_options("acme-found") == ["depth"]


@pytest.mark.parametrize(
    ("options", "hint"),
    [({"dept": 3}, "did you mean depth"), ({"timeout": 0.0}, "0.01 to 3600"), ({"timeout": float("nan")}, "0.01")],
)
async def test_a_wrong_option_is_refused_before_the_search_begins(
    search: Search, options: dict[str, Any], hint: str
) -> None:
    """Nothing is sent."""
    with pytest.raises(ConfigError, match=hint):
        await anext(discover("acme-found", "192.0.2.7", **options))
    assert search.asked == {}


@pytest.mark.usefixtures("search")
async def test_a_protocol_that_cannot_search_is_told_with_those_that_can() -> None:
    """And a search that cannot be loaded harms only those who ask for it."""
    protocol_with("acme-mute", None)
    with pytest.raises(ConfigError, match=r"acme-mute devices cannot be searched for; .*acme-found.*modbus-tcp"):
        await anext(discover("acme-mute", "192.0.2.7"))
    protocol_with("acme-torn", "no_such_module:search")
    with pytest.raises(PluginError, match="cannot be loaded from no_such_module:search"):
        await anext(discover("acme-torn", "192.0.2.7"))


async def test_the_built_in_protocols_search_by_the_same_door() -> None:
    """Their options are known before anything is sent."""
    assert {"units", "rate", "port"} <= set(search_options("modbus-tcp") or [])
    for protocol in ("ethernet-ip", "s7"):
        assert "port" in (search_options(protocol) or [])
