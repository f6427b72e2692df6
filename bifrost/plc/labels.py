"""What values are called in batches: by their tag, the elements of an array by its name and an index. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bifrost.plc.datatypes import Tag

__all__ = ["label_clash"]


def label_clash(tags: Iterable[Tag]) -> str | None:
    """Tell which tag has the name of an element of another, such as ``a[0]`` beside an array ``a``; None if none has.

    In batches both would have the same label.
    """
    tags = list(tags)
    elements = {label: tag.name for tag in tags if tag.count > 1 for label in tag.labels}
    for tag in tags if elements else ():
        if (array := elements.get(tag.name)) is not None:
            return f"tag {tag.name!r} has the name of an element of the array {array!r}; give one of them another name"
    return None
