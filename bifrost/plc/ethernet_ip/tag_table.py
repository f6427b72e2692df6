"""What a controller has: its list of tags and the layouts of its structures, as pycomm3 uploaded them.

In: pycomm3's dictionaries. Out: what is known of a path, structures as dictionaries and back, the tags for people. Not
here: asking the controller.
Obeys: Rockwell 1756-PM020, "Symbol object", "Template object".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from bifrost.core.value import Value
from bifrost.errors import DataTypeError, ProtocolError
from bifrost.plc.datatypes import DataType
from bifrost.plc.drivers.base import BrowsedTag
from bifrost.plc.ethernet_ip.address import Segment
from bifrost.plc.ethernet_ip.cip_types import DWORD_CODE, STRUCT_CODE, atomic_type, codes_by_name
from bifrost.plc.ethernet_ip.values import checked_value

__all__ = ["Layout", "TagTable", "TypeInfo"]

_KEPT = 20_000  # paths that are remembered
_DEPTH = 16  # structures within structures


class Layout:
    """One structure or text type of the controller."""

    __slots__ = ("_raw", "handle", "name", "room", "size")

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self.name: str = raw["name"]
        self.handle: int = raw["template"]["structure_handle"]
        self.size: int = raw["template"]["structure_size"]
        self.room: int | None = raw.get("string")
        """Most characters, if it is a text."""

    def decode(self, data: bytes) -> Value:
        """Read one value: a dictionary, or a text.

        Raises:
            ProtocolError: the bytes are not of this layout.
        """
        if len(data) != self.size:
            raise ProtocolError(f"expected {self.size} bytes of {self.name}, got {len(data)}")
        try:
            value: Value = self._raw["type_class"].decode(data)
            if isinstance(value, dict):
                return {name: value[name] for name in self._raw["attributes"]}  # in the order of the definition
        except Exception as error:
            # Whatever pycomm3 meets in a layout that it did not expect.
            raise ProtocolError(f"cannot read a {self.name}: {error}") from error
        return value

    def encode(self, value: object) -> bytes:
        """Pack one value, every member of it.

        Raises:
            DataTypeError: a member is missing, unknown, or does not fit.
        """
        return bytes(self._raw["type_class"].encode(self._checked(self._raw, value, "")))

    def _checked(self, raw: Mapping[str, Any], value: object, where: str) -> object:
        if (room := raw.get("string")) is not None:
            return _within(where or raw["name"], DataType.STRING, value, length=room)
        if not isinstance(value, Mapping):
            raise DataTypeError(f"{where or raw['name']}: expected a dictionary of the members, got {value!r:.60}")
        wanted: Sequence[str] = raw["attributes"]
        if missing := [name for name in wanted if name not in value]:
            raise DataTypeError(f"{where or raw['name']}: a structure is written as a whole, {missing[0]!r} is missing")
        if unknown := [name for name in value if name not in wanted]:
            raise DataTypeError(f"{where or raw['name']} has no member {unknown[0]!r}; known are {', '.join(wanted)}")
        return {
            name: self._checked_member(raw["internal_tags"][name], value[name], f"{where}.{name}" if where else name)
            for name in wanted
        }

    def _checked_member(self, info: Mapping[str, Any], value: object, where: str) -> object:
        count = info.get("array") or 0
        if not count:
            return self._checked_element(info, value, where)
        count *= 32 if info["data_type_name"] == "DWORD" else 1
        if not isinstance(value, list | tuple) or len(value) != count:
            raise DataTypeError(f"{where}: expected a list of {count} values, got {value!r:.60}")
        return [self._checked_element(info, one, where) for one in value]

    def _checked_element(self, info: Mapping[str, Any], value: object, where: str) -> object:
        if info["tag_type"] == "struct":
            return self._checked(info["data_type"], value, where)
        if info["data_type_name"] == "DWORD" and info.get("array"):
            return _within(where, DataType.BOOL, value)
        kind = atomic_type(codes_by_name().get(info["data_type_name"] or "", 0))
        if kind is None:
            raise DataTypeError(f"{where} is a {info['data_type_name']}, which bifrost cannot write")
        return _within(where, kind.datatype, value)


class TypeInfo(msgspec.Struct, frozen=True):
    """What is known of one path.

    Attributes:
        code: of its type; `STRUCT_CODE` for a structure.
        layout: of a structure.
        count: how many there are; 0 for one that is no array.
    """

    code: int
    layout: Layout | None = None
    count: int = 0

    @property
    def is_bits(self) -> bool:
        """True if this is an array of BOOL, which travels as double words."""
        return self.code == DWORD_CODE and self.count > 0

    @property
    def size(self) -> int:
        """Bytes of one element; 0 if it is not known."""
        if self.layout is not None:
            return self.layout.size
        kind = atomic_type(self.code)
        return kind.size if kind is not None else 0

    @property
    def name(self) -> str:
        """The controller's name of the type."""
        if self.layout is not None:
            return self.layout.name
        if self.is_bits:
            return "BOOL"
        kind = atomic_type(self.code)
        return kind.name if kind is not None else f"type 0x{self.code:02x}"


class TagTable:
    """The tags of one controller."""

    def __init__(self, tags: Mapping[str, Mapping[str, Any]], layouts: Mapping[str, Mapping[str, Any]]) -> None:
        self._tags = {name.casefold(): raw for name, raw in tags.items()}
        self._layouts: dict[int, Layout] = {}
        for raw in layouts.values():
            layout = Layout(raw)
            self._layouts[layout.handle] = layout
        self._found: dict[tuple[Segment, ...], TypeInfo | None] = {}

    def __len__(self) -> int:
        return len(self._tags)

    def layout(self, handle: int) -> Layout | None:
        """The structure with this handle; None if there is none."""
        return self._layouts.get(handle)

    def find(self, segments: tuple[Segment, ...]) -> TypeInfo | None:
        """What is known of a path; None if the controller did not name it."""
        if segments not in self._found:
            if len(self._found) >= _KEPT:
                self._found.clear()
            self._found[segments] = self._find(segments)
        return self._found[segments]

    def _find(self, segments: tuple[Segment, ...]) -> TypeInfo | None:
        raw: Mapping[str, Any] | None = self._tags.get(segments[0].name.casefold())
        for segment in segments[1:]:
            if raw is None or raw["tag_type"] != "struct":
                return None
            members = {name.casefold(): member for name, member in raw["data_type"]["internal_tags"].items()}
            raw = members.get(segment.name.casefold())
        return None if raw is None else self._info(raw)

    def _info(self, raw: Mapping[str, Any]) -> TypeInfo:
        dimensions = raw.get("dimensions", ())[: raw.get("dim", 0)]
        count = math.prod(dimensions) if dimensions else raw.get("array") or 0
        if raw["tag_type"] == "struct":
            return TypeInfo(STRUCT_CODE, self._layout_of(raw["data_type"]), count)
        return TypeInfo(codes_by_name().get(raw["data_type"] or "", 0), None, count)

    def _layout_of(self, raw: Mapping[str, Any]) -> Layout:
        # Not every one is among the layouts by name: two modules may call theirs the same.
        handle: int = raw["template"]["structure_handle"]
        if handle not in self._layouts:
            self._layouts[handle] = Layout(raw)
        return self._layouts[handle]

    def browse(self) -> list[BrowsedTag]:
        """Everything, the members of structures included; those of an array are the first element's."""
        return [
            browsed
            for raw in self._tags.values()
            if raw.get("external_access") != "None"
            for browsed in self._browse(raw["tag_name"], raw, _access(raw), 0)
        ]

    def _browse(
        self, name: str, raw: Mapping[str, Any], access: Literal["r", "rw"], depth: int
    ) -> Iterator[BrowsedTag]:
        info = self._info(raw)
        dimensions = raw.get("dimensions", ())[: raw.get("dim", 0)]
        first = f"[{','.join('0' for _ in dimensions or '0')}]" if info.count else ""
        count = info.count * 32 if info.is_bits else max(info.count, 1)
        yield BrowsedTag(
            name=name,
            address=name if len(dimensions) < 2 else name + first,
            datatype=_datatype(info),
            count=count,
            access=access,
            type_name=info.name,
        )
        if info.layout is None or info.layout.room is not None or depth >= _DEPTH:
            return
        for member in raw["data_type"]["attributes"]:
            inner = raw["data_type"]["internal_tags"][member]
            yield from self._browse(f"{name}{first}.{member}", inner, access, depth + 1)


def _access(raw: Mapping[str, Any]) -> Literal["r", "rw"]:
    return "r" if raw.get("external_access") == "Read Only" else "rw"


def _datatype(info: TypeInfo) -> DataType | None:
    if info.layout is not None:
        return DataType.STRUCT if info.layout.room is None else DataType.STRING
    if info.is_bits:
        return DataType.BOOL
    kind = atomic_type(info.code)
    return kind.datatype if kind is not None else None


def _within(where: str, datatype: DataType, value: object, *, length: int = 0) -> object:
    try:
        return checked_value(datatype, value, length=length)
    except DataTypeError as error:
        raise DataTypeError(f"{where}: {error}") from None
