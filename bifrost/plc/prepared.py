"""Plans that were made before: the same tags are planned once for each link.

In: tags, or names of tags. Out: a plan with the labels of its values. Not here: any I/O.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from bifrost.errors import ConfigError
from bifrost.plc.datatypes import DataType, Tag
from bifrost.plc.drivers.base import Driver, Plan, ProtocolSpec
from bifrost.plc.labels import label_clash
from bifrost.plc.scaling import Scaling

__all__ = ["PreparedRead", "PreparedReads", "tags_by_name"]

_KEPT = 256
_NOBODY: frozenset[str] = frozenset()
_MAY_BE_STRUCTS = {DataType.STRUCT, DataType.AUTO}


class PreparedRead:
    """A plan with what a batch needs beside it.

    Attributes:
        tags: in the caller's order.
        plan: the driver's plan.
        labels: how each value is called in a batch.
        clock_slot: where the device's own clock stands among the values; None if it is not read along.
        scaling: what is done to the raw values; None if nothing is.
        index: where each name stands among the tags, in their order.
        names: of all tags.
        ages: true if a tag lets its last good value stand in.
        has_structs: true if a value may be a dictionary, which a batch carries as JSON.
    """

    __slots__ = ("ages", "clock_slot", "has_structs", "index", "labels", "names", "plan", "scaling", "tags")

    def __init__(self, tags: tuple[Tag, ...], plan: Plan, labels: list[str], clock_slot: int | None) -> None:
        self.tags = tags
        self.plan = plan
        self.labels = labels
        self.clock_slot = clock_slot
        self.index = {tag.name: at for at, tag in enumerate(tags)}
        self.names = frozenset(self.index)
        self.ages = any(tag.max_age is not None for tag in tags)
        scaling = Scaling(tags, plan.slots)
        self.scaling = scaling or None
        self.has_structs = any(tag.datatype in _MAY_BE_STRUCTS for tag in tags)

    def names_of(self, slots: Sequence[int]) -> frozenset[str]:
        """Tell the names of the tags that these slots, in ascending order, belong to."""
        if not slots:
            return _NOBODY
        tags = self.tags
        if self.plan.total == len(tags):
            if len(slots) == len(tags):
                return self.names
            return frozenset([tags[slot].name for slot in slots])
        starts = self.plan.slots
        return frozenset([tags[bisect_right(starts, slot) - 1].name for slot in slots])


class PreparedReads:
    """The plans of one connection.

    What a plan learned about a device's holes ends with the link, for it may be another program by then; so plans are
    asked for with the number of the link (`link`), and made anew for a new one.

    Attributes:
        planner: a driver that is never connected; planning is pure.
    """

    def __init__(
        self,
        spec: ProtocolSpec,
        planner: Driver,
        tags: Mapping[str, Tag],
        *,
        name: str | None,
        clock_tag: str | None,
    ) -> None:
        self._spec = spec
        self.planner = planner
        self._tags = tags
        self._name = name
        self._clock_tag = clock_tag
        self._kept: dict[object, PreparedRead] = {}
        self._last: tuple[tuple[Tag | str, ...] | None, PreparedRead] | None = None
        self._link = 0

    def tag(self, tag: Tag | str) -> Tag:
        """Find a tag by its name; a tag is itself, its address understood by this connection's protocol.

        Raises:
            ConfigError: the connection has none of this name, or its protocol knows no such address.
        """
        if isinstance(tag, Tag):
            return tag.bound_to(self._spec)
        if not isinstance(tag, str):
            raise ConfigError(f"expected a tag or the name of one, got {tag!r:.60}")
        try:
            return self._tags[tag]
        except KeyError:
            import difflib

            close = difflib.get_close_matches(tag, self._tags, n=1)
            hint = f"did you mean {close[0]!r}" if close else "give it to the connection as tags=[...], or pass a Tag"
            raise ConfigError(f"this connection has no tag {tag!r}; {hint}") from None

    def one(self, tag: Tag | str, link: int) -> PreparedRead:
        """Plan one tag."""
        asked: object = tag
        prepared = self._kept.get(asked) if isinstance(asked, (Tag, str)) else None
        if prepared is None or self._link != link:
            prepared = self._prepare((self.tag(tag),), tag, link)
        return prepared

    def many(self, tags: Sequence[Tag | str] | None, link: int) -> PreparedRead:
        """Plan several tags; None for all that the connection has."""
        key = None if tags is None else _listed(tags)
        last = self._last
        if last is not None and self._link == link and key == last[0]:
            return last[1]  # a thousand tags are compared by identity, which costs a tenth of hashing them
        try:
            prepared = self._kept.get(key)
        except TypeError:  # something among them has no hash: it is no tag
            prepared = None
        if prepared is None or self._link != link:
            chosen = tuple(self._tags.values()) if key is None else tuple(self.tag(tag) for tag in key)
            prepared = self._prepare(chosen, key, link)
        self._last = (key, prepared)
        return prepared

    def _prepare(self, tags: tuple[Tag, ...], key: object, link: int) -> PreparedRead:
        if self._link != link or len(self._kept) >= _KEPT:
            self._kept.clear()
            self._last = None
            self._link = link
        by_name: dict[str, Tag] = {}
        for tag in tags:
            if by_name.setdefault(tag.name, tag) != tag:
                raise ConfigError(f"two different tags are called {tag.name!r}; their values could not be told apart")
        plan: Plan = self.planner.plan(tags)
        labels = [label if self._name is None else f"{self._name}/{label}" for tag in tags for label in tag.labels]
        clock_slot = None
        for tag, slot in zip(tags, plan.slots, strict=True):
            if tag.name == self._clock_tag:
                clock_slot = slot
        prepared = self._kept[key] = PreparedRead(tags, plan, labels, clock_slot)
        return prepared


def tags_by_name(tags: Sequence[Tag], spec: ProtocolSpec) -> dict[str, Tag]:
    """Gather a connection's tags, their addresses understood by its protocol.

    Raises:
        ConfigError: one is no tag or has no address of the protocol, or two of them could not be told apart.
    """
    found: dict[str, Tag] = {}
    for tag in _listed(tags):
        if not isinstance(tag, Tag):
            raise ConfigError(f"expected a tag, got {tag!r:.60}; make one with Tag(name, address)")
        if tag.name in found:
            raise ConfigError(
                f"two tags of this connection have the same name {tag.name!r}; values are told apart by it"
            )
        found[tag.name] = tag.bound_to(spec)
    if (clash := label_clash(found.values())) is not None:
        raise ConfigError(clash)
    return found


def _listed(tags: Sequence[Tag | str]) -> tuple[Tag | str, ...]:
    if isinstance(tags, str | bytes | Tag):
        raise ConfigError(f"expected a list of tags, got {tags!r:.60}; a single one is a list of one")
    try:
        return tuple(tags)
    except TypeError:
        raise ConfigError(f"expected a list of tags, got {tags!r:.60}") from None
