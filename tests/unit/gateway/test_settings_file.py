"""A settings file becomes settings, or one report with every mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bifrost.bridge.buffering.settings import WalSettings
from bifrost.bridge.connectors.historian import HistorianSettings
from bifrost.bridge.connectors.mqtt_settings import MqttSettings
from bifrost.edge.settings import PipelineSettings
from bifrost.errors import ConfigError
from bifrost.gateway import Gateway, GatewaySettings, UplinkSettings, parse_settings, read_settings
from bifrost.gateway.settings_file import read_data_dir
from bifrost.gateway.tree import in_data_dir
from bifrost.plc.modbus.settings import ModbusSettings

RIGHT = """\
[gateway]
name = "plant"
data_dir = "data"

[wal]
durability = "normal"

[devices.press]
protocol = "modbus-tcp"
host = "127.0.0.1"
port = 5020
interval_ms = 100
tags = [
  { name = "temperature", address = "HR1:FLOAT32" },
  { name = "count", address = 40003 },
]

[pipelines.means]
sources = ["press"]
tags = ["temperature"]
window = { seconds = 60 }
aggregates = ["mean"]
detect = { detector = "mad", on = "mean" }
sinks = ["wal"]
anomaly_sinks = ["wal", "log"]

[uplinks.local]
kind = "historian"
path = "history.sqlite"

[uplinks.local.delivery]
batch_records = 10

[uplinks.cloud]
kind = "mqtt"
url = "mqtts://broker.example"

[surfaces.control]
enabled = false
"""


def mistakes_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_settings(text, origin="g.toml")
    assert "nothing was started" in str(caught.value)
    return caught.value.mistakes


def with_change(old: str, new: str) -> str:
    assert RIGHT.count(old) == 1
    return RIGHT.replace(old, new)


def test_a_right_file_becomes_settings() -> None:
    """Every section has the type of whoever runs it."""
    settings = parse_settings(RIGHT)
    press = settings.devices["press"]
    assert isinstance(press, ModbusSettings)
    assert (press.port, press.interval_ms, settings.tag_count) == (5020, 100.0, 2)
    assert settings.wal.durability == "normal"
    assert settings.uplinks["local"].connector == HistorianSettings(path="history.sqlite")
    assert settings.uplinks["local"].delivery.batch_records == 10
    assert settings.uplinks["cloud"].kind == "mqtt"
    assert settings.surfaces.control.enabled is False


def test_an_empty_file_is_a_gateway_without_devices() -> None:
    """Every section may be left out; devices may come at run time."""
    assert parse_settings("") == GatewaySettings()


def test_paths_are_relative_to_the_file_and_the_data_directory(tmp_path: Path) -> None:
    """The process's own folder plays no part."""
    path = tmp_path / "g.toml"
    path.write_text(RIGHT)
    settings = read_settings(path)
    assert settings.data_dir == tmp_path / "data"
    assert read_data_dir(path) == tmp_path / "data"
    placed = in_data_dir(settings.uplinks["local"].connector, settings.data_dir)
    assert placed == HistorianSettings(path=str(tmp_path / "data" / "history.sqlite"))
    assert in_data_dir(HistorianSettings(path="/x/h.sqlite"), settings.data_dir) == HistorianSettings(
        path="/x/h.sqlite"
    )
    named = MqttSettings(username="u", password_file="p", ca_file="ca.pem", cert_file="/x/c.pem", key_file="k.pem")
    placed = in_data_dir(named, settings.data_dir)
    assert placed.password_file == str(tmp_path / "data" / "p")
    assert placed.ca_file == str(tmp_path / "data" / "ca.pem")
    assert (placed.cert_file, placed.key_file) == ("/x/c.pem", str(tmp_path / "data" / "k.pem"))
    assert in_data_dir(MqttSettings(), settings.data_dir) == MqttSettings()


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "text"),
    [
        ("[wal]", "[wall]", 5, "wall", "unknown section; did you mean wal?"),
        ('durability = "normal"', 'durability = "norml"', 6, "wal.durability", "did you mean normal?"),
        ("port = 5020", "prot = 5020", 11, "devices.press.prot", "unknown key; did you mean port?"),
        ("port = 5020", 'port = "5020"', 11, "devices.press.port", 'found "5020" (a string), expected an integer'),
        ("port = 5020", "port = 70000", 11, "devices.press.port", "from 1 to 65535"),
        ("interval_ms = 100", "interval_ms = -5", 12, "devices.press.interval_ms", "expected interval_ms from 1"),
        ('host = "127.0.0.1"', "", 8, "devices.press.host", "missing, expected a string"),
        ('"modbus-tcp"', '"modbus-tpc"', 9, "devices.press.protocol", "did you mean 'modbus-tcp'"),
        ('"HR1:FLOAT32"', '"HX1"', 14, "devices.press.tags[0]", "HX1"),
        ("40003", "90000", 15, "devices.press.tags[1]", "90000"),
        ('name = "count"', 'name = "temperature"', 15, "devices.press.tags[1].name", "temperature"),
        ('sources = ["press"]', 'sources = ["pres"]', 19, "pipelines.means.sources[0]", "did you mean press?"),
        ('["temperature"]', '["temprature"]', 20, "pipelines.means.tags[0]", "did you mean temperature?"),
        ('sinks = ["wal"]', 'sinks = ["wall"]', 24, "pipelines.means.sinks[0]", 'no sink "wall"; did you mean wal?'),
        ('"wal", "log"', '"wal", "mail"', 25, "pipelines.means.anomaly_sinks[1]", 'there is no sink "mail"'),
        ("{ seconds = 60 }", "{ seconds = 0 }", 21, "pipelines.means.window.seconds", "longer than 0 s"),
        ("{ seconds = 60 }", "{ seconds = [] }", 21, "pipelines.means.window.seconds", "expected a number"),
        ('kind = "historian"', 'kind = "historan"', 28, "uplinks.local.kind", "historian"),
        ("batch_records = 10", "batch_records = 0", 32, "uplinks.local.delivery.batch_records", "from 1 to 10000"),
        ("mqtts://broker.example", "http://broker", 36, "uplinks.cloud.url", "url must be mqtts://host"),
        ("[uplinks.cloud]", '[uplinks."a/b"]', 34, 'uplinks."a/b"', "is no name"),
    ],
)
def test_one_mistake_is_told_with_line_and_path(old: str, new: str, line: int, path: str, text: str) -> None:
    """Each kind of mistake gives exactly one line: file, line, path, what is wrong."""
    found = mistakes_of(with_change(old, new))
    assert len(found) == 1, found
    assert found[0].startswith(f"g.toml:{line}: {path}: ")
    assert text in found[0]


def test_a_wrong_device_is_still_a_known_name() -> None:
    """A pipeline that names a device with a mistake in it is not blamed for that."""
    assert len(mistakes_of(with_change("port = 5020", "port = true"))) == 1


def test_the_applications_own_sinks_are_known() -> None:
    """A sink that the application brings may be named."""
    text = with_change('sinks = ["wal"]', 'sinks = ["wal", "mine"]')
    assert parse_settings(text, more_sinks=["mine"]).pipelines["means"].sinks == ("wal", "mine")
    assert 'no sink "mine"' in mistakes_of(text)[0]


@pytest.mark.parametrize("text", ["devices = 3", "[[devices]]\nx = 1", "uplinks = []", "gateway = 1", "wal = 'x'"])
def test_a_section_of_the_wrong_shape_is_one_mistake(text: str) -> None:
    """What is no table is told as such."""
    found = mistakes_of(text)
    assert len(found) == 1
    assert "expected a table" in found[0]


def test_a_secret_is_not_in_the_report() -> None:
    """A wrong uplink does not show its password."""
    text = 'kind = "mqtt"\nurl = "http://x"\nusername = "u"\npassword = "hunter2"\n'
    assert "hunter2" not in "".join(mistakes_of(f"[uplinks.cloud]\n{text}"))


@pytest.mark.parametrize("secret", ["4711", "47.11", '["4711"]', "4711-07-11", "true"])
def test_a_secret_of_the_wrong_type_is_not_shown(secret: str) -> None:
    """A password without quotes is a number to TOML; the report names the key and not the number."""
    text = f'kind = "mqtt"\nusername = "u"\npassword = {secret}\n'
    (found,) = mistakes_of(f"[uplinks.cloud]\n{text}")
    assert "uplinks.cloud.password: " in found
    assert "expected a string" in found
    assert secret not in found


def test_all_mistakes_of_an_uplink_come_at_once() -> None:
    """A wrong type does not hide what the connector says of the rest."""
    text = 'kind = "mqtt"\nurl = "http://x"\ntopic = "#"\nkeepalive = "long"\ncert_file = "c"\n'
    found = mistakes_of(f"[uplinks.cloud]\n{text}")
    assert sorted(line.split(": ")[1] for line in found) == [
        f"uplinks.cloud.{key}" for key in ("keepalive", "key_file", "topic", "url")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 20_000,
        "a = " + "[" * 5_000 + "]" * 5_000,
        "a = " + "{a=" * 5_000 + "1" + "}" * 5_000,
        ".".join(["a"] * 5_000) + " = 1",
        "[" + ".".join(["a"] * 5_000) + "]\nx = 1\nx = 2",
    ],
)
def test_a_file_that_is_nested_without_end_is_a_mistake(text: str) -> None:
    """What is deeper than any settings are is told, not a traceback."""
    assert mistakes_of(text)


@pytest.mark.parametrize("key", ["max_bytes", "max_group_bytes", "max_pending_bytes"])
@pytest.mark.parametrize("number", ["9223372036854775807", "9" * 30, "9" * 5_000])
def test_a_number_that_no_buffer_can_have_is_a_mistake(key: str, number: str) -> None:
    """What would fail at the start is told by the check."""
    (found,) = mistakes_of(f"[wal]\n{key} = {number}")
    assert len(found) < 400


def test_a_name_ends_with_its_last_letter() -> None:
    """A line end behind a name would end up in log lines."""
    assert mistakes_of('[gateway]\nname = "plant\\n"')


def test_the_buffer_and_an_uplink_do_not_share_a_file() -> None:
    """Two libraries on one file would damage it."""
    uplink = '[uplinks.local]\nkind = "historian"\npath = "./x.sqlite"\n'
    (found,) = mistakes_of(f'[wal]\npath = "x.sqlite"\n{uplink}')
    assert found.startswith("g.toml:5: uplinks.local.path: ")
    assert "wal.path" in found
    settings = GatewaySettings(
        wal=WalSettings(path="x"),
        uplinks={"local": UplinkSettings(kind="historian", connector=HistorianSettings(path="x"))},
    )
    with pytest.raises(ConfigError, match=r"wal\.path"):
        Gateway(settings)


@pytest.mark.parametrize("section", ["devices", "pipelines", "uplinks"])
def test_names_in_settings_of_code_are_checked_too(section: str) -> None:
    """A name that cannot be part of a path is told before anything is made."""
    given: dict[str, object] = {
        "devices": ModbusSettings(host="h"),
        "pipelines": PipelineSettings(),
        "uplinks": UplinkSettings(kind="historian", connector=HistorianSettings()),
    }
    with pytest.raises(ConfigError, match="is no name"):
        Gateway(GatewaySettings(**{section: {"a/b": given[section]}}))  # type: ignore[arg-type]  # chosen by its name
