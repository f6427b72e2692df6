"""Tools for testing actors, drivers and pipelines, ours or a user's.

In: a test's coroutine. Out: an event loop whose time is virtual (`VirtualLoop`) and the `Clock` that goes with it; a
bench for a running system (`SystemBench`) with partners for the actor under test (`Probe`), the ordered event log
(`EventLog`) and a check that nothing is left; schedules that a seed decides (`Schedule`, `explore`, `under_schedules`);
a bench for the supervision core (`CoreBench`).
Not here: anything that a running gateway needs.

Contract suites: `DriverContract`, `SourceContract`, `SinkContract` and `UplinkContract` hold the promises of the seams
as tests. A test module subclasses one, says how to make the thing and how to look at it from outside, and pytest runs
the promises on it. They run in real time, need pytest-asyncio in auto mode (``asyncio_mode = "auto"``), and import no
test framework themselves.
"""

from bifrost.testing.driver_contract import DriverContract
from bifrost.testing.event_log import EventLog
from bifrost.testing.explore import RaceFound, explore, under_schedules
from bifrost.testing.probe import Probe
from bifrost.testing.schedule import Schedule, first_difference
from bifrost.testing.sink_contract import SinkContract, contract_batch
from bifrost.testing.source_contract import SourceContract
from bifrost.testing.supervision import CoreBench
from bifrost.testing.system_bench import SystemBench
from bifrost.testing.uplink_contract import UplinkContract, contract_envelope
from bifrost.testing.virtual_clock import VirtualClock
from bifrost.testing.virtual_loop import Deadlock, VirtualLoop

__all__ = [
    "CoreBench",
    "Deadlock",
    "DriverContract",
    "EventLog",
    "Probe",
    "RaceFound",
    "Schedule",
    "SinkContract",
    "SourceContract",
    "SystemBench",
    "UplinkContract",
    "VirtualClock",
    "VirtualLoop",
    "contract_batch",
    "contract_envelope",
    "explore",
    "first_difference",
    "under_schedules",
]
