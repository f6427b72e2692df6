"""A serial descriptor as an asyncio transport: bytes in and out without a thread, on POSIX.

In: a descriptor that was opened and set up. Out: what a `asyncio.Protocol` hears. Not here: opening, baud rates
(`serial_port`), Windows (`serial_thread`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import sys
from collections.abc import Callable

__all__ = ["SerialTransport"]

_MOST_BYTES = 4096
_HIGH_WATER = 65536


class SerialTransport(asyncio.Transport):
    """Alive from its making to `connection_lost`, which comes at once if the device vanishes.

    ``get_extra_info("take_pending")`` is a callable that hands over at once whatever lies in the input.

    Args:
        loop: the running loop; it must know readers and writers.
        descriptor: open for reading and writing; set to non-blocking here.
        protocol: hears everything; its `connection_made` is called at once.
        close: closes the descriptor.
        name: of the port, for error texts.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        descriptor: int,
        protocol: asyncio.Protocol,
        *,
        close: Callable[[], None],
        name: str,
    ) -> None:
        super().__init__({"take_pending": self.take_pending, "serial_port": name})
        self._loop = loop
        self._descriptor = descriptor
        self._protocol = protocol
        self._close_descriptor = close
        self._name = name
        self._unsent = bytearray()
        self._reading = False
        self._closing = False
        self._ended = False
        self._paused_protocol = False
        assert sys.platform != "win32", "Windows knows no serial descriptors; a port is read by threads there"
        os.set_blocking(descriptor, False)
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        protocol.connection_made(self)
        self.resume_reading()

    def is_closing(self) -> bool:
        """True once nothing more is taken."""
        return self._closing

    def is_reading(self) -> bool:
        """True while input is handed over."""
        return self._reading

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol hear from now on."""
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that hears."""
        return self._protocol

    def pause_reading(self) -> None:
        """Leave input where it is."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._descriptor)

    def resume_reading(self) -> None:
        """Hand over input again."""
        if not self._reading and not self._closing:
            self._reading = True
            self._loop.add_reader(self._descriptor, self._read)

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return len(self._unsent)

    def can_write_eof(self) -> bool:
        """A serial line has no end of file."""
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; what the kernel does not take at once follows as it does."""
        if self._closing or not data:
            return
        if not self._unsent:
            try:
                sent = os.write(self._descriptor, data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self._lose(error)
                return
            if sent == len(data):
                return
            data = bytes(data)[sent:]
            self._loop.add_writer(self._descriptor, self._write)
        self._unsent += data
        if len(self._unsent) > _HIGH_WATER and not self._paused_protocol:
            self._paused_protocol = True
            self._protocol.pause_writing()

    def take_pending(self) -> None:
        """Hand over at once whatever lies in the input."""
        while self._reading and self._has_input() and self._read_once():
            pass

    def close(self) -> None:
        """End the link once everything written has left."""
        if self._closing:
            return
        self.pause_reading()
        self._closing = True
        if not self._unsent:
            self._end(None)

    def abort(self) -> None:
        """End the link now; what was not sent is forgotten, also in the kernel: closing would wait for it."""
        self._closing = True
        if not self._ended and sys.platform != "win32":
            import termios

            with contextlib.suppress(OSError, termios.error):
                termios.tcflush(self._descriptor, termios.TCOFLUSH)
        self._end(None)

    def _has_input(self) -> bool:
        return sys.platform != "win32" and bool(self._poll.poll(0))

    def _read(self) -> None:
        # What made the loop call may have been taken already by `take_pending`.
        if self._reading and self._has_input():
            self._read_once()

    def _read_once(self) -> bool:
        try:
            data = os.read(self._descriptor, _MOST_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._lose(error)
            return False
        if not data:
            # Ready to be read, and nothing there: so it is with a device that was unplugged.
            self._lose(OSError(errno.EIO, f"{self._name} vanished"))
            return False
        self._protocol.data_received(data)
        return not self._closing

    def _write(self) -> None:
        try:
            sent = os.write(self._descriptor, self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        del self._unsent[:sent]
        if self._unsent:
            return
        self._loop.remove_writer(self._descriptor)
        if self._closing:
            self._end(None)
        elif self._paused_protocol:
            self._paused_protocol = False
            self._protocol.resume_writing()

    def _lose(self, error: OSError) -> None:
        self._closing = True
        self._end(error)

    def _end(self, error: OSError | None) -> None:
        if self._ended:
            return
        self._ended = True
        self._reading = False
        self._unsent.clear()
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        # Closed here and now: the port is free as soon as the protocol hears of the end.
        with contextlib.suppress(OSError):
            self._close_descriptor()
        self._loop.call_soon(self._protocol.connection_lost, error)
