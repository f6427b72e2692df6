"""Devices to try things out on: one of each protocol, with measurements recorded from a real machine.

In: a few options. Out: a server that is not started yet, its URLs, and what there is to read and to write. Every value
that was invented says so. Not here: the servers themselves (`bifrost.plc.sim`).
"""

from bifrost.demo.simulated.device import SimulatedDevice, SimulatedTag

__all__ = ["SimulatedDevice", "SimulatedTag"]
