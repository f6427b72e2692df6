"""A device's settings come from a file, from words of the command line, or from both."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bifrost.errors import ConfigError
from bifrost.gateway.device_file import read_device_table


def test_a_file_with_the_keys_of_the_device(tmp_path: Path) -> None:
    """The file's top level is the device's table."""
    path = tmp_path / "oven.toml"
    path.write_text('host = "h"\n[[tags]]\nname = "t"\n')
    assert read_device_table(path, "oven") == {"host": "h", "tags": [{"name": "t"}]}


def test_a_file_with_the_table_of_the_device(tmp_path: Path) -> None:
    """A whole settings file serves as well; only the named device is taken."""
    path = tmp_path / "gateway.toml"
    path.write_text('[devices.press]\nhost = "p"\n[devices.oven]\nhost = "o"\n')
    assert read_device_table(path, "oven") == {"host": "o"}
    with pytest.raises(ConfigError, match=r"no table \[devices\.mixer\]; its devices: press, oven"):
        read_device_table(path, "mixer")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("port=502", {"port": 502}),
        ('host="h"', {"host": "h"}),
        ("host=plc-1.local", {"host": "plc-1.local"}),
        ("host=127.0.0.1", {"host": "127.0.0.1"}),
        ("active=true", {"active": True}),
        ("a.b=1", {"a": {"b": 1}}),
        ("a.b=text", {"a": {"b": "text"}}),
        ("x=a=b", {"x": "a=b"}),
        ('tags=[{name="t"}]', {"tags": [{"name": "t"}]}),
    ],
)
def test_a_word_sets_one_key(word: str, expected: object) -> None:
    """Values read as in TOML; what is no TOML value is a string."""
    assert read_device_table(None, "oven", overrides=[word]) == expected


def test_a_word_wins_over_the_file(tmp_path: Path) -> None:
    """Words change single keys, also in tables, and leave the rest."""
    path = tmp_path / "oven.toml"
    path.write_text("port = 1\n[limits]\nhigh = 1\nlow = 0\n")
    table = read_device_table(path, "oven", overrides=["port=2", "limits.high=3"])
    assert table == {"port": 2, "limits": {"high": 3, "low": 0}}


@pytest.mark.parametrize("word", ["port", "=5", "a b=1"])
def test_a_word_that_sets_no_key_is_refused(word: str) -> None:
    """The wrong word is shown."""
    with pytest.raises(ConfigError, match=re.escape(word.partition("=")[0] or word)):
        read_device_table(None, "oven", overrides=[word])


def test_no_settings_at_all_are_refused() -> None:
    """Neither file nor word: the text says what to give."""
    with pytest.raises(ConfigError, match="--set protocol"):
        read_device_table(None, "oven")
