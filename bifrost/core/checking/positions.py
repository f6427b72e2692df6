"""Where each key of a TOML text stands: text in, line numbers out. Used only to report mistakes.

The standard library's parser keeps no positions; tree-sitter's TOML grammar does, and it also reads on after an error.

Obeys: TOML v1.0.0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["Duplicate", "Path", "Positions", "locate"]

Path = tuple[str | int, ...]

_KEYS = ("bare_key", "quoted_key", "dotted_key")


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key or table that was already defined.

    Attributes:
        path: of the key or table.
        line: where it stands the second time, from 1.
        first_line: where it stood first, from 1.
        span: its bytes in the UTF-8 text, as start and end.
    """

    path: Path
    line: int
    first_line: int
    span: tuple[int, int]


@dataclass(slots=True)
class Positions:
    """Lines of the keys of one text, and what is defined twice."""

    lines: dict[Path, int] = field(default_factory=dict)
    duplicates: list[Duplicate] = field(default_factory=list)

    def line(self, path: Path) -> int | None:
        """Tell the line of `path`, or of the nearest table around it; None if not even its first key is there."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None


def locate(text: str) -> Positions:
    """Find the line of every key in a TOML text, also in one with mistakes in it.

    Args:
        text: the whole file, decoded.

    Returns:
        Positions with lines from 1; list elements have their index as a path part.
    """
    import tree_sitter_toml
    from tree_sitter import Language, Parser

    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    reader = _Reader()
    reader.document(tree.root_node)
    return reader.positions


class _Reader:
    """Walks the syntax tree once."""

    def __init__(self) -> None:
        self.positions = Positions()
        self._defined: dict[Path, int] = {}  # values and explicit tables: each may stand once
        self._array_lengths: dict[Path, int] = {}

    def document(self, root: Node) -> None:
        for node in root.named_children:
            if node.type == "pair":
                self._pair(node, ())
            elif node.type in ("table", "table_array_element"):
                self._table(node)

    def _table(self, node: Node) -> None:
        header = next((child for child in node.named_children if child.type in _KEYS), None)
        if header is None:
            return
        line = node.start_point.row + 1
        prefix = self._resolve(_parts(header))
        if node.type == "table_array_element":
            index = self._array_lengths.get(prefix, 0)
            self._array_lengths[prefix] = index + 1
            self._note(prefix, line)
            prefix = (*prefix, index)
            self._note(prefix, line)
        elif not self._define(prefix, node):
            return
        for child in node.named_children:
            if child.type == "pair":
                self._pair(child, prefix)

    def _pair(self, node: Node, prefix: Path) -> None:
        parts = [child for child in node.named_children if child.type != "comment"]
        if not parts or parts[0].type not in _KEYS:
            return
        path = (*prefix, *_parts(parts[0]))
        if self._define(path, node) and len(parts) > 1:
            self._value(parts[1], path)

    def _value(self, node: Node, path: Path) -> None:
        if node.type == "inline_table":
            for child in node.named_children:
                if child.type == "pair":
                    self._pair(child, path)
        elif node.type == "array":
            elements = (child for child in node.named_children if child.type != "comment")
            for index, element in enumerate(elements):
                self._note((*path, index), element.start_point.row + 1)
                self._value(element, (*path, index))

    def _define(self, path: Path, node: Node) -> bool:
        """Note a value or an explicit table; False if it was there already."""
        line = node.start_point.row + 1
        first_line = self._defined.setdefault(path, line)
        if first_line != line:
            span = (node.start_byte, node.end_byte)
            self.positions.duplicates.append(Duplicate(path, line, first_line, span))
            return False
        if node.type == "table":
            self.positions.lines[path] = line
        self._note(path, line)
        return True

    def _note(self, path: Path, line: int) -> None:
        for end in range(1, len(path) + 1):
            self.positions.lines.setdefault(path[:end], line)

    def _resolve(self, parts: tuple[str, ...]) -> Path:
        """Turn a header into a path: a key that names an array of tables means its last element."""
        path: Path = ()
        for number, part in enumerate(parts, start=1):
            path = (*path, part)
            if number < len(parts) and path in self._array_lengths:
                path = (*path, self._array_lengths[path] - 1)
        return path


def _parts(node: Node) -> tuple[str, ...]:
    """Read a key node: one part, or several if dotted."""
    return tuple(_each_part(node))


def _each_part(node: Node) -> Iterator[str]:
    if node.type == "dotted_key":
        for child in node.named_children:
            if child.type in _KEYS:  # where the syntax is wrong, other nodes stand between
                yield from _each_part(child)
        return
    raw = (node.text or b"").decode()
    try:
        yield next(iter(tomllib.loads(f"{raw} = 0")), raw)
    except tomllib.TOMLDecodeError:
        yield raw
