"""A list of tags as comma separated values: text in, one table of plain values for each row out.

Spreadsheets and makers' tools write what they like: comma, semicolon or tab; a byte order mark; columns under names of
their own. All of that is read. Not here: types of values and addresses (`bifrost.plc.tag_columns`), making the tags.

Obeys: RFC 4180, with the separators above.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bifrost.core.checking.mistakes import Mistake, nearest
from bifrost.plc.tag_columns import (
    CLAMPS,
    COLUMNS,
    CellError,
    address_of,
    column_of,
    is_six_digits,
    value_of,
)
from bifrost.plc.tag_kepware import IGNORED_COLUMNS, is_kepware, translate

__all__ = ["TagRow", "rows_of_csv"]

_SEPARATORS = (",", ";", "\t")
_COMMENTS = ("#", ";")


class TagRow(msgspec.Struct):
    """One row.

    Attributes:
        line: where it begins in the file, from 1.
        table: values by key of a tag, as a TOML file would give them.
        whole: false if a cell of it was wrong, so that its other mistakes cannot all be told.
    """

    line: int
    table: dict[str, Any]
    whole: bool = True


def rows_of_csv(text: str, mistakes: list[Mistake]) -> list[TagRow]:
    """Read the rows; empty ones are left out.

    Args:
        text: with a header; lines before it that begin with ``#`` or ``;`` are comments.
        mistakes: gets one entry for each wrong cell, with its line.
    """
    skipped, separator, body = _body(text)
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=separator, strict=True)
    lines = _lines(reader, skipped, mistakes)
    line, titles = next(lines, (skipped + 1, []))
    if not any(title.strip() for title in titles):
        mistakes.append(Mistake((), f"no header; expected one such as {','.join(COLUMNS[:3])}", line))
        return []
    foreign = is_kepware(titles)
    columns = _columns(titles, line, mistakes, ignored=IGNORED_COLUMNS if foreign else frozenset())
    whole = not mistakes  # where the header is wrong, rows lack what stands under the wrong titles
    cells = [(at, _cells(row, columns, at, mistakes)) for at, row in lines if any(cell.strip() for cell in row)]
    if foreign:
        cells = [(at, translate(row, at, mistakes)) for at, row in cells]
    has_six_digits = any(is_six_digits(row.get("address", "")) for _, row in cells)
    rows = [_row(at, row, mistakes, has_six_digits=has_six_digits) for at, row in cells]
    for row in rows:
        row.whole = row.whole and whole
    return rows


def _body(text: str) -> tuple[int, str, str]:
    """Find the header: lines before it, the separator, and the text from there on."""
    skipped = 0
    named = None
    while text:
        first, newline, rest = text.partition("\n")
        word = first.strip().casefold()
        if word.startswith("sep=") and len(word) == 5:  # how Excel names its separator
            named = first.strip()[4]
        elif word and not word.startswith(_COMMENTS):
            break
        skipped += 1
        text = rest if newline else ""
    header = text.partition("\n")[0]
    separator = named or max(_SEPARATORS, key=lambda sign: (_known(header, sign), header.count(sign)))
    return skipped, separator, text


def _known(header: str, separator: str) -> int:
    return sum(column_of(title) is not None for title in header.split(separator))


def _lines(reader: Any, skipped: int, mistakes: list[Mistake]) -> Iterator[tuple[int, list[str]]]:
    """Give each row with the line in which it begins; broken quotes end the table."""
    while True:
        line = skipped + reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            mistakes.append(Mistake((), f"cannot read on: {error}; is a quote missing or not doubled?", line))
            return
        yield line, row


def _columns(titles: Sequence[str], line: int, mistakes: list[Mistake], *, ignored: frozenset[str]) -> list[str | None]:
    columns: list[str | None] = []
    for number, title in enumerate(titles, start=1):
        name = title.strip()
        column = None if name.casefold() in ignored else column_of(name)
        if column is None and name and name.casefold() not in ignored:
            close = nearest(name, COLUMNS)
            hint = f"did you mean {close}?" if close else f"known are {', '.join(COLUMNS)}"
            mistakes.append(Mistake((), f'unknown column "{name[:60]}"; {hint}', line))
        elif column is not None and column in columns:
            mistakes.append(Mistake((), f'column {number}, "{name}", is {column} for the second time', line))
            column = None
        columns.append(column if name.casefold() not in ignored else name.casefold())
    if "name" not in columns:
        mistakes.append(Mistake((), "no column for the tags' names; expected one titled name", line))
    return columns


def _cells(row: Sequence[str], columns: Sequence[str | None], line: int, mistakes: list[Mistake]) -> dict[str, str]:
    more = [cell for cell in row[len(columns) :] if cell.strip()]
    if more:
        text = f"{len(row)} cells, but the header has {len(columns)}; is a separator in a cell that has no quotes?"
        mistakes.append(Mistake((), text, line))
    return {
        column: text
        for column, cell in zip(columns, row, strict=False)
        if column is not None and (text := cell.strip())
    }


def _row(line: int, cells: dict[str, str], mistakes: list[Mistake], *, has_six_digits: bool) -> TagRow:
    row = TagRow(line, {})
    for column, cell in cells.items():
        try:
            value = address_of(cells, has_six_digits=has_six_digits) if column == "address" else value_of(column, cell)
        except CellError as error:
            mistakes.append(Mistake((column,), str(error), line))
            row.whole = False
        else:
            row.table[column] = value
    low, high = (row.table.pop(name, None) for name in CLAMPS)
    if low is not None and high is not None:
        row.table["clamp"] = [low, high]
    elif (low, high) != (None, None) and row.whole:
        missing = CLAMPS[0] if low is None else CLAMPS[1]
        mistakes.append(Mistake((missing,), "missing; a clamp needs both of its ends", line))
        row.whole = False
    return row
