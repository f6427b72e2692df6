"""What every test may rely on: the registries of protocols and connectors are as they were before it."""

from __future__ import annotations

import signal

import pytest

from bifrost.bridge.connectors import registry as connectors
from bifrost.plc.drivers import registry as drivers


def pytest_configure() -> None:
    """Let interrupts through to the programs that tests start: a shell tells its background jobs to ignore them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _registries_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "_registered", dict(drivers._registered))
    monkeypatch.setattr(connectors, "_added", dict(connectors._added))
