"""What every test may rely on: the registries of protocols and connectors are as they were before it."""

from __future__ import annotations

import pytest

from bifrost.bridge.connectors import registry as connectors
from bifrost.plc.drivers import registry as drivers


@pytest.fixture(autouse=True)
def _registries_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "_registered", dict(drivers._registered))
    monkeypatch.setattr(connectors, "_added", dict(connectors._added))
