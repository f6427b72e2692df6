"""Connectors are found by name, built-in and added ones, and a typing mistake is told with the nearest name."""

from __future__ import annotations

import pytest

from bifrost.bridge.connectors import Connector, connector, connector_names, register_connector
from bifrost.bridge.connectors.historian import HistorianSettings, HistorianUplink
from bifrost.bridge.connectors.mqtt import MqttSettings
from bifrost.errors import ConfigError


def test_the_built_in_connectors_are_there() -> None:
    """`historian` and `mqtt`, each with its settings type."""
    assert connector("historian").settings_type is HistorianSettings
    assert connector("mqtt").settings_type is MqttSettings
    assert {"historian", "mqtt"} <= set(connector_names())


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    """`mqqt` is not there; `mqtt` is meant."""
    with pytest.raises(ConfigError, match="did you mean 'mqtt'"):
        connector("mqqt")


def test_an_application_adds_its_own_once() -> None:
    """An added connector is found; a taken name is refused."""
    added = Connector(HistorianSettings, HistorianUplink)
    register_connector("test-only", added)
    assert connector("test-only") is added
    with pytest.raises(ConfigError, match="already"):
        register_connector("test-only", added)
    with pytest.raises(ConfigError, match="already"):
        register_connector("mqtt", added)
