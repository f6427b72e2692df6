"""Settings of a Logix controller: ranges, and the path to it."""

from __future__ import annotations

from typing import Any

import pytest

from bifrost.core.clock import SystemClock
from bifrost.errors import ConfigError
from bifrost.plc.drivers.registry import protocol_named
from bifrost.plc.ethernet_ip import EtherNetIPSettings
from bifrost.plc.settings import settings_from_options


def _made(**options: Any) -> EtherNetIPSettings:
    made = settings_from_options(EtherNetIPSettings, "ethernet-ip", {"host": "192.0.2.7", **options})
    assert isinstance(made, EtherNetIPSettings)
    return made


@pytest.mark.parametrize(
    ("options", "route"),
    [
        ({}, (("bp", "0"),)),
        ({"slot": 3}, (("bp", "3"),)),
        ({"path": "2"}, (("bp", "2"),)),
        ({"path": "bp/0/enet/10.0.0.9/bp/1"}, (("bp", "0"), ("enet", "10.0.0.9"), ("bp", "1"))),
        ({"path": "Backplane,0"}, (("backplane", "0"),)),
        ({"path": "1/0/2/10.0.0.9"}, ((1, "0"), (2, "10.0.0.9"))),
        ({"path": "/bp/4/"}, (("bp", "4"),)),
    ],
)
def test_the_way_to_a_controller_is_written_as_pairs(
    options: dict[str, Any], route: tuple[tuple[int | str, str], ...]
) -> None:
    """A slot alone, or ports and addresses."""
    assert _made(**options).route == route


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"port": 0}, "port"),
        ({"slot": 256}, "slot"),
        ({"slot": 1, "path": "bp/1"}, "not both"),
        ({"path": "bp/0/enet"}, "pairs"),
        ({"path": "bp/300"}, "slot of 0 to 255"),
        ({"path": "serial/0"}, "no port"),
        ({"path": "bp/plc.local"}, "IP address"),
        ({"path": "x"}, "pairs"),
        ({"host": "a b"}, "host"),
        ({"init_tags": "always"}, "init_tags"),
        ({"micro800": True}, "micro800"),
        ({"upload_timeout": 0}, "upload_timeout"),
        ({"cip_timeout": 1}, "cip_timeout"),
        ({"unit_id": 1}, "unit_id"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_opened(options: dict[str, Any], text: str) -> None:
    """`ConfigError` with the option's name."""
    with pytest.raises(ConfigError, match=text):
        _made(**options)


def test_the_registry_knows_the_protocol() -> None:
    """By name; its driver is made without a link, and without the library."""
    spec = protocol_named("EtherNet_IP")
    assert spec.default_port == 44818
    assert spec.url_path == "path"
    assert spec.extra == "ethernet-ip"
    driver = spec.create(_made(), SystemClock())
    assert driver.capabilities.browse
    assert not driver.capabilities.merge_writes
