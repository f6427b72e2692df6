"""Which value may stand in for which, and what a batch makes of it."""

from __future__ import annotations

import asyncio
from typing import Any

from bifrost.core.quality import StatusCode
from bifrost.plc import PLCConnection, Tag
from bifrost.plc.datatypes import DataType
from bifrost.plc.last_usable import LastUsable
from bifrost.testing import VirtualClock
from tests.unit.plc.memory import Machine, MemoryDriver, MemoryPlan, memory

LAST = int(StatusCode.UNCERTAIN_LAST_USABLE_VALUE)
GONE = int(StatusCode.BAD_NOT_CONNECTED)


def note(last: LastUsable, tag: Tag, value: Any, status: int, *, now: float = 0.0) -> dict[int, Any]:
    values = value if isinstance(value, list) else [value]
    return last.note([tag], [0], values, [status] * len(values), source_ns=7, now=now, max_age=60.0)


def test_a_value_stands_in_for_its_own_tag_only() -> None:
    """Another address of the same name, or another scale, is another value."""
    last = LastUsable()
    note(last, Tag("t", "HR1"), 5, 0)
    assert note(last, Tag("t", "HR2"), None, GONE) == {}
    assert note(last, Tag("t", "HR1", scale=0.1), None, GONE) == {}
    assert note(last, Tag("t", "HR1"), None, GONE) == {0: ([5], 7)}


def test_what_was_refused_since_does_not_stand_in() -> None:
    """A device that said no before it went away has no last value."""
    last = LastUsable()
    note(last, Tag("t", "HR1"), 5, 0)
    assert note(last, Tag("t", "HR1"), None, int(StatusCode.BAD_CONFIGURATION_ERROR)) == {}
    assert note(last, Tag("t", "HR1"), None, GONE) == {}


def test_what_is_kept_has_an_end() -> None:
    """A program that makes a tag for each read does not fill the memory; the oldest goes first."""
    last = LastUsable(room=100)
    for number in range(1, 1001):
        note(last, Tag(f"t{number}", f"HR{number}"), number, 0)
    assert note(last, Tag("t900", "HR900"), None, GONE) == {}
    assert note(last, Tag("t901", "HR901"), None, GONE) == {0: ([901], 7)}


def test_the_latest_of_all_reads_stands_in() -> None:
    """Whichever set of tags it was read with, and whether another reader of the set asked for an age."""
    last = LastUsable()
    one, two = Tag("a", "HR1"), Tag("b", "HR2[2]", max_age=5.0)
    both = (one, two)
    last.note(both, [0, 1], [1, 2, 3], None, source_ns=1, now=0.0, max_age=60.0)
    last.note((one,), [0], [4], None, source_ns=2, now=1.0, max_age=60.0)
    last.note(both, [0, 1], [5, 6, 7], None, source_ns=3, now=2.0, max_age=None)
    gone = [GONE] * 3
    nothing = [None] * 3
    assert last.note(both, [0, 1], nothing, gone, source_ns=9, now=3.0, max_age=60.0) == {0: ([5], 3), 1: ([6, 7], 3)}
    last.note((one,), [0], [8], None, source_ns=4, now=4.0, max_age=60.0)
    assert last.note(both, [0, 1], nothing, gone, source_ns=9, now=5.0, max_age=60.0) == {0: ([8], 4), 1: ([6, 7], 3)}
    assert last.note(both, [0, 1], nothing, gone, source_ns=9, now=8.0, max_age=None) == {}


class Wide(MemoryDriver):
    """Says that its integers may need 64 bits without a sign."""

    def plan(self, tags: Any) -> MemoryPlan:
        plan = MemoryPlan(tags)
        plan.wide = plan.slots
        return plan


async def test_a_wide_integer_that_stands_in_is_out_of_range_in_a_batch(clock: VirtualClock) -> None:
    """As it is when it is read; the batch is made all the same."""
    machine = Machine({"a": 2**64 - 1, "b": 5}, driver_type=Wide)
    plc: PLCConnection = memory(machine, backoff_min=3600.0, backoff_max=3600.0)(clock)
    tags = [Tag(name, name, DataType.UINT64, max_age=60.0, protocol=plc.settings.protocol) for name in machine.values]
    async with plc:
        out = int(StatusCode.BAD_OUT_OF_RANGE)
        assert [row[2:4] for row in (await plc.read_batch(tags)).rows()] == [(None, out), (5, 0)]
        machine.pull_the_plug()
        await asyncio.sleep(1.0)
        assert [row[2:4] for row in (await plc.read_batch(tags)).rows()] == [(None, out), (5, LAST)]
        assert (await plc.read_tags(tags)).values_dict() == machine.values
