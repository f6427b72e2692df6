"""What a device says it is: function 43 / 14, all objects of a category, however many answers that takes.

In: a way to ask. Out: the objects, and the names of those that the standard names. Writes nothing.
Obeys: V1.1b3 section 6.21 (Read Device Identification).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from bifrost._native import modbus_decode_device_id, modbus_device_id_request
from bifrost.errors import ModbusFault, ProtocolError

__all__ = ["DeviceIdentification", "identify"]

_REGULAR, _BASIC = 2, 1
_MOST_ANSWERS = 64  # 256 objects, and each answer brings at least one; a device that repeats itself is stopped before
_NAMES = {
    0: "vendor",
    1: "product_code",
    2: "revision",
    3: "vendor_url",
    4: "product_name",
    5: "model_name",
    6: "application_name",
}


class DeviceIdentification(msgspec.Struct, frozen=True, kw_only=True):
    """What a device says of itself; empty where it says nothing.

    Attributes:
        vendor: object 0, VendorName.
        product_code: object 1.
        revision: object 2, MajorMinorRevision.
        vendor_url: object 3.
        product_name: object 4.
        model_name: object 5.
        application_name: object 6, UserApplicationName.
        objects: all objects as they came, by number, those without a name included.
    """

    vendor: str = ""
    product_code: str = ""
    revision: str = ""
    vendor_url: str = ""
    product_name: str = ""
    model_name: str = ""
    application_name: str = ""
    objects: Mapping[int, bytes] = {}

    @property
    def name(self) -> str:
        """What to call it: the product's name, or the model's, or the product code."""
        return self.product_name or self.model_name or self.product_code

    def __str__(self) -> str:
        return " ".join(part for part in (self.vendor, self.name, self.revision) if part)


async def identify(ask: Callable[[bytes], Awaitable[bytes]]) -> DeviceIdentification:
    """Read the regular objects, or the basic ones if the device refuses those.

    Args:
        ask: sends a PDU and brings the answer's; raises `LinkError`.

    Raises:
        ModbusFault: the device does not identify itself (code 1), or refused.
        ProtocolError: the answers contradict the standard.
        LinkError: no answer.
    """
    try:
        objects = await _objects(ask, _REGULAR)
    except ModbusFault as fault:
        if fault.code == 1:  # it does not know the function, let alone its categories
            raise
        objects = await _objects(ask, _BASIC)
    named = {_NAMES[number]: _text(raw) for number, raw in objects.items() if number in _NAMES}
    return DeviceIdentification(**named, objects=objects)


async def _objects(ask: Callable[[bytes], Awaitable[bytes]], category: int) -> dict[int, bytes]:
    objects: dict[int, bytes] = {}
    at = 0
    for _ in range(_MOST_ANSWERS):
        answer = await ask(modbus_device_id_request(category, at))
        _, more, following, found = modbus_decode_device_id(answer)
        objects.update(found)
        if not more:
            return objects
        if following <= at:
            raise ProtocolError(f"expected the next object after {at}, got {following}; the device repeats itself")
        at = following
    raise ProtocolError(f"expected an end of the identification within {_MOST_ANSWERS} answers, got none")


def _text(raw: bytes) -> str:
    """Read an object as ASCII, as the standard has it; what is none is shown, not hidden."""
    return raw.decode("ascii", "backslashreplace").strip("\0 ")
