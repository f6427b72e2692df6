"""Links of Modbus TCP that do not come up, break, or only look as if they were there."""

from __future__ import annotations

from bifrost.plc import Area, Tag
from bifrost.plc.sim import ModbusTcpServer, RegisterBank
from tests.faults.link_promises import LinkPromises, SimulatedDevice


class TestModbusTcpLinks(LinkPromises):
    """On the simulated device."""

    protocol = "modbus-tcp"
    tag = Tag("t", "HR1", access="rw")
    value = 42

    def device(self) -> SimulatedDevice:
        """One register."""
        bank = RegisterBank()
        bank.put(Area.HOLDING, 0, 42)
        return ModbusTcpServer(bank)
