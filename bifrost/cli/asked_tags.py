"""The tags that a command line asks for: words and a file of tags in, tags out.

A word is an address, ``name=address``, or the name of a tag in the file.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path

from bifrost.errors import AddressError, ConfigError
from bifrost.plc.datatypes import Tag
from bifrost.plc.tag_files import read_tag_file
from bifrost.plc.typed_text import value_from_text
from bifrost.plc.url import options_from_url

__all__ = ["add_tag_options", "asked_tags", "asked_writes"]


def add_tag_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that bring tags from a file."""
    parser.add_argument("--tags", type=Path, metavar="FILE", help="CSV or TOML file of tags, which may be named")


def asked_tags(url: str, words: Sequence[str], file: Path | None) -> tuple[Tag, ...]:
    """Find out what is to be read: the words, or all tags of the file if there are none.

    Raises:
        ConfigError: a word is neither an address of the URL's protocol nor a tag of the file, or nothing is asked for.
    """
    protocol = options_from_url(url)[0].name
    known = _known(file, protocol)
    if not words:
        if not known:
            raise ConfigError("nothing to read; name an address such as HR1, or a file with --tags")
        return tuple(known.values())
    tags: dict[str, Tag] = {}
    for word in words:
        tag = _tag(word, known, protocol)
        if tags.setdefault(tag.name, tag) != tag:
            raise ConfigError(f"{tag.name!r} is asked for twice, with different addresses; write other=ADDRESS")
    return tuple(tags.values())


def asked_writes(url: str, words: Sequence[str], file: Path | None) -> dict[Tag, object]:
    """Find out what is to be written: ``ADDRESS=VALUE`` or ``NAME=VALUE`` words, each value typed by its tag.

    Raises:
        ConfigError: a word names no address, or its value is none of the tag's type.
    """
    protocol = options_from_url(url)[0].name
    known = _known(file, protocol)
    values: dict[Tag, object] = {}
    for word in words:
        place, equals, text = _split(word)
        if not equals or not place.strip():
            raise ConfigError(f"found {word!r:.100}, expected ADDRESS=VALUE such as HR1=42")
        tag = known.get(place) or _addressed(place, place, known, protocol, access="rw")
        if any(tag.name == other.name for other in values):
            raise ConfigError(f"{place!r} is to be written twice; order is kept, so call the command twice")
        values[tag] = value_from_text(tag, text)
    return values


def _known(file: Path | None, protocol: str) -> dict[str, Tag]:
    return {} if file is None else {tag.name: tag for tag in read_tag_file(file, protocol=protocol)}


def _tag(word: str, known: dict[str, Tag], protocol: str) -> Tag:
    if word in known:
        return known[word]
    name, equals, address = _split(word)
    if not equals:
        return _addressed(word, word, known, protocol)
    if not name.strip() or not address.strip():
        raise ConfigError(f"found {word!r:.100}, expected ADDRESS or NAME=ADDRESS such as speed=HR1")
    return _addressed(name.strip(), address.strip(), {}, protocol)


def _addressed(name: str, address: str, known: dict[str, Tag], protocol: str, *, access: str = "r") -> Tag:
    try:
        return Tag(name, address, access="rw" if access == "rw" else "r", protocol=protocol)
    except AddressError as error:
        close = difflib.get_close_matches(name, known, n=1)
        if not close:
            raise
        raise AddressError(f"{error}; among the tags of the file, did you mean {close[0]!r}?") from None


def _split(word: str) -> tuple[str, str, str]:
    """Split at the first ``=`` that is not within the braces of an address such as ``HR1{unit=2}``."""
    depth = 0
    for at, sign in enumerate(word):
        depth += (sign in "{[(") - (sign in ")]}")
        if sign == "=" and depth == 0:
            return word[:at], "=", word[at + 1 :]
    return word, "", ""
