"""What commands print for people."""

from __future__ import annotations

import argparse

import pytest

from bifrost.cli.output import HelpWithExamples, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("größe", "größe"),
        ("\x1b[2Jgone\n", "\\x1b[2Jgone\\n"),
        (b"\x00\xff", "00 ff"),
        ([1, None, b"\x01", ["a"]], "[1, -, 01, [a]]"),
        ({"speed": 1.5, "name": "\x07"}, "{speed: 1.5, name: \\x07}"),
        (True, "True"),
    ],
)
def test_a_value_is_one_line_that_cannot_drive_the_terminal(value: object, text: str) -> None:
    """Whatever a device puts into a text, it is shown and not obeyed."""
    assert shown(value) == text


def test_examples_keep_their_lines_and_all_other_text_is_wrapped() -> None:
    """In the same help."""
    parser = argparse.ArgumentParser(
        prog="x", description="word " * 60, epilog="examples:\n  x one\n  x two", formatter_class=HelpWithExamples
    )
    lines = parser.format_help().splitlines()
    assert lines[-3:] == ["examples:", "  x one", "  x two"]
    assert max(map(len, lines)) < 120
