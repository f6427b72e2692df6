"""Makes a script that shows a mismatch smaller, as long as the smaller one shows a mismatch too.

In: a script and what tells a mismatch. Out: a script from which nothing more can be taken away, one step at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tests.differential.generate import is_comparable
from tests.differential.script import (
    Call,
    Command,
    Hold,
    Node,
    Opening,
    Script,
    StartChild,
    Supervisor,
    Together,
    Worker,
)

__all__ = ["shrink", "size"]

C = TypeVar("C", bound=Command)

_MOST_ROUNDS = 200


def shrink(script: Script, differ: Callable[[Sequence[Script]], list[bool]]) -> Script:
    """Return a smallest script.

    Args:
        script: shows a mismatch.
        differ: tells of each of several scripts whether it shows one.
    """
    for _ in range(_MOST_ROUNDS):
        smaller = [one for one in dict.fromkeys(_smaller(script)) if is_comparable(one)]
        verdicts = differ(smaller)
        better = [one for one, differs in zip(smaller, verdicts, strict=True) if differs]
        if not better:
            break
        script = min(better, key=size)
    return script


def size(script: Script) -> tuple[int, int]:
    """How much there is to read: commands and children, then the options that are not the plainest."""
    commands = sum(map(_command_size, script.commands)) + len(script.broken)
    commands += 1 + len(script.opening.ends) if script.opening else 0
    children, options = _node_size(script.tree)
    return commands + children, options + sum(one.times for one in script.broken)


def _command_size(command: Command) -> int:
    if isinstance(command, Hold):
        return 2 + len(command.during)
    return len(command.ends) if isinstance(command, Together) else 1


def _node_size(node: Node) -> tuple[int, int]:
    plain = Supervisor(node.id) if isinstance(node, Supervisor) else Worker(node.id)
    options = sum(
        getattr(node, field.name) != getattr(plain, field.name)
        for field in dataclasses.fields(node)
        if field.name != "children"
    )
    below = [_node_size(child) for child in node.children] if isinstance(node, Supervisor) else []
    return 1 + sum(one for one, _ in below), options + sum(one for _, one in below)


def _smaller(script: Script) -> Iterator[Script]:
    commands, broken = script.commands, script.broken
    count = len(commands)
    for length in sorted({count // 2, count // 4, 1} - {0}, reverse=True):  # runs of commands, long ones first
        for at in range(0, count, length):
            yield dataclasses.replace(script, commands=commands[:at] + commands[at + length :])
    for opening in _smaller_openings(script.opening):
        yield dataclasses.replace(script, opening=opening)
    for at in range(len(broken)):
        yield dataclasses.replace(script, broken=broken[:at] + broken[at + 1 :])
    for at, command in enumerate(commands):
        for other in _smaller_commands(command):
            yield dataclasses.replace(script, commands=(*commands[:at], other, *commands[at + 1 :]))
    for child in script.tree.children:
        if isinstance(child, Supervisor) and not child.is_dynamic:
            yield _only(script, child)
    for tree in _smaller_nodes(script.tree):
        assert isinstance(tree, Supervisor)
        yield dataclasses.replace(script, tree=tree)


def _smaller_openings(opening: Opening | None) -> Iterator[Opening | None]:
    if opening is not None:
        yield None
        for at in range(len(opening.ends)):
            yield dataclasses.replace(opening, ends=opening.ends[:at] + opening.ends[at + 1 :])


def _only(script: Script, child: Supervisor) -> Script:
    """The script with `child` as its root: what concerns the rest of the tree is left out."""
    prefix = f"{child.id}/"
    tree = dataclasses.replace(child, id="", restart="permanent", significant=False)
    broken = tuple(_without(prefix, one) for one in script.broken if _concerns(child.id, one))
    return Script(
        tree, broken, None, tuple(_without(prefix, one) for one in script.commands if _concerns(child.id, one))
    )


def _concerns(child_id: str, command: Command) -> bool:
    place = command.parent if isinstance(command, StartChild | Call | Together) else command.path
    return place.split("/")[0] == child_id and (place != child_id or isinstance(command, StartChild | Call | Together))


def _without(prefix: str, command: C) -> C:
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(command):
        value = getattr(command, field.name)
        if field.name in {"path", "parent"}:
            changed[field.name] = f"{value}/".removeprefix(prefix).removesuffix("/")
        elif field.name == "trigger":
            changed[field.name] = _without(prefix, value)
        elif field.name in {"during", "ends"}:
            changed[field.name] = tuple(_without(prefix, one) for one in value)
    return dataclasses.replace(command, **changed)


def _smaller_commands(command: Command) -> Iterator[Command]:
    if isinstance(command, Together):
        yield from command.ends
        for at in range(len(command.ends)):
            if len(command.ends) > 2:
                yield Together(command.parent, command.ends[:at] + command.ends[at + 1 :])
    elif isinstance(command, Hold):
        yield command.trigger
        for at in range(len(command.during)):
            yield dataclasses.replace(command, during=command.during[:at] + command.during[at + 1 :])
        if command.outcome != "ok":
            yield dataclasses.replace(command, outcome="ok")


def _smaller_nodes(node: Node) -> Iterator[Node]:
    """The node with one child less, with a worker for a subtree, or with one option in its plainest form."""
    if isinstance(node, Supervisor):
        if not node.is_dynamic:
            for at, child in enumerate(node.children):
                before, after = node.children[:at], node.children[at + 1 :]
                yield dataclasses.replace(node, children=before + after)
                if isinstance(child, Supervisor):
                    yield dataclasses.replace(node, children=(*before, Worker(child.id), *after))
        for at, child in enumerate(node.children):
            for other in _smaller_nodes(child):
                yield dataclasses.replace(node, children=(*node.children[:at], other, *node.children[at + 1 :]))
    plain: Node = Supervisor(node.id) if isinstance(node, Supervisor) else Worker(node.id)
    for field in dataclasses.fields(node):
        value = getattr(plain, field.name)
        if field.name in {"children", "strategy"} and isinstance(node, Supervisor) and node.is_dynamic:
            continue
        if field.name != "children" and getattr(node, field.name) != value and _is_valid(node, field.name):
            yield dataclasses.replace(node, **{field.name: value})


def _is_valid(node: Node, plainer: str) -> bool:
    """A permanent child is never significant, nor is any under ``auto_shutdown=never``."""
    if plainer == "restart":
        return not node.significant
    if plainer == "auto_shutdown":
        return isinstance(node, Supervisor) and not any(child.significant for child in node.children)
    return True
