"""Every mistake in a table is found at its own path, with what was found and what was expected."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.core.checking.checker import check_settings, problems_of
from bifrost.core.checking.mistakes import Mistake, nearest
from bifrost.core.settings import Problem, Settings
from bifrost.errors import AddressError


class Wire(enum.Enum):
    FLOAT32 = "float32"
    INT16 = "int16"


class Point(Settings, frozen=True):
    name: str
    address: int = 0

    def __post_init__(self) -> None:
        if self.address > 65535:
            raise AddressError(f"address {self.address} is outside 0..65535")


class Boiler(Settings, frozen=True, tag_field="kind", tag="boiler"):
    pressure: Annotated[float, msgspec.Meta(gt=0, le=16)] = 1.0


class Mixer(Settings, frozen=True, tag_field="kind", tag="mixer"):
    speed: int


class Plant(Settings, frozen=True):
    host: Annotated[str, msgspec.Meta(min_length=1)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 502
    wire: Wire = Wire.INT16
    mode: Literal["fast", "slow"] = "slow"
    active: bool = True
    points: tuple[Point, ...] = ()
    limits: dict[str, float] = msgspec.field(default_factory=dict)
    machine: Boiler | Mixer | None = None
    unit: int | str = 1

    def problems(self) -> Iterable[Problem]:
        names = [point.name for point in self.points]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield Problem(("points", index, "name"), f"{name} is used twice")


def mistakes_in(value: object) -> list[tuple[tuple[str | int, ...], str]]:
    mistakes: list[Mistake] = []
    plant = check_settings(value, Plant, path=("plant",), mistakes=mistakes)
    assert (plant is None) or not mistakes or mistakes[0].text.endswith("twice")
    return [(mistake.path[1:], mistake.text) for mistake in mistakes]


def test_right_settings_become_the_struct() -> None:
    """A right table gives the struct, with nested structs, enums and defaults."""
    mistakes: list[Mistake] = []
    plant = check_settings(
        {"host": "h", "wire": "float32", "points": [{"name": "a"}], "machine": {"kind": "mixer", "speed": 3}},
        Plant,
        path=(),
        mistakes=mistakes,
    )
    assert mistakes == []
    assert plant == Plant(host="h", wire=Wire.FLOAT32, points=(Point(name="a"),), machine=Mixer(speed=3))


@pytest.mark.parametrize(
    ("change", "path", "text"),
    [
        ({"prot": 1}, ("prot",), "unknown key; did you mean port?"),
        ({"zzzz": 1}, ("zzzz",), "unknown key, expected one of host, port"),
        ({"port": "502"}, ("port",), 'found "502" (a string), expected an integer from 1 to 65535'),
        ({"port": 0}, ("port",), "found 0, expected an integer from 1 to 65535"),
        ({"port": True}, ("port",), "found true, expected an integer"),
        ({"host": ""}, ("host",), "expected a string that is not empty"),
        ({"wire": "flot32"}, ("wire",), "expected one of float32, int16; did you mean float32?"),
        ({"mode": "quick"}, ("mode",), "expected one of fast, slow"),
        ({"active": 1}, ("active",), "found 1, expected true or false"),
        ({"points": {}}, ("points",), "found an empty table, expected a list (each a table)"),
        ({"points": [{"name": "a"}, 3]}, ("points", 1), "found 3, expected a table"),
        ({"points": [{"name": "a", "address": 70000}]}, ("points", 0, "address"), "address 70000 is outside 0..65535"),
        ({"points": [{"name": "a"}, {"name": "a"}]}, ("points", 1, "name"), "a is used twice"),
        ({"limits": {"high": "x"}}, ("limits", "high"), "expected a number"),
        ({"machine": {"kind": "boler"}}, ("machine", "kind"), "did you mean boiler?"),
        ({"machine": {}}, ("machine", "kind"), "missing, expected one of boiler, mixer"),
        ({"machine": {"kind": "mixer"}}, ("machine", "speed"), "missing, expected an integer"),
        ({"machine": {"kind": "boiler", "pressure": 17.5}}, ("machine", "pressure"), "above 0 and at most 16"),
        ({"unit": 1.5}, ("unit",), "found 1.5, expected an integer or a string"),
    ],
)
def test_each_mistake_is_named_at_its_path(change: dict[str, Any], path: tuple[str | int, ...], text: str) -> None:
    """One mistake in an otherwise right table gives exactly one entry, at the key that is wrong."""
    found = mistakes_in({"host": "h", **change})
    assert len(found) == 1
    assert found[0][0] == path
    assert text in found[0][1]


def test_all_mistakes_come_at_once() -> None:
    """One pass finds the mistakes of every level."""
    value = {
        "prot": 5,
        "port": -1,
        "points": [{"nam": "a"}, {"name": "b", "address": "x"}, {"name": 3, "address": 70000}],
        "machine": {"kind": "mixer", "speed": "fast"},
    }
    assert [path for path, _ in mistakes_in(value)] == [
        ("prot",),
        ("host",),
        ("port",),
        ("points", 0, "nam"),
        ("points", 1, "address"),
        ("points", 2, "name"),
        ("machine", "speed"),
    ]


def test_a_misspelt_required_key_is_one_mistake() -> None:
    """The key that is missing is told with the one that is unknown, not beside it."""
    assert mistakes_in({"hots": "h"}) == [(("hots",), "unknown key; did you mean host (required)?")]


def test_a_wrong_type_does_not_hide_other_problems() -> None:
    """What the struct says of its right part is told in the same report, at the right index."""
    value = {"port": "x", "points": [{"name": 1}, {"name": "a"}, {"name": "b"}, {"name": "a"}]}
    assert [path for path, _ in mistakes_in(value)] == [
        ("host",),
        ("port",),
        ("points", 0, "name"),
        ("points", 3, "name"),
    ]


def test_settings_built_in_code_are_asked_too() -> None:
    """Every struct inside tells its problems, with the path to it."""
    plant = Plant(host="h", points=(Point(name="a"), Point(name="a")))
    assert [problem.path for problem in problems_of({"x": [plant]})] == [("x", 0, "points", 1, "name")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["host", "port", "wire", "points", "name", "address", "machine", "kind", "unit", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_value_gives_settings_or_mistakes(value: object) -> None:
    """Whatever the table holds: settings if msgspec takes it, else at least one mistake, never an exception."""
    mistakes: list[Mistake] = []
    plant = check_settings(value, Plant, path=(), mistakes=mistakes)
    try:
        expected = msgspec.convert(value, Plant)
    except msgspec.ValidationError:
        assert plant is None
        assert mistakes
    else:
        assert plant == expected


@pytest.mark.parametrize(
    ("found", "near"),
    [
        ("port", "serial_port"),
        ("Unit", "unit_id"),
        ("baudrat", "baudrate"),
        ("zzzz", None),
    ],
)
def test_a_word_of_a_key_stands_for_the_key(found: str, near: str | None) -> None:
    """Who writes a part of a key's name meant that key, whatever else is spelt alike."""
    assert nearest(found, ["serial_port", "parity", "unit_id", "baudrate"]) == near
