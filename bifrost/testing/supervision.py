"""The supervision core on a bench: no loop, no actors, every step in a log.

In: specifications and a script of what goes wrong. Out: the ordered log of starts, stops and verdicts.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Unpack

from bifrost.actors import steps
from bifrost.actors.child_spec import ChildSpec
from bifrost.actors.exit_reason import Crash, ExitReason, Killed, Shutdown, StartFailure
from bifrost.actors.restart import SupervisionCore
from bifrost.actors.steps import Fate, Verb
from bifrost.actors.strategy import FlagChanges, SupervisorFlags
from bifrost.actors.supervisor import SupervisorPlan

__all__ = ["CoreBench"]


class CoreBench:
    """Plays the shell of one supervisor, and of the supervisors below it.

    Starts succeed and stops end with `Shutdown` at once, unless told otherwise. The log holds words such as
    ``start a``, ``stop b``, ``crash a``, ``exit shutdown``. A child made by `Supervisor.spec` is a bench of its own, in
    `below`, whose lines in the same log have its id and a slash before the child's.

    Args:
        specs: the children.
        flags: the supervisor's flags.
        seed: seeds the jitter.
        stored: children of a dynamic supervisor that a store brings back; None plays a supervisor without a store.
        above: the bench that this one is a child of, and its id there; None is the root.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec] = (),
        flags: SupervisorFlags | None = None,
        *,
        seed: int = 0,
        stored: Sequence[ChildSpec] | None = None,
        above: tuple[CoreBench, str] | None = None,
    ) -> None:
        self.core = SupervisionCore(
            flags or SupervisorFlags(),
            (*specs, *(stored or ())),
            random.Random(seed),  # noqa: S311 - jitter
            durable=stored is not None,
        )
        self.now: float = 0.0 if above is None else above[0].now
        self.log: list[str] = []
        self.alive: set[str] = set()
        self.below: dict[str, CoreBench] = {}
        self.replies: dict[int, steps.AdminReply] = {}
        self.exit_reason: ExitReason | None = None
        self.fates: dict[str, Fate] = {}
        self.forgotten: list[str] = []
        self.changes: list[steps.NoteChanged] = []
        self.failures: dict[str, int] = {}
        self.ignores: set[str] = set()
        self.stop_reasons: dict[str, ExitReason] = {}
        self.slow_starts: set[str] = set()
        self.slow_stops: set[str] = set()
        self.starts: dict[str, int] = {}
        self.handled = 0
        self.steps_taken = 0
        self._above = above
        self._is_up = False
        self._wakes: list[float] = []
        self._inputs: deque[steps.Input] = deque()
        self._token = 0
        self._busy = False

    # The script

    def begin(self) -> CoreBench:
        """Start the supervisor."""
        self._send(steps.Begin())
        return self

    def fail_starts(self, child_id: str, times: int = 10**9) -> None:
        """Let the next `times` starts of the child fail."""
        self.failures[child_id] = times

    def exits(self, child_id: str, reason: ExitReason) -> None:
        """The child ends by itself."""
        self._leave(child_id)
        self.note(f"{child_id} {_word(reason)}")
        self._send(steps.Exited(child_id, reason))

    def crash(self, child_id: str) -> None:
        """The child crashes."""
        self.exits(child_id, Crash(RuntimeError(f"{child_id} is broken")))

    def kill(self, child_id: str) -> None:
        """Somebody kills the child; of a supervisor, everything below it is killed first."""
        bench = self.below.get(child_id)
        if bench is None:
            self.exits(child_id, Killed())
            return
        for below in reversed(bench.core.children.ids()):
            if below in bench.alive:
                bench.stop_reasons[below] = Killed()
        bench.stop(Fate.UNDECIDED, Killed())

    def stop(self, fate: Fate = Fate.STOPPED, reason: ExitReason | None = None) -> None:
        """Whoever stands above stops the supervisor."""
        self._send(steps.StopSelf(reason or Shutdown(), fate))

    def call(self, verb: Verb, child_id: str, *, hold: bool = False) -> str:
        """Make an administrative call; return ``ok``, the refusal, ``error``, or ``pending``."""
        return self._ask(steps.AdminCall(0, verb, child_id, hold))

    def add(self, spec: ChildSpec) -> str:
        """Call start_child; return as `call` does."""
        return self._ask(steps.StartChild(0, spec))

    def replace(self, spec: ChildSpec) -> str:
        """Call replace_child; return as `call` does."""
        return self._ask(steps.ReplaceChild(0, spec))

    def change(self, specs: Sequence[ChildSpec] | None = None, **flags: Unpack[FlagChanges]) -> str:
        """Change flags or the list of children; return as `call` does."""
        return self._ask(steps.ChangeSelf(0, flags, None if specs is None else tuple(specs)))

    def answer(self, token: int) -> str:
        """What the administrative call `token` was answered."""
        reply = self.replies.get(token)
        if reply is None:
            return "pending"
        if reply.refusal is not None:
            return reply.refusal.value
        return "ok" if reply.error is None else "error"

    def started(self, child_id: str) -> None:
        """A slow start comes to its end."""
        self.slow_starts.discard(child_id)
        self.alive.add(child_id)
        self._send(steps.Started(child_id))

    def stopped(self, child_id: str, reason: ExitReason | None = None) -> None:
        """A slow stop comes to its end."""
        self.slow_stops.discard(child_id)
        self._leave(child_id)
        self._send(steps.Exited(child_id, reason or Shutdown()))

    def advance(self, seconds: float) -> None:
        """Let time pass; ticks come when they are due."""
        target = self.now + seconds
        while self._wakes and min(self._wakes) <= target:
            when = min(self._wakes)
            self._wakes.remove(when)
            self.now = max(self.now, when)
            self._send(steps.Tick())
        self.now = target
        for bench in list(self.below.values()):
            bench.advance(seconds)

    def tick(self) -> bool:
        """Deliver one tick that is due now; False if there is none."""
        if not self._wakes or min(self._wakes) > self.now:
            return False
        self._wakes.remove(min(self._wakes))
        self._send(steps.Tick())
        return True

    def take_log(self) -> list[str]:
        """The log since the last call."""
        log, self.log = self.log, []
        return log

    @property
    def calls_made(self) -> int:
        """How many administrative calls were made."""
        return self._token

    @property
    def last_reply(self) -> steps.AdminReply:
        """The answer to the last administrative call."""
        return self.replies[self._token]

    @property
    def counts(self) -> list[int]:
        """specs, active, supervisors, workers."""
        counts = self.core.children.counts()
        return [counts.specs, counts.active, counts.supervisors, counts.workers]

    # The shell

    def _ask(self, event: steps.Admin) -> str:
        self._token += 1
        event.token = self._token
        self._send(event)
        return self.answer(event.token)

    def _send(self, event: steps.Input) -> None:
        self._inputs.append(event)
        if self._busy:
            return
        self._busy = True
        while self._inputs:
            self.handled += 1
            for step in self.core.handle(self._inputs.popleft(), self.now):
                self.steps_taken += 1
                self._do(step)
        self._busy = False

    def _do(self, step: steps.Step) -> None:
        if isinstance(step, steps.Start):
            self._start(step.id)
        elif isinstance(step, steps.Stop):
            self._stop(step)
        elif isinstance(step, steps.Settle):
            self.fates[step.id] = step.fate
        elif isinstance(step, steps.Forget):
            self.forgotten.append(step.id)
        elif isinstance(step, steps.WakeAt):
            self._wakes.append(step.when)
        elif isinstance(step, steps.AdminReply):
            assert step.token not in self.replies, "an administrative call was answered twice"
            self.replies[step.token] = step
        elif isinstance(step, steps.NoteChanged):
            self.changes.append(step)
        elif isinstance(step, steps.NoteParked):
            self.note(f"park {step.id}")
        elif isinstance(step, steps.Up | steps.Exit):
            self._report(step)

    def _start(self, child_id: str) -> None:
        assert child_id not in self.alive, f"{child_id} was started twice"
        self.starts[child_id] = self.starts.get(child_id, 0) + 1
        if child_id in self.ignores:
            self.note(f"ignore {child_id}")
            self._inputs.append(steps.Ignored(child_id))
            return
        if self.failures.get(child_id, 0) > 0:
            self.failures[child_id] -= 1
            self.note(f"fail {child_id}")
            self._inputs.append(steps.StartFailed(child_id, RuntimeError(f"{child_id} does not start")))
            return
        plan = self.core.children[child_id].spec.start
        if isinstance(plan, SupervisorPlan):
            bench = self.below[child_id] = CoreBench(plan.children, plan.flags, above=(self, child_id))
            bench.begin()
            return
        self.note(f"start {child_id}")
        if child_id not in self.slow_starts:
            self.alive.add(child_id)
            self._inputs.append(steps.Started(child_id))

    def _stop(self, step: steps.Stop) -> None:
        bench = self.below.get(step.id)
        if bench is not None:
            bench.stop(step.fate)
            return
        self.note(f"stop {step.id}")
        if step.id in self.slow_starts:
            self.slow_starts.discard(step.id)
            self._inputs.append(steps.StartFailed(step.id, RuntimeError("stopped while starting")))
        elif step.id not in self.slow_stops:
            self._leave(step.id)
            self._inputs.append(steps.Exited(step.id, self.stop_reasons.get(step.id, Shutdown())))

    def _report(self, step: steps.Up | steps.Exit) -> None:
        if isinstance(step, steps.Up):
            self._is_up = True
            if self._above is not None:
                above, own_id = self._above
                above.hear(steps.Started(own_id), f"start {own_id}")
            return
        assert not self.alive, f"the supervisor exited while {self.alive} were alive"
        reason = self.exit_reason = step.reason
        if self._above is None:
            self.note(f"exit {_word(reason)}")
            return
        above, own_id = self._above
        line = f"{own_id} {_word(reason)}"
        if self._is_up:
            above.hear(steps.Exited(own_id, reason), line)
        else:
            error = reason.error if isinstance(reason, StartFailure) else RuntimeError(str(reason))
            above.hear(steps.StartFailed(own_id, error), line)

    def hear(self, report: steps.Report, line: str) -> None:
        """Take the report of a bench below."""
        self.note(line)
        if isinstance(report, steps.Started):
            self.alive.add(report.id)
        else:
            del self.below[report.id]
            self.alive.discard(report.id)
        self._send(report)

    def note(self, line: str) -> None:
        """Add a line to the log of the root, with the path in it."""
        if self._above is None:
            self.log.append(line)
            return
        above, own_id = self._above
        word, _, rest = line.partition(" ")
        # A verdict names the child first (`a crash`), a step names it last (`start a`).
        above.note(f"{own_id}/{line}" if rest in _REASONS else f"{word} {own_id}/{rest}")

    def _leave(self, child_id: str) -> None:
        assert child_id in self.alive, f"{child_id} is not alive"
        self.alive.discard(child_id)


_REASONS = ("normal", "shutdown", "crash", "killed", "startfailure")


def _word(reason: ExitReason) -> str:
    return type(reason).__name__.lower()
