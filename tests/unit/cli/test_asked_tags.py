"""What a command line asks for: addresses, names, and values to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from bifrost.cli.asked_tags import asked_tags, asked_writes
from bifrost.cli.scan import units_from_text
from bifrost.errors import AddressError, ConfigError, DataTypeError

URL = "modbus-tcp://192.0.2.7"


@pytest.fixture
def tag_file(tmp_path: Path) -> Path:
    path = tmp_path / "tags.csv"
    path.write_text("name,address,datatype,access,scale\nspeed,HR1,INT16,rw,0.1\nlevel,HR2,UINT16,r,\n")
    return path


def test_a_word_is_an_address_or_a_name_with_one() -> None:
    """The equals sign within braces belongs to the address."""
    tags = asked_tags(URL, ["HR1", "speed=HR2:FLOAT32", "HR3{unit=2,order=CDAB}", "x=HR4{unit=3}", "C1"], None)
    assert [(tag.name, tag.address) for tag in tags] == [
        ("HR1", "HR1"),
        ("speed", "HR2:FLOAT32"),
        ("HR3{unit=2,order=CDAB}", "HR3{unit=2,order=CDAB}"),
        ("x", "HR4{unit=3}"),
        ("C1", "C1"),
    ]
    assert [tag.resolved.unit for tag in tags] == [None, None, 2, 3, None]


def test_the_tags_of_a_file_are_asked_for_by_name_or_all(tag_file: Path) -> None:
    """Without a word, the whole file is read."""
    assert [tag.name for tag in asked_tags(URL, [], tag_file)] == ["speed", "level"]
    assert [(tag.name, tag.scale) for tag in asked_tags(URL, ["speed", "HR9"], tag_file)] == [
        ("speed", 0.1),
        ("HR9", None),
    ]


def test_a_word_that_is_neither_is_refused_with_the_nearest_name(tag_file: Path) -> None:
    """And with the address forms of the protocol."""
    with pytest.raises(AddressError, match=r"known forms are .*did you mean 'speed'"):
        asked_tags(URL, ["sped"], tag_file)
    with pytest.raises(AddressError, match="known forms are"):
        asked_tags(URL, ["sped"], None)


@pytest.mark.parametrize("words", [[], ["a="], ["=HR1"], ["a=HR1", "a=HR2"]])
def test_what_asks_for_nothing_or_twice_is_refused(words: list[str]) -> None:
    """Names are how values are told apart."""
    with pytest.raises(ConfigError):
        asked_tags(URL, words, None)
    assert len(asked_tags(URL, ["HR1", "HR1"], None)) == 1


def test_values_to_write_are_typed_by_their_tag(tag_file: Path) -> None:
    """In the given order; what follows the first equals sign is the value."""
    words = ["HR1=0x10", "HR3{unit=2}:FLOAT32=1.5", "HR5:STRING(8)=a=b", "HR9[2]=1,2", "speed=21.5"]
    values = asked_writes(URL, words, tag_file)
    assert list(values.values()) == [16, 1.5, "a=b", [1, 2], 21.5]
    assert all(tag.access == "rw" for tag in values)


@pytest.mark.parametrize(
    ("word", "error"),
    [("HR1", ConfigError), ("=5", ConfigError), ("HR1=warm", DataTypeError), ("IR1=5", AddressError)],
)
def test_a_wrong_write_is_refused_before_anything_is_opened(word: str, error: type[ConfigError]) -> None:
    """No address, no value, a value that is none, an address that can only be read."""
    with pytest.raises(error):
        asked_writes(URL, ["HR7=1", word], None)
    with pytest.raises(ConfigError, match="to be written twice"):
        asked_writes(URL, ["HR7=1", "HR7=2"], None)


def test_units_are_a_list_with_ranges() -> None:
    """In order, each once."""
    assert units_from_text("1,5, 3-6") == (1, 5, 3, 4, 6)
    for text in ("", "256", "5-1", "a", "1-", "-1", "1;2"):
        with pytest.raises(ConfigError, match="expected a list such as 1-32"):
            units_from_text(text)
