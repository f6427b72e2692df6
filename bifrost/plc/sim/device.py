"""A simulated device behind any link: request PDUs in, answer PDUs out, and what goes wrong with them.

Functions 1 to 6, 15, 16, 22, 23 and 43/14. Not here: the registers (`bank`), bytes on a link (`session`), listening.

Obeys: V1.1b3 sections 6 and 7; MODBUS over Serial Line V1.02 section 2.2 (unit 0 is for all, and answered by none).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from bifrost._native import (
    ModbusRequest,
    modbus_decode_request,
    modbus_encode_bits,
    modbus_encode_device_id,
    modbus_encode_exception,
    modbus_encode_registers,
    modbus_encode_write,
)
from bifrost.errors import ConfigError, ModbusFault
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim.bank import RegisterBank
from bifrost.plc.sim.faults import FaultPlan, Injection
from bifrost.plc.sim.framing import Framing
from bifrost.plc.sim.identification import Identification
from bifrost.plc.sim.simulated_device import SimulatedDevice

__all__ = ["ModbusDevice", "ServerCounters"]

_READS = {area.function: area for area in Area}
_WRITES = {5: Area.COIL, 6: Area.HOLDING, 15: Area.COIL, 16: Area.HOLDING}
_NO_SUCH_FUNCTION = 1
_NO_SUCH_UNIT = 11


@dataclasses.dataclass(slots=True)
class ServerCounters:
    """What a server has seen since it was made.

    Attributes:
        connections: links opened, those turned away included.
        turned_away: links closed at once, or never answered, because `max_clients` were there.
        requests: request frames that were to be answered.
        broadcasts: requests to unit 0 that were for all units, and not answered.
        exceptions: requests answered with an exception.
        injected: requests that met a fault.
        broken: connections ended because the client's bytes were no Modbus TCP.
    """

    connections: int = 0
    turned_away: int = 0
    requests: int = 0
    broadcasts: int = 0
    exceptions: int = 0
    injected: int = 0
    broken: int = 0


class ModbusDevice(SimulatedDevice):
    """What all servers have in common: units with their banks, a fault plan, counters, the links that are open.

    Attributes:
        faults: what goes wrong; None means nothing. May be replaced at any time.
        framing: how requests and answers are framed.
        counters: what was seen so far.

    Raises:
        ConfigError: no bank, a unit id outside 0..255, or an identification that no device could have.
    """

    def __init__(
        self,
        banks: RegisterBank | Mapping[int, RegisterBank],
        *,
        framing: Framing,
        faults: FaultPlan | None = None,
        identification: Mapping[int, str | bytes] | None = None,
        broadcast: bool | None = None,
        max_clients: int | None = None,
        silent_when_full: bool = False,
    ) -> None:
        units = dict(banks) if isinstance(banks, Mapping) else {}
        if isinstance(banks, Mapping) and not units:
            raise ConfigError("banks: expected at least one unit, got none")
        if wrong := [unit for unit in units if not 0 <= unit <= 255]:
            raise ConfigError(f"banks: expected unit ids 0..255, got {wrong[0]}")
        self._units = units
        self._any_unit = None if isinstance(banks, Mapping) else banks
        self._identification = None if identification is None else Identification(identification)
        self._broadcast = framing.has_crc if broadcast is None else broadcast
        self.framing = framing
        self.faults = faults
        self.counters = ServerCounters()
        super().__init__(self.counters, max_clients=max_clients, silent_when_full=silent_when_full)

    def bank(self, unit: int) -> RegisterBank:
        """The bank that answers for a unit.

        Raises:
            ConfigError: none does.
        """
        bank = self._units.get(unit, self._any_unit)
        if bank is None:
            raise ConfigError(f"there is no unit {unit}")
        return bank

    def broke(self) -> None:
        """Count a link whose bytes were no Modbus."""
        self.counters.broken += 1

    def next_injection(self) -> Injection | None:
        """Count a request and take the fault that it meets."""
        self.counters.requests += 1
        injection = None if self.faults is None else self.faults.next_injection()
        self.counters.injected += injection is not None
        return injection

    def is_broadcast(self, unit: int) -> bool:
        """Tell whether a request to this unit is for all of them, and answered by none."""
        return self._broadcast and unit == 0

    def serves(self, unit: int) -> bool:
        """Tell whether somebody answers for a unit; a gateway answers for all, with exception 11 if it must."""
        return not self.framing.has_crc or self._any_unit is not None or unit in self._units

    def serve(self, unit: int, pdu: bytes) -> bytes:
        """Act on a request and return the PDU of the answer; a broadcast write acts on every bank."""
        if self.is_broadcast(unit):
            self.counters.broadcasts += 1
            banks = [*self._units.values()] if self._any_unit is None else [self._any_unit]
            answers = [self._answer(bank, pdu) for bank in banks if pdu[0] in {5, 6, 15, 16, 22}]
            return answers[-1] if answers else b""
        bank = self._units.get(unit, self._any_unit)
        return self.refuse(pdu, _NO_SUCH_UNIT) if bank is None else self._answer(bank, pdu)

    def refuse(self, pdu: bytes, code: int) -> bytes:
        """Return the PDU of an exception answer."""
        self.counters.exceptions += 1
        return modbus_encode_exception(pdu[0] & 0x7F, code)

    def _answer(self, bank: RegisterBank, pdu: bytes) -> bytes:
        try:
            request = modbus_decode_request(pdu)
            match request.function:
                case 22:
                    return _mask(bank, request)
                case 23:
                    return _write_and_read(bank, request)
                case 43:
                    return self._identify(request)
                case _:
                    return _read_or_write(bank, request)
        except ModbusFault as fault:
            return self.refuse(pdu, fault.code)

    def _identify(self, request: ModbusRequest) -> bytes:
        known = self._identification
        if known is None:
            raise ModbusFault("this device does not identify itself", code=_NO_SUCH_FUNCTION)
        return modbus_encode_device_id(request, known.objects, conformity=known.conformity)


def _read_or_write(bank: RegisterBank, request: ModbusRequest) -> bytes:
    function, address = request.function, request.address
    if request.is_write:
        bank.write(_WRITES[function], address, [int(value) for value in request.values])
        return modbus_encode_write(request)
    values = bank.read(_READS[function], address, request.quantity)
    if function <= 2:
        return modbus_encode_bits(function, [value != 0 for value in values])
    return modbus_encode_registers(function, values)


def _mask(bank: RegisterBank, request: ModbusRequest) -> bytes:
    """Function 22; V1.1b3 section 6.16."""
    keep, put = request.and_mask, request.or_mask
    assert keep is not None
    assert put is not None
    [word] = bank.read(Area.HOLDING, request.address, 1)
    bank.write(Area.HOLDING, request.address, [word & keep | put & ~keep & 0xFFFF])
    return modbus_encode_write(request)


def _write_and_read(bank: RegisterBank, request: ModbusRequest) -> bytes:
    """Function 23, the write first; V1.1b3 section 6.17."""
    assert request.write_address is not None
    bank.read(Area.HOLDING, request.address, request.quantity)  # neither half is done if the other cannot be
    bank.write(Area.HOLDING, request.write_address, request.values)
    return modbus_encode_registers(23, bank.read(Area.HOLDING, request.address, request.quantity))
