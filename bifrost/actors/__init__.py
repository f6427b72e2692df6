"""Supervised actors on asyncio, with the guarantees of Erlang/OTP.

In: `ChildSpec` trees of `Actor` classes. Out: an `ActorSystem` that starts them in order, restarts what crashes, stops
in reverse order, and tells what happened. Not here: any protocol, any I/O, any Rust; anything that two systems share.

What applications write: an `Actor` (or `HandlingActor`, `BlockingActor`), which acts through its `ActorContext`. What
they hold: an `ActorRef`, or the `SupervisorRef` of a supervisor. What they describe: `ChildSpec`, `Supervisor.spec`,
`DynamicSupervisor.spec`, with `Mailbox` and `Backoff`. What they see: events, `ActorSystem.snapshot`, `explain` and
`trace`, dead letters. Errors are in `bifrost.errors`; adapters for trio, pykka and threads in `bifrost.actors.hosts`;
OpenTelemetry in `bifrost.actors.telemetry`; tools for tests in `bifrost.testing`.

Layout: `restart.py` is the supervision core, pure and without a loop; `supervisor_cell.py` and `worker.py` are the
shell that runs it; `scheduler.py` says who runs next, and `carrier.py` what carries a handler that has suspended.
"""

from bifrost.actors.actor import Actor
from bifrost.actors.actor_path import ActorPath
from bifrost.actors.backoff import Backoff
from bifrost.actors.blocking import BlockingActor
from bifrost.actors.blocking_context import BlockingContext, BlockingTimers
from bifrost.actors.cancellable import cancellable
from bifrost.actors.child_spec import (
    BRUTAL_KILL,
    IGNORE,
    INFINITY,
    ChildSpec,
    ChildType,
    Ignore,
    Restart,
    check_child_specs,
)
from bifrost.actors.child_table import ChildCounts, ChildStatus
from bifrost.actors.companion import Companion
from bifrost.actors.context import ActorContext
from bifrost.actors.dead_letters import DeadLetter, DeadLetterReason, DeadLetters
from bifrost.actors.dynamic import DynamicSupervisor
from bifrost.actors.events import (
    ActorCrashed,
    ActorEvent,
    ActorIgnored,
    ActorRestarted,
    ActorStarted,
    ActorStartFailed,
    ActorStopped,
    ChildLeaked,
    ChildParked,
    ConfigChanged,
    DeadLettered,
    EventStream,
    HandoverFailed,
    IntensityExceeded,
    LoopBlocked,
    MailboxHighWater,
    RestartScheduled,
    SlowHandler,
    SpecStoreFailed,
    StopHookFailed,
    SupervisorStarted,
    SupervisorStopped,
)
from bifrost.actors.exit_reason import Crash, ExitReason, Killed, Normal, Shutdown, StartFailure, is_abnormal
from bifrost.actors.explain import Explanation
from bifrost.actors.handlers import HandlingActor, handles, handles_blocking
from bifrost.actors.links import Exit
from bifrost.actors.log_filter import ActorLogFilter
from bifrost.actors.mailbox import Lane, Mailbox, OnRestart, Overflow
from bifrost.actors.ref import ActorRef
from bifrost.actors.registry import NameChange, NameSubscription, Registry
from bifrost.actors.request import Request
from bifrost.actors.shutdown_report import Leak, ShutdownReport
from bifrost.actors.snapshot import ActorSnapshot, PastLife
from bifrost.actors.spec_store import MemorySpecStore, SpecStore
from bifrost.actors.state import ActorState, Delivery, Down
from bifrost.actors.strategy import AutoShutdown, FlagChanges, IntensityScope, OnExhausted, Strategy, SupervisorFlags
from bifrost.actors.supervisor import Supervisor
from bifrost.actors.supervisor_ref import ChildInfo, SupervisorRef
from bifrost.actors.system import ActorSystem
from bifrost.actors.tap import MessageEvent, Tap, Tapped
from bifrost.actors.timers import Timers
from bifrost.actors.watchdog import Watchdog

__all__ = [
    "BRUTAL_KILL",
    "IGNORE",
    "INFINITY",
    "Actor",
    "ActorContext",
    "ActorCrashed",
    "ActorEvent",
    "ActorIgnored",
    "ActorLogFilter",
    "ActorPath",
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
    "BlockingActor",
    "BlockingContext",
    "BlockingTimers",
    "ChildCounts",
    "ChildInfo",
    "ChildLeaked",
    "ChildParked",
    "ChildSpec",
    "ChildStatus",
    "ChildType",
    "Companion",
    "ConfigChanged",
    "Crash",
    "DeadLetter",
    "DeadLetterReason",
    "DeadLettered",
    "DeadLetters",
    "Delivery",
    "Down",
    "DynamicSupervisor",
    "EventStream",
    "Exit",
    "ExitReason",
    "Explanation",
    "FlagChanges",
    "HandlingActor",
    "HandoverFailed",
    "Ignore",
    "IntensityExceeded",
    "IntensityScope",
    "Killed",
    "Lane",
    "Leak",
    "LoopBlocked",
    "Mailbox",
    "MailboxHighWater",
    "MemorySpecStore",
    "MessageEvent",
    "NameChange",
    "NameSubscription",
    "Normal",
    "OnExhausted",
    "OnRestart",
    "Overflow",
    "PastLife",
    "Registry",
    "Request",
    "Restart",
    "RestartScheduled",
    "Shutdown",
    "ShutdownReport",
    "SlowHandler",
    "SpecStore",
    "SpecStoreFailed",
    "StartFailure",
    "StopHookFailed",
    "Strategy",
    "Supervisor",
    "SupervisorFlags",
    "SupervisorRef",
    "SupervisorStarted",
    "SupervisorStopped",
    "Tap",
    "Tapped",
    "Timers",
    "Watchdog",
    "cancellable",
    "check_child_specs",
    "handles",
    "handles_blocking",
    "is_abnormal",
]
