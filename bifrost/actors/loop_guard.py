"""A thread that notices when an event loop does not turn, and says whose code holds it.

In: a system. Out: a log line with the stack of the loop's thread while it is held, and `LoopBlocked` once it turns
again. Times here are real: the loop's own clock may be virtual, and stands still when the loop does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Final

from bifrost.actors import events
from bifrost.actors.await_chain import describe_frame
from bifrost.actors.carrier import current_carrier

if TYPE_CHECKING:
    from bifrost.actors.system import ActorSystem

__all__ = ["LoopGuard"]

_log = logging.getLogger("bifrost.actors")

_LINES: Final = 12  # of the stack, innermost
_FOREIGN: Final = tuple(os.path.dirname(file) + os.sep for file in (asyncio.__file__, __file__))  # noqa: PTH120 - as in code
_JOIN = 2.0  # seconds for the thread to end: it only ever waits for its own signal


class LoopGuard:
    """Starts the thread; `stop` ends it.

    Args:
        system: whose loop.
        limit: seconds without a turn that are reported.
    """

    def __init__(self, system: ActorSystem, limit: float) -> None:
        self._system = system
        self._loop = system.loop
        self._thread_id = system.thread_id
        self._limit = limit
        self._turned = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"{system.name}: loop guard", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for its end."""
        self._ended.set()
        self._turned.set()
        self._thread.join(_JOIN)

    # In the thread

    def _watch(self) -> None:
        while not self._ended.wait(self._limit / 4):
            self._turned.clear()
            if self._ended.is_set() or not self._call(self._turned.set):
                return
            asked = time.monotonic()
            if self._turned.wait(self._limit) or not self._loop.is_running():
                continue
            path, where = self._look()
            self._tell(path, where, time.monotonic() - asked)
            silence = self._limit
            while not self._turned.wait(silence):
                silence *= 2
                path, where = self._look()
                self._tell(path, where, time.monotonic() - asked)
            if not self._ended.is_set():
                self._call(self._publish, path, where, time.monotonic() - asked)

    def _call(self, function: object, *args: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(function, *args)  # type: ignore[arg-type]
        except RuntimeError:
            return False  # the loop is closed
        return True

    def _look(self) -> tuple[str, tuple[str, ...]]:
        """Whose code holds the loop, and where it stands."""
        path = self._system.name
        carrier = current_carrier(self._loop)
        if carrier is not None and carrier.owner is not None and carrier.owner.ctx is not None:
            path = carrier.owner.ctx.path
        frames: list[FrameType] = []
        frame: FrameType | None = sys._current_frames().get(self._thread_id)  # noqa: SLF001 - the documented way
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
        lines = [describe_frame(one) for one in frames if not one.f_code.co_filename.startswith(_FOREIGN)]
        return path, tuple(reversed(lines[:_LINES]))

    def _tell(self, path: str, where: tuple[str, ...], seconds: float) -> None:
        stack = "".join(f"\n  at {line}" for line in where)
        _log.error("%s: the event loop has not turned for %.3g s%s", path, seconds, stack)

    # On the loop's thread

    def _publish(self, path: str, where: tuple[str, ...], seconds: float) -> None:
        self._system.publish(events.LoopBlocked, path, seconds=seconds, where=where)
