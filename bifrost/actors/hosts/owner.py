"""Whether anybody is left in the process who could close a portal.

In: the thread that owns it, or none. Out: yes or no; nothing is waited for.
"""

from __future__ import annotations

import sys
import threading

__all__ = ["is_anybody_left", "main_thread_is_over"]


def main_thread_is_over() -> bool:
    """True once the main thread has come to the end of the program and at most waits for other threads."""
    main = threading.main_thread()
    frame = sys._current_frames().get(main.ident or 0)  # noqa: SLF001 - documented, and the only way
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    if frame is not None and frame.f_code.co_name == "_shutdown" and frame.f_globals.get("__name__") == "threading":
        return True  # it may wait in there for a job of ours, and for that it is not too early
    return not main.is_alive()


def is_anybody_left(owner: threading.Thread | None) -> bool:
    """True while `owner` lives; without one, while the program or a thread of its own goes on.

    Daemons do not count, for they end with the process, nor do the threads of other portals.
    """
    if owner is not None:
        return owner.is_alive()
    if not main_thread_is_over():
        return True
    return any(
        not thread.daemon and not thread.name.startswith("bifrost-")
        for thread in threading.enumerate()
        if thread is not threading.main_thread()
    )
