"""Plays a script on bifrost and writes down, in order, what happened, in the words of `otp_driver.escript`.

In: a script. Out: the lines of its trace. Time is virtual: after each command, seconds pass in which everything that
follows from it comes to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Coroutine, Iterator

from bifrost.actors import (
    BRUTAL_KILL,
    IGNORE,
    INFINITY,
    Actor,
    ActorSystem,
    AutoShutdown,
    ChildSpec,
    Crash,
    DynamicSupervisor,
    ExitReason,
    Ignore,
    Killed,
    Normal,
    Restart,
    Shutdown,
    Strategy,
    SupervisorRef,
    events,
)
from bifrost.actors import Supervisor as SupervisorSpec
from bifrost.actors.child_table import ChildStatus
from bifrost.actors.state import ActorState
from bifrost.errors import (
    ActorError,
    ActorStopped,
    AlreadyPresent,
    AlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildSpecError,
    StartFailed,
    SupervisorGaveUp,
)
from bifrost.testing import VirtualLoop
from tests.differential.script import (
    Call,
    Command,
    Finish,
    Hold,
    Node,
    Opening,
    Script,
    StartChild,
    Starts,
    Together,
    Worker,
    join,
    supervisors,
)

__all__ = ["play_on_bifrost"]

_PERIOD = 86_400.0  # seconds; the scripts are not about time
_STILL = 30.0  # virtual seconds after which nothing moves any more
_SOON = 1.0  # virtual seconds in which a child that was told to end has ended
_OVERSTAY = 0.03  # seconds that a child which ignores its shutdown is given
_TIMEOUT = 5.0  # seconds that any other child is given
_MOST_STARTS = 2_000  # of one script; the restarts of a failing child end with its supervisor's intensity
_HELD = 1e6  # seconds that a start may wait for the script

_REFUSALS: dict[type[ActorError], str] = {
    ActorStopped: "noproc",
    AlreadyPresent: "already_present",
    AlreadyStarted: "already_started",
    ChildNotFound: "not_found",
    ChildRestarting: "restarting",
    ChildRunning: "running",
    ChildSpecError: "refused",
    StartFailed: "start failed",
}

_REASONS: dict[str, ExitReason] = {
    "normal": Normal(),
    "shutdown": Shutdown(),
    "shutdown_term": Shutdown("term"),
}

_SHOWN = {ChildStatus.RUNNING: "running", ChildStatus.RESTARTING: "restarting", ChildStatus.STOPPED: "undefined"}


def play_on_bifrost(script: Script) -> list[str]:
    """Play the script and return its trace; a run that breaks off ends it with the reason."""
    player = _Player(script)
    try:
        with _quiet(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(player.play())
    except Exception as error:  # noqa: BLE001 - whatever it is, the trace shows where it happened
        return [*player.lines, f"broke off: {type(error).__name__}: {error}"]
    return player.lines


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Write no log meanwhile: every crash here is on purpose."""
    logger = logging.getLogger("bifrost.actors")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


class _Broken(Exception):
    """What a worker raises when it is told to."""


class _Child(Actor[str | asyncio.Future[str]]):
    """Ends when it is told to, at once or when a future says so."""

    def __init__(self, player: _Player, *, hangs: bool) -> None:
        self._player = player
        self._hangs = hangs
        self._ends_by_itself = False

    async def on_start(self) -> None:
        await self._player.starting(self.ctx.path)

    async def receive(self, message: str | asyncio.Future[str]) -> None:
        how = await message if isinstance(message, asyncio.Future) else message
        self._ends_by_itself = True
        if how == "crash":
            raise _Broken
        self.ctx.stop(_REASONS[how])

    async def on_stop(self, reason: ExitReason) -> None:
        if self._hangs and isinstance(reason, Shutdown) and not self._ends_by_itself:
            await asyncio.get_running_loop().create_future()


class _Player:
    """One run of one script."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.lines: list[str] = []
        self._numbers: Counter[str] = Counter()
        self._starts = {one.path: one for one in script.broken}
        self._templates = {path: one.children[0] for path, one in supervisors(script.tree) if one.is_dynamic}
        self._hold: str | None = None
        self._held: asyncio.Future[str] | None = None
        tree = script.tree
        self._system = ActorSystem(
            "root",
            [self._spec(child, child.id) for child in tree.children],
            strategy=Strategy(tree.strategy),
            intensity=tree.intensity,
            period=_PERIOD,
            auto_shutdown=AutoShutdown(tree.auto_shutdown),
            stop_timeout=_HELD,
        )
        self._system.events.subscribe(self._hear)

    async def play(self) -> None:
        """Start the tree, give the commands, stop it."""
        up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done = asyncio.Event()
        host = asyncio.create_task(self._host(up, done))
        if self._script.opening is not None:
            await self._open(self._script.opening)
        try:
            await up
        except StartFailed as error:
            self.lines.append(f"start failed: {_culprit(error)}")
            await self._end(host)
            return
        await self._settle([])
        for number, command in enumerate(self._script.commands, 1):
            self.lines.append(f"> {number}")
            await self._settle(await self._do(command))
        self.lines.append("> stop")
        done.set()
        await self._end(host)
        self.lines.append("the tree is gone")

    async def _end(self, host: asyncio.Task[None]) -> None:
        """Wait for the end of the tree, of which nothing may be left."""
        await host
        await asyncio.sleep(_STILL)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        self.lines += sorted(f"left over: task {task.get_name()}" for task in left)

    async def _host(self, up: asyncio.Future[None], done: asyncio.Event) -> None:
        try:
            async with self._system:
                up.set_result(None)
                await done.wait()
        except SupervisorGaveUp:
            pass  # the trace tells it: the root's end is an event
        except BaseException as error:
            if up.done():
                raise
            up.set_exception(error)

    # The specification

    def _spec(self, node: Node, path: str) -> ChildSpec:
        child_id = path.rpartition("/")[2]
        if isinstance(node, Worker):
            shutdown = {"infinity": INFINITY, "brutal_kill": BRUTAL_KILL}.get(node.shutdown)
            if shutdown is None:
                shutdown = _OVERSTAY if node.hangs else _TIMEOUT
            return ChildSpec(
                id=child_id,
                start=self.make,
                args=(path,),
                kwargs={"hangs": node.hangs},
                restart=Restart(node.restart),
                significant=node.significant,
                shutdown=shutdown,
                start_timeout=_HELD,
            )
        restart = Restart(node.restart)
        if node.is_dynamic:
            return DynamicSupervisor.spec(child_id, intensity=node.intensity, period=_PERIOD, restart=restart)
        return SupervisorSpec.spec(
            child_id,
            [self._spec(child, join(path, child.id)) for child in node.children],
            strategy=Strategy(node.strategy),
            intensity=node.intensity,
            period=_PERIOD,
            auto_shutdown=AutoShutdown(node.auto_shutdown),
            restart=restart,
            significant=node.significant,
        )

    # What the tree tells

    async def starting(self, path: str) -> None:
        """Let a start fail, or wait."""
        if self._numbers.total() > _MOST_STARTS:
            await asyncio.get_running_loop().create_future()  # it would restart for ever
        if self._hold == path and self._held is None:
            self._held = asyncio.get_running_loop().create_future()
            outcome = await self._held
            self._hold = self._held = None
            if outcome == "fail":
                raise _Broken
        elif self._is_planned(path, "fail"):
            raise _Broken

    def make(self, path: str, *, hangs: bool) -> _Child | Ignore:
        """Make a child, or say that none is to run."""
        if self._hold != path and self._is_planned(path, "ignore"):
            return IGNORE
        return _Child(self, hangs=hangs)

    def _is_planned(self, path: str, how: str) -> bool:
        plan = self._starts.get(path)
        if plan is None or not plan.times or plan.how != how:
            return False
        self._starts[path] = Starts(path, how, plan.times - 1)
        return True

    def _hear(self, event: events.ActorEvent) -> None:
        path = event.path
        if isinstance(event, events.ActorStarted | events.ActorRestarted):
            self.lines.append(f"start {path} #{self._number(path)}")
        elif isinstance(event, events.ActorStartFailed):
            self.lines.append(f"fail {path} #{self._number(path)}")
        elif isinstance(event, events.ActorIgnored):
            self.lines.append(f"ignore {path} #{self._number(path)}")
        elif isinstance(event, events.SupervisorStarted):
            self.lines.append(f"up {path} #{self._number(path)}")
        elif isinstance(event, events.ActorStopped):
            self.lines.append(f"down {path} {_reason(event.reason)}")
        elif isinstance(event, events.SupervisorStopped):
            # The words that bifrost adds to a supervisor's own shutdown are for people.
            word = "shutdown" if isinstance(event.reason, Shutdown) else _reason(event.reason)
            self.lines.append(f"down {path} {word}")

    def _number(self, path: str) -> int:
        self._numbers[path] += 1
        return self._numbers[path]

    async def _settle(self, answers: list[str]) -> None:
        await asyncio.sleep(_STILL)
        self.lines += [f"= {answer}" for answer in answers]
        root = self._system.root
        self.lines += self._walk(root, "") if root.state is ActorState.RUNNING else ["no tree"]

    def _walk(self, ref: SupervisorRef, path: str) -> list[str]:
        dynamic = path in self._templates
        infos = ref.which_children()[::-1]
        if dynamic:
            infos.sort(key=lambda info: info.id)
        counts = ref.count_children()
        counted = [counts.active, counts.supervisors, counts.workers]
        if not dynamic:
            counted.insert(0, counts.specs)
        shown = "".join(f" {info.id}={_SHOWN[info.status]}" for info in infos)
        lines = [f"{path or 'root'}:{shown} [{','.join(map(str, counted))}]"]
        for info in infos:
            if isinstance(info.ref, SupervisorRef) and info.status is ChildStatus.RUNNING:
                lines += self._walk(info.ref, join(path, info.id))
        return lines

    # Commands

    async def _do(self, command: Command) -> list[str]:
        if isinstance(command, Starts):
            self._starts[command.path] = command
            return []
        if isinstance(command, Finish):
            return await self._finish(command)
        if isinstance(command, Together):
            return await self._together(command)
        if isinstance(command, Hold):
            return await self._do_while_held(command)
        return [await self._call(command)]

    async def _finish(self, command: Finish) -> list[str]:
        if not self._runs(command.path):
            return ["noproc"]
        ref = self._system.ref(command.path)
        if command.how == "kill":
            ref.kill()
        else:
            ref.tell(command.how)
        await asyncio.sleep(_SOON)
        return []

    async def _together(self, command: Together) -> list[str]:
        if not self._supervisor(command.parent):
            return ["noproc"]
        loop = asyncio.get_running_loop()
        armed: list[tuple[asyncio.Future[str], str]] = []
        words: list[str] = []
        for end in command.ends:
            if not self._runs(end.path):
                words.append("noproc")
                continue
            armed.append((loop.create_future(), end.how))
            self._system.ref(end.path).tell(armed[-1][0])
        await asyncio.sleep(_SOON)
        for future, how in armed:
            future.set_result(how)
        return words

    async def _open(self, opening: Opening) -> None:
        self._hold = opening.path
        await asyncio.sleep(_STILL)
        held: asyncio.Future[str] | None = self._held
        if held is None:
            self._hold = None
            return
        for end in opening.ends:
            await self._finish(end)
        self.lines.append(f"release {opening.path}")
        held.set_result(opening.outcome)

    async def _do_while_held(self, command: Hold) -> list[str]:
        self._hold, self._held = command.path, None
        calls = [asyncio.create_task(self._words(command.trigger))]
        await asyncio.sleep(_STILL)
        held: asyncio.Future[str] | None = self._held
        if held is None:
            self._hold = None
            return ["the start was not reached", *await calls[0]]
        # A supervisor that is itself starting then acts beside its own supervisor, in no order: it is left alone.
        parent = self._supervisor(command.path.rpartition("/")[0])
        is_up = parent is not None and parent.state is ActorState.RUNNING
        for one in command.during if is_up else ():
            calls.append(asyncio.create_task(self._words(one)))
            await asyncio.sleep(_STILL)
        self.lines.append(f"release {command.path}")
        held.set_result(command.outcome)
        return [word for call in calls for word in await call]

    async def _words(self, command: Finish | Call | StartChild) -> list[str]:
        return await self._finish(command) if isinstance(command, Finish) else [await self._call(command)]

    async def _call(self, command: Call | StartChild) -> str:
        supervisor = self._supervisor(command.parent)
        if supervisor is None:
            return "noproc"
        if isinstance(command, StartChild):
            if isinstance(command.spec, str):
                path = join(command.parent, command.spec)
                if self._runs(path):
                    return "the id is in use"
                spec = self._spec(self._templates[command.parent], path)
            else:
                spec = self._spec(command.spec, join(command.parent, command.spec.id))
            return await _word(supervisor.start_child(spec, timeout=_HELD))
        word = await _word(getattr(supervisor, command.verb)(command.id, timeout=_HELD))
        return "ok or not_found" if command.dynamic and word in {"ok", "not_found"} else word

    def _supervisor(self, path: str) -> SupervisorRef | None:
        try:
            ref = self._system.supervisor(path) if path else self._system.root
        except ChildNotFound:
            return None
        return None if ref.state in {ActorState.STOPPED, ActorState.FAILED} else ref

    def _runs(self, path: str) -> bool:
        try:
            ref = self._system.ref(path)
            return ref.state is ActorState.RUNNING and not isinstance(ref, SupervisorRef)
        except ChildNotFound:
            return False


async def _word(call: Coroutine[object, object, object]) -> str:
    try:
        await call
    except ActorError as error:
        return _REFUSALS[type(error)]
    return "ok"


def _reason(reason: ExitReason) -> str:
    if isinstance(reason, Crash):
        return "crash"
    if isinstance(reason, Killed):
        return "killed"
    if isinstance(reason, Shutdown):
        return f"shutdown:{reason.detail}" if reason.detail else "shutdown"
    return str(reason)


def _culprit(error: StartFailed) -> str:
    path = error.child_id
    cause = error.cause
    while isinstance(cause, StartFailed):
        path = join(path, cause.child_id)
        cause = cause.cause
    return path
