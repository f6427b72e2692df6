"""Tags between processes, and wrong things where tags are asked for."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import re
import subprocess
import sys
from typing import Any, ClassVar

import pytest

from bifrost.core.quality import Quality, StatusCode
from bifrost.errors import BadValue, ConfigError, DataTypeError
from bifrost.plc import DataType, PLCConnection, Tag
from bifrost.plc.drivers.base import Readings
from bifrost.testing import VirtualClock
from tests.unit.plc.memory import Machine, MemoryDriver, MemoryPlan, memory

TAG = Tag("t", "HR1:FLOAT32", scale=2.0, unit=3, metadata={"line": 4}, description="speed")


@pytest.mark.parametrize("made", [copy.copy, copy.deepcopy, lambda tag: pickle.loads(pickle.dumps(tag))])
def test_a_copy_is_the_same_tag(made: Any) -> None:
    """Equal, found under the same key, and bound to protocols as the first."""
    twin = made(TAG)
    assert (twin, hash(twin), twin.metadata, twin.dialect) == (TAG, hash(TAG), {"line": 4}, "modbus-tcp")
    assert twin.resolved == TAG.resolved


def test_a_tag_of_another_process_is_found_under_its_key() -> None:
    """Each process hashes text in its own way; what a tag remembers of that stays there."""
    program = (
        "import pickle, sys; from bifrost.plc import Tag;"
        "sys.stdout.buffer.write(pickle.dumps(Tag('t', 'HR1:FLOAT32', scale=2.0, unit=3)))"
    )
    for seed in ("1", "2"):
        made = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=30,
        )
        assert pickle.loads(made.stdout) in {TAG: 1}


def test_a_tag_with_another_address_takes_its_type() -> None:
    """What the first address said is no word of the user about the second."""
    assert dataclasses.replace(TAG, name="u").datatype == "FLOAT32"
    assert dataclasses.replace(Tag("t", "HR1"), access="rw") == Tag("t", "HR1", access="rw")


@pytest.mark.parametrize("tags", [[5], [None], [["a"]], "a", Tag("a", "a", protocol="ethernet-ip"), b"a", 5])
async def test_what_is_no_list_of_tags_is_refused_in_words(clock: VirtualClock, tags: Any) -> None:
    """A single tag is no list of tags, and a number is no tag."""
    async with memory(Machine({"a": 1}))(clock) as plc:
        for use in (plc.read_tags, plc.read_batch):
            with pytest.raises(ConfigError, match="expected"):
                await use(tags)
        with pytest.raises(ConfigError, match="expected"):
            plc.poll(tags, 10.0)
        with pytest.raises(ConfigError, match="expected"):
            plc.subscribe(tags, print, interval_ms=10.0)


@pytest.mark.parametrize("tag", [5, None, ["a"], ("a",)])
async def test_what_is_no_tag_is_refused_in_words(clock: VirtualClock, tag: Any) -> None:
    """Before anything is sent."""
    machine = Machine({"a": 1})
    plc: PLCConnection = memory(machine)(clock)
    async with plc:
        with pytest.raises(ConfigError, match="expected a tag"):
            await plc.read(tag)
        with pytest.raises(ConfigError, match="expected a tag"):
            await plc.write(tag, 1)
        if not isinstance(tag, list):
            with pytest.raises(ConfigError, match="expected a tag"):
                await plc.write_tags({tag: 1})
    assert machine.log == ["close"]


@pytest.mark.parametrize(
    "options",
    [{"interval_ms": "10"}, {"queue": "3"}, {"queue": 1.5}, {"max_age": -1.0}, {"max_age": float("nan")}],
)
async def test_wrong_numbers_of_a_poll_are_refused_in_words(clock: VirtualClock, options: dict[str, Any]) -> None:
    """At the call."""
    async with memory(Machine({"a": 1}))(clock) as plc:
        with pytest.raises(ConfigError, match="expected"):
            plc.poll(**options)


@pytest.mark.parametrize("max_age", [-1.0, float("nan"), "1"])
async def test_a_wrong_age_is_refused(clock: VirtualClock, max_age: Any) -> None:
    """An age below zero would quietly mean none."""
    async with memory(Machine({"a": 1}))(clock) as plc:
        with pytest.raises(ConfigError, match="expected a max_age"):
            await plc.read_tags(max_age=max_age)


@pytest.mark.parametrize(
    ("tags", "hint"),
    [
        (["HR1"], "make one with Tag"),
        ([None], "make one with Tag"),
        ("HR1", "expected a list of tags"),
        (Tag("a", "HR1"), "expected a list of tags"),
        (5, "expected a list of tags"),
        ([Tag("a", "HR1"), Tag("a", "HR2")], "two tags of this connection have the same name 'a'"),
        ([Tag("a[0]", "HR9"), Tag("a", "HR1[2]")], "an element of the array 'a'"),
    ],
)
def test_a_connection_refuses_what_are_no_tags_or_cannot_be_told_apart(tags: Any, hint: str) -> None:
    """In words, and before anything is opened."""
    with pytest.raises(ConfigError, match=re.escape(hint)):
        PLCConnection(host="192.0.2.7", tags=tags)


def test_settings_refuse_a_tag_with_the_name_of_an_element() -> None:
    """In a batch both would be called alike."""
    tags = [{"name": "a", "address": "HR1[2]"}, {"name": "a[1]", "address": "HR9"}]
    with pytest.raises(ConfigError, match="an element of the array 'a'"):
        PLCConnection.from_config({"host": "192.0.2.7", "tags": tags})
    PLCConnection.from_config({"host": "192.0.2.7", "tags": [*tags[:1], {"name": "a[2]", "address": "HR9"}]})


class Remembering(MemoryDriver):
    """Keeps the plans that it was asked to read."""

    plans: ClassVar[list[MemoryPlan]] = []

    async def read(self, plan: MemoryPlan, *, timeout: float) -> Readings:
        self.plans.append(plan)
        return await super().read(plan, timeout=timeout)


async def test_a_new_link_begins_with_new_plans_whatever_is_read_first(clock: VirtualClock) -> None:
    """What a plan learned about a device ends with its link, also if a single tag is read before the tags of a poll."""
    machine = Machine({"a": 1, "b": 2}, driver_type=Remembering)
    Remembering.plans.clear()
    async with memory(machine, backoff_min=0.05)(clock) as plc:
        await plc.read_tags()
        machine.pull_the_plug()
        machine.present = True
        await plc.wait_connected()
        await plc.read("a")
        await plc.read_tags()
        await plc.read_tags()
    first, single, again, kept = Remembering.plans
    assert len({id(first), id(single), id(again)}) == 3
    assert kept is again


def test_a_word_of_two_protocols_takes_the_types_of_both() -> None:
    """C5 is a coil of Modbus and a counter of an S7; where neither has such a type, Modbus says why."""
    counter = Tag("parts", "C5", DataType.UINT16)
    assert PLCConnection("s7", host="192.0.2.8", tags=[counter]).tags[0].dialect == "s7"
    assert Tag("flag", "C5").datatype is DataType.BOOL
    with pytest.raises(DataTypeError, match="coil holds BOOL only"):
        PLCConnection(host="192.0.2.7", tags=[counter])
    for address, datatype in (("C5", DataType.FLOAT32), ("HR1", DataType.STRUCT)):
        with pytest.raises(DataTypeError):
            Tag("t", address, datatype)
    with pytest.raises(DataTypeError, match="coil holds BOOL only"):
        Tag("parts", "C5", DataType.UINT16, protocol="modbus-tcp")


class Curt(MemoryDriver):
    """Says that all values are bad, and of none why."""

    async def read(self, plan: MemoryPlan, *, timeout: float) -> Readings:
        return Readings([None] * plan.total, self.clock.time_ns(), [int(StatusCode.BAD)] * plan.total)


async def test_a_bad_value_without_a_reason_is_raised_where_values_are_wanted(clock: VirtualClock) -> None:
    """A plug-in that gives none does not make a None of it."""
    async with memory(Machine({"a": 1}, driver_type=Curt))(clock) as plc:
        for use in (plc.read("a"), plc.read_tags(strict=True)):
            with pytest.raises(BadValue, match="no value"):
                await use
        assert (await plc.read_tags())["a"].quality is Quality.BAD
        failed = (await plc.write_tags({"a": 1}, verify=True)).failed
        assert "reading it back failed" in str(failed["a"])
