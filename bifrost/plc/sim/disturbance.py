"""What an injected fault does to a correct answer: a frame in, the server's actions out. No socket, no clock.

Obeys: MODBUS Messaging on TCP/IP V1.0b section 3.1.3 (MBAP header) and MODBUS over Serial Line V1.02 section 2.5.1
(RTU), for what is broken on purpose.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from bifrost.plc.sim.actions import Action, Drop, Hold, Pause, Send, Silence, single_bytes
from bifrost.plc.sim.faults import EDGES, Fault, Injection
from bifrost.plc.sim.framing import Frame, Framing

__all__ = ["disturb"]

_HUGE = 255  # one beyond the largest length that an MBAP header may say
_HOLD = 0.05  # seconds that an answer waits for a next one, unless the injection says more


@dataclasses.dataclass(frozen=True, slots=True)
class _Answer:
    """A correct answer, taken apart and as bytes, and the bytes of its request."""

    parts: Frame
    frame: bytes
    request: bytes

    def but(self, **changes: object) -> bytes:
        """The same frame with some parts changed."""
        return dataclasses.replace(self.parts, **changes).encode()  # type: ignore[arg-type]  # fields by name


def disturb(
    injection: Injection | None, frame: bytes, framing: Framing = Framing.TCP, *, request: bytes = b""
) -> list[Action]:
    """Say what the server does with a correct answer under `injection`.

    EXCEPTION changes nothing here: the server makes that answer before it would act on the request. A fault that cannot
    happen in this framing changes nothing either.

    Args:
        injection: what goes wrong, or None.
        frame: the whole answer.
        framing: of the answer.
        request: the whole request, for ECHO.
    """
    if injection is None or not injection.fault.applies_to(framing):
        return [Send(frame)]
    return _DISTURBANCES[injection.fault](injection, _Answer(Frame.cut(framing, frame), frame, request))


def _wrong_byte_count(answer: _Answer) -> bytes:
    pdu = answer.parts.pdu
    if pdu[0] & 0x80:
        return answer.but(pdu=pdu + b"\0")
    if pdu[0] > 4:
        # The answer to a write has no byte count: make it too short.
        return answer.but(pdu=pdu[:-2] or pdu[:1])
    step = 2 if pdu[0] in (3, 4) else 1
    if pdu[1] > step:
        return answer.but(pdu=bytes([pdu[0], pdu[1] - step]) + pdu[2:-step])
    return answer.but(pdu=bytes([pdu[0], pdu[1] + step]) + pdu[2:] + bytes(step))


def _foreign(answer: _Answer) -> bytes:
    if answer.parts.framing.has_crc:
        return answer.but(unit=answer.parts.unit ^ 0x55)
    return answer.but(transaction=answer.parts.transaction ^ 0x5AA5)


def _exception_length(answer: _Answer) -> bytes:
    return answer.but(pdu=answer.parts.pdu + b"\0") if answer.parts.pdu[0] & 0x80 else answer.frame


def _value_edge(how: Injection, answer: _Answer) -> bytes:
    pdu = answer.parts.pdu
    if pdu[0] not in (1, 2, 3, 4, 23):
        return answer.frame
    pattern = how.noise or EDGES[0]
    size = len(pdu) - 2
    return answer.but(pdu=pdu[:2] + (pattern * (size // len(pattern) + 1))[:size])


def _flipped(frame: bytes) -> bytes:
    middle = len(frame) // 2
    return frame[:middle] + bytes([frame[middle] ^ 0x10]) + frame[middle + 1 :]


def _truncated(how: Injection, answer: _Answer) -> list[Action]:
    start: list[Action] = [Send(answer.frame[: min(how.cut, len(answer.frame) - 1)])]
    return [*start, Drop(reset=False)] if answer.parts.framing.has_connection else start


def _gap(how: Injection, answer: _Answer) -> list[Action]:
    at = max(1, min(how.cut, len(answer.frame) - 1))
    return [Send(answer.frame[:at]), Pause(how.seconds), Send(answer.frame[at:])]


def _held(how: Injection, answer: _Answer, *, joined: bool) -> list[Action]:
    return [Hold(answer.frame, how.seconds or _HOLD, joined)]


def _with_length(frame: bytes, length: int) -> bytes:
    return frame[:4] + length.to_bytes(2) + frame[6:]


_DISTURBANCES: dict[Fault, Callable[[Injection, _Answer], list[Action]]] = {
    Fault.DROP: lambda _how, _answer: [],
    Fault.DELAY: lambda how, answer: [Pause(how.seconds), Send(answer.frame)],
    Fault.WRONG_TRANSACTION: lambda _how, answer: [Send(_foreign(answer))],
    Fault.TRANSACTION_NOT_ECHOED: lambda _how, answer: [Send(answer.but(transaction=0))],
    Fault.WRONG_UNIT: lambda _how, answer: [Send(answer.but(unit=answer.parts.unit ^ 0x55))],
    Fault.WRONG_FUNCTION: lambda _how, answer: [
        Send(answer.but(pdu=bytes([answer.parts.pdu[0] % 4 + 1]) + answer.parts.pdu[1:]))
    ],
    Fault.WRONG_BYTE_COUNT: lambda _how, answer: [Send(_wrong_byte_count(answer))],
    Fault.EXCEPTION: lambda _how, answer: [Send(answer.frame)],
    Fault.EXCEPTION_LENGTH: lambda _how, answer: [Send(_exception_length(answer))],
    Fault.VALUE_EDGE: lambda how, answer: [Send(_value_edge(how, answer))],
    Fault.TRUNCATE: _truncated,
    Fault.GARBAGE: lambda how, answer: [Send(how.noise or bytes(byte ^ 0xFF for byte in answer.frame))],
    Fault.BAD_PROTOCOL_ID: lambda _how, answer: [Send(answer.frame[:2] + b"\xbe\xef" + answer.frame[4:])],
    Fault.LENGTH_ZERO: lambda _how, answer: [Send(_with_length(answer.frame, 0))],
    Fault.LENGTH_HUGE: lambda _how, answer: [Send(_with_length(answer.frame, _HUGE))],
    Fault.CRC_ERROR: lambda _how, answer: [Send(_flipped(answer.frame))],
    Fault.NOISE_BEFORE: lambda how, answer: [Send((how.noise or b"\0\xff") + answer.frame)],
    Fault.NOISE_AFTER: lambda how, answer: [Send(answer.frame + (how.noise or b"\0\xff"))],
    Fault.ECHO: lambda _how, answer: [Send(answer.request + answer.frame)],
    Fault.ECHO_ONLY: lambda _how, answer: [Send(answer.request)],
    Fault.GAP: _gap,
    Fault.SLOW_BYTES: lambda how, answer: single_bytes(answer.frame, how.seconds),
    Fault.FIN: lambda _how, _answer: [Drop(reset=False)],
    Fault.RST: lambda _how, _answer: [Drop(reset=True)],
    Fault.SILENCE: lambda _how, _answer: [Silence()],
    Fault.DUPLICATE: lambda _how, answer: [Send(answer.frame), Send(answer.frame)],
    Fault.SPLIT: lambda _how, answer: single_bytes(answer.frame),
    Fault.COALESCE: lambda _how, answer: [Send(_foreign(answer) + answer.frame)],
    Fault.REORDER: lambda how, answer: _held(how, answer, joined=False),
    Fault.JOIN: lambda how, answer: _held(how, answer, joined=True),
}
