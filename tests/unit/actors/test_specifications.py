"""What a specification refuses, before anything runs: values out of range, and words where a choice is wanted."""

from __future__ import annotations

import random
from typing import Any

import pytest

from bifrost.actors import ActorSystem, Backoff, DynamicSupervisor, Mailbox, Overflow, Supervisor
from bifrost.errors import ActorError, ChildSpecError


@pytest.mark.parametrize(
    "wrong",
    [
        {"min": 0},
        {"min": 2, "max": 1},
        {"min": "1"},
        {"max": float("inf")},
        {"max": None},
        {"factor": 0.5},
        {"factor": "2"},
        {"jitter": 2},
        {"jitter": float("nan")},
        {"reset_after": -1},
        {"reset_after": "1"},
        {"max_attempts": 0},
        {"max_attempts": 1.5},
        {"max_attempts": True},
        {"counts": "yes"},
    ],
    ids=repr,
)
def test_a_wrong_backoff_is_refused(wrong: dict[str, Any]) -> None:
    """The error names the field, or the two that contradict each other."""
    with pytest.raises(ChildSpecError, match="|".join(wrong)):
        Backoff(**wrong)


@pytest.mark.parametrize("factor", [1.01, 2, 1e10])
def test_a_backoff_grows_to_its_maximum_and_stays_there(factor: float) -> None:
    """However slowly or steeply it grows, and however many attempts there were."""
    backoff = Backoff(min=1, max=60, factor=factor, jitter=0)
    delays = [backoff.delay(attempt, random.Random(0)) for attempt in (1, 2, 500, 5000, 10**6)]
    assert delays == [1, min(factor, 60), 60, 60, 60]


@pytest.mark.parametrize(
    "wrong",
    [
        {"capacity": 0},
        {"capacity": True},
        {"overflow": "drop_oldest"},
        {"on_restart": "drop"},
        {"overflow": Overflow.CONFLATE},
        {"overflow": Overflow.CONFLATE, "key": "tag"},
        {"key": str},
    ],
    ids=repr,
)
def test_a_wrong_mailbox_is_refused(wrong: dict[str, Any]) -> None:
    """A policy given as a word would otherwise stand for the default, and keep what was to be dropped."""
    with pytest.raises(ChildSpecError, match=r"^mailbox "):
        Mailbox(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_children": -1},
        {"intensity": -1},
        {"period": 0},
        {"intensity_scope": "child"},
        {"on_exhausted": "park"},
        {"store": dict[str, Any]()},
    ],
    ids=repr,
)
def test_a_wrong_dynamic_supervisor_is_refused(wrong: dict[str, Any]) -> None:
    """A choice given as a word would otherwise stand for the default, and end the siblings of a device."""
    with pytest.raises(ChildSpecError, match="|".join(wrong)):
        DynamicSupervisor.spec("devices", **wrong)


@pytest.mark.parametrize("wrong", [{"strategy": "one_for_all"}, {"auto_shutdown": "any_significant"}], ids=repr)
def test_a_wrong_supervisor_is_refused(wrong: dict[str, Any]) -> None:
    """The error names the choice."""
    with pytest.raises(ChildSpecError, match="|".join(wrong)):
        Supervisor.spec("hall", **wrong)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_a_system_has_a_deadline_for_its_stop(wrong: float) -> None:
    """Nothing waits for ever: the overall deadline is a finite number of seconds."""
    with pytest.raises(ActorError, match="stop_timeout"):
        ActorSystem(stop_timeout=wrong)
