"""The settings reference names every key of every section."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from bifrost.bridge.buffering.settings import WalSettings
from bifrost.bridge.connectors.registry import connector, connector_names
from bifrost.bridge.delivery import DeliverySettings
from bifrost.bridge.retry import RetrySettings
from bifrost.core.settings import Settings
from bifrost.edge.settings import DetectSettings, PipelineSettings, WindowSettings
from bifrost.gateway.settings import ControlSettings, GatewaySection
from bifrost.plc.drivers.registry import known_protocols, protocol_named
from bifrost.plc.settings import DeviceSettings, TagSettings

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"

SECTIONS: list[tuple[str, type[Settings]]] = [
    ("`[gateway]`", GatewaySection),
    ("`[wal]`", WalSettings),
    ("Every device", DeviceSettings),
    ("`[[devices.<name>.tags]]`", TagSettings),
    ("`[pipelines.<name>]`", PipelineSettings),
    ("`[pipelines.<name>.window]`", WindowSettings),
    ("`[pipelines.<name>.detect]`", DetectSettings),
    ("`[uplinks.<name>.delivery]`", DeliverySettings),
    ("`[uplinks.<name>.delivery.retry]`", RetrySettings),
    ("`[surfaces.control]`", ControlSettings),
]


def keys_of(section: str) -> set[str]:
    """Keys that the tables of one section list."""
    text = REFERENCE.read_text(encoding="utf-8")
    assert f"## {section}\n" in text
    body = text.split(f"## {section}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE))


def fields_of(settings: type[Settings]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(settings)}


@pytest.mark.parametrize(("section", "settings"), SECTIONS, ids=[section for section, _ in SECTIONS])
def test_a_section_lists_exactly_its_keys(section: str, settings: type[Settings]) -> None:
    """A key that was added, renamed or removed shows here."""
    assert keys_of(section) == fields_of(settings)


def test_every_protocol_and_connector_of_ours_has_its_section() -> None:
    """Devices list what they have beside the keys of every device, uplinks all keys of their connector."""
    for name in known_protocols():
        settings = protocol_named(name).settings
        if settings.__module__.startswith("bifrost."):
            assert keys_of(f'`protocol = "{name}"`') == fields_of(settings) - fields_of(DeviceSettings)
    for name in connector_names():
        settings = connector(name).settings_type
        if settings.__module__.startswith("bifrost."):
            assert keys_of(f'`kind = "{name}"`') == fields_of(settings)
