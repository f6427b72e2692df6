"""Ctrl-C and SIGTERM as an orderly stop: the first one asks, the second one ends the process at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["stop_signals"]


@contextlib.contextmanager
def stop_signals(stop: asyncio.Event, *, told: Callable[[str], None]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM set `stop`; from the second on they do what they always do.

    Args:
        stop: of the running loop.
        told: called with the name of the first signal, in the middle of anything.
    """
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}
    seen: list[int] = []

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop_once(number: int, _frame: object) -> None:
        if seen:
            restore()
            signal.raise_signal(number)
            return
        seen.append(number)
        told(signal.Signals(number).name)
        loop.call_soon_threadsafe(stop.set)  # the handler may run in the middle of anything

    # signal.signal and not loop.add_signal_handler: the latter is missing on Windows.
    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, stop_once)
    try:
        yield
    finally:
        restore()
