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


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much is compared with Erlang/OTP; here, because only a first conftest may add options."""
    parser.addoption("--otp-scripts", type=int, default=1000, help="scripts to compare with Erlang/OTP (1000)")
    parser.addoption("--otp-seed", type=int, default=0, help="seed of the first of these scripts (0)")


@pytest.fixture(autouse=True)
def _registries_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "_registered", dict(drivers._registered))
    monkeypatch.setattr(connectors, "_added", dict(connectors._added))
