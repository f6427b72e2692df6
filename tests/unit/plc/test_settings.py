"""Options and settings of a device: every mistake is named before anything is opened."""

from __future__ import annotations

import msgspec
import pytest

from bifrost.errors import ConfigError
from bifrost.plc import PLCConnection, ProtocolType, Tag
from bifrost.plc.modbus import ModbusSettings
from bifrost.plc.settings import TagSettings


def test_settings_become_a_connection_with_its_tags() -> None:
    """What a file says is what a connection does."""
    raw = {
        "protocol": "modbus-tcp",
        "host": "192.0.2.7",
        "unit_id": 3,
        "interval_ms": 50,
        "tags": [{"name": "a", "address": 40001}, {"name": "b", "address": "C1", "access": "rw"}],
    }
    settings = msgspec.convert(raw, ModbusSettings)
    assert list(settings.problems()) == []
    connection = PLCConnection.from_settings(settings, name="press")
    assert [tag.name for tag in connection.tags] == ["a", "b"]
    assert connection.name == "press"
    assert connection.tags[0].resolved.offset == 0


def test_all_problems_are_named_with_their_place() -> None:
    """One report for all of them."""
    settings = ModbusSettings(
        host=" ",
        port=0,
        unit_id=256,
        max_registers=0,
        timeout=0,
        source_time="clock",
        tags=[
            TagSettings(name="a", address=50001),
            TagSettings(name="b", address="HR1:FLOAT31"),
            TagSettings(name="b", address=40003),
        ],
    )
    places = {problem.path for problem in settings.problems()}
    assert places >= {
        ("host",),
        ("port",),
        ("unit_id",),
        ("timeout",),
        ("source_time",),
        ("tags", 0),
        ("tags", 1),
        ("tags", 2, "name"),
    }
    with pytest.raises(ConfigError) as caught:
        PLCConnection.from_settings(settings)
    assert len(caught.value.mistakes) == len(list(settings.problems()))


def test_an_unknown_option_is_refused_with_the_nearest_known() -> None:
    """A misspelt option never goes unnoticed."""
    with pytest.raises(ConfigError, match="unknown option prot for modbus-tcp; did you mean port"):
        PLCConnection(ProtocolType.MODBUS_TCP, host="192.0.2.7", prot=502)


def test_an_option_of_the_wrong_type_or_range_is_refused() -> None:
    """Before any I/O."""
    with pytest.raises(ConfigError, match="expected `int`"):
        PLCConnection(host="192.0.2.7", port="x")
    with pytest.raises(ConfigError, match="expected port from 1 to 65535, got 70000"):
        PLCConnection(host="192.0.2.7", port=70000)
    with pytest.raises(ConfigError, match="host"):
        PLCConnection()
    with pytest.raises(ConfigError, match=r"expected a host name or address, got 'a\.\.b'"):
        PLCConnection(host="a..b")
    for host in ("a\0b", "192.0.2.7 ", "a\tb"):
        with pytest.raises(ConfigError, match="expected a host name or address"):
            PLCConnection(host=host)
    with pytest.raises(ConfigError, match="same name"):
        PLCConnection(host="192.0.2.7", tags=[Tag("a", 40001), Tag("a", 40002)])


async def test_a_name_that_no_tag_has_is_refused_with_the_nearest_known() -> None:
    """Even before the connection is started."""
    plc = PLCConnection(host="192.0.2.7", tags=[Tag("temperature", 40001)])
    with pytest.raises(ConfigError, match="did you mean 'temperature'"):
        await plc.read("temprature")


async def test_two_tags_of_one_name_are_refused_unless_they_are_the_same() -> None:
    """One value would silently take the other's place."""
    plc = PLCConnection(host="192.0.2.7")
    with pytest.raises(ConfigError, match="two different tags are called 'a'"):
        await plc.read_tags([Tag("a", 40001), Tag("a", 40002)])
    plc.start()
    readings = await plc.read_tags([Tag("a", 40001), Tag("a", 40001)])
    assert list(readings) == ["a"]
    await plc.aclose()
