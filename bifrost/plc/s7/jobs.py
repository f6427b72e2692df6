"""A job on its way to the device."""

from __future__ import annotations

__all__ = ["Job"]


class Job:
    """What is sent once.

    Attributes:
        function: Read Var or Write Var.
        items: how many items it has.
        parameters: its parameters.
        data: its data; empty for a read.
        sent: true as soon as a byte of it may have left this machine.
    """

    __slots__ = ("data", "function", "items", "parameters", "sent")

    def __init__(self, parameters: bytes, data: bytes = b"") -> None:
        self.function = parameters[0]
        self.items = parameters[1]
        self.parameters = parameters
        self.data = data
        self.sent = False
