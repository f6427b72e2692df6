"""A simulated Logix controller: an EtherNet/IP target whose tags, identity and misbehaviour are chosen by the caller.

In: tags, structures, signals, fault plans. Out: a TCP (and UDP) port that pycomm3, pylogix and any other client of
Logix tags can talk to: tag list, templates, reads, writes. Not here: clients, implicit I/O.
"""

from bifrost.plc.sim.cip.connection_manager import OpeningRules
from bifrost.plc.sim.cip.faults import CipFault, CipFaultPlan, CipInjection
from bifrost.plc.sim.cip.identity import LOGIX, MICRO800, Identity, Keyswitch
from bifrost.plc.sim.cip.store import Access, TagStore, WriteRecord
from bifrost.plc.sim.cip.target import LogixTarget, TargetCounters

__all__ = [
    "LOGIX",
    "MICRO800",
    "Access",
    "CipFault",
    "CipFaultPlan",
    "CipInjection",
    "Identity",
    "Keyswitch",
    "LogixTarget",
    "OpeningRules",
    "TagStore",
    "TargetCounters",
    "WriteRecord",
]
