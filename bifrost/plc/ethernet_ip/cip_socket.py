"""The socket under pycomm3: every wait has an end, and every answer belongs to its request.

In: whole requests. Out: whole answers. It stands where pycomm3 has a socket of its own, whose `receive` spins for ever
when the peer closes within a frame and takes whatever comes for the answer. Two threads know it: one sends and
receives, the event loop cuts it off and looks whether the peer is gone while nobody uses it.
Obeys: CIP volume 2 section 2-3 (encapsulation header), 2-4 (commands).
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading

from bifrost.core.clock import Clock
from bifrost.errors import LinkTimeout, NotConnected, ProtocolError
from bifrost.plc.drivers.tcp import tune_socket

__all__ = ["CipSocket", "FrameRefused", "SentMark"]

_HEADER = 24
_SEND_RR_DATA = 0x6F
_SEND_UNIT_DATA = 0x70
_MARGIN = 1.0  # seconds beyond the patience: the loop's watchdog comes first
_STATUS = {
    0x01: "it does not know this command",
    0x02: "it has no memory left",
    0x03: "it cannot read the request",
    0x64: "it does not know this session",
    0x65: "the request has a wrong length",
    0x69: "it speaks another version of the protocol",
}


class FrameRefused(ProtocolError):
    """The device refused a whole frame, not the service in it; the link is of no use any more."""


class SentMark:
    """Says whether a request has left this machine; set before its first byte does."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent = False


class CipSocket:
    """A TCP socket with the methods that pycomm3 calls.

    Attributes:
        patience: seconds that connecting, and each exchange, may take.
        beat: when the last exchange began, on the clock's monotonic scale.
        requests: how many were sent.
        stale: answers that were dropped because they belonged to no request, or to an earlier one.
        rtt: requests answered by round-trip time; index n counts 2**(n-1) to 2**n - 1 microseconds.
        mark: is set when the next request leaves.
    """

    def __init__(self, clock: Clock) -> None:
        self.patience = 1.0
        self.beat = clock.monotonic()
        self.requests = 0
        self.stale = 0
        self.rtt = [0] * 32
        self.mark: SentMark | None = None
        self._clock = clock
        self._sock: socket.socket | None = None
        self._lock = threading.Lock()
        self._severed = False
        self._command = 0
        self._token = 0
        self._sequence = b""
        self._session = b""

    # In the thread

    def connect(self, host: str, port: int) -> None:
        """Look the host up and connect, within the patience for each address.

        Raises:
            NotConnected: there is nobody.
        """
        refused = "the name stands for no address"
        try:
            places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise NotConnected(f"cannot connect to {host} port {port}: {error.strerror or error}") from None
        for family, kind, protocol, _, place in places:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self.patience + _MARGIN)
                with self._lock:
                    self._refuse_severed()
                    self._sock = sock
                sock.connect(place)
                tune_socket(sock)
            except OSError as error:
                refused = error.strerror or str(error)
                sock.close()
            except BaseException:
                sock.close()
                raise
            else:
                return
        raise NotConnected(f"cannot connect to {host} port {port}: {refused}")

    def send(self, msg: bytes, timeout: float = 0) -> int:
        """Send one request.

        Raises:
            NotConnected: the link is gone; nothing was sent if the mark is not set.
        """
        del timeout  # pycomm3 never gives one
        self._command = int.from_bytes(msg[:2], "little")
        self._session = msg[4:8]
        if self._command == _SEND_RR_DATA:
            self._token = (self._token + 1) & 0xFFFF_FFFF
            msg = msg[:12] + struct.pack("<Q", self._token) + msg[20:]
        elif self._command == _SEND_UNIT_DATA:
            self._sequence = msg[44:46]
        with self._lock:
            self._refuse_severed()
            sock = self._sock
            if sock is None:
                raise NotConnected("the link to the device is down")
            self.beat = self._clock.monotonic()
            self.requests += 1
            if self.mark is not None:
                self.mark.sent = True
        sock.settimeout(self.patience + _MARGIN)
        try:
            sock.sendall(msg)
        except TimeoutError:
            raise LinkTimeout("the device took no request in time") from None
        except OSError as error:
            raise NotConnected(f"the link broke: {error.strerror or error}") from None
        return len(msg)

    def receive(self, timeout: float = 0) -> bytes:
        """Receive the answer to the last request; others are dropped and counted.

        Raises:
            NotConnected: the link is gone.
            LinkTimeout: no answer in time.
            ProtocolError: what came is no answer; the link is of no use any more.
        """
        del timeout
        while True:
            header = self._exactly(_HEADER)
            command, length = struct.unpack_from("<HH", header)
            frame = header + self._exactly(length)
            if self._belongs(command, frame):
                microseconds = int((self._clock.monotonic() - self.beat) * 1e6)
                self.rtt[min(max(microseconds, 0).bit_length(), 31)] += 1
                return frame
            self.stale += 1

    def close(self) -> None:
        """Give the descriptor back; idempotent, any thread."""
        with self._lock:
            sock, self._sock = self._sock, None
            self._severed = True
        if sock is not None:
            sock.close()

    def _exactly(self, length: int) -> bytes:
        received = bytearray()
        sock = self._sock
        while len(received) < length:
            left = self.beat + self.patience + _MARGIN - self._clock.monotonic()
            if left <= 0:
                raise LinkTimeout("the device did not answer in time")
            if sock is None:
                raise NotConnected("the link to the device is down")
            try:
                sock.settimeout(left)
                chunk = sock.recv(length - len(received))
            except TimeoutError:
                raise LinkTimeout("the device did not answer in time") from None
            except OSError as error:
                raise NotConnected(f"the link broke: {error.strerror or error}") from None
            if not chunk:
                where = "within an answer" if received or length != _HEADER else "instead of answering"
                raise NotConnected(f"the device closed the link {where}")
            received += chunk
        return bytes(received)

    def _belongs(self, command: int, frame: bytes) -> bool:
        status = int.from_bytes(frame[8:12], "little")
        if command != self._command:
            raise ProtocolError(f"expected an answer to command 0x{self._command:02x}, got 0x{command:02x}")
        if command == _SEND_RR_DATA and frame[12:20] != struct.pack("<Q", self._token):
            return False
        if status:
            why = _STATUS.get(status, "it gave no reason")
            raise FrameRefused(f"the device refused a frame with status 0x{status:02x}: {why}")
        if command == _SEND_UNIT_DATA:
            _check_item(frame, 44, 6)
            return frame[44:46] == self._sequence and frame[4:8] == self._session
        if command == _SEND_RR_DATA:
            _check_item(frame, 40, 4)
        return command != _SEND_RR_DATA or frame[4:8] == self._session

    def _refuse_severed(self) -> None:
        if self._severed:
            raise NotConnected("the link was cut off")

    # On the loop

    def sever(self) -> None:
        """End whatever the other thread waits for; it may not begin anything from now on."""
        with self._lock:
            self._severed = True
            sock = self._sock
        if sock is not None:
            with contextlib.suppress(OSError):  # not connected yet, or not any more
                sock.shutdown(socket.SHUT_RDWR)

    def is_ended(self) -> bool:
        """True if the peer has closed; never waits, and is only asked while the other thread is idle."""
        sock = self._sock
        if sock is None:
            return True
        try:
            return _is_readable(sock) and sock.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True


def _check_item(frame: bytes, start: int, least: int) -> None:
    """Check the item that carries the answer: it begins at `start`, its length stands before it."""
    length = int.from_bytes(frame[start - 2 : start], "little")
    if length < least or len(frame) < start + length:
        text = f"expected an item of {least} bytes or more, got one of {length} with {len(frame) - start} bytes"
        raise ProtocolError(text)


def _is_readable(sock: socket.socket) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])
