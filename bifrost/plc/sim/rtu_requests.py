"""Requests out of the bytes of a serial line: any bytes in, whole requests with a right CRC out.

The length follows from the function code, as silence between frames does not survive USB adapters and pseudo-terminals.
What fits no request is skipped byte by byte. Obeys: MODBUS over Serial Line V1.02 section 2.5.1; V1.1b3 section 6.
"""

from __future__ import annotations

from bifrost.plc.sim.framing import crc16

__all__ = ["RtuRequests"]

_FIXED = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 7: 4, 8: 8, 11: 4, 12: 4, 17: 4, 22: 10, 24: 6, 43: 7}
"""Function code to the length of the whole frame."""
_COUNTED = {15: 6, 16: 6, 20: 2, 21: 2, 23: 10}
"""Function code to the place of the byte that counts the rest."""
_CRC_BYTES = 2
_LONGEST = 256


class RtuRequests:
    """Cuts the stream of one line.

    Attributes:
        skipped: bytes that belonged to no request.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.skipped = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take bytes in any split; return unit and PDU of each request that became whole."""
        self._bytes += data
        requests: list[tuple[int, bytes]] = []
        while self._bytes:
            found = self._next()
            if found is None:
                break
            at, size = found
            self.skipped += at
            if size:
                requests.append((self._bytes[at], bytes(self._bytes[at + 1 : at + size - _CRC_BYTES])))
            del self._bytes[: at + size]
        return requests

    def _next(self) -> tuple[int, int] | None:
        """Place and size of the next request; size 0 if all up to `at` is noise; None if more bytes are needed."""
        waiting: int | None = None
        for at in range(len(self._bytes)):
            size = self._size(at)
            if size is None or at + size > len(self._bytes):
                # It may become whole. A whole one behind it would prove that it is noise.
                waiting = at if waiting is None and size != 0 else waiting
            elif size and crc16(bytes(self._bytes[at : at + size])) == 0:
                return at, size
        if waiting is None:
            return len(self._bytes), 0
        return (waiting, 0) if waiting else None

    def _size(self, at: int) -> int | None:
        """How long a request that begins here would be: 0 if none does, None if that is not known yet."""
        if at + 1 >= len(self._bytes):
            return None
        function = self._bytes[at + 1]
        if function in _FIXED:
            return _FIXED[function]
        place = _COUNTED.get(function)
        if place is None:
            return 0
        if at + place >= len(self._bytes):
            return None
        size = place + 1 + self._bytes[at + place] + _CRC_BYTES
        return size if size <= _LONGEST else 0
