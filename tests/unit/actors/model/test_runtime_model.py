"""The whole runtime under random load, held against its promises.

`BIFROST_MODEL=thorough` runs many more and longer scripts than the default.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from tests.unit.actors.model.machine import RuntimeMachine

_PROFILES = {"quick": (300, 20), "thorough": (5000, 40)}
_EXAMPLES, _STEPS = _PROFILES[os.environ.get("BIFROST_MODEL", "quick")]

TestRuntime = RuntimeMachine.TestCase
TestRuntime.settings = settings(
    max_examples=_EXAMPLES,
    stateful_step_count=_STEPS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
