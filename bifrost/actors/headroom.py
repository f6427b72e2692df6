"""Room on the stack for what must not be cut short.

In: nothing. Out: a number and a lock. An asker may stand at the interpreter's limit of recursion; the handler that runs
on its stack then fails, and to tell the supervisor of it takes frames, too. So the limit is lifted while that is done:

    with LIMIT:
        sys.setrecursionlimit(sys.getrecursionlimit() + HEADROOM)

and lowered by as much afterwards. It is written out where it is needed, since a function would take a frame itself. The
limit belongs to the whole process: each thread adds and takes away its own share, under the lock, and none puts back
what it read before.
"""

from __future__ import annotations

import threading
from typing import Final

__all__ = ["HEADROOM", "LIMIT"]

HEADROOM: Final = 200
LIMIT: Final = threading.Lock()
