"""A Logix controller to try things out on: tags, a structure, a program, and a recorded temperature."""

from __future__ import annotations

from bifrost.demo.recording import Recording
from bifrost.demo.simulated.device import SimulatedDevice, SimulatedTag
from bifrost.plc.sim.cip import Access, CipFaultPlan, LogixTarget, TagStore
from bifrost.plc.sim.signals import Counter, Replay, Sine

__all__ = ["simulated_logix"]

_TAGS = (
    SimulatedTag("Temperature", "REAL, of a machine, recorded; a sample each second"),
    SimulatedTag("Sample", "DINT, number of the sample"),
    SimulatedTag("Program:Main.Pressure", "REAL, synthetic pressure in bar"),
    SimulatedTag("SetPoint", "REAL", writable=True),
    SimulatedTag("Heater", "BOOL", writable=True),
    SimulatedTag("Recipe[0]", "DINT, one of ten", writable=True),
    SimulatedTag("Axis", "a structure: Position REAL, Homed BOOL, Counts DINT[3]", writable=True),
    SimulatedTag("Name", "STRING", writable=True),
)


def simulated_logix(
    recording: Recording, *, host: str = "127.0.0.1", port: int = 0, faults: tuple[int, float] | None = None
) -> SimulatedDevice:
    """Make a controller that serves EtherNet/IP, and answers searches by UDP.

    Args:
        recording: the temperature.
        host: address to listen on.
        port: TCP and UDP port; 0 lets the system choose.
        faults: seed and rate of faults; None: no faults.
    """
    store = TagStore()
    store.define("AxisData", {"Position": "REAL", "Homed": "BOOL", "Counts": "DINT[3]"})
    store.add("Temperature", "REAL", access=Access.READ_ONLY)
    store.add("Sample", "DINT", access=Access.READ_ONLY)
    store.add("Pressure", "REAL", program="Main", access=Access.READ_ONLY)
    store.add("SetPoint", "REAL", 180.0)
    store.add("Heater", "BOOL", True)
    store.add("Recipe", "DINT[10]", [10 * (index + 1) for index in range(10)])
    store.add("Axis", "AxisData", {"Position": 1.5, "Homed": True, "Counts": [1, 2, 3]})
    store.add("Name", "STRING", "OVEN 1")
    temperatures = [recording[index].temperature for index in range(len(recording))]
    store.bind("Temperature", Replay(temperatures, period=1.0))
    store.bind("Sample", Counter(1.0))
    store.bind("Program:Main.Pressure", Sine(6.0, 0.4, period=12.0))
    plan = None if faults is None else CipFaultPlan.seeded(faults[0], rate=faults[1])
    target = LogixTarget(store, host=host, port=port, udp=True, name="SimOven", faults=plan)
    return SimulatedDevice(target, lambda: [f"ethernet-ip://{host}:{target.port}"], _TAGS)
