"""Room on the stack for what must not be cut short.

In: code that puts the runtime's books in order after somebody has used up the stack. Out: its completion. An asker may
stand at the interpreter's limit of recursion; the handler that runs on its stack then fails, and telling the
supervisor of it takes frames, too. The limit belongs to the whole process, so it is lifted for as short as possible,
and by one thread at a time: two that lift it at once would put back each other's value.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["headroom", "is_out_of_stack"]

_FRAMES = 200
_LOCK = threading.RLock()


@contextmanager
def headroom() -> Iterator[None]:
    """Lift the limit of recursion inside the block."""
    with _LOCK:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + _FRAMES)
        try:
            yield
        finally:
            sys.setrecursionlimit(limit)


def is_out_of_stack(error: BaseException | None) -> bool:
    """True if `error` came of a stack that was used up, whatever was made of that on its way."""
    for _ in range(10):
        if error is None:
            return False
        if isinstance(error, RecursionError):
            return True
        error = error.__cause__ or error.__context__
    return False
