"""A settings file is read as far as it can be read, and each of its mistakes has its line."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bifrost.core.checking.mistakes import Mistake
from bifrost.core.checking.toml_file import MAX_FILE_BYTES, TomlFile
from bifrost.errors import ConfigError


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The path and the system's reason are told."""
    with pytest.raises(ConfigError, match=r"cannot read .*absent\.toml: No such file"):
        TomlFile.read(tmp_path / "absent.toml")


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    """What cannot be read as a file is refused, whatever the reason."""
    with pytest.raises(ConfigError, match="cannot read"):
        TomlFile.read(tmp_path)


def test_a_huge_file_is_refused_unparsed(tmp_path: Path) -> None:
    """A file beyond the limit is not held in memory."""
    path = tmp_path / "huge.toml"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 100)
    with pytest.raises(ConfigError, match="longer than"):
        TomlFile.read(path)


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path: Path) -> None:
    """The first byte that is no UTF-8 is shown."""
    path = tmp_path / "latin.toml"
    path.write_bytes(b'a = 1\nb = "gr\xfc\xdf"\n')
    with pytest.raises(ConfigError, match=r"latin\.toml:2: byte 0xfc is no UTF-8"):
        TomlFile.read(path)


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    """What Windows editors write is read."""
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    assert TomlFile.read(path).table == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = 1\nb = = 2\n", ["f.toml:2: not TOML at column 5: invalid value"]),
        ('a = "open\nb = 1\nc = 5 6\n', ["f.toml:1: ", "f.toml:3: "]),
        ("[a\nx = 1\n[b]]\nx = 1\n[c]\nx = 1 2\n", ["f.toml:1: ", "f.toml:3: ", "f.toml:6: "]),
        ("x = 1\nx = 2\ny = .5\n", ["f.toml:2: x: defined twice", "f.toml:3: not TOML"]),
        ("a = [1,\nb = 2\n", ["f.toml:2: "]),
        ("a =", ["f.toml: not TOML: invalid value (at end of document)"]),
    ],
)
def test_wrong_syntax_is_told_with_its_line(text: str, told: list[str]) -> None:
    """Every line that is no TOML is told once, and that the rest is not checked yet."""
    with pytest.raises(ConfigError) as caught:
        TomlFile(text, origin="f.toml")
    found = caught.value.mistakes
    assert len(found) == len(told), found
    assert all(line.startswith(expected) for line, expected in zip(found, told, strict=True)), found
    assert any(line.endswith("; the rest is checked once this is mended") for line in found)


@example("1#\n.=1")  # a comment within a dotted key
@given(st.text(alphabet="ab=[]{}\".\n1, #'", max_size=60))
def test_any_text_is_read_or_told(text: str) -> None:
    """Whatever stands there: the parser's own result, or at least one mistake; it never hangs or breaks."""
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(ConfigError):
            TomlFile(text, origin="f.toml").check([])
    else:
        assert TomlFile(text, origin="f.toml").table == expected


def test_what_is_defined_twice_is_told_and_the_rest_is_checked() -> None:
    """Duplicate keys and tables come in one report, together with what is found in the tables."""
    file = TomlFile("[a]\nx = 1\nx = 2\ny = 3\n[b]\n[a]\nz = 1\n", origin="f.toml")
    assert file.table == {"a": {"x": 1, "y": 3}, "b": {}}
    with pytest.raises(ConfigError) as caught:
        file.check([Mistake(("a", "y"), "too small")])
    assert caught.value.mistakes == (
        "f.toml:3: a.x: defined twice, first in line 2",
        "f.toml:4: a.y: too small",
        "f.toml:6: a: defined twice, first in line 1",
    )


def test_a_file_without_mistakes_passes() -> None:
    """No mistake, no error."""
    TomlFile("a = 1\n", origin="f.toml").check([])
