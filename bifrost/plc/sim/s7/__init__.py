"""A simulated S7 CPU: snap7's server behind a front of our own that misbehaves as it is told.

In: memory sizes, typed values, signals, fault plans. Out: an S7 CPU that any client can talk to. Not here: clients.
Needs the extra ``s7`` to start.
"""

from bifrost.plc.sim.s7.disturbance import S7_FAULTS
from bifrost.plc.sim.s7.memory import S7Memory, S7WriteRecord
from bifrost.plc.sim.s7.target import S7Counters, S7Target

__all__ = ["S7_FAULTS", "S7Counters", "S7Memory", "S7Target", "S7WriteRecord"]
