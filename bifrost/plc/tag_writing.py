"""Lists of tags as text: tags in; CSV or TOML out, as `bifrost.plc.tag_files` reads it.

What `Tag` computes is not written, nor its `metadata`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping

import msgspec

from bifrost.plc.datatypes import Tag
from bifrost.plc.settings import TagSettings
from bifrost.plc.tag_columns import CLAMPS, COLUMNS

__all__ = ["tags_to_csv", "tags_to_toml"]

_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(TagSettings)}
_ALWAYS = ("name", "address", "datatype")


def tags_to_csv(tags: Iterable[Tag]) -> str:
    """Write a list with a header; columns that no tag needs are left out.

    Blanks around a name or a description do not come back.
    """
    rows = [_spread(_table(tag)) for tag in tags]
    columns = [column for column in COLUMNS if column in _ALWAYS or any(column in row for row in rows)]
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # lines end as RFC 4180 says, so that a lone carriage return in a cell is quoted
    writer.writerow(columns)
    writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return text.getvalue()


def tags_to_toml(tags: Iterable[Tag]) -> str:
    """Write one ``[[tags]]`` table for each tag."""
    return "\n".join(map(_toml_table, tags))


def _toml_table(tag: Tag) -> str:
    lines = (f"{key} = {_toml(value)}\n" for key, value in _table(tag).items())
    return "".join(["[[tags]]\n", *lines])


def _table(tag: Tag) -> dict[str, object]:
    """What a file has to say of a tag: what is not the default."""
    values = {key: getattr(tag, key) for key in _DEFAULTS}
    return {key: value for key, value in values.items() if value is not None and value != _DEFAULTS[key]}


def _spread(table: Mapping[str, object]) -> dict[str, object]:
    row = dict(table)
    clamp = row.pop("clamp", None)
    if isinstance(clamp, tuple):
        row |= zip(CLAMPS, clamp, strict=True)
    return row


def _toml(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)
