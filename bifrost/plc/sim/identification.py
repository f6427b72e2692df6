"""What a simulated device says of itself: objects by number in, the answer to function 43/14 out.

Obeys: V1.1b3 section 6.21 (Read Device Identification).
"""

from __future__ import annotations

from collections.abc import Mapping

from bifrost.errors import ConfigError, ModbusFault

__all__ = ["Identification", "read_identification"]

_LONGEST_PDU = 253
_HEADER_BYTES = 7
_LONGEST_OBJECT = _LONGEST_PDU - _HEADER_BYTES - 2
_REQUEST_BYTES = 4
_MEI_TYPE = 14
_ONE_OBJECT = 4
_LAST_OF_LEVEL = {1: 0x02, 2: 0x7F, 3: 0xFF}
_NO_SUCH_FUNCTION, _NO_SUCH_OBJECT, _WRONG_VALUE = 1, 2, 3


class Identification:
    """Objects by number: 0 vendor, 1 product code, 2 revision, 3 to 6 further names, from 128 on the maker's own.

    Raises:
        ConfigError: a number outside 0..255, or an object longer than 244 bytes, what one answer holds.
    """

    def __init__(self, objects: Mapping[int, str | bytes]) -> None:
        self.objects = {
            number: text if isinstance(text, bytes) else text.encode() for number, text in sorted(objects.items())
        }
        for number, text in self.objects.items():
            if not 0 <= number <= 255 or len(text) > _LONGEST_OBJECT:
                raise ConfigError(
                    f"identification: expected objects 0..255 of at most {_LONGEST_OBJECT} bytes, "
                    f"got object {number} of {len(text)}"
                )

    @property
    def conformity(self) -> int:
        """Level 1 (basic) to 3 (extended), with the bit for access to single objects."""
        highest = max(self.objects, default=0)
        return 0x80 | next(level for level, last in _LAST_OF_LEVEL.items() if highest <= last)


def read_identification(identification: Identification, pdu: bytes) -> bytes:
    """Answer a request.

    Raises:
        ModbusFault: another function of the same number (1), an object that is not there (2), a wrong code (3).
    """
    if len(pdu) < 2 or pdu[1] != _MEI_TYPE:
        raise ModbusFault("only device identification is known", code=_NO_SUCH_FUNCTION)
    if len(pdu) != _REQUEST_BYTES:
        raise ModbusFault(f"expected {_REQUEST_BYTES} bytes, got {len(pdu)}", code=_WRONG_VALUE)
    level, first = pdu[2], pdu[3]
    if level == _ONE_OBJECT:
        wanted = [first] if first in identification.objects else []
    elif level in _LAST_OF_LEVEL:
        if first not in identification.objects:
            first = 0  # the standard: an unknown object starts from the beginning
        wanted = [number for number in identification.objects if first <= number <= _LAST_OF_LEVEL[level]]
    else:
        raise ModbusFault(f"expected code 1 to 4, got {level}", code=_WRONG_VALUE)
    if not wanted:
        raise ModbusFault(f"there is no object {first}", code=_NO_SUCH_OBJECT)
    return _page(identification, level, wanted)


def _page(identification: Identification, level: int, wanted: list[int]) -> bytes:
    body, taken = b"", 0
    for number in wanted:
        entry = bytes([number, len(identification.objects[number])]) + identification.objects[number]
        if _HEADER_BYTES + len(body) + len(entry) > _LONGEST_PDU:
            break
        body += entry
        taken += 1
    more = taken < len(wanted)
    head = [43, _MEI_TYPE, level, identification.conformity, 0xFF if more else 0, wanted[taken] if more else 0, taken]
    return bytes(head) + body
