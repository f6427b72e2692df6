"""Tools for testing actors, drivers and pipelines, ours or a user's.

In: a test's coroutine. Out: an event loop whose time is virtual (`VirtualLoop`), the `Clock` that goes with it, a bench
for the supervision core (`CoreBench`) and the ordered event log of a system (`EventLog`).
Not here: anything that a running gateway needs.
"""

from bifrost.testing.event_log import EventLog
from bifrost.testing.supervision import CoreBench
from bifrost.testing.virtual_clock import VirtualClock
from bifrost.testing.virtual_loop import Deadlock, VirtualLoop

__all__ = ["CoreBench", "Deadlock", "EventLog", "VirtualClock", "VirtualLoop"]
