"""Connections written as URLs or as tables."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import BifrostError, ConfigError
from bifrost.plc import PLCConnection, Tag
from bifrost.plc.modbus.settings import ModbusSettings
from bifrost.plc.url import options_from_url


def test_a_url_says_what_options_say() -> None:
    """Place, port and options by long or short name, with their types."""
    plc = PLCConnection.from_url("modbus-tcp://192.0.2.7:1502?unit=3&timeout=0.5&byte_order=CDAB", name="press")
    settings = plc.settings
    assert isinstance(settings, ModbusSettings)
    assert (settings.host, settings.port, settings.unit_id) == ("192.0.2.7", 1502, 3)
    assert (settings.timeout, settings.byte_order, plc.name) == (0.5, "CDAB", "press")
    assert PLCConnection.from_url("MODBUS-TCP://plc.example").settings == ModbusSettings(host="plc.example")
    six = PLCConnection.from_url("modbus-tcp://[2001:db8::1]:502").settings
    assert isinstance(six, ModbusSettings)
    assert six.host == "2001:db8::1"


def test_options_beside_a_url_may_not_contradict_it() -> None:
    """They may add to it."""
    plc = PLCConnection.from_url("modbus-tcp://192.0.2.7", timeout=0.25, tags=[Tag("t", "HR1")])
    assert plc.settings.timeout == 0.25
    with pytest.raises(ConfigError, match="port is in the URL and beside it"):
        PLCConnection.from_url("modbus-tcp://192.0.2.7:502", port=503)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("192.0.2.7:502", "expected a URL such as modbus-tcp://"),
        ("modbus-tpc://192.0.2.7", "did you mean 'modbus-tcp'"),
        ("modbus-tcp://", "names no host"),
        ("modbus-tcp://:502", "names no host"),
        ("modbus-tcp://192.0.2.7:70000", "cannot read URL"),
        ("modbus-tcp://192.0.2.7:x", "cannot read URL"),
        ("modbus-tcp://[::1", "cannot read URL"),
        ("modbus-tcp://192.0.2.7/1", "has no path"),
        ("modbus-tcp://me@192.0.2.7", "has no user"),
        ("modbus-tcp://192.0.2.7#1", "no '#' part"),
        ("modbus-tcp://192.0.2.7?unit=1&unit_id=2", "says unit_id twice"),
        ("modbus-tcp://192.0.2.7?unti=1", "unknown option unti for modbus-tcp; did you mean unit"),
        ("modbus-tcp://192.0.2.7?timout=1", "did you mean timeout"),
        ("modbus-tcp://192.0.2.7?on_change=1", "for devices of a gateway"),
        ("modbus-tcp://192.0.2.7?tags=1", "unknown option tags"),
        ("modbus-tcp://192.0.2.7?protocol=s7", "unknown option protocol"),
        ("modbus-tcp://192.0.\n2.7", "cannot be printed"),
        ("modbus-tcp://192.0.2.7?unit=one", "wrong option"),
        ("modbus-tcp://192.0.2.7?unit=256", "unit_id from 0 to 255"),
    ],
)
def test_a_wrong_url_is_refused_with_what_is_wrong(url: str, hint: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigError) as caught:
        PLCConnection.from_url(url)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("url", "option", "meant"),
    [
        ("modbus_tcp://192.0.2.7", "host", "192.0.2.7"),
        ("modbus-tcp://[fe80::1%25eth0]:502", "host", "fe80::1%eth0"),
        ("modbus-rtu://COM3", "serial_port", "COM3"),
        ("modbus-rtu:///com12?unit=2", "serial_port", "com12"),
        ("modbus-rtu:///dev/ttyUSB0", "serial_port", "/dev/ttyUSB0"),
        ("modbus-rtu:///dev/serial/by-id/usb%20a", "serial_port", "/dev/serial/by-id/usb a"),
        ("modbus-rtu://%2Fdev%2FttyS0", "serial_port", "/dev/ttyS0"),
    ],
)
def test_a_place_is_taken_as_it_is_meant(url: str, option: str, meant: str) -> None:
    """Underscores in the protocol, zones of IPv6, serial ports of Windows, per cent signs."""
    assert getattr(PLCConnection.from_url(url).settings, option) == meant


URLS = st.from_regex(r"modbus-(tcp|rtu)://[a-z0-9:\[\]/?&=%.@#-]{0,30}", fullmatch=True)


@given(st.one_of(st.text(max_size=40), URLS))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    """Never another exception."""
    with suppress(BifrostError):
        assert options_from_url(text)[0].name.startswith("modbus-")


def test_a_connection_can_be_made_from_a_table() -> None:
    """The keys of a device's section; all mistakes are told at once."""
    plc = PLCConnection.from_config(
        {"host": "192.0.2.7", "tags": [{"name": "t", "address": 40001, "datatype": "FLOAT32"}]}, "press"
    )
    assert (plc.name, plc.tags[0].name) == ("press", "t")
    with pytest.raises(ConfigError) as caught:
        PLCConnection.from_config({"hots": "192.0.2.7", "port": "x", "tags": [{"name": "t", "address": 0}]})
    assert len(caught.value.mistakes) >= 3
    assert "did you mean host" in str(caught.value)


def test_a_connection_can_be_made_from_a_file(tmp_path: Path) -> None:
    """Its only device, or the one that is named; mistakes come with their lines."""
    file = tmp_path / "plant.toml"
    file.write_text('[devices.press]\nhost = "192.0.2.7"\n[plc.oven]\nhost = "192.0.2.8"\nport = 503\n')
    assert PLCConnection.from_config(file, "oven").settings == ModbusSettings(host="192.0.2.8", port=503)
    assert PLCConnection.from_config(str(file), "press").name == "press"
    with pytest.raises(ConfigError, match=r"found press, oven; name the one you mean"):
        PLCConnection.from_config(file)
    with pytest.raises(ConfigError, match="did you mean 'press'"):
        PLCConnection.from_config(file, "pres")
    file.write_text('[devices.press]\nhost = "192.0.2.7"\nprot = 502\n')
    with pytest.raises(ConfigError, match=r"plant\.toml:3: devices\.press\.prot: unknown key; did you mean port"):
        PLCConnection.from_config(file)
    with pytest.raises(ConfigError, match="cannot read"):
        PLCConnection.from_config(tmp_path / "missing.toml")


def test_the_tags_of_a_file_stand_behind_those_of_the_table(tmp_path: Path) -> None:
    """Relative to the settings' own folder; what is wrong in it is told with its own line."""
    (tmp_path / "tags.csv").write_text("name,address,datatype,interval_ms\nspeed,40001,FLOAT32,100\n")
    file = tmp_path / "plant.toml"
    section = '[devices.press]\nhost = "192.0.2.7"\ntag_file = "tags.csv"\n'
    file.write_text(section + 'tags = [{ name = "own", address = "HR9" }]\n')
    plc = PLCConnection.from_config(file)
    assert [(tag.name, tag.interval_ms) for tag in plc.tags] == [("own", None), ("speed", 100.0)]
    file.write_text(section + 'tags = [{ name = "speed", address = "HR9" }]\n')
    with pytest.raises(ConfigError, match=r"plant\.toml:3: devices\.press\.tag_file: .*tag name 'speed' is taken"):
        PLCConnection.from_config(file)
    (tmp_path / "tags.csv").write_text("name,adress\nspeed,40001\n")
    with pytest.raises(ConfigError, match=r"tags\.csv:1: .*did you mean address"):
        PLCConnection.from_config(file)
    settings = ModbusSettings(host="192.0.2.7", tag_file=str(tmp_path / "missing.csv"))
    with pytest.raises(ConfigError, match=r"missing\.csv"):
        PLCConnection.from_settings(settings)
