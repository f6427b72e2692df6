"""Draws random scripts. The same seed gives the same script, whatever the platform.

In: a seed. Out: a script that avoids exactly what `docs/concepts/supervision.md` lists under "Where bifrost differs
from OTP"; `is_comparable` says the same of a script that was made smaller. Each avoidance names its row.

Rows that cost no script anything:

- Row "time": the period is longer than any script.
- Row "mailbox over a restart": a child is told one thing, and only while it runs.
- Row "reference over a restart": the trace names places in the tree; only a supervisor that is up is called.
- Row "`auto_shutdown` of a dynamic supervisor": left at never.
- Row "ignore": each driver says it in its own side's manner, and a call is answered ok on both.
- Row "killing": workers can be cancelled; those that ignore a stop do not ignore that.
- Row "killing a supervisor": only workers are killed, and a supervisor's own shutdown is infinity, as OTP asks for.
- Row "crash in the stop hook": workers have none that raises.
- Row "questions": they are asked when nothing moves.
- Row "slow start": the driver sets no limit.
- Row "stop during a slow start": a start that waits is released before anything is stopped.

What the other rows name, no script ever uses.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

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
    Supervisor,
    Together,
    Worker,
    join,
)

__all__ = ["draw_script", "is_comparable"]

_FOREVER = 1_000_000
_STATIC = ("one_for_one", "one_for_all", "rest_for_one")
_HOWS = ("crash", "crash", "crash", "kill", "normal", "shutdown", "shutdown_term")
_SHUTDOWNS = ("timeout", "timeout", "infinity", "brutal_kill")
_STARTS = ("fail", "fail", "fail", "ignore")
_VERBS = ("terminate_child", "terminate_child", "restart_child", "restart_child", "delete_child")


def draw_script(seed: int) -> Script:
    """The script of `seed`."""
    return _Draw(random.Random(seed)).script()


class _Draw:
    """One script in the making: what was drawn so far decides what can be named."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._kinds: dict[str, Supervisor] = {}
        self._workers: dict[str, Worker] = {}
        self._places: list[tuple[str, str]] = []
        self._focus = ""
        self._fresh = 0

    def script(self) -> Script:
        tree = self._supervisor("", depth=self._rng.choice((1, 1, 2, 2, 3)), path="", parent=None)
        self._focus = self._rng.choice(list(self._kinds))
        broken: tuple[Starts, ...] = ()
        if self._workers and self._rng.random() < 0.1:
            broken = (self._starts(),)
        commands = [command for _ in range(self._rng.randint(1, 12)) for command in self._next()]
        return Script(tree, broken, self._opening(tree), tuple(commands))

    def _opening(self, tree: Supervisor) -> Opening | None:
        names = [child.id for child in tree.children if isinstance(child, Worker)]
        if len(names) < 2 or self._rng.random() > 0.15:
            return None
        at = self._rng.randrange(1, len(names))
        ends = tuple(self._finish([name]) for name in names[:at] if self._rng.random() < 0.7)
        return Opening(names[at], ends, self._rng.choice(("ok", "ok", "fail")))

    # Trees

    def _supervisor(self, child_id: str, depth: int, path: str, parent: Supervisor | None) -> Supervisor:
        rng = self._rng
        restart, significant = self._restart(parent)
        # Row "default intensity": always given. A root that gives up at once would end most scripts too early.
        intensity = rng.choice((0, 1, 1, 2, 2, 3, 4)) if path else rng.choice((0, 1, 2, 3, 4, 6, 8))
        modes = ("never", "never", "any_significant", "all_significant")
        auto_shutdown = "never" if not path and rng.random() < 0.4 else rng.choice(modes)
        strategy = rng.choice(_STATIC)
        self._kinds[path] = drawn = Supervisor(child_id, strategy, intensity, auto_shutdown, restart, significant)
        children = []
        for name in "abcd"[: rng.randint(0 if depth == 1 and rng.random() < 0.3 else 1, 4)]:
            children.append(self._node(name, depth - 1, join(path, name), drawn))
            self._places.append((path, name))
        return Supervisor(child_id, strategy, intensity, auto_shutdown, restart, significant, tuple(children))

    def _node(self, child_id: str, depth: int, path: str, parent: Supervisor) -> Node:
        kind = self._rng.random()
        if depth and kind < 0.2:
            return self._dynamic(child_id, path)
        if depth and kind < 0.6:
            return self._supervisor(child_id, depth, path, parent)
        self._workers[path] = worker = self._worker(child_id, parent)
        return worker

    def _dynamic(self, child_id: str, path: str) -> Supervisor:
        self._kinds[path] = drawn = Supervisor(
            id=child_id,
            strategy="simple_one_for_one",
            intensity=self._rng.choice((0, 1, 2, 3)),
            restart=self._restart(None)[0],
            children=(self._template(),),
        )
        return drawn

    def _template(self) -> Node:
        if self._rng.random() < 0.75:
            return self._worker("template", None)
        strategy, intensity = self._rng.choice(_STATIC), self._rng.choice((0, 1, 2))
        children = tuple(self._worker(name, None) for name in "ab"[: self._rng.randint(1, 2)])
        return Supervisor("template", strategy, intensity, restart=self._restart(None)[0], children=children)

    def _worker(self, child_id: str, parent: Supervisor | None) -> Worker:
        restart, significant = self._restart(parent)
        hangs = self._rng.random() < 0.04
        # A child that hangs and has no limit would never end, here or there.
        shutdown = "timeout" if hangs else self._rng.choice(_SHUTDOWNS)
        return Worker(child_id, restart, significant, shutdown, hangs)

    def _restart(self, parent: Supervisor | None) -> tuple[str, bool]:
        restart = self._rng.choice(("permanent", "permanent", "transient", "temporary"))
        can_be = parent is not None and parent.auto_shutdown != "never" and restart != "permanent"
        return restart, can_be and self._rng.random() < 0.6

    # Commands

    def _next(self) -> list[Command]:
        kind = self._rng.random()
        if not self._workers:
            return [self._start_child(self._parent())]
        if kind < 0.4:
            return [*([self._starts()] if kind < 0.1 else []), self._finish(self._near())]
        if kind < 0.5:
            return [self._start_child(self._parent())]
        if kind < 0.7:
            return self._calls()
        return self._together() if kind < 0.85 else [self._held()]

    def _calls(self) -> list[Command]:
        call = self._call(self._parent() if self._rng.random() < 0.7 else None)
        if call.verb == "terminate_child" and not call.dynamic and self._rng.random() < 0.5:
            verb = self._rng.choice(("terminate_child", "restart_child", "restart_child", "delete_child"))
            return [call, Call(verb, call.parent, call.id)]
        return [call]

    def _parent(self) -> str:
        return self._focus if self._rng.random() < 0.6 else self._rng.choice(list(self._kinds))

    def _near(self) -> list[str]:
        return self._below(self._focus) if self._rng.random() < 0.5 else []

    def _below(self, parent: str) -> list[str]:
        return [path for path in self._workers if path.rpartition("/")[0] == parent]

    def _starts(self) -> Starts:
        path = self._rng.choice(list(self._workers))
        return Starts(path, self._starts_how(path), self._rng.choice((0, 1, 1, 1, 2, 3, _FOREVER)))

    def _starts_how(self, path: str) -> str:
        parent = self._kinds.get(path.rpartition("/")[0])
        # OTP 25 keeps a dynamic child that says ignore at its restart, without a process, and crashes when it stops;
        # its later versions forget the child.
        can_be_ignored = parent is not None and not parent.is_dynamic
        return self._rng.choice(_STARTS) if can_be_ignored else "fail"

    def _finish(self, among: Sequence[str] = ()) -> Finish:
        names = among or list(self._workers)
        return Finish(self._rng.choice(names) if names else "nobody", self._rng.choice(_HOWS))

    def _start_child(self, parent: str) -> StartChild:
        drawn = self._kinds[parent]
        if drawn.is_dynamic:
            self._fresh += 1
            # Row "children of a dynamic supervisor": an id of its own for each child.
            child_id = f"d{self._fresh}"
            self._places.append((parent, child_id))
            self._know(join(parent, child_id), drawn.children[0])
            return StartChild(parent, child_id)
        child_id = self._rng.choice("abcde")
        path = join(parent, child_id)
        self._places.append((parent, child_id))
        if path in self._kinds or self._rng.random() < 0.8:
            worker = self._worker(child_id, drawn)
            if drawn.auto_shutdown == "never" and worker.restart != "permanent" and self._rng.random() < 0.1:
                worker = Worker(child_id, worker.restart, True, worker.shutdown, worker.hangs)  # it will be refused
            self._workers.setdefault(path, worker)
            return StartChild(parent, worker)
        return StartChild(parent, self._supervisor(child_id, 1, path, drawn))

    def _know(self, path: str, template: Node) -> None:
        if isinstance(template, Worker):
            self._workers[path] = template
            return
        self._kinds[path] = template
        for child in template.children:
            self._places.append((path, child.id))
            self._know(join(path, child.id), child)

    def _call(self, parent: str | None) -> Call:
        places = [place for place in self._places if parent is None or place[0] == parent]
        above, child_id = self._rng.choice(places) if places else (parent or "", "nobody")
        if self._kinds[above].is_dynamic:
            # Row "children of a dynamic supervisor": there, the other calls are refused.
            return Call("terminate_child", above, child_id, dynamic=True)
        return Call(self._rng.choice(_VERBS), above, child_id)

    def _together(self) -> list[Command]:
        parents = [parent for parent in self._kinds if len(self._below(parent)) > 1]
        if not parents:
            return [self._finish()]
        parent = self._focus if self._focus in parents else self._rng.choice(parents)
        workers = self._below(parent)
        chosen = self._rng.sample(workers, self._rng.randint(2, min(3, len(workers))))
        if self._rng.random() < 0.4:  # and do not start again at first
            failing = [Starts(path, "fail", self._rng.choice((1, 2, 3, _FOREVER))) for path in chosen]
            return [*failing, Together(parent, tuple(Finish(path, "crash") for path in chosen))]
        hows = ("crash", "crash", "normal", "shutdown", "shutdown_term")
        return [Together(parent, tuple(Finish(path, self._rng.choice(hows)) for path in chosen))]

    def _held(self) -> Command:
        if self._rng.random() < 0.15:
            starting = self._start_child(self._parent())
            name = starting.spec if isinstance(starting.spec, str) else starting.spec.id
            if join(starting.parent, name) in self._workers:
                return self._while_starting(join(starting.parent, name), starting)
        lasting = [path for path, worker in self._workers.items() if worker.restart != "temporary"]
        near = [path for path in self._near() if path in lasting]
        if not lasting:
            return self._start_child(self._parent())
        path = self._rng.choice(near or lasting)
        parent, _, child_id = path.rpartition("/")
        siblings = self._below(parent)
        trigger: Finish | Call | StartChild
        kind = self._rng.random()
        if kind < 0.7 or self._kinds[parent].is_dynamic:
            trigger = Finish(path, self._rng.choice(("crash", "kill")))
        elif kind < 0.85:
            trigger = self._finish(siblings)
        else:
            trigger = Call("restart_child", parent, child_id)
        return self._while_starting(path, trigger)

    def _while_starting(self, path: str, trigger: Finish | Call | StartChild) -> Hold:
        parent = path.rpartition("/")[0]
        siblings = self._below(parent)
        during: list[Finish | Call | StartChild] = []
        for _ in range(self._rng.randint(0, 4)):
            drawn = self._during(parent, siblings)
            if _is_comparable_hold(Hold(path, trigger, (*during, drawn), "ok")):
                during.append(drawn)
        return Hold(path, trigger, tuple(during), self._rng.choice(("ok", "fail")))

    def _during(self, parent: str, siblings: list[str]) -> Finish | Call | StartChild:
        kind = self._rng.random()
        if kind < 0.25:
            return self._finish(siblings)
        if kind < 0.4:  # a nested supervisor acts while this one waits, and perhaps ends
            return self._finish([path for path in self._workers if parent == "" or path.startswith(f"{parent}/")])
        if kind < 0.85:
            return self._call(parent)
        return self._start_child(parent)


def is_comparable(script: Script) -> bool:
    """Tell whether the script asks for nothing in which bifrost differs from OTP on purpose."""
    started: set[str] = set()
    for command in _flat(script.commands):
        if isinstance(command, StartChild) and isinstance(command.spec, str):
            path = join(command.parent, command.spec)
            if path in started:
                return False
            started.add(path)
    return all(_is_comparable_hold(one) for one in script.commands if isinstance(one, Hold))


def _is_comparable_hold(hold: Hold) -> bool:
    """Row "children of a dynamic supervisor": a child whose pid changes meanwhile keeps its id."""
    changing = {hold.path}
    for one in (hold.trigger, *hold.during):
        if isinstance(one, Finish):
            changing |= {one.path[:at] for at in range(len(one.path)) if one.path[at] == "/"} | {one.path}
        elif isinstance(one, StartChild) and isinstance(one.spec, str):
            changing.add(join(one.parent, one.spec))
        elif isinstance(one, Call) and one.dynamic and join(one.parent, one.id) in changing:
            return False
    return True


def _flat(commands: Sequence[Command]) -> Iterator[Command]:
    for command in commands:
        if isinstance(command, Hold):
            yield command.trigger
            yield from command.during
        elif isinstance(command, Together):
            yield from command.ends
        else:
            yield command
