"""Compares two traces of one script: exactly where OTP's order is fixed, by sets where OTP leaves it open.

In: two traces. Out: the same traces in one canonical order, and a picture of both side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, zip_longest

from tests.differential.script import Script, Supervisor, Together, opening_words, supervisors, words

__all__ = ["canonical", "show"]


def canonical(script: Script, trace: Sequence[str]) -> list[str]:
    """The trace in an order that does not depend on what OTP leaves open.

    Children of a dynamic supervisor are stopped in parallel: neighbouring lines about their ends are sorted by child.
    Children that end together have ended before their supervisor looks: their lines come first, as commanded.
    """
    lines: list[str] = []
    dynamic = tuple(f"{path}/" for path, one in supervisors(script.tree) if one.is_dynamic)
    for block in _blocks(trace):
        ordered = _commanded_first(script, block)
        for key, group in groupby(ordered, key=lambda line: _stopped_under(line, dynamic)):
            together = list(group)
            lines += sorted(together, key=lambda line: _child(line, key)) if key else together
    return lines


def _blocks(trace: Sequence[str]) -> list[list[str]]:
    blocks: list[list[str]] = [[]]
    for line in trace:
        if line.startswith("> "):
            blocks.append([])
        blocks[-1].append(line)
    return blocks


def _commanded_first(script: Script, block: list[str]) -> list[str]:
    number = block[0].removeprefix("> ") if block else ""
    command = script.commands[int(number) - 1] if number.isdigit() else None
    if not isinstance(command, Together):
        return block
    first = []
    rest = list(block[1:])
    for end in command.ends:
        found = next((line for line in rest if line.startswith(f"down {end.path} ")), None)
        if found is not None:
            rest.remove(found)
            first.append(found)
    return [block[0], *first, *rest]


def _stopped_under(line: str, dynamic: tuple[str, ...]) -> str:
    for prefix in dynamic:
        if line.startswith(f"down {prefix}") and line.endswith((" shutdown", " killed")):
            return prefix
    return ""


def _child(line: str, prefix: str) -> str:
    return line.removeprefix(f"down {prefix}").split(" ")[0].split("/")[0]


def show(script: Script, otp: Sequence[str], bifrost: Sequence[str]) -> str:
    """The tree, the commands, and both traces side by side; ``!`` marks the first line that differs."""
    lines = [*_tree(script.tree, "root"), *(f"  at first, {words(one)}" for one in script.broken), ""]
    if script.opening is not None:
        lines.insert(-1, f"  at first, {opening_words(script.opening)}")
    marked = False
    lines.append(f"  {'OTP':<58}  bifrost")
    for left, right in zip_longest(_told(script, otp), _told(script, bifrost), fillvalue=""):
        mark = " " if left == right or marked else "!"
        marked = marked or left != right
        lines.append(f"{mark} {left:<58}  {right}")
    return "\n".join(lines)


def _told(script: Script, trace: Sequence[str]) -> list[str]:
    told = []
    for line in trace:
        number = line.removeprefix("> ")
        told.append(f"> {words(script.commands[int(number) - 1])}" if number.isdigit() else line)
    return told


def _tree(node: Supervisor, name: str, indent: str = "  ") -> list[str]:
    flags = f"{node.strategy}, intensity {node.intensity}, auto_shutdown {node.auto_shutdown}, {node.restart}"
    lines = [f"{indent}{name}: {flags}{', significant' if node.significant else ''}"]
    for child in node.children:
        if isinstance(child, Supervisor):
            lines += _tree(child, child.id, f"{indent}  ")
        else:
            traits = [child.restart, f"shutdown {child.shutdown}"]
            traits += ["significant"] if child.significant else []
            traits += ["ignores its shutdown"] if child.hangs else []
            lines.append(f"{indent}  {child.id}: {', '.join(traits)}")
    return lines
