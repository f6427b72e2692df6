"""How structures lie in memory and how the target describes them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import ConfigError, DataTypeError
from bifrost.plc.sim.cip import TagStore
from bifrost.plc.sim.cip.templates import STRING_82, definition_of, wire_members
from bifrost.plc.sim.cip.types import ELEMENTARY, decode, decode_array, encode, encode_array, parse_declaration


def test_members_lie_where_studio_5000_puts_them() -> None:
    """BOOLs share hidden bytes until another type comes, numbers align to their size, the end is padded."""
    store = TagStore()
    made = store.define("Mix", {"A": "BOOL", "B": "BOOL", "C": "INT", "D": "BOOL", "E": "LINT", "F": "SINT[3]"})
    placed = [(one.name, one.offset, one.bit, one.hidden) for one in made.members]
    assert placed == [
        ("ZZZZZZZZZZMix0", 0, None, True),
        ("A", 0, 0, False),
        ("B", 0, 1, False),
        ("C", 2, None, False),
        ("ZZZZZZZZZZMix1", 4, None, True),
        ("D", 4, 0, False),
        ("E", 8, None, False),
        ("F", 16, None, False),
    ]
    assert (made.size, made.alignment) == (24, 8)


def test_the_ninth_bool_opens_another_byte() -> None:
    """Eight bits fit a hidden SINT."""
    made = TagStore().define("Nine", {f"B{at}": "BOOL" for at in range(9)})
    assert [(one.offset, one.bit) for one in made.members if one.bit is not None] == [(0, at) for at in range(8)] + [
        (1, 0)
    ]
    assert made.size == 4


def test_the_predefined_string_has_the_handle_that_clients_know() -> None:
    """0x0FCE, 88 bytes, LEN and DATA."""
    assert (STRING_82.template_id, STRING_82.handle, STRING_82.size) == (0xFCE, 0xFCE, 88)
    assert [(one.name, one.count, one.offset) for one in STRING_82.members] == [("LEN", 0, 0), ("DATA", 82, 4)]


def test_a_definition_tells_members_then_names() -> None:
    """Info (array length or bit), type with flags, offset; then the structure's name and each member's."""
    store = TagStore()
    inner = store.define("Inner", {"X": "REAL"})
    outer = store.define("Outer", {"On": "BOOL", "Flags": "BOOL[64]", "In": "Inner[2]", "Text": "STRING"})
    data = definition_of(outer)
    infos = [struct.unpack_from("<HHI", data, 8 * at) for at in range(len(outer.members))]
    assert infos == [
        (0, 0x00C2, 0),
        (0, 0x00C1, 0),
        (2, 0x20D3, 4),
        (2, 0xA000 | inner.template_id, 12),
        (0, 0x8FCE, 20),
    ]
    names = data[8 * len(infos) :].rstrip(b"\0").split(b"\0")
    assert names[0].split(b";")[0] == b"Outer"
    assert names[1:] == [b"ZZZZZZZZZZOuter0", b"On", b"Flags", b"In", b"Text"]
    assert wire_members(outer)[4] == ((len(data) + 20) // 4).to_bytes(4, "little")
    assert wire_members(outer)[5] == (108).to_bytes(4, "little")


@given(st.lists(st.sampled_from([*ELEMENTARY, "STRING"]), min_size=1, max_size=30), st.data())
def test_members_never_overlap_and_values_survive(types: list[str], data: st.DataObject) -> None:
    """Any members: aligned, apart, inside; and a value written is the value read."""
    store = TagStore()
    made = store.define("Any", {f"M{at}": name for at, name in enumerate(types)})
    taken: set[int] = set()
    for one in made.members:
        if one.bit is None:
            cells = set(range(one.offset, one.offset + one.type.size))
            assert not cells & taken
            taken |= cells
    assert max(taken) < made.size
    assert made.size % 4 == 0
    value = {f"M{at}": data.draw(VALUES[name]) for at, name in enumerate(types)}
    assert decode(made, encode(made, value)) == value


_LIMITS = {"SINT": 8, "INT": 16, "DINT": 32, "LINT": 64}
VALUES: dict[str, st.SearchStrategy[object]] = {
    "BOOL": st.booleans(),
    "REAL": st.floats(width=32, allow_nan=False),
    "LREAL": st.floats(allow_nan=False),
    "STRING": st.text(st.characters(max_codepoint=255), max_size=82),
    **{name: st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) for name, bits in _LIMITS.items()},
    **{f"U{name}": st.integers(0, (1 << bits) - 1) for name, bits in _LIMITS.items()},
}


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({}, "at least one member"),
        ({"A": "Nope"}, "no type 'Nope'"),
        ({"A": "DINT[2,3]"}, "one dimension"),
        ({"A": "BOOL[33]"}, "multiple of 32"),
        ({"A": "DINT["}, "expected a type such as"),
        ({"A": "DINT[0]"}, "1 to 1000000 elements"),
        ({"A;": "DINT"}, "expected a name"),
        ({"A": "DINT", "a": "DINT"}, "upper and lower case"),
    ],
)
def test_what_no_structure_can_have_is_refused(members: dict[str, str], text: str) -> None:
    """Each with the reason."""
    with pytest.raises(DataTypeError, match=text):
        TagStore().define("Bad", members)


def test_template_numbers_are_never_taken_for_type_codes() -> None:
    """Clients look at the low byte; each structure has a number of its own until none is left."""
    store = TagStore()
    made = [store.define(f"T{at}", {"A": "DINT"}) for at in range(3000)]
    numbers = {one.template_id for one in made}
    assert len(numbers) == 3000
    assert all(0x100 < one <= 0xEFF for one in numbers)
    assert not {one & 0xFF for one in numbers} & {0x00, 0xA0, *range(0xC0, 0xE0)}
    with pytest.raises(DataTypeError, match="no template number"):
        made += [store.define(f"T{at}", {"A": "DINT"}) for at in range(3000, 4000)]


def test_types_are_defined_once_and_never_on_a_micro800() -> None:
    """Names are compared without case; a Micro800 has no structures."""
    store = TagStore()
    store.define_string("Name", 20)
    with pytest.raises(DataTypeError, match="exists already"):
        store.define("NAME", {"A": "DINT"})
    with pytest.raises(DataTypeError, match="1 to 65535"):
        store.define_string("Long", 0)
    with pytest.raises(ConfigError, match="Micro800"):
        TagStore(micro800=True).define("A", {"A": "DINT"})


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ("SINT", 128),
        ("UINT", -1),
        ("DINT", 1.5),
        ("DINT", "1"),
        ("STRING", 5),
        ("STRING", "x" * 83),
        ("STRING", "\u20ac"),
        ("DINT[2]", [1]),
        ("BOOL[32]", [True]),
        ("Pair", {"C": 1}),
        ("Pair", 5),
    ],
)
def test_values_that_do_not_fit_are_refused(declaration: str, value: object) -> None:
    """Nothing wraps, nothing is cut; and no tag is left behind."""
    store = TagStore()
    store.define("Pair", {"A": "DINT", "B": "DINT"})
    with pytest.raises(DataTypeError):
        store.add("T", declaration, value)
    assert store.symbols("") == []


def test_bool_arrays_are_dwords() -> None:
    """32 bools to a DWORD, least significant bit first."""
    kind = TagStore().add("B", "BOOL[64]").type
    bools = [at in (0, 33, 63) for at in range(64)]
    assert encode_array(kind, bools, 2) == bytes.fromhex("0100000002000080")
    assert decode_array(kind, bytes.fromhex("0100000002000080"), 0, 2) == bools
    assert parse_declaration("REAL[ 2, 3 ]").dimensions == (2, 3)
