"""What an injected fault does to a correct answer: a frame in, the server's actions out. No socket, no clock.

Obeys: MODBUS Messaging on TCP/IP V1.0b, section 3.1.3 (MBAP header), for what is broken on purpose.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from bifrost.plc.sim.faults import Fault, Injection

__all__ = ["Action", "Drop", "Pause", "Send", "Silence", "disturb"]

_HEADER_BYTES = 7
_NO_PAUSE = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Send:
    """Hand these bytes to the connection in one write."""

    frame: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next action; later requests of the connection wait too."""

    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Drop:
    """End the connection: orderly (FIN) or by a reset (RST)."""

    reset: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Silence:
    """Answer nothing more on this connection, and keep it open."""


Action = Send | Pause | Drop | Silence


def disturb(injection: Injection | None, frame: bytes) -> list[Action]:
    """Say what the server does with a correct answer `frame` (MBAP header and PDU) under `injection`.

    EXCEPTION changes nothing here: the server makes that answer before it would act on the request.
    """
    if injection is None:
        return [Send(frame)]
    return _DISTURBANCES[injection.fault](injection, frame)


def _wrong_byte_count(frame: bytes) -> bytes:
    pdu = frame[_HEADER_BYTES:]
    if pdu[0] & 0x80:
        return _with_pdu(frame, pdu + b"\0")
    if pdu[0] > 4:
        # The answer to a write has no byte count: make it too short.
        return _with_pdu(frame, pdu[:-2])
    step = 2 if pdu[0] in (3, 4) else 1
    if pdu[1] > step:
        return _with_pdu(frame, bytes([pdu[0], pdu[1] - step]) + pdu[2:-step])
    return _with_pdu(frame, bytes([pdu[0], pdu[1] + step]) + pdu[2:] + bytes(step))


def _with_pdu(frame: bytes, pdu: bytes) -> bytes:
    return frame[:4] + (len(pdu) + 1).to_bytes(2) + frame[6:7] + pdu


def _foreign(frame: bytes) -> bytes:
    return bytes([frame[0] ^ 0x5A, frame[1] ^ 0xA5]) + frame[2:]


def _single_bytes(frame: bytes, seconds: float) -> list[Action]:
    actions: list[Action] = []
    for at in range(len(frame)):
        actions += [Pause(seconds), Send(frame[at : at + 1])]
    return actions[1:]


_DISTURBANCES: dict[Fault, Callable[[Injection, bytes], list[Action]]] = {
    Fault.DROP: lambda _how, _frame: [],
    Fault.DELAY: lambda how, frame: [Pause(how.seconds), Send(frame)],
    Fault.WRONG_TRANSACTION: lambda _how, frame: [Send(_foreign(frame))],
    Fault.WRONG_UNIT: lambda _how, frame: [Send(frame[:6] + bytes([frame[6] ^ 0x55]) + frame[7:])],
    Fault.WRONG_FUNCTION: lambda _how, frame: [Send(frame[:7] + bytes([frame[7] % 4 + 1]) + frame[8:])],
    Fault.WRONG_BYTE_COUNT: lambda _how, frame: [Send(_wrong_byte_count(frame))],
    Fault.EXCEPTION: lambda _how, frame: [Send(frame)],
    Fault.TRUNCATE: lambda how, frame: [Send(frame[: min(how.cut, len(frame) - 1)]), Drop(reset=False)],
    Fault.GARBAGE: lambda how, frame: [Send(how.noise or bytes(byte ^ 0xFF for byte in frame))],
    Fault.BAD_PROTOCOL_ID: lambda _how, frame: [Send(frame[:2] + b"\xbe\xef" + frame[4:])],
    Fault.SLOW_BYTES: lambda how, frame: _single_bytes(frame, how.seconds),
    Fault.FIN: lambda _how, _frame: [Drop(reset=False)],
    Fault.RST: lambda _how, _frame: [Drop(reset=True)],
    Fault.SILENCE: lambda _how, _frame: [Silence()],
    Fault.DUPLICATE: lambda _how, frame: [Send(frame), Send(frame)],
    # A pause of nothing still lets the loop hand each byte to the kernel by itself.
    Fault.SPLIT: lambda _how, frame: _single_bytes(frame, _NO_PAUSE),
    Fault.COALESCE: lambda _how, frame: [Send(_foreign(frame) + frame)],
}
