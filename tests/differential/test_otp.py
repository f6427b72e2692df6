"""The supervision tree does what Erlang/OTP's does: random trees, random scripts, both run, traces compared.

`pytest tests/differential --otp-scripts=20000 --otp-seed=7` runs more of them; script number n has seed `otp-seed` + n.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bifrost.actors.child_table import ChildRow
from bifrost.actors.intensity import IntensityWindow
from bifrost.actors.plan_runner import PlanRunner
from bifrost.actors.restart import SupervisionCore
from bifrost.actors.steps import Fate
from tests.differential.differences import find_difference
from tests.differential.otp import Otp, missing_for_otp
from tests.differential.shrink import size

_CHUNK = 250
_ROOT = Path(__file__).resolve().parents[2]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each chunk of scripts, so that a mismatch hides no other one."""
    if "seeds" in metafunc.fixturenames:
        first = metafunc.config.getoption("--otp-seed")
        end = first + metafunc.config.getoption("--otp-scripts")
        chunks = [range(start, min(start + _CHUNK, end)) for start in range(first, end, _CHUNK)]
        metafunc.parametrize("seeds", chunks, ids=[f"{chunk.start}-{chunk.stop - 1}" for chunk in chunks])


@pytest.fixture(scope="module")
def otp() -> Iterator[Otp]:
    missing = missing_for_otp()
    if missing is not None:
        if os.environ.get("CI"):
            pytest.fail(f"Erlang/OTP is missing: {missing}")
        pytest.skip(f"Erlang/OTP is missing: {missing}")
    with Otp() as running:
        yield running


def test_traces_agree_with_otp(otp: Otp, seeds: range) -> None:
    """Starts, stops, reasons, answers, counts and the supervisors' fate are OTP's, in OTP's order."""
    difference = find_difference(otp, seeds)
    assert difference is None, str(difference)


def test_the_scripts_avoid_only_what_the_documentation_lists() -> None:
    """Whatever the generator avoids names the row of the table of differences that it avoids."""
    page = (_ROOT / "docs" / "concepts" / "supervision.md").read_text(encoding="utf-8")
    table = page.partition("## Where bifrost differs from OTP")[2]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    source = (_ROOT / "tests" / "differential" / "generate.py").read_text(encoding="utf-8")
    named = {" ".join(name.split()) for name in re.findall(r'[Rr]ow\s+"([^"]+)"', source)}
    assert len(named) > 5
    assert named <= set(rows)


def _one_restart_too_many(window: IntensityWindow, now: float) -> bool:
    window._times.append(now)
    return len(window._times) <= window.intensity + 1


def _stops_in_start_order(runner: PlanRunner, ids: list[str], fate: Fate) -> None:
    for child_id in ids:
        gone = runner.children[child_id].is_temporary and fate is not Fate.UNDECIDED
        runner._plan.append((child_id, Fate.GONE if gone else fate))


def _only_the_failed_child(_core: SupervisionCore, child_id: str) -> list[str]:
    return [child_id]


def _without_end(_core: SupervisionCore, _row: ChildRow) -> bool:
    return True


@pytest.mark.parametrize(
    ("broken", "name", "instead"),
    [
        (IntensityWindow, "add", _one_restart_too_many),
        (PlanRunner, "_plan_stop", _stops_in_start_order),
        (SupervisionCore, "_group", _only_the_failed_child),
        (SupervisionCore, "_count", _without_end),
    ],
    ids=["intensity off by one", "stops in start order", "every strategy is one_for_one", "restarts without end"],
)
def test_a_broken_core_is_found_and_reduced(
    otp: Otp, monkeypatch: pytest.MonkeyPatch, broken: type, name: str, instead: Callable[..., object]
) -> None:
    """A supervisor that counts, orders or groups wrongly is found within 100 scripts, and shown by a small one."""
    monkeypatch.setattr(broken, name, instead)
    difference = find_difference(otp, range(100))
    assert difference is not None
    things, _ = size(difference.script)
    assert things <= 8, str(difference)
    assert any(mine != theirs for mine, theirs in zip(difference.bifrost, difference.otp, strict=False))
    assert f"--otp-seed={difference.seed}" in str(difference)
