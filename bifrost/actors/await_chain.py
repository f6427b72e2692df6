"""Where a suspended coroutine stands: from the coroutine through all that it awaits, to the future at the end.

In: a coroutine, generator or task. Out: its frames, outermost first, and what the innermost one waits for. Unlike
`asyncio.Task.print_stack`, which shows the outermost frame alone, this goes all the way down. Not here: coroutines that
run at the moment, whose frames are on the thread's stack.
"""

from __future__ import annotations

import asyncio
import gc
import linecache
import os
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

from bifrost.actors.carrier import Carrier

__all__ = ["Chain", "await_chain", "describe_frame"]

_LIMIT = 500  # links of one chain: far more than a stack may be deep
_ATTRIBUTES = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


class Chain(NamedTuple):
    """One chain of awaits.

    Attributes:
        frames: outermost first.
        end: the future or task that the innermost frame waits for; None if that cannot be seen.
    """

    frames: list[FrameType]
    end: asyncio.Future[Any] | None


def await_chain(start: Any) -> Chain:
    """Follow `start`, a coroutine or a task, as far down as it can be seen."""
    frames: list[FrameType] = []
    node: Any = start.get_coro() if isinstance(start, asyncio.Task) else start
    for _ in range(_LIMIT):
        if node is None:
            break
        if asyncio.isfuture(node):
            return Chain(frames, node)
        node = _enter(node, frames)
    return Chain(frames, None)


def _enter(node: Any, frames: list[FrameType]) -> Any:
    """Note the frame of `node` and return what it awaits."""
    for frame_name, await_name in _ATTRIBUTES:
        if hasattr(node, frame_name):
            frame: FrameType | None = getattr(node, frame_name)
            if frame is None:
                return None  # it has ended, or has not begun
            frames.append(frame)
            return getattr(node, await_name)
    # What stands between two coroutines or before a future (a wrapper, an iterator) shows nothing of itself.
    for inner in gc.get_referents(node):
        if isinstance(inner, CoroutineType | GeneratorType | AsyncGeneratorType | Carrier) or asyncio.isfuture(inner):
            return inner
    return None


def describe_frame(frame: FrameType) -> str:
    """One line: ``press.py:41 in Press.receive: answer = await self.link.read()``."""
    code = frame.f_code
    text = linecache.getline(code.co_filename, frame.f_lineno, frame.f_globals).strip()
    place = f"{os.path.basename(code.co_filename)}:{frame.f_lineno} in {code.co_qualname}"  # noqa: PTH119 - may be <stdin>
    return f"{place}: {text}" if text else place
