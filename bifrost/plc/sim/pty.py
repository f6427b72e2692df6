"""Serial lines without hardware: pseudo-terminals, raw, so that no byte is changed, echoed or waited for. POSIX only.

In: nothing. Out: a descriptor for the device's end, a path for the client's. Not here: timing; a pseudo-terminal takes
any baud rate and keeps none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from types import TracebackType
from typing import Self

__all__ = ["PtyPair", "open_pty_pair"]


@dataclasses.dataclass(slots=True)
class PtyPair:
    """A line between a descriptor and a path.

    Attributes:
        descriptor: the device's end.
        path: what a client opens, as often as it likes.
    """

    descriptor: int
    path: str
    _kept: int
    _open: bool = True

    def unplug(self) -> None:
        """Close the device's end, so that the client's port vanishes under it. Idempotent."""
        if self._open:
            self._open = False
            for descriptor in (self.descriptor, self._kept):
                with contextlib.suppress(OSError):  # a server that was given the descriptor may have closed it
                    os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.unplug()


def open_pty_pair() -> PtyPair:
    """Make a line; end it with `PtyPair.unplug`, or use it as ``with``.

    Raises:
        OSError: the system has no more pseudo-terminals, or none at all, as Windows.
    """
    if sys.platform == "win32":
        raise OSError("this system has no pseudo-terminals; use a pair of virtual serial ports, and their names")
    import tty

    master, slave = os.openpty()
    try:
        for descriptor in (master, slave):
            tty.setraw(descriptor)
            os.set_blocking(descriptor, False)
        # The client's end is kept open here too: without it the device's end breaks whenever a client leaves.
        return PtyPair(master, os.ttyname(slave), slave)
    except BaseException:
        os.close(master)
        os.close(slave)
        raise
