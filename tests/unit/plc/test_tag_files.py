"""Lists of tags in files: read as they come, or refused with every mistake and its line."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.core.checking.toml_file import MAX_FILE_BYTES
from bifrost.errors import ConfigError
from bifrost.plc.datatypes import ByteOrder, DataType, Tag
from bifrost.plc.tag_files import read_tag_file, read_tag_settings, tags_from_csv, tags_from_toml
from bifrost.plc.tag_writing import tags_to_csv, tags_to_toml

MODBUS = "modbus-tcp"


def mistakes_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        tags_from_csv(text, origin="t.csv", protocol=MODBUS)
    return list(caught.value.mistakes)


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda name: name == name.strip() and name != ""
)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)


@st.composite
def some_tag(draw: st.DrawFn, name: str) -> Tag:
    datatype = draw(st.sampled_from([DataType.UINT16, DataType.INT32, DataType.FLOAT32, DataType.FLOAT64]))
    low, high = sorted((draw(numbers), draw(numbers)))
    return Tag(
        name,
        f"HR{draw(st.integers(1, 60000))}",
        datatype,
        count=draw(st.integers(1, 100)),
        byte_order=draw(st.none() | st.sampled_from(ByteOrder)),
        scale=draw(st.none() | numbers.filter(bool)),
        offset_value=draw(st.none() | numbers),
        clamp=draw(st.sampled_from([None, (low, high)])) if low < high else None,
        deadband=draw(st.none() | numbers.map(abs)),
        deadband_type=draw(st.sampled_from(["abs", "pct"])),
        max_age=draw(st.none() | st.floats(0.1, 1000)),
        unit=draw(st.none() | st.integers(0, 255)),
        access=draw(st.sampled_from(["r", "rw"])),
        protocol=MODBUS,
        description=draw(st.just("") | names),
        interval_ms=draw(st.none() | st.floats(1, 86_400_000)),
    )


tag_lists = st.lists(names, max_size=6, unique=True).flatmap(lambda each: st.tuples(*map(some_tag, each))).map(list)


@given(tag_lists)
def test_what_is_written_as_csv_comes_back(tags: list[Tag]) -> None:
    """Every tag with every option, whatever signs stand in the names."""
    back = tags_from_csv(tags_to_csv(tags), protocol=MODBUS)
    assert back == tags
    assert [tag.description for tag in back] == [tag.description for tag in tags]


@given(tag_lists)
def test_what_is_written_as_toml_comes_back(tags: list[Tag]) -> None:
    """The same for TOML."""
    back = tags_from_toml(tags_to_toml(tags), protocol=MODBUS)
    assert back == tags
    assert [tag.description for tag in back] == [tag.description for tag in tags]


@given(st.text(max_size=200) | st.text("name,adrestyp;\t\"'\n\r0123456789HRC.=# ", max_size=200))
def test_any_text_gives_tags_or_named_mistakes(text: str) -> None:
    """No text ends in another exception."""
    for read in (tags_from_csv, tags_from_toml):
        with contextlib.suppress(ConfigError):
            assert all(isinstance(tag, Tag) for tag in read(text, protocol=MODBUS))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_spreadsheet_may_separate_and_encode_as_it_likes(tmp_path: Path, separator: str, encoding: str) -> None:
    """Comma, semicolon or tab; with a byte order mark or without; lines end as on Windows."""
    rows = [["Name", "ADDRESS", "Data-Type", "Description"], ["oven 1", "40001", "real", "größe"]]
    path = tmp_path / "tags.csv"
    path.write_bytes("\r\n".join([separator.join(row) for row in rows] + ["", ""]).encode(encoding))
    (tag,) = read_tag_file(path, protocol=MODBUS)
    assert (tag.name, tag.address, tag.datatype, tag.description) == ("oven 1", "40001", DataType.FLOAT32, "größe")


def test_a_named_separator_and_comments_before_the_header_are_understood() -> None:
    """`sep=` is what Excel writes; lines before the header may be comments."""
    text = "sep=;\n# made by hand\n\nname;address\n\na;HR1\n"
    assert [tag.name for tag in tags_from_csv(text)] == ["a"]
    assert mistakes_of(text + "a;HR2\n") == ["t.csv:7: name: the name 'a' is taken by the tag in line 6"]


def test_every_mistake_of_a_file_is_told_at_once_with_its_line() -> None:
    """Types, addresses, names that come twice, cells too many: one error has all of them."""
    text = (
        'description,name,address,datatype,scale,unit,clamp_low\n"two\nlines",t,HR1,REAL,,,\n'
        ",a,HR2,FLAOT32,,,\n,b,HR70000,,,,\n,a,HR3,,x,one,\n,c,HR4,,,,5\n,d,HR5,,,,,more\n,,HR6,,,,\n"
    )
    found = mistakes_of(text)
    assert [line.split(": ")[0] for line in found] == [f"t.csv:{n}" for n in (4, 5, 6, 6, 6, 7, 8, 9)]
    for part, line in zip(
        ["did you mean FLOAT32", "from 1 to 65536", '"x"', '"one"', "in line 4", "both of its ends", "8 cells", "name"],
        found,
        strict=True,
    ):
        assert part in line


def test_a_list_that_is_wrong_in_every_line_is_refused_in_good_time() -> None:
    """Its first 200 mistakes are told, and that there are more."""
    rows = "".join(f"t{number},HR1,UINT61\n" for number in range(20000))
    found = mistakes_of("name,address,datatype\n" + rows)
    assert (len(found), found[0].split(": ")[0], found[-1].split(": ")[0]) == (200, "t.csv:2", "t.csv:201")
    assert "the rest is checked once these are mended" in found[-1]


def test_an_unknown_column_is_told_with_the_nearest_and_hides_no_other_mistake() -> None:
    """What the missing column causes in each row is not told as well."""
    assert mistakes_of("name,adress,scale\na,HR1,zero\nb,HR2,\n") == [
        't.csv:1: unknown column "adress"; did you mean address?',
        't.csv:2: scale: found "zero", expected a number, such as 0.1',
    ]
    assert "for the second time" in mistakes_of("name,tag name,address\n")[0]
    assert "no column for the tags' names" in mistakes_of("address\nHR1\n")[0]
    assert "no header" in mistakes_of("")[0]


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        ("4E+05,", "took the address for a number"),
        ("1e5,BOOL", "took the address for a number"),
        ("40001.0,", "write 40001, or give the datatype BOOL"),
        ("40001.0,UINT16", "write 40001, or give the datatype BOOL"),
        ("400.001,", "write 400001"),
        ("40 001,", "write 40001"),
        ("17,", "cut off leading zeros; write C17 for a coil, HR17"),
        ("17,UINT16", "cut off leading zeros"),
    ],
)
def test_an_address_that_a_spreadsheet_has_changed_is_refused_with_what_to_write(row: str, hint: str) -> None:
    """It is never taken for another address."""
    (found,) = mistakes_of(f"name,address,datatype\na,{row}\n")
    assert found.startswith("t.csv:2: address: found")
    assert hint in found


def test_a_coil_that_may_have_lost_its_zero_among_six_digits_is_refused() -> None:
    """10001 alone is the first discrete input; beside 400001 it may have been coil 010001."""
    alone = "name,address,datatype\na,10001,BOOL\n"
    assert tags_from_csv(alone, protocol=MODBUS)[0].resolved.area == "discrete-input"
    (found,) = mistakes_of(alone + "b,400001,\n")
    assert "write DI1 for a discrete input, or C10001 for a coil" in found


def test_bits_and_short_coils_that_are_meant_are_taken() -> None:
    """A BOOL at 40001.0 is bit 0, and at 17 it is a coil."""
    text = 'name,address,type\na,40001.0,BOOL\nb,17,bool\nc,000018,\nd,="00019",\ne,\'00020,\n'
    tags = tags_from_csv(text, protocol=MODBUS)
    assert [(tag.resolved.offset, tag.resolved.bit) for tag in tags] == [(0, 0), *((at, None) for at in range(16, 20))]


def test_a_decimal_comma_is_not_guessed_at() -> None:
    """1,5 may be 1.5 or a list; the right form is told."""
    assert mistakes_of("name;address;scale\na;HR1;1,5\n") == [
        't.csv:2: scale: found "1,5", expected a number with a decimal point, such as 1.5'
    ]


def test_an_export_of_kepware_is_read_with_its_types_and_scaling() -> None:
    """Long has 32 bits there, scaling is linear between two pairs, access is R/W."""
    text = (
        "Tag Name,Address,Data Type,Respect Data Type,Client Access,Scan Rate,Scaling,Raw Low,Raw High,Scaled Low,"
        "Scaled High,Scaled Data Type,Clamp Low,Clamp High,Eng Units,Description,Negate Value\n"
        '"flow",400001,Long,1,RO,100,,,,,,,,,,,\n'
        '"level",400010,Word,1,R/W,500,Linear,0,4000,-20,80,Double,1,1,%,"tank",0\n'
    )
    flow, level = tags_from_csv(text, protocol=MODBUS)
    assert (flow.datatype, flow.access, flow.interval_ms) == (DataType.INT32, "r", 100)
    assert (level.scale, level.offset_value, level.clamp, level.access) == (0.025, -20.0, (-20.0, 80.0), "rw")
    assert level.description == "tank [%]"
    assert mistakes_of(text.replace("Linear", "Square Root")) == [
        't.csv:3: Scaling: found "Square Root", expected None or Linear; scale such a tag in a pipeline'
    ]


def test_mistakes_in_toml_are_told_with_their_lines() -> None:
    """Unknown keys with the nearest, doubled names with both lines, wrong addresses."""
    text = (
        '[[tags]]\nname = "a"\naddress = "HR1"\n[[tags]]\nname = "a"\nadress = 1\n'
        '[[tags]]\nname = "b"\naddress = 2\n[[tags]]\nname = "c"\naddress = "HR1"\ninterval_ms = 0\n[other]\n'
    )
    with pytest.raises(ConfigError) as caught:
        tags_from_toml(text, origin="t.toml", protocol=MODBUS)
    found = caught.value.mistakes
    assert [line.split(": ")[0] for line in found] == [f"t.toml:{n}" for n in (5, 6, 9, 13, 14)]
    for part, line in zip(["in line 1", "did you mean address", "coil 2", "from 1 to", "[[tags]]"], found, strict=True):
        assert part in line


def test_a_file_that_cannot_be_a_list_is_refused(tmp_path: Path) -> None:
    """Too long, not there, or no text: told in words, with the line of the first byte that is no text."""
    path = tmp_path / "tags.csv"
    with pytest.raises(ConfigError, match=r"cannot read .*tags\.csv: "):
        read_tag_file(path)
    path.write_bytes(b"name,address\nt\xe4g,HR1\n")
    with pytest.raises(ConfigError, match=r"tags\.csv:2: byte 0xe4 is no UTF-8"):
        read_tag_file(path)
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ConfigError, match="is longer than"):
        read_tag_file(path)


def test_broken_quotes_are_told_where_they_begin() -> None:
    """The rest of the file would be nonsense."""
    assert mistakes_of('name,address\na,HR1\n"b,HR2\nc,HR3\n')[0].startswith("t.csv:3: cannot read on")


def test_settings_of_a_device_can_be_taken_from_a_file(tmp_path: Path) -> None:
    """They say what a section of a settings file would."""
    path = tmp_path / "tags.toml"
    path.write_text('[[tags]]\nname = "a"\naddress = "HR1"\nscale = 0.5\ninterval_ms = 100\n')
    (settings,) = read_tag_settings(path, protocol=MODBUS)
    assert [settings.tag(MODBUS)] == read_tag_file(path, protocol=MODBUS)
    assert (settings.scale, settings.interval_ms) == (0.5, 100)
