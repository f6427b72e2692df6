"""The suite itself: sixty scenarios, each on the pure core and on the running system."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SCENARIOS = set(range(1, 61))


@pytest.mark.parametrize("level", ["core", "system"])
def test_every_scenario_is_tested(level: str) -> None:
    """For each of the scenarios 1 to 60 there is a test named after it, at both levels."""
    found: set[int] = set()
    for file in Path(__file__).parent.glob(f"test_{level}_*.py"):
        source = file.read_text(encoding="utf-8")
        found.update(int(number) for number in re.findall(r"^(?:async )?def test_(\d\d)_\w+\(", source, re.MULTILINE))
    assert found == SCENARIOS
