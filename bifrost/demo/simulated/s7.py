"""An S7 CPU to try things out on: data blocks, merkers, and a recorded temperature."""

from __future__ import annotations

from bifrost.demo.recording import Recording
from bifrost.demo.simulated.device import SimulatedDevice, SimulatedTag, host_in_url
from bifrost.plc.sim.faults import FaultPlan
from bifrost.plc.sim.s7 import S7_FAULTS, S7Memory, S7Target
from bifrost.plc.sim.signals import Counter, Replay, Sine

__all__ = ["simulated_s7"]

_TAGS = (
    SimulatedTag("DB1.DBD0:REAL", "temperature of a machine, recorded; a sample each second"),
    SimulatedTag("DB1.DBD4:DINT", "number of the sample"),
    SimulatedTag("DB1.DBD8:REAL", "synthetic pressure in bar"),
    SimulatedTag("DB2.DBD0:REAL", "set point", writable=True),
    SimulatedTag("DB2.DBW4:INT", "mode", writable=True),
    SimulatedTag("DB2.DBB6:STRING(16)", "name", writable=True),
    SimulatedTag("MB10:BYTE", "merkers", writable=True),
    SimulatedTag("M20.0", "heater", writable=True),
)


def simulated_s7(
    recording: Recording, *, host: str = "127.0.0.1", port: int = 0, faults: tuple[int, float] | None = None
) -> SimulatedDevice:
    """Make a CPU that serves S7.

    Args:
        recording: the temperature.
        host: address to listen on.
        port: TCP port; 0 lets the system choose.
        faults: seed and rate of faults; None: no faults.
    """
    memory = S7Memory({1: 64, 2: 64})
    temperatures = [recording[index].temperature for index in range(len(recording))]
    memory.bind("DB1.DBD0:REAL", Replay(temperatures, period=1.0))
    memory.bind("DB1.DBD4:DINT", Counter(1.0))
    memory.bind("DB1.DBD8:REAL", Sine(6.0, 0.4, period=12.0))
    memory.put("DB2.DBD0:REAL", 180.0)
    memory.put("DB2.DBW4:INT", 1)
    memory.put("DB2.DBB6:STRING(16)", "OVEN 1")
    memory.put("MB10:BYTE", 0x2A)
    memory.put("M20.0", True)
    plan = None if faults is None else FaultPlan.seeded(faults[0], rate=faults[1], faults=S7_FAULTS)
    target = S7Target(memory=memory, host=host, port=port, faults=plan)
    return SimulatedDevice(target, lambda: [f"s7://{host_in_url(host)}:{target.port}?rack=0&slot=1"], _TAGS)
