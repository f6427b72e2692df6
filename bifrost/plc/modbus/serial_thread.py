"""A serial port as an asyncio transport by two threads: for Windows, whose loop knows no serial descriptors.

In: a port that pyserial opened. Out: what an `asyncio.Protocol` hears, on the loop. One thread reads, one writes; both
end with the port. Not here: opening (`serial_port`), POSIX (`serial_transport`).
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import Protocol

__all__ = ["BlockingPort", "SerialThreadTransport"]

_READ_SECONDS = 0.05
"""How long a read blocks at most, so that its thread sees that the port was closed."""


class BlockingPort(Protocol):
    """What is used of pyserial's port."""

    timeout: float | None

    @property
    def in_waiting(self) -> int:
        """Bytes that lie in the input."""
        ...

    def read(self, size: int = 1, /) -> bytes:
        """Wait for a byte, `timeout` seconds at most."""
        ...

    def write(self, data: bytes, /) -> int | None:
        """Send all of it."""
        ...

    def cancel_read(self) -> None:
        """Wake a thread that reads."""
        ...

    def cancel_write(self) -> None:
        """Wake a thread that writes."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class SerialThreadTransport(asyncio.Transport):
    """Alive from its making to `connection_lost`.

    Args:
        loop: the running loop.
        port: open; belongs to this transport from now on.
        protocol: hears everything; its `connection_made` is called at once.
        name: of the port.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, port: BlockingPort, protocol: asyncio.Protocol, *, name: str
    ) -> None:
        super().__init__({"serial_port": name})
        self._loop = loop
        self._port = port
        self._protocol = protocol
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._closing = False
        self._stop = threading.Event()
        self._may_read = threading.Event()
        self._may_read.set()
        self._ended = False
        port.timeout = _READ_SECONDS
        protocol.connection_made(self)
        self._writer = threading.Thread(target=self._write_on, name=f"bifrost-serial-write-{name}", daemon=True)
        self._reader = threading.Thread(target=self._read_on, name=f"bifrost-serial-read-{name}", daemon=True)
        self._writer.start()
        self._reader.start()

    def is_closing(self) -> bool:
        """True once nothing more is taken."""
        return self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol hear from now on."""
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that hears."""
        return self._protocol

    def is_reading(self) -> bool:
        """True while input is handed over."""
        return self._may_read.is_set() and not self._closing

    def pause_reading(self) -> None:
        """Leave input where it is."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Hand over input again."""
        self._may_read.set()

    def can_write_eof(self) -> bool:
        """A serial line has no end of file."""
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, in order, without waiting for them."""
        if not self._closing and data:
            self._outgoing.put(bytes(data))

    def close(self) -> None:
        """End the link once everything written has left."""
        if not self._closing:
            self._closing = True
            self._outgoing.put(None)

    def abort(self) -> None:
        """End the link now."""
        self._closing = True
        self._stop.set()
        self._may_read.set()
        self._outgoing.put(None)
        with contextlib.suppress(OSError):
            self._port.cancel_write()
            self._port.cancel_read()

    def _read_on(self) -> None:
        """The reading thread: the last to end, and the one that closes the port."""
        error: OSError | None = None
        try:
            while not self._stop.is_set():
                self._may_read.wait()
                data = self._port.read(max(1, self._port.in_waiting))
                if data:
                    self._tell(self._hand_over, data)
        except (OSError, TypeError, ValueError) as caught:
            # pyserial lets TypeError and ValueError out if a port goes away in the middle of a call.
            error = caught if isinstance(caught, OSError) else OSError(str(caught))
        self._stop.set()
        self._outgoing.put(None)
        self._writer.join()
        with contextlib.suppress(OSError):
            self._port.close()
        self._tell(self._end, error)

    def _write_on(self) -> None:
        """The writing thread: ends after everything it was given, or with the port."""
        try:
            while (data := self._outgoing.get()) is not None and not self._stop.is_set():
                self._port.write(data)
        except (OSError, TypeError, ValueError):
            pass  # the reading thread meets the same error and tells it
        self._stop.set()
        self._may_read.set()
        with contextlib.suppress(OSError):
            self._port.cancel_read()

    def _tell(self, what: object, *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed without waiting for this transport
            self._loop.call_soon_threadsafe(what, *arguments)  # type: ignore[arg-type]  # one of the two below

    def _hand_over(self, data: bytes) -> None:
        if not self._closing:
            self._protocol.data_received(data)

    def _end(self, error: OSError | None) -> None:
        if not self._ended:
            closing, self._closing, self._ended = self._closing, True, True
            self._protocol.connection_lost(None if closing else error)
