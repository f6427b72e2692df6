"""MQTT settings refuse what can never work or would be unsafe, before any connection."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from bifrost.bridge.connectors.mqtt import MqttUplink
from bifrost.bridge.connectors.mqtt_settings import MqttSettings
from bifrost.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"url": "http://localhost"}, "mqtts://"),
        ({"url": "mqtts://"}, "mqtts://"),
        ({"url": "mqtts://host:99999"}, "mqtts://"),
        ({"url": "mqtts://host/path"}, "ends after the port"),
        ({"url": "mqtts://me:secret@host"}, "credentials"),
        ({"url": "mqtt://192.0.2.7"}, "not encrypted"),
        ({"topic": "a/{device}"}, "unknown fields device"),
        ({"topic": "a/#"}, "must not"),
        ({"topic": "$SYS/a"}, "must not"),
        ({"topic": "a/{"}, "no template"),
        ({"password": "secret"}, "without a username"),
        ({"username": "me", "password": "secret", "password_file": "x"}, "leave one out"),
        ({"cert_file": "x"}, "belong together"),
    ],
)
def test_a_mistake_is_named_and_no_secret_is_in_the_text(options: dict[str, str], complaint: str) -> None:
    """Each mistake says what is wrong; none repeats a credential, and no uplink is made of it."""
    settings = MqttSettings(**options)  # type: ignore[arg-type]  # parametrised options
    (problem,) = settings.problems()
    assert complaint in problem.text
    assert "secret" not in problem.text
    with pytest.raises(ConfigError, match=re.escape(complaint)) as caught:
        MqttUplink(settings)
    assert "secret" not in str(caught.value)


def test_every_mistake_is_told_at_its_key() -> None:
    """One report has them all: whoever mends a file should not have to run the check once for each."""
    settings = MqttSettings(url="mqtt://me@192.0.2.7/path?x", topic="#/{device}", password="secret", cert_file="x")
    assert [problem.path for problem in settings.problems()] == [
        *[("url",)] * 3,
        *[("topic",)] * 2,
        ("username",),
        ("key_file",),
    ]
    with pytest.raises(ConfigError) as caught:
        MqttUplink(settings)
    assert len(caught.value.mistakes) == 7


def test_no_way_of_showing_settings_shows_the_password() -> None:
    """Neither a repr nor what a rich console asks for."""
    settings = MqttSettings(username="scott", password="secret")
    assert "secret" not in repr(settings)
    assert "secret" not in str(list(settings.__rich_repr__()))


@pytest.mark.parametrize("url", ["mqtt://localhost", "mqtt://127.0.0.1:1884", "mqtt://[::1]"])
def test_plain_mqtt_to_this_machine_is_allowed(url: str) -> None:
    """Nothing leaves the machine."""
    settings = MqttSettings(url=url)
    assert not settings.has_tls
    assert settings.tls_context() is None


def test_ports_default_by_scheme() -> None:
    """8883 with TLS, 1883 without."""
    assert MqttSettings(url="mqtts://broker").port == 8883
    assert MqttSettings(url="mqtt://localhost").port == 1883
    assert MqttSettings(url="mqtts://broker:1234").port == 1234


def test_tls_checks_the_brokers_name() -> None:
    """The default context verifies certificate and host name."""
    context = MqttSettings(url="mqtts://broker").tls_context()
    assert context is not None
    assert context.check_hostname


def test_the_password_comes_from_its_file(tmp_path: Path) -> None:
    """The first line counts; a file that is not there is a settings mistake."""
    path = tmp_path / "password"
    path.write_text("tiger\nnext line\n", encoding="utf-8")
    assert MqttSettings(username="scott", password_file=str(path)).secret() == "tiger"
    with pytest.raises(ConfigError, match="cannot be read"):
        MqttSettings(username="scott", password_file=str(tmp_path / "none")).secret()


def test_settings_of_a_file_are_checked_like_those_of_code() -> None:
    """Unknown keys and wrong types are refused by the type itself."""
    with pytest.raises(msgspec.ValidationError, match="user_name"):
        msgspec.convert({"user_name": "scott"}, MqttSettings)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"max_in_flight": 0}, MqttSettings)
