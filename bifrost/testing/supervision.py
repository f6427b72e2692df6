"""The supervision core on a bench: no loop, no actors, every step in a log.

In: specifications and a script of what goes wrong. Out: the ordered log of starts, stops and verdicts.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

from bifrost.actors import steps
from bifrost.actors.child_spec import ChildSpec
from bifrost.actors.exit_reason import Crash, ExitReason, Shutdown
from bifrost.actors.restart import SupervisionCore
from bifrost.actors.steps import Fate, Verb
from bifrost.actors.strategy import SupervisorFlags

__all__ = ["CoreBench"]


class CoreBench:
    """Plays the shell of one supervisor.

    Starts succeed and stops end with `Shutdown` at once, unless told otherwise. The log holds words such as
    ``start a``, ``stop b``, ``crash a``, ``exit shutdown``.

    Args:
        specs: the children.
        flags: the supervisor's flags.
        seed: seeds the jitter.
    """

    def __init__(self, specs: Sequence[ChildSpec] = (), flags: SupervisorFlags | None = None, *, seed: int = 0) -> None:
        self.core = SupervisionCore(flags or SupervisorFlags(), specs, random.Random(seed))  # noqa: S311 - jitter
        self.now = 0.0
        self.log: list[str] = []
        self.alive: set[str] = set()
        self.replies: dict[int, steps.AdminReply] = {}
        self.exit_reason: ExitReason | None = None
        self.fates: dict[str, Fate] = {}
        self.failures: dict[str, int] = {}
        self.stop_reasons: dict[str, ExitReason] = {}
        self.slow_starts: set[str] = set()
        self.slow_stops: set[str] = set()
        self.starts: dict[str, int] = {}
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
        self.log.append(f"{child_id} {_word(reason)}")
        self._send(steps.Exited(child_id, reason))

    def crash(self, child_id: str) -> None:
        """The child crashes."""
        self.exits(child_id, Crash(RuntimeError(f"{child_id} is broken")))

    def stop(self, fate: Fate = Fate.STOPPED) -> None:
        """Whoever stands above stops the supervisor."""
        self._send(steps.StopSelf(Shutdown(), fate))

    def call(self, verb: Verb, child_id: str) -> str:
        """Make an administrative call; return ``ok``, the refusal, ``error``, or ``pending``."""
        self._token += 1
        self._send(steps.AdminCall(self._token, verb, child_id))
        return self.answer(self._token)

    def add(self, spec: ChildSpec) -> str:
        """Call start_child; return as `call` does."""
        self._token += 1
        self._send(steps.StartChild(self._token, spec))
        return self.answer(self._token)

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
    def counts(self) -> list[int]:
        """specs, active, supervisors, workers."""
        counts = self.core.children.counts()
        return [counts.specs, counts.active, counts.supervisors, counts.workers]

    # The shell

    def _send(self, event: steps.Input) -> None:
        self._inputs.append(event)
        if self._busy:
            return
        self._busy = True
        while self._inputs:
            for step in self.core.handle(self._inputs.popleft(), self.now):
                self._do(step)
        self._busy = False

    def _do(self, step: steps.Step) -> None:
        if isinstance(step, steps.Start):
            self._start(step.id)
        elif isinstance(step, steps.Stop):
            self.log.append(f"stop {step.id}")
            if step.id in self.slow_starts:
                self.slow_starts.discard(step.id)
                self._inputs.append(steps.StartFailed(step.id, RuntimeError("stopped while starting")))
            elif step.id not in self.slow_stops:
                self._leave(step.id)
                self._inputs.append(steps.Exited(step.id, self.stop_reasons.get(step.id, Shutdown())))
        elif isinstance(step, steps.Settle):
            self.fates[step.id] = step.fate
        elif isinstance(step, steps.WakeAt):
            self._wakes.append(step.when)
        elif isinstance(step, steps.AdminReply):
            assert step.token not in self.replies, "an administrative call was answered twice"
            self.replies[step.token] = step
        elif isinstance(step, steps.Exit):
            assert not self.alive, f"the supervisor exited while {self.alive} were alive"
            self.exit_reason = step.reason
            self.log.append(f"exit {_word(step.reason)}")
        elif isinstance(step, steps.NoteParked):
            self.log.append(f"park {step.id}")

    def _start(self, child_id: str) -> None:
        assert child_id not in self.alive, f"{child_id} was started twice"
        self.starts[child_id] = self.starts.get(child_id, 0) + 1
        if self.failures.get(child_id, 0) > 0:
            self.failures[child_id] -= 1
            self.log.append(f"fail {child_id}")
            self._inputs.append(steps.StartFailed(child_id, RuntimeError(f"{child_id} does not start")))
            return
        self.log.append(f"start {child_id}")
        if child_id not in self.slow_starts:
            self.alive.add(child_id)
            self._inputs.append(steps.Started(child_id))

    def _leave(self, child_id: str) -> None:
        assert child_id in self.alive, f"{child_id} is not alive"
        self.alive.discard(child_id)


def _word(reason: ExitReason) -> str:
    return type(reason).__name__.lower()
