"""A serial line between two programs: two pseudo-terminals with their inner ends wired crosswise."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from select import select

from bifrost.plc.sim import open_pty_pair

__all__ = ["null_modem"]


@contextmanager
def null_modem() -> Iterator[tuple[str, str]]:
    """Give the paths of both ends; what is written to one is read from the other, by a thread that ends with this."""
    with open_pty_pair() as here, open_pty_pair() as there:
        stop_reader, stop_writer = os.pipe()
        across = {here.descriptor: there.descriptor, there.descriptor: here.descriptor}

        def pump() -> None:
            while True:
                ready, _, _ = select([*across, stop_reader], [], [])
                if stop_reader in ready:
                    return
                for end in ready:
                    os.write(across[end], os.read(end, 4096))

        pumping = threading.Thread(target=pump, name="null-modem", daemon=True)
        pumping.start()
        try:
            yield here.path, there.path
        finally:
            os.close(stop_writer)
            pumping.join()
            os.close(stop_reader)
