"""Scenarios 23 to 31, 59 and 60 of OTP's supervisor suite on the pure supervision core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from bifrost.actors import ChildStatus, ChildType, Killed, Strategy
from bifrost.actors.steps import Verb
from bifrost.testing import CoreBench
from tests.unit.actors.conformance.core_kit import TEMPORARY, bench, child, children, dynamic

T = TypeVar("T")


def test_23_start_child_with_a_known_id() -> None:
    """While the child runs: already started; while it is stopped: already present [child_adm]."""
    made = bench(children("a"))
    assert made.add(child("a")) == "already_started"
    made.call(Verb.TERMINATE, "a")
    assert made.add(child("a")) == "already_present"
    assert made.counts == [1, 0, 0, 1]


def test_24_terminate_child() -> None:
    """It stops the child, a repeat is ok, an unknown id is not found, a stopped supervisor refuses [child_adm]."""
    made = bench(children("a"))
    assert made.call(Verb.TERMINATE, "a") == "ok"
    assert made.take_log() == ["stop a"]
    assert made.counts == [1, 0, 0, 1]
    assert made.call(Verb.TERMINATE, "a") == "ok"
    assert made.call(Verb.TERMINATE, "x") == "not_found"
    made.stop()
    assert made.call(Verb.TERMINATE, "a") == "stopping"


def test_25_restart_child() -> None:
    """A stopped child starts again; a running one and an unknown one are refused [child_adm]."""
    made = bench(children("a"))
    assert made.call(Verb.RESTART, "a") == "running"
    made.call(Verb.TERMINATE, "a")
    assert made.call(Verb.RESTART, "a") == "ok"
    assert made.starts == {"a": 2}
    assert made.call(Verb.RESTART, "x") == "not_found"


def test_26_delete_child() -> None:
    """A running child is refused; a stopped one is forgotten [child_adm]."""
    made = bench(children("a"))
    assert made.call(Verb.DELETE, "a") == "running"
    made.call(Verb.TERMINATE, "a")
    assert made.call(Verb.DELETE, "a") == "ok"
    assert made.counts == [0, 0, 0, 0]
    assert made.forgotten == ["a"]
    for verb in Verb:
        assert made.call(verb, "a") == "not_found"


def test_27_answer_comes_with_the_start() -> None:
    """start_child and restart_child are answered when the child has started, not before [extra_return].

    The core's part of it: by then the shell has what `on_start` returned.
    """
    made = bench([])
    made.slow_starts = {"a"}
    assert made.add(child("a")) == "pending"
    made.started("a")
    assert made.answer(1) == "ok"
    made.call(Verb.TERMINATE, "a")
    made.slow_starts = {"a"}
    assert made.call(Verb.RESTART, "a") == "pending"
    made.started("a")
    assert made.answer(3) == "ok"


def test_28_dynamic_children() -> None:
    """Terminating forgets the child and harms no other; what is not there is not found [child_adm_simple].

    OTP knows dynamic children by pid and bifrost by id, so that restart_child and delete_child have a meaning: not
    found for a child that is gone, running for one that runs.
    """
    made = dynamic("ab")
    assert made.call(Verb.TERMINATE, "a") == "ok"
    assert made.call(Verb.TERMINATE, "a") == "not_found"
    assert made.call(Verb.RESTART, "a") == "not_found"
    assert made.call(Verb.DELETE, "b") == "running"
    assert made.alive == {"b"}
    assert made.counts == [1, 1, 0, 1]


def test_29_order_and_states() -> None:
    """The table is in start order, and a child whose restart fails is restarting [child_adm, hanging_restart_loop]."""
    made = bench(children("abc"), intensity=100)
    made.fail_starts("b")
    made.crash("b")
    rows = [(row.spec.id, row.status) for row in made.core.children]
    assert rows == [("a", ChildStatus.RUNNING), ("b", ChildStatus.RESTARTING), ("c", ChildStatus.RUNNING)]


def test_30_counts_are_exact() -> None:
    """1000, then 2000 children; killing all leaves what is static; supervisors count apart [count_children]."""
    made = bench([child("sup", kind=ChildType.SUPERVISOR)])
    for half in range(2):
        for index in range(1000):
            made.add(child(f"w{half}.{index}", TEMPORARY))
        assert made.counts == [1 + 1000 * (half + 1), 1 + 1000 * (half + 1), 1, 1000 * (half + 1)]
    for name in sorted(made.alive - {"sup"}):
        made.exits(name, Killed())
    assert made.counts == [1, 1, 1, 0]


def test_31_restarting_children_are_not_active() -> None:
    """Two of three stuck in restarting: 1 active, 3 workers; then 3 active, and one less with each end.

    [count_restarting_children]
    """
    made = dynamic("abc", intensity=100)
    made.fail_starts("a")
    made.fail_starts("b")
    made.crash("a")
    made.crash("b")
    assert made.counts == [3, 1, 0, 3]
    made.failures.clear()
    made.advance(0)
    assert made.counts == [3, 3, 0, 3]
    for left, name in zip((2, 1, 0), "abc", strict=True):
        made.call(Verb.TERMINATE, name)
        assert made.counts == [left, left, 0, left]


# Change at run time


def test_59_new_list_of_children() -> None:
    """Changed, new and removed children go on as they are; the next start takes the new [code_change]."""
    made = bench(children("abc"))
    changed = child("b", shutdown=1.0)
    assert made.change([child("d"), changed, child("a")]) == "ok"
    assert made.take_log() == []
    note = made.changes[-1]
    assert (note.added, note.changed, note.removed) == (("d",), ("b",), ("c",))
    assert made.core.children.ids() == ["d", "b", "a", "c"]
    assert made.core.children["b"].spec is changed
    assert made.alive == {"a", "b", "c"}
    assert made.counts == [4, 3, 0, 4]
    assert made.call(Verb.RESTART, "d") == "ok"
    made.stop()
    assert made.take_log() == ["start d", "stop c", "stop a", "stop b", "stop d", "exit shutdown"]


def test_59_bad_list_changes_nothing() -> None:
    """A list with a mistake is refused, and what was stays, flags included [code_change]."""
    made = bench(children("ab"))
    flags = made.core.flags
    for specs in (children("aa"), [child("s", TEMPORARY, significant=True)], ["junk"]):
        assert made.change(specs, intensity=7) == "error"  # type: ignore[arg-type]  # the mistake under test
    assert made.change(intensity=-1) == "error"
    assert made.core.flags is flags
    assert made.core.children.ids() == ["a", "b"]
    assert made.changes == []


def test_59_new_flags_are_in_force_at_once() -> None:
    """A new strategy and a new intensity decide the next crash; what was counted stays counted [code_change]."""
    made = bench(children("ab"), intensity=2)
    made.crash("a")
    assert made.change(strategy=Strategy.ONE_FOR_ALL, intensity=1) == "ok"
    made.take_log()
    made.crash("a")
    assert made.take_log() == ["a crash", "stop b", "exit shutdown"]
    made = bench(children("ab"), intensity=0)
    assert made.change(strategy=Strategy.ONE_FOR_ALL, intensity=1) == "ok"
    made.crash("a")
    assert made.take_log() == ["a crash", "stop b", "start a", "start b"]
    assert made.change(period=1.0) == "ok"
    made.advance(1.1)
    made.crash("a")
    assert made.exit_reason is None


def test_59_new_flags_alone_leave_the_children_alone() -> None:
    """What was deleted stays deleted, what was added stays [code_change]."""
    made = bench(children("ab"))
    made.call(Verb.TERMINATE, "a")
    made.call(Verb.DELETE, "a")
    made.add(child("c"))
    assert made.change(intensity=9) == "ok"
    assert made.core.children.ids() == ["b", "c"]


# Scale


def work(made: CoreBench) -> int:
    """What the core was told and what it said, counted."""
    return made.handled + made.steps_taken


def static_life(size: int) -> int:
    made = CoreBench([child(str(n)) for n in range(size)]).begin()
    made.stop()
    return work(made)


def dynamic_life(size: int) -> int:
    made = dynamic()
    for n in range(size):
        made.add(child(str(n)))
    made.stop()
    return work(made)


@pytest.mark.parametrize("life", [static_life, dynamic_life])
def test_60_work_grows_with_the_children(life: Callable[[int], int]) -> None:
    """Start and stop of ten times the children is ten times the work, in inputs and steps.

    [scale_start_stop_many_children, simple_one_for_one_scale_many_temporary_children]
    """
    few, many = life(100), life(1000)
    assert many - few == pytest.approx(9 * few, rel=0.05)


class CountingDict(dict[str, object]):
    """Counts how many rows are looked at one after the other."""

    looked_at = 0

    def __iter__(self) -> Iterator[str]:
        return self._counted(super().__iter__())

    def values(self) -> Iterator[object]:  # type: ignore[override]  # the core only walks over it
        return self._counted(super().values().__iter__())

    def __reversed__(self) -> Iterator[str]:
        return self._counted(super().__reversed__())

    def _counted(self, rows: Iterator[T]) -> Iterator[T]:
        for row in rows:
            self.looked_at += 1
            yield row


def test_60_nothing_looks_at_all_children_for_the_sake_of_one() -> None:
    """Among 10,000, to start, crash, terminate, hold, replace, delete and count one costs no walk over the others.

    [scale_start_stop_many_children]
    """
    for strategy in (Strategy.ONE_FOR_ONE, Strategy.REST_FOR_ONE):
        made = bench([child(str(n)) for n in range(10_000)], strategy, intensity=100)
        rows = made.core.children._rows = CountingDict(made.core.children._rows)  # type: ignore[assignment]  # counts
        made.crash("9999")
        made.fail_starts("9999", 1)
        made.crash("9999")
        made.advance(0)
        assert made.call(Verb.TERMINATE, "9999", hold=True) == "ok"
        assert made.call(Verb.RESTART, "9999") == "ok"
        assert made.replace(child("9999")) == "ok"
        assert made.call(Verb.TERMINATE, "9999") == "ok"
        assert made.call(Verb.DELETE, "9999") == "ok"
        assert made.add(child("last")) == "ok"
        assert made.counts == [10_000, 10_000, 0, 10_000]
        assert rows.looked_at < 20
