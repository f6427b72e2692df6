"""The line of every key in a TOML text."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from bifrost.core.checking.positions import Path, locate

TEXT = """\
# a comment
title = "x"
[gateway]
name = "plant"

[devices.press]
host = "h"
"odd key" = 1
tags = [
  { name = "a", address = 1 },
  # between
  { name = "b", bytes = [1,
    2] },
]
limits.high = 3

[[devices.oven.tags]]
name = "c"
[[devices.oven.tags]]
name = "d"
[devices.oven.tags.alarm]
high = 5
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("gateway",), 3),
        (("gateway", "name"), 4),
        (("devices",), 6),
        (("devices", "press"), 6),
        (("devices", "press", "odd key"), 8),
        (("devices", "press", "tags", 0, "address"), 10),
        (("devices", "press", "tags", 1), 12),
        (("devices", "press", "tags", 1, "bytes", 1), 13),
        (("devices", "press", "limits", "high"), 15),
        (("devices", "oven", "tags", 0, "name"), 18),
        (("devices", "oven", "tags", 1), 19),
        (("devices", "oven", "tags", 1, "name"), 20),
        (("devices", "oven", "tags", 1, "alarm", "high"), 22),
        (("devices", "press", "absent"), 6),
        (("devices", "press", "tags", 0, "absent"), 10),
        (("absent",), None),
    ],
)
def test_a_key_is_found_at_its_line(path: Path, line: int | None) -> None:
    """Keys of tables, inline tables, arrays of tables and dotted keys; a missing key at the table it misses from."""
    assert locate(TEXT).line(path) == line


def test_every_key_of_the_parsed_text_has_a_line_of_its_own() -> None:
    """What the parser of the standard library finds, the locator has found too."""

    def paths(value: Any, path: Path) -> list[Path]:
        items: list[tuple[str | int, Any]] = []
        if isinstance(value, dict):
            items = list(value.items())
        elif isinstance(value, list):
            items = list(enumerate(value))
        return [path, *(deeper for key, item in items for deeper in paths(item, (*path, key)))]

    lines = locate(TEXT).lines
    assert [path for path in paths(tomllib.loads(TEXT), ()) if path and path not in lines] == []


def test_what_is_defined_twice_is_listed() -> None:
    """Keys and tables that stand twice are told with both lines; an array of tables may go on."""
    text = "[a]\nx = 1\nx = 2\n[b]\n[a]\ny = 1\n[[c]]\n[[c]]\n"
    assert [(each.path, each.first_line, each.line) for each in locate(text).duplicates] == [
        (("a", "x"), 2, 3),
        (("a",), 1, 5),
    ]
