"""What every driver checks of a write before anything of its own protocol.

In: a tag and a value. Out: the value's elements. Pure. Not here: types, which are the protocol's.
"""

from __future__ import annotations

from bifrost.errors import ConfigError, DataTypeError
from bifrost.plc.datatypes import Tag

__all__ = ["elements_to_write"]


def elements_to_write(tag: Tag, value: object) -> list[object]:
    """Give the elements of a value: as many as the tag has.

    Raises:
        ConfigError: the tag may not be written.
        DataTypeError: an array gets another number of values, or none.
    """
    if tag.access != "rw":
        raise ConfigError(f"tag {tag.name!r} is read-only; declare it with access='rw' to write it")
    if tag.count == 1:
        return [value]
    if not isinstance(value, list | tuple) or len(value) != tag.count:
        got = f"{len(value)} values" if isinstance(value, list | tuple) else f"{value!r:.60}"
        raise DataTypeError(f"tag {tag.name!r}: expected a list of {tag.count} values, got {got}")
    return list(value)
