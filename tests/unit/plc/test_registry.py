"""Protocols by name: ours and plug-ins come through the same door."""

from __future__ import annotations

import sys
import types

import pytest

from bifrost.errors import ConfigError
from bifrost.plc import ProtocolType, known_protocols, register_protocol
from bifrost.plc.drivers.base import ProtocolSpec
from bifrost.plc.drivers.registry import protocol_named
from bifrost.plc.modbus.protocol import MODBUS_TCP


def test_modbus_is_known_under_every_spelling() -> None:
    """Case and underscores do not matter."""
    assert protocol_named(ProtocolType.MODBUS_TCP) is MODBUS_TCP
    assert protocol_named("Modbus_TCP") is MODBUS_TCP
    assert "modbus-tcp" in known_protocols()


def test_an_unknown_protocol_is_refused_with_the_nearest_known() -> None:
    """A misspelt protocol never goes unnoticed."""
    with pytest.raises(ConfigError, match="did you mean 'modbus-tcp'"):
        protocol_named("modbus-tpc")


def test_a_plug_in_is_loaded_when_it_is_first_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when it is registered."""
    register_protocol("acme", "acme_plc:PROTOCOL")
    assert "acme" in known_protocols()
    module = types.ModuleType("acme_plc")
    spec = ProtocolSpec(
        name="acme",
        default_port=1,
        settings=MODBUS_TCP.settings,
        parse_address=MODBUS_TCP.parse_address,
        create=MODBUS_TCP.create,
    )
    module.__dict__["PROTOCOL"] = spec
    monkeypatch.setitem(sys.modules, "acme_plc", module)
    assert protocol_named("acme") is spec


def test_a_broken_plug_in_harms_only_its_users() -> None:
    """The text names the plug-in and the reason; other protocols work."""
    register_protocol("broken", "no_such_module:PROTOCOL")
    register_protocol("odd", "math:pi")
    with pytest.raises(ConfigError, match="'broken' cannot be loaded from no_such_module"):
        protocol_named("broken")
    with pytest.raises(ConfigError, match="expected a ProtocolSpec at math:pi, got float"):
        protocol_named("odd")
    assert protocol_named("modbus-tcp") is MODBUS_TCP


def test_a_name_is_not_taken_twice() -> None:
    """Unless that is meant."""
    with pytest.raises(ConfigError, match="registered already"):
        register_protocol("modbus-tcp", MODBUS_TCP)
    register_protocol("modbus-tcp", MODBUS_TCP, replace=True)
