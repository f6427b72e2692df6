"""Supervised actors on asyncio, with the guarantees of Erlang/OTP.

In: `ChildSpec` trees of `Actor` classes. Out: an `ActorSystem` that starts them in order, restarts what crashes, stops
in reverse order, and tells what happened. Not here: any protocol, any I/O, any Rust; anything that two systems share.

Layout: `restart.py` is the supervision core, pure and without a loop; `supervisor_cell.py` and `worker.py` are the
shell that runs it; `actor.py`, `context.py` and `ref.py` are what applications touch.
"""

from bifrost.actors.actor import Actor
from bifrost.actors.backoff import Backoff
from bifrost.actors.child_spec import BRUTAL_KILL, INFINITY, ChildSpec, ChildType, Restart, check_child_specs
from bifrost.actors.child_table import ChildCounts, ChildStatus
from bifrost.actors.context import ActorContext
from bifrost.actors.dead_letters import DeadLetter, DeadLetterReason, DeadLetters
from bifrost.actors.dynamic import DynamicSupervisor
from bifrost.actors.events import (
    ActorCrashed,
    ActorEvent,
    ActorRestarted,
    ActorStarted,
    ActorStartFailed,
    ActorStopped,
    ChildLeaked,
    ChildParked,
    DeadLettered,
    EventStream,
    IntensityExceeded,
    LoopBlocked,
    MailboxHighWater,
    RestartScheduled,
    SlowHandler,
    StopHookFailed,
    SupervisorStarted,
    SupervisorStopped,
)
from bifrost.actors.exit_reason import Crash, ExitReason, Killed, Normal, Shutdown, StartFailure, is_abnormal
from bifrost.actors.mailbox import Lane, Mailbox, OnRestart, Overflow
from bifrost.actors.ref import ActorRef
from bifrost.actors.shutdown_report import Leak, ShutdownReport
from bifrost.actors.snapshot import ActorSnapshot
from bifrost.actors.state import ActorState, Delivery, Down
from bifrost.actors.strategy import AutoShutdown, IntensityScope, OnExhausted, Strategy
from bifrost.actors.supervisor import Supervisor
from bifrost.actors.supervisor_ref import ChildInfo, SupervisorRef
from bifrost.actors.system import ActorSystem
from bifrost.actors.timers import Timers

__all__ = [
    "BRUTAL_KILL",
    "INFINITY",
    "Actor",
    "ActorContext",
    "ActorCrashed",
    "ActorEvent",
    "ActorRef",
    "ActorRestarted",
    "ActorSnapshot",
    "ActorStartFailed",
    "ActorStarted",
    "ActorState",
    "ActorStopped",
    "ActorSystem",
    "AutoShutdown",
    "Backoff",
    "ChildCounts",
    "ChildInfo",
    "ChildLeaked",
    "ChildParked",
    "ChildSpec",
    "ChildStatus",
    "ChildType",
    "Crash",
    "DeadLetter",
    "DeadLetterReason",
    "DeadLettered",
    "DeadLetters",
    "Delivery",
    "Down",
    "DynamicSupervisor",
    "EventStream",
    "ExitReason",
    "IntensityExceeded",
    "IntensityScope",
    "Killed",
    "Lane",
    "Leak",
    "LoopBlocked",
    "Mailbox",
    "MailboxHighWater",
    "Normal",
    "OnExhausted",
    "OnRestart",
    "Overflow",
    "Restart",
    "RestartScheduled",
    "Shutdown",
    "ShutdownReport",
    "SlowHandler",
    "StartFailure",
    "StopHookFailed",
    "Strategy",
    "Supervisor",
    "SupervisorRef",
    "SupervisorStarted",
    "SupervisorStopped",
    "Timers",
    "check_child_specs",
    "is_abnormal",
]
