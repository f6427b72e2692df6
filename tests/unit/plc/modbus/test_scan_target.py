"""Where a search for units goes, and which units it asks."""

from __future__ import annotations

import pytest

from bifrost.errors import ConfigError
from bifrost.plc.modbus.scan_target import checked_units, endpoint_text, host_and_port


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [
        ("plc.example", "plc.example", 502),
        ("192.0.2.7:1502", "192.0.2.7", 1502),
        ("2001:db8::7", "2001:db8::7", 502),
        ("[2001:db8::7]:1502", "2001:db8::7", 1502),
    ],
)
def test_a_target_is_a_host_with_or_without_a_port(target: str, host: str, port: int) -> None:
    """A bare IPv6 address is all host."""
    assert host_and_port(target, 502) == (host, port)


@pytest.mark.parametrize("target", ["", ":502", "host:no-port", "host:70000"])
def test_what_is_no_target_is_refused(target: str) -> None:
    """And is named in the error."""
    with pytest.raises(ConfigError, match="expected a host"):
        host_and_port(target, 502)
    with pytest.raises(ConfigError, match="expected a port"):
        host_and_port("host", 0)


def test_an_ipv6_address_stands_in_brackets_before_a_port() -> None:
    """Else nobody could tell where the port begins."""
    assert endpoint_text("2001:db8::7", 502) == "[2001:db8::7]:502"
    assert endpoint_text("192.0.2.7", 502) == "192.0.2.7:502"


def test_each_unit_is_asked_once_and_the_broadcast_never() -> None:
    """In the order given; the last id depends on the transport."""
    assert checked_units([3, 1, 3], 247) == [3, 1]
    for wrong in (0, 248):
        with pytest.raises(ConfigError, match=f"1 to 247, got {wrong}"):
            checked_units([1, wrong], 247)
