"""The types that a simulated controller knows, by name and by template number.

In: definitions. Out: types for declarations, structures for the template object. Not here: layout (`templates`), tags
(`store`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bifrost.errors import ConfigError, DataTypeError
from bifrost.plc.sim.cip.templates import STRING_82, lay_out, string_structure
from bifrost.plc.sim.cip.types import BOOL, DWORD, ELEMENTARY, SHORT_STRING, DataType, Structure, parse_declaration

__all__ = ["TypeTable"]

_NAME = re.compile(r"[A-Za-z_]\w{0,39}", re.ASCII)
_FIRST_TEMPLATE = 0x101
_LAST_TEMPLATE = 0xEFF
_TYPE_CODES = {0x00, 0xA0, *range(0xC0, 0xE0)}


class TypeTable:
    """Elementary types, the predefined STRING, and what was defined.

    Args:
        micro800: STRING is a short string, BOOL arrays are bytes, nothing can be defined.
    """

    def __init__(self, *, micro800: bool) -> None:
        self._micro800 = micro800
        self._types: dict[str, DataType] = {name.casefold(): kind for name, kind in ELEMENTARY.items()}
        self._types["string"] = SHORT_STRING if micro800 else STRING_82
        self._templates: dict[int, Structure] = {} if micro800 else {STRING_82.template_id: STRING_82}
        self._next_template = _FIRST_TEMPLATE

    def define(self, name: str, members: Mapping[str, str]) -> Structure:
        """Define a structure from its members' declarations, in order.

        Raises:
            DataTypeError: a name is taken or no name, or a member's type is unknown or not possible in a structure.
            ConfigError: a Micro800 has no structures.
        """
        self._check_new(name, *members)
        return self._add(lay_out(name, members, self._next_template, self.find))

    def define_string(self, name: str, length: int) -> Structure:
        """Define a string type of `length` characters, 1 to 65535.

        Raises:
            DataTypeError: the name is taken or no name, or the length is out of range.
            ConfigError: a Micro800 has no string types.
        """
        self._check_new(name)
        return self._add(string_structure(name, length, self._next_template))

    def find(self, name: str) -> DataType | None:
        """Find a type by its name; controllers do not tell upper from lower case."""
        return self._types.get(name.casefold())

    def template(self, template_id: int) -> Structure | None:
        """Find a structure by its template's instance id."""
        return self._templates.get(template_id)

    def declared(self, name: str, declaration: str) -> tuple[DataType, tuple[int, ...]]:
        """Return the type and the dimensions of a tag's elements as they are in memory: BOOL arrays are DWORDs.

        Raises:
            DataTypeError: there is no such type, or it cannot have these dimensions.
        """
        declared = parse_declaration(declaration)
        kind, dimensions = self.find(declared.name), declared.dimensions
        if kind is None:
            raise DataTypeError(f"{name}: no type {declared.name!r}: define it first")
        if kind is not BOOL or not dimensions or self._micro800:
            return kind, dimensions
        if len(dimensions) > 1 or dimensions[0] % 32:
            raise DataTypeError(f"{name}: a BOOL array has one dimension, a multiple of 32, got {declaration!r}")
        return DWORD, (dimensions[0] // 32,)

    def _check_new(self, name: str, *members: str) -> None:
        if self._micro800:
            raise ConfigError(f"{name}: a Micro800 has no structures on the wire")
        for one in (name, *members):
            if not _NAME.fullmatch(one):
                raise DataTypeError(f"expected a name of up to 40 letters, digits and underscores, got {one!r}")
        if len({one.casefold() for one in members}) != len(members):
            raise DataTypeError(f"{name}: two members differ in upper and lower case only")
        if self.find(name) is not None:
            raise DataTypeError(f"type {name!r} exists already")
        if self._next_template > _LAST_TEMPLATE:
            raise DataTypeError("too many types: no template number is left")

    def _add(self, made: Structure) -> Structure:
        self._types[made.name.casefold()] = made
        self._templates[made.template_id] = made
        self._next_template += 1
        # Clients compare the low byte with type codes: a template whose number ends in one would be taken for it.
        while self._next_template & 0xFF in _TYPE_CODES:
            self._next_template += 1
        return made
