"""What a simulated device answers, PDU by PDU."""

from __future__ import annotations

import pytest

from bifrost._native import (
    modbus_decode_device_id,
    modbus_device_id_request,
    modbus_mask_write_request,
    modbus_read_request,
    modbus_read_write_request,
    modbus_write_request,
)
from bifrost.errors import ConfigError
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim import Framing, RegisterBank
from bifrost.plc.sim.device import ModbusDevice


def bank(count: int = 10) -> RegisterBank:
    made = RegisterBank()
    for at in range(count):
        made.put(Area.HOLDING, at, at)
    return made


def device(framing: Framing = Framing.TCP, **options: object) -> ModbusDevice:
    return ModbusDevice({1: bank(), 2: bank()}, framing=framing, **options)  # type: ignore[arg-type]  # by name


def test_a_mask_changes_the_bits_that_it_does_not_keep() -> None:
    """The standard's own example: 0x12, kept by 0xF2, put 0x25, gives 0x17."""
    served = device()
    served.bank(1).put(Area.HOLDING, 4, 0x12)
    request = modbus_mask_write_request(4, 0xF2, 0x25)
    assert served.serve(1, request) == request
    assert served.bank(1).get(Area.HOLDING, 4) == 0x17


def test_a_write_and_read_writes_first_and_does_all_or_nothing() -> None:
    """What was just written is read; where one half is impossible the other is not done."""
    served = device()
    assert served.serve(1, modbus_read_write_request(2, 3, 3, [77])) == bytes.fromhex("17060002004d0004")
    assert served.serve(1, modbus_read_write_request(8, 3, 3, [78])) == b"\x97\x02"
    assert served.serve(1, modbus_read_write_request(2, 3, 10, [78])) == b"\x97\x02"
    assert served.bank(1).get(Area.HOLDING, 3) == 77


def test_an_identification_that_is_too_long_comes_in_pages() -> None:
    """Each tells where the next begins."""
    objects: dict[int, str | bytes] = {0: "Acme", 1: "P-100", 2: "1.4", 0x80: b"x" * 200, 0x81: b"y" * 200}
    served = device(identification=objects)
    found: dict[int, bytes] = {}
    first, more = 0, True
    while more:
        answer = served.serve(1, modbus_device_id_request(3, first))
        assert len(answer) <= 253
        conformity, more, first, page = modbus_decode_device_id(answer)
        assert conformity == 0x83
        found.update(page)
    assert found == {number: text if isinstance(text, bytes) else text.encode() for number, text in objects.items()}
    assert modbus_decode_device_id(served.serve(1, modbus_device_id_request(4, 0x81)))[3] == [(0x81, b"y" * 200)]


def test_a_device_without_identification_refuses_it() -> None:
    """With exception 1."""
    assert device().serve(1, modbus_device_id_request(1, 0)) == b"\xab\x01"


def test_a_bus_is_silent_where_a_gateway_answers_for_others() -> None:
    """Exception 11 on one side, nobody on the other."""
    gateway, bus = device(), device(Framing.RTU)
    assert gateway.serves(9)
    assert gateway.serve(9, modbus_read_request(3, 0, 1)) == b"\x83\x0b"
    assert not bus.serves(9)
    assert bus.serves(2)


def test_a_broadcast_acts_on_every_unit_and_reads_nothing() -> None:
    """On a bus by nature, in TCP if asked for."""
    for served in (device(Framing.RTU), device(broadcast=True)):
        assert served.is_broadcast(0)
        served.serve(0, modbus_write_request(6, 3, [99]))
        served.serve(0, modbus_read_request(3, 3, 1))
        assert [served.bank(unit).get(Area.HOLDING, 3) for unit in (1, 2)] == [99, 99]
        assert served.bank(1).read_count == 0
        assert served.counters.broadcasts == 2
    assert not device().is_broadcast(0)


@pytest.mark.parametrize("objects", [{256: "x"}, {-1: "x"}, {0: b"x" * 245}])
def test_an_identification_that_no_device_could_have_is_refused(objects: dict[int, str | bytes]) -> None:
    """Numbers and lengths have their limits."""
    with pytest.raises(ConfigError, match="identification"):
        device(identification=objects)


def test_a_device_needs_units_that_can_be() -> None:
    """At least one, each within 0..255."""
    with pytest.raises(ConfigError, match="at least one unit"):
        ModbusDevice({}, framing=Framing.TCP)
    with pytest.raises(ConfigError, match="got 300"):
        ModbusDevice({300: bank()}, framing=Framing.RTU)
    with pytest.raises(ConfigError, match="there is no unit 7"):
        device().bank(7)
