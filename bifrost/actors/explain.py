"""What an actor is doing, and why it does not go on.

In: a cell. Out: a frozen value that reads well when printed: state, message in hand, the stack of the handler down to
what it awaits, which actors it waits for, and whether these wait for it.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from bifrost.actors.await_chain import describe_frame
from bifrost.actors.cell import Cell
from bifrost.actors.state import ActorState
from bifrost.actors.waits import frames_of, handler_task, thread_of, wait_chain
from bifrost.actors.worker import WorkerCell

__all__ = ["Explanation", "explain"]

_THREADING = threading.__file__
_RUNTIME = os.path.dirname(__file__) + os.sep  # noqa: PTH120 - compared with file names of code, which are strings


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One actor at one moment; `str` of it is a report for people.

    Attributes:
        path: its path.
        state: where it stands.
        incarnation: which life, from 1.
        message: type of the message in hand; None if there is none.
        seconds: how long the handler or hook has been suspended; None if it has not.
        stack: the handler's lines, outermost first; each task, or thread, that it waits for is set in further.
        waits: who waits for whom, from this actor on, in words.
        is_ring: true if the waits close to a ring: nobody in it goes on before a deadline passes.
        mailbox_depth: messages that wait.
        tasks: the actor's own tasks beside the handler, each with its innermost line.
        last_crash: the last crash or failed start in words, or None.
    """

    path: str
    state: ActorState
    incarnation: int
    message: str | None
    seconds: float | None
    stack: tuple[str, ...]
    waits: tuple[str, ...]
    is_ring: bool
    mailbox_depth: int
    tasks: tuple[str, ...]
    last_crash: str | None

    def __str__(self) -> str:
        since = "" if self.seconds is None else f" for {self.seconds:.3g} s"
        doing = "idle" if self.message is None and not self.stack else f"{self.message or 'a hook'} in hand{since}"
        lines = [f"{self.path}: {self.state.value}, incarnation {self.incarnation}, {doing}"]
        if self.mailbox_depth:
            lines[0] += f"; {self.mailbox_depth} {'message waits' if self.mailbox_depth == 1 else 'messages wait'}"
        for line in self.stack:
            place = line.lstrip()
            lines.append(f"  {line[: -len(place)]}at {place}")
        lines += [f"  {wait}" for wait in self.waits]
        if self.is_ring:
            lines.append("  this is a ring: nobody in it goes on before a deadline passes")
        lines += [f"  beside it: {task}" for task in self.tasks]
        if self.last_crash is not None:
            lines.append(f"  last crash: {self.last_crash}")
        return "\n".join(lines)


def explain(cell: Cell) -> Explanation:
    """Look at `cell` as it stands now; on the loop's thread."""
    message = seconds = None
    stack: list[str] = []
    tasks: list[str] = []
    inc = cell.present if isinstance(cell, WorkerCell) else None
    if inc is not None:
        message, seconds = inc.handling, inc.suspended_for
        task = handler_task(cell)
        if task is not None:
            frames = list(frames_of(task))
            # The runtime's own frames around the handler tell nothing.
            while len(frames) > 1 and frames[0][1].f_code.co_filename.startswith(_RUNTIME):
                frames.pop(0)
            stack = ["  " * depth + describe_frame(frame) for depth, frame in frames]
            stack += [f"  {line}" for line in _lines_in_thread(cell)]
        for beside in inc.tasks or ():
            lines = [describe_frame(frame) for _, frame in frames_of(beside)]
            tasks.append(f"task {beside.get_name().rpartition(':')[2]}" + (f" at {lines[-1]}" if lines else ""))
    waits, is_ring = wait_chain(cell)
    return Explanation(
        path=cell.path,
        state=cell.state,
        incarnation=cell.incarnation,
        message=message,
        seconds=seconds,
        stack=tuple(stack),
        waits=tuple(str(wait) for wait in waits),
        is_ring=is_ring,
        mailbox_depth=cell.waiting_messages(),
        tasks=tuple(sorted(tasks)),
        last_crash=cell.last_crash,
    )


def _lines_in_thread(cell: Cell) -> list[str]:
    """Where the thread of a blocking actor stands, without what starts every thread."""
    thread = thread_of(cell)
    lines = [] if thread is None else thread.stack()
    own = next((number for number, line in enumerate(lines) if not line.startswith((_RUNTIME, _THREADING))), len(lines))
    return [os.path.basename(line) for line in lines[own:]]  # noqa: PTH119 - a line of text that begins with a path
