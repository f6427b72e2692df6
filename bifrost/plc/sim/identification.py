"""What a simulated device says of itself: objects by number, checked.

Obeys: V1.1b3 section 6.21 (Read Device Identification).
"""

from __future__ import annotations

from collections.abc import Mapping

from bifrost.errors import ConfigError

__all__ = ["Identification"]

_LONGEST_OBJECT = 244
_LAST_OF_LEVEL = {1: 0x02, 2: 0x7F, 3: 0xFF}
_SINGLE_OBJECTS = 0x80


class Identification:
    """Objects by number: 0 vendor, 1 product code, 2 revision, 3 to 6 further names, from 128 on the maker's own.

    Attributes:
        objects: number and bytes, in ascending order.
        conformity: level 1 (basic) to 3 (extended), with the bit for access to single objects.

    Raises:
        ConfigError: a number outside 0..255, or an object longer than 244 bytes, what one answer holds.
    """

    def __init__(self, objects: Mapping[int, str | bytes]) -> None:
        self.objects = [
            (number, text if isinstance(text, bytes) else text.encode()) for number, text in sorted(objects.items())
        ]
        for number, text in self.objects:
            if not 0 <= number <= 255 or len(text) > _LONGEST_OBJECT:
                raise ConfigError(
                    f"identification: expected objects 0..255 of at most {_LONGEST_OBJECT} bytes, "
                    f"got object {number} of {len(text)}"
                )
        highest = max(objects, default=0)
        self.conformity = _SINGLE_OBJECTS | next(level for level, last in _LAST_OF_LEVEL.items() if highest <= last)
