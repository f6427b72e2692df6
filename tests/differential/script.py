"""What a differential run is made of: a supervision tree and the commands that are given to it.

In: nothing. Out: frozen values; `as_term` writes a script as the Erlang term that `otp_driver.escript` reads, and
`words` says a command in words.

Paths name places in the tree: ``a``, ``s/b``; the root's is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = [
    "Call",
    "Command",
    "Finish",
    "Hold",
    "Node",
    "Opening",
    "Script",
    "StartChild",
    "Starts",
    "Supervisor",
    "Together",
    "Worker",
    "as_term",
    "join",
    "opening_words",
    "supervisors",
    "words",
]


@dataclass(frozen=True, slots=True)
class Worker:
    """A child that does nothing until it is told to end.

    Attributes:
        id: its id.
        restart: OTP's word.
        significant: its own end may end its supervisor.
        shutdown: ``timeout``, ``infinity`` or ``brutal_kill``.
        hangs: it ignores that it is asked to stop.
    """

    id: str
    restart: str = "permanent"
    significant: bool = False
    shutdown: str = "timeout"
    hangs: bool = False


@dataclass(frozen=True, slots=True)
class Supervisor:
    """A supervisor; with ``simple_one_for_one``, `children` holds the one template.

    Attributes:
        id: its id; the root's is not used.
        strategy: OTP's word.
        intensity: restarts allowed; the period is longer than any script.
        auto_shutdown: OTP's word.
        restart: when it is restarted itself.
        significant: its own end may end its supervisor.
        children: in start order.
    """

    id: str
    strategy: str = "one_for_one"
    intensity: int = 3
    auto_shutdown: str = "never"
    restart: str = "permanent"
    significant: bool = False
    children: tuple[Node, ...] = ()

    @property
    def is_dynamic(self) -> bool:
        """True if children come and go at run time only."""
        return self.strategy == "simple_one_for_one"


Node = Worker | Supervisor


@dataclass(frozen=True, slots=True)
class Finish:
    """The child at `path` ends: ``crash``, ``kill``, ``normal``, ``shutdown`` or ``shutdown_term``."""

    path: str
    how: str


@dataclass(frozen=True, slots=True)
class Starts:
    """From now on, the next `times` starts of the worker at `path` ``fail``, or say ``ignore``."""

    path: str
    how: str
    times: int


@dataclass(frozen=True, slots=True)
class StartChild:
    """``start_child``; `spec` is an id if the supervisor is dynamic."""

    parent: str
    spec: Node | str


@dataclass(frozen=True, slots=True)
class Call:
    """``terminate_child``, ``restart_child`` or ``delete_child``; `dynamic` says what kind the supervisor is."""

    verb: str
    parent: str
    id: str
    dynamic: bool = False


@dataclass(frozen=True, slots=True)
class Together:
    """Several children of one supervisor end before it looks."""

    parent: str
    ends: tuple[Finish, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """`trigger` is given; the start of `path` that follows from it waits until all of `during` is given.

    Attributes:
        path: the worker.
        trigger: what leads to its start.
        during: what happens while the supervisor waits for that start.
        outcome: how the start then ends: ``ok`` or ``fail``.
    """

    path: str
    trigger: Finish | Call | StartChild
    during: tuple[Finish | Call | StartChild, ...]
    outcome: str


@dataclass(frozen=True, slots=True)
class Opening:
    """While the tree starts, the start of the root's worker `path` waits until `ends` have ended, and then ends itself.

    Attributes:
        path: the worker.
        ends: workers that run by then.
        outcome: how the start then ends: ``ok`` or ``fail``.
    """

    path: str
    ends: tuple[Finish, ...]
    outcome: str


Command = Finish | Starts | StartChild | Call | Together | Hold


@dataclass(frozen=True, slots=True)
class Script:
    """A tree, how it starts, and what is done then; at the end the tree is stopped.

    Attributes:
        tree: the root and all below it.
        broken: starts that fail from the beginning.
        opening: what happens while the tree starts.
        commands: what is done then, one after the other.
    """

    tree: Supervisor
    broken: tuple[Starts, ...] = ()
    opening: Opening | None = None
    commands: tuple[Command, ...] = ()


def join(parent: str, child_id: str) -> str:
    """The path of a child."""
    return f"{parent}/{child_id}" if parent else child_id


def supervisors(node: Supervisor, path: str = "") -> Iterator[tuple[str, Supervisor]]:
    """Every supervisor that the specification names, with its path; templates are not among them."""
    yield path, node
    if not node.is_dynamic:
        for child in node.children:
            if isinstance(child, Supervisor):
                yield from supervisors(child, join(path, child.id))


def as_term(number: int, script: Script) -> str:
    """The script as a term: ``{script, Number, Tree, Broken, Opening, Commands}``, with a full stop."""
    broken = ",".join(f"{{{_text(one.path)},{{{one.how},{one.times}}}}}" for one in script.broken)
    opening = "none" if script.opening is None else _opening(script.opening)
    commands = ",\n  ".join(_command(command) for command in script.commands)
    return f"{{script,{number},\n {_node(script.tree)},\n [{broken}],\n {opening},\n [{commands}]}}.\n"


def _text(text: str) -> str:
    return f'"{text}"'


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _node(node: Node) -> str:
    common = f"restart=>{node.restart},significant=>{_bool(node.significant)}"
    if isinstance(node, Worker):
        return f"{{worker,{_text(node.id)},#{{{common},shutdown=>{node.shutdown},hangs=>{_bool(node.hangs)}}}}}"
    flags = f"strategy=>{node.strategy},intensity=>{node.intensity},auto_shutdown=>{node.auto_shutdown}"
    children = ",\n   ".join(_node(child) for child in node.children)
    return f"{{supervisor,{_text(node.id)},#{{{common},{flags}}},[{children}]}}"


def _opening(opening: Opening) -> str:
    return f"{{{_text(opening.path)},{_ends(opening.ends)},{opening.outcome}}}"


def _ends(ends: tuple[Finish, ...]) -> str:
    return f"[{','.join(f'{{{_text(end.path)},{end.how}}}' for end in ends)}]"


def _command(command: Command) -> str:
    if isinstance(command, Finish):
        return f"{{finish,{_text(command.path)},{command.how}}}"
    if isinstance(command, Starts):
        return f"{{starts,{_text(command.path)},{{{command.how},{command.times}}}}}"
    if isinstance(command, StartChild):
        dynamic = isinstance(command.spec, str)
        spec = _text(command.spec) if isinstance(command.spec, str) else _node(command.spec)
        return f"{{start_child,{_text(command.parent)},{spec},{'dynamic' if dynamic else 'static'}}}"
    if isinstance(command, Call):
        kind = "dynamic" if command.dynamic else "static"
        return f"{{call,{command.verb},{_text(command.parent)},{_text(command.id)},{kind}}}"
    if isinstance(command, Together):
        return f"{{together,{_text(command.parent)},{_ends(command.ends)}}}"
    during = ",".join(_command(one) for one in command.during)
    return f"{{hold,{_text(command.path)},{_command(command.trigger)},[{during}],{command.outcome}}}"


def words(command: Command) -> str:
    """The command as a person would say it."""
    if isinstance(command, Finish):
        return f"{command.how} {command.path}"
    if isinstance(command, Starts):
        return f"let the next {command.times} starts of {command.path} {command.how}"
    if isinstance(command, StartChild):
        what = command.spec if isinstance(command.spec, str) else command.spec.id
        return f"start_child {join(command.parent, what)}"
    if isinstance(command, Call):
        return f"{command.verb} {join(command.parent, command.id)}"
    if isinstance(command, Together):
        return "together: " + ", ".join(words(end) for end in command.ends)
    return f"{words(command.trigger)}; {_meanwhile(command.path, command.during, command.outcome)}"


def opening_words(opening: Opening) -> str:
    """The same, of an opening."""
    return _meanwhile(opening.path, opening.ends, opening.outcome)


def _meanwhile(path: str, during: Sequence[Command], outcome: str) -> str:
    return f"while {path} starts: {', '.join(map(words, during)) or 'nothing'}; it starts: {outcome}"
