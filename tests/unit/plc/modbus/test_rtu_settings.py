"""Options of serial lines: what is wrong is told before a port is opened."""

from __future__ import annotations

from typing import Any

import pytest

from bifrost.core.settings import Problem
from bifrost.errors import ConfigError
from bifrost.plc import PLCConnection
from bifrost.plc.modbus.rtu_protocol import MODBUS_RTU, MODBUS_RTU_OVER_TCP
from bifrost.plc.modbus.rtu_settings import ModbusRtuOverTcpSettings, ModbusRtuSettings
from bifrost.plc.modbus.serial_port import Rs485, SerialLine, place_of


def rtu(**options: Any) -> ModbusRtuSettings:
    return ModbusRtuSettings(**{"serial_port": "/dev/ttyUSB0", **options})


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"serial_port": ""}, "serial_port"),
        ({"serial_port": "/dev/tty\n"}, "serial_port"),
        ({"baudrate": 10}, "baudrate"),
        ({"baudrate": 5_000_000}, "baudrate"),
        ({"unit_id": 248}, "unit_id"),
        ({"framer": "ascii"}, "framer"),
        ({"bytesize": 7}, "bytesize"),
        ({"turnaround_delay": -1.0}, "turnaround_delay"),
        ({"quiet_after_timeout": 61.0}, "quiet_after_timeout"),
        ({"rs485_delay_before_send": 2.0}, "rs485_delay_before_send"),
    ],
)
def test_what_is_out_of_range_is_named(options: dict[str, Any], key: str) -> None:
    """One problem, at its key."""
    [problem] = rtu(**options).problems()
    assert isinstance(problem, Problem)
    assert problem.path == (key,)


def test_the_format_is_what_the_standard_wants_unless_said_otherwise() -> None:
    """Even parity and one stop bit; two without parity."""
    assert list(rtu().problems()) == []
    assert rtu().line == SerialLine("/dev/ttyUSB0", 19_200, 8, "E", 1, None)
    assert rtu(parity="N").line.stopbits == 2
    assert rtu(parity="N", stopbits=1).line.stopbits == 1
    assert rtu(rs485=True, rs485_rts="low").line.rs485 == Rs485(rts_when_sending=False)
    assert rtu().timing.silence == pytest.approx(3.5 * 11 / 19_200)
    ascii_line = rtu(framer="ascii", engine="pymodbus", bytesize=7)
    assert list(ascii_line.problems()) == []


def test_users_of_one_port_must_agree_about_it() -> None:
    """Whatever makes the line another one is compared."""
    options = rtu().link_options
    for other in ({"baudrate": 9600}, {"parity": "N"}, {"local_echo": True}, {"inter_request_delay": 0.1}):
        assert rtu(**other).link_options != options
    assert rtu(unit_id=7).link_options == options
    assert ModbusRtuOverTcpSettings(host="h").link_options["framing"] == "rtu"


def test_two_names_of_one_port_are_one_place(tmp_path: Any) -> None:
    """Udev's links lead to the port that they name."""
    port = tmp_path / "ttyUSB7"
    port.touch()
    (tmp_path / "by-id").symlink_to(port)
    assert place_of(str(tmp_path / "by-id")) == place_of(str(port))


def test_a_url_names_the_port_and_its_format() -> None:
    """The path is the port; a query gives the options by name or short name."""
    plc = PLCConnection.from_url("modbus-rtu:///dev/ttyUSB0?baudrate=9600&unit=3&parity=N")
    settings = plc.settings
    assert isinstance(settings, ModbusRtuSettings)
    assert (settings.serial_port, settings.baudrate, settings.unit_id, settings.parity) == (
        "/dev/ttyUSB0",
        9600,
        3,
        "N",
    )
    plc = PLCConnection.from_url("modbus-rtu-over-tcp://converter:4001?unit=3")
    assert plc.settings == ModbusRtuOverTcpSettings(host="converter", port=4001, unit_id=3)


def test_converters_are_checked_like_other_hosts() -> None:
    """Host, port, unit."""
    with pytest.raises(ConfigError, match="port from 1 to 65535"):
        PLCConnection(protocol="modbus-rtu-over-tcp", host="h", port=0)
    with pytest.raises(ConfigError, match="host name"):
        PLCConnection(protocol="modbus-rtu-over-tcp", host="a b")
    assert MODBUS_RTU.extra == "serial"
    assert MODBUS_RTU_OVER_TCP.extra is None
