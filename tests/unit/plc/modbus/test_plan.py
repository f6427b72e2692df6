"""What a read plan learns from refusals."""

from __future__ import annotations

import time

from bifrost.errors import ConfigError, ModbusFault
from bifrost.plc import ByteOrder, Tag
from bifrost.plc.modbus.plan import ModbusReadPlan, ReadLimits

LIMITS = ReadLimits(max_gap_registers=8, max_gap_bits=64, max_registers=4, max_bits=2000)
FAULT, OTHER = ModbusFault("illegal data address", code=2), ModbusFault("illegal data value", code=3)


def plan_of(*tags: Tag) -> ModbusReadPlan:
    return ModbusReadPlan(tags, unit=1, byte_order=ByteOrder.ABCD, limits=LIMITS)


def test_every_refused_value_has_the_fault_of_its_own_stretch() -> None:
    """Also the parts of an array, and two tags at one place; neighbours and other units are asked for as before."""
    plan = plan_of(
        Tag("array", "HR1[6]"),
        Tag("wide", "HR100:FLOAT32"),
        Tag("twin", "HR100:FLOAT32"),
        Tag("far", "2!HR100:FLOAT32"),
    )
    plan.learn({(1, 3, 4, 6): FAULT, (1, 3, 99, 101): OTHER}, [], ask_again_at=300.0)
    assert plan.refused == {4: FAULT, 5: FAULT, 6: OTHER, 7: OTHER}
    assert sorted(slot for block in plan.blocks for slot in block.slots()) == [0, 1, 2, 3, 8]


def test_a_device_that_refuses_everything_does_not_hold_up_the_loop() -> None:
    """Learning takes time in proportion to the tags, not to their square."""

    def cost(count: int) -> float:
        plan = plan_of(*(Tag(f"t{at}", f"HR{at * 2 + 1}") for at in range(count)))
        refusals = {(1, 3, at * 2, at * 2 + 1): FAULT for at in range(count)}
        began = time.process_time()
        plan.learn(refusals, [], ask_again_at=300.0)
        took = time.process_time() - began
        assert len(plan.refused) == count
        return took

    few = min(cost(500) for _ in range(3))
    assert min(cost(4000) for _ in range(2)) < 8 * few * 3


def test_the_broadcast_is_planned_around_and_stays_so() -> None:
    """Nobody answers unit 0; what the device refuses besides is learned and forgotten as ever."""
    plan = plan_of(Tag("all", "0!HR1:FLOAT32[2]"), Tag("one", "1!HR1"), Tag("coil", "0!C1"), Tag("two", "1!HR50"))

    def unreadable() -> list[int]:
        return [slot for slot, error in plan.refused.items() if isinstance(error, ConfigError)]

    assert unreadable() == [0, 1, 3]
    assert {block.unit for block in plan.blocks} == {1}
    plan.learn({(1, 3, 49, 50): FAULT}, [], ask_again_at=300.0)
    assert plan.refused[4] is FAULT
    assert unreadable() == [0, 1, 3]
    plan.forget()
    assert sorted(plan.refused) == [0, 1, 3]


def test_a_value_wider_than_a_request_is_torn_and_nothing_else_is() -> None:
    """Four registers at a time: eight bytes fit, ten do not."""
    plan = plan_of(Tag("fits", "HR1:FLOAT64"), Tag("text", "HR20:STRING(10)"), Tag("array", "HR40[6]"))
    assert plan.torn == [1]
