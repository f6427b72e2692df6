"""Silent units are probed now and then; the others are asked as ever."""

from __future__ import annotations

from bifrost.plc.modbus.units import UnitHealth


def test_three_timeouts_make_a_unit_silent_and_one_answer_ends_it() -> None:
    """In between it is asked once in each interval."""
    health = UnitHealth(probe_interval=5.0)
    for _ in range(3):
        assert health.may_ask(2, 0.0)
        health.failed(2, 0.0, timeout=True)
        health.answered(1)
    assert not health.may_ask(2, 4.9)
    assert health.may_ask(1, 4.9)
    assert health.may_ask(2, 5.0)
    assert not health.may_ask(2, 9.9)
    assert health.troubled
    assert not health.link_is_dead
    health.answered(2)
    assert health.may_ask(2, 5.1)
    assert not health.troubled


def test_a_link_is_dead_only_if_nothing_is_answered() -> None:
    """One good unit proves that the link lives."""
    health = UnitHealth(probe_interval=5.0)
    health.failed(1, 0.0, timeout=True)
    health.failed(2, 0.0, timeout=False)
    assert not health.link_is_dead
    health.failed(3, 0.0, timeout=True)
    assert health.link_is_dead
    health.answered(4)
    assert not health.link_is_dead


def test_a_unit_that_is_off_is_no_proof_against_the_link() -> None:
    """However often it is asked in a row; only when the unit that answered last fails too, the link is dead."""
    health = UnitHealth(probe_interval=5.0)
    health.answered(1)
    for _ in range(10):
        health.failed(2, 0.0, timeout=True)
    assert not health.link_is_dead
    health.failed(1, 0.0, timeout=True)
    assert health.link_is_dead
