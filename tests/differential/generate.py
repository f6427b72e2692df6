"""Draws random scripts. The same seed gives the same script, whatever the platform.

In: a seed. Out: a script that avoids exactly what `docs/concepts/supervision.md` lists under "Where bifrost differs from
OTP"; `is_comparable` says the same of a script that was made smaller. Each avoidance names its row.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.differential.script import (
    Call,
    Command,
    FailStarts,
    Finish,
    Hold,
    Node,
    Script,
    StartChild,
    Supervisor,
    Together,
    Worker,
    join,
)

__all__ = ["draw_script", "is_comparable"]

_FOREVER = 1_000_000
_STATIC = ("one_for_one", "one_for_all", "rest_for_one")
_HOWS = ("crash", "crash", "crash", "kill", "normal", "shutdown", "shutdown_term")


def draw_script(seed: int) -> Script:
    """The script of `seed`."""
    return _Draw(random.Random(seed)).script()


class _Draw:
    """One script in the making: what was drawn so far decides what can be named."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._kinds: dict[str, Supervisor] = {}
        self._workers: list[str] = []
        self._places: list[tuple[str, str]] = []
        self._fresh = 0

    def script(self) -> Script:
        tree = self._supervisor("", depth=self._rng.choice((1, 1, 2, 2, 3)), path="", parent=None)
        broken = ()
        if self._workers and self._rng.random() < 0.1:
            broken = (FailStarts(self._rng.choice(self._workers), self._rng.choice((1, 2, _FOREVER))),)
        commands = tuple(self._command() for _ in range(self._rng.randint(1, 12)))
        return Script(tree, broken, commands)

    # Trees

    def _supervisor(self, child_id: str, depth: int, path: str, parent: Supervisor | None) -> Supervisor:
        rng = self._rng
        restart, significant = self._restart(parent)
        drawn = Supervisor(
            id=child_id,
            strategy=rng.choice(_STATIC),
            # Row "default intensity": always given.
            intensity=rng.choice((0, 1, 1, 2, 2, 3, 4)),
            auto_shutdown=rng.choice(("never", "never", "any_significant", "all_significant")),
            restart=restart,
            significant=significant,
        )
        self._kinds[path] = drawn
        children = []
        for name in "abcd"[: rng.randint(0 if depth == 1 else 1, 4)]:
            children.append(self._node(name, depth - 1, join(path, name), drawn))
            self._places.append((path, name))
        return Supervisor(
            drawn.id, drawn.strategy, drawn.intensity, drawn.auto_shutdown, restart, significant, tuple(children)
        )

    def _node(self, child_id: str, depth: int, path: str, parent: Supervisor) -> Node:
        kind = self._rng.random()
        if depth and kind < 0.2:
            return self._dynamic(child_id, path, parent)
        if depth and kind < 0.7:
            return self._supervisor(child_id, depth, path, parent)
        self._workers.append(path)
        return self._worker(child_id, parent)

    def _dynamic(self, child_id: str, path: str, parent: Supervisor) -> Supervisor:
        restart, significant = self._restart(parent)
        template = self._worker("template", None)
        drawn = Supervisor(
            id=child_id,
            strategy="simple_one_for_one",
            intensity=self._rng.choice((0, 1, 2, 3)),
            restart=restart,
            significant=False if significant else significant,
            children=(template,),
        )
        self._kinds[path] = drawn
        return drawn

    def _worker(self, child_id: str, parent: Supervisor | None) -> Worker:
        restart, significant = self._restart(parent)
        hangs = self._rng.random() < 0.04
        # A hanging worker without a limit would never end, here or there.
        shutdown = "timeout" if hangs else self._rng.choice(("timeout", "timeout", "infinity"))
        return Worker(child_id, restart, significant, shutdown, hangs)

    def _restart(self, parent: Supervisor | None) -> tuple[str, bool]:
        restart = self._rng.choice(("permanent", "permanent", "transient", "temporary"))
        can_be = parent is not None and parent.auto_shutdown != "never" and restart != "permanent"
        return restart, can_be and self._rng.random() < 0.6

    # Commands

    def _command(self) -> Command:
        kind = self._rng.random()
        if kind < 0.34:
            return self._finish()
        if kind < 0.42 and self._workers:
            times = self._rng.choice((0, 1, 1, 2, 3, _FOREVER))
            return FailStarts(self._rng.choice(self._workers), times)
        if kind < 0.54:
            return self._start_child(self._rng.choice(list(self._kinds)))
        if kind < 0.76:
            return self._call()
        if kind < 0.84:
            return self._together()
        return self._held()

    def _finish(self, among: Sequence[str] = ()) -> Finish:
        names = among or self._workers
        return Finish(self._rng.choice(names) if names else "nobody", self._rng.choice(_HOWS))

    def _start_child(self, parent: str) -> StartChild:
        drawn = self._kinds[parent]
        if drawn.is_dynamic:
            self._fresh += 1
            # Row "children of a dynamic supervisor": an id of one's own for each child.
            child_id = f"d{self._fresh}"
            self._workers.append(join(parent, child_id))
            self._places.append((parent, child_id))
            return StartChild(parent, child_id)
        child_id = self._rng.choice("abcde")
        path = join(parent, child_id)
        self._places.append((parent, child_id))
        if path in self._kinds or self._rng.random() < 0.8:
            self._workers.append(path)
            worker = self._worker(child_id, drawn)
            if drawn.auto_shutdown == "never" and worker.restart != "permanent" and self._rng.random() < 0.1:
                worker = Worker(child_id, worker.restart, True, worker.shutdown, worker.hangs)
            return StartChild(parent, worker)
        return StartChild(parent, self._supervisor(child_id, 1, path, drawn))

    def _call(self, parent: str | None = None) -> Call:
        places = [place for place in self._places if parent is None or place[0] == parent]
        above, child_id = self._rng.choice(places) if places else (parent or "", "nobody")
        dynamic = self._kinds[above].is_dynamic
        if dynamic:
            # Row "children of a dynamic supervisor": the other calls are by id only.
            return Call("terminate_child", above, child_id, dynamic=True)
        verb = self._rng.choice(
            ("terminate_child", "terminate_child", "restart_child", "restart_child", "delete_child")
        )
        return Call(verb, above, child_id)

    def _below(self, parent: str) -> list[str]:
        return [path for path in self._workers if path.rpartition("/")[0] == parent]

    def _together(self) -> Command:
        parent = self._rng.choice(list(self._kinds))
        workers = sorted(set(self._below(parent)))
        if len(workers) < 2:
            return self._finish(workers)
        ends = tuple(
            Finish(path, self._rng.choice(("crash", "crash", "normal", "shutdown", "shutdown_term")))
            for path in self._rng.sample(workers, self._rng.randint(2, min(3, len(workers))))
        )
        return Together(parent, ends)

    def _held(self) -> Command:
        if not self._workers:
            return self._start_child(self._rng.choice(list(self._kinds)))
        path = self._rng.choice(self._workers)
        parent, _, child_id = path.rpartition("/")
        siblings = sorted(set(self._below(parent)))
        trigger: Finish | Call | StartChild
        kind = self._rng.random()
        if kind < 0.6 or self._kinds[parent].is_dynamic:
            trigger = Finish(path, self._rng.choice(("crash", "kill")))
        elif kind < 0.8:
            trigger = self._finish(siblings)
        else:
            trigger = Call("restart_child", parent, child_id)
        during: list[Finish | Call | StartChild] = []
        for _ in range(self._rng.randint(0, 4)):
            drawn = self._during(parent, siblings)
            if is_comparable(Script(Supervisor(""), (), (Hold(path, trigger, (*during, drawn), "ok"),))):
                during.append(drawn)
        return Hold(path, trigger, tuple(during), self._rng.choice(("ok", "fail")))

    def _during(self, parent: str, siblings: list[str]) -> Finish | Call | StartChild:
        kind = self._rng.random()
        if kind < 0.4:
            return self._finish(siblings)
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
    """Row "children of a dynamic supervisor": a pid that ended is no longer the child, the id still is."""
    ended = {hold.path}
    for one in (hold.trigger, *hold.during):
        if isinstance(one, Finish):
            ended.add(one.path)
        elif isinstance(one, Call) and one.dynamic and join(one.parent, one.id) in ended:
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
