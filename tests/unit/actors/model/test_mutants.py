"""The model finds defects: each of these, put into the runtime, is told as a broken promise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.actors.model.machine import RuntimeMachine, Violation
from tests.unit.actors.model.mutants import MUTANTS

_SETTINGS = settings(
    max_examples=400,
    stateful_step_count=20,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_model_finds(mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime with one defect does not pass."""
    mutant(monkeypatch)
    with pytest.raises(Violation):
        run_state_machine_as_test(RuntimeMachine, settings=_SETTINGS)
