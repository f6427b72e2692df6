"""What an injected fault does to a correct S7 answer: a frame in, the target's actions out. No socket, no clock.

Obeys: RFC 1006 section 6 (TPKT header) and the S7 answer header, for what is broken on purpose.
"""

from __future__ import annotations

from collections.abc import Callable

from bifrost.errors import ConfigError
from bifrost.plc.sim.actions import Action, Drop, Pause, Send, Silence, single_bytes
from bifrost.plc.sim.faults import Fault, Injection

__all__ = ["S7_FAULTS", "disturb_s7"]

_REFERENCE = 11
_FUNCTION = 19


def disturb_s7(injection: Injection | None, frame: bytes) -> list[Action]:
    """Say what the target does with a correct answer `frame` (TPKT, COTP and S7) under `injection`.

    EXCEPTION changes nothing here: the target makes that answer before it would act on the job.

    Raises:
        ConfigError: an S7 answer cannot go wrong so; `S7_FAULTS` has those that apply.
    """
    if injection is None:
        return [Send(frame)]
    disturbance = _DISTURBANCES.get(injection.fault)
    if disturbance is None:
        raise ConfigError(f"fault {injection.fault}: not of S7; known are {', '.join(S7_FAULTS)}")
    return disturbance(injection, frame)


def _with_reference(frame: bytes, reference: int) -> bytes:
    return frame[:_REFERENCE] + reference.to_bytes(2) + frame[_REFERENCE + 2 :]


def _stale(frame: bytes) -> bytes:
    """The answer to an earlier job, as it comes when somebody gave that up."""
    return _with_reference(frame, (int.from_bytes(frame[_REFERENCE : _REFERENCE + 2]) - 1) & 0xFFFF)


def _shortened(frame: bytes) -> bytes:
    """The last byte is missing, and the TPKT header says so; the S7 header does not."""
    return frame[:2] + (len(frame) - 1).to_bytes(2) + frame[4:-1]


_DISTURBANCES: dict[Fault, Callable[[Injection, bytes], list[Action]]] = {
    Fault.DROP: lambda _how, _frame: [],
    Fault.DELAY: lambda how, frame: [Pause(how.seconds), Send(frame)],
    Fault.WRONG_TRANSACTION: lambda _how, frame: [Send(_stale(frame))],
    Fault.TRANSACTION_NOT_ECHOED: lambda _how, frame: [Send(_with_reference(frame, 0))],
    Fault.WRONG_FUNCTION: lambda _how, frame: [
        Send(frame[:_FUNCTION] + bytes([frame[_FUNCTION] ^ 1]) + frame[_FUNCTION + 1 :])
    ],
    Fault.WRONG_BYTE_COUNT: lambda _how, frame: [Send(_shortened(frame))],
    Fault.EXCEPTION: lambda _how, frame: [Send(frame)],
    Fault.TRUNCATE: lambda how, frame: [Send(frame[: min(how.cut, len(frame) - 1)]), Drop(reset=False)],
    Fault.GARBAGE: lambda how, frame: [Send(how.noise or bytes(byte ^ 0xFF for byte in frame))],
    Fault.BAD_PROTOCOL_ID: lambda _how, frame: [Send(b"\x09" + frame[1:])],
    Fault.LENGTH_ZERO: lambda _how, frame: [Send(frame[:2] + b"\0\0" + frame[4:])],
    Fault.LENGTH_HUGE: lambda _how, frame: [Send(frame[:2] + b"\xff\xff" + frame[4:])],
    Fault.SLOW_BYTES: lambda how, frame: single_bytes(frame, how.seconds),
    Fault.FIN: lambda _how, _frame: [Drop(reset=False)],
    Fault.RST: lambda _how, _frame: [Drop(reset=True)],
    Fault.SILENCE: lambda _how, _frame: [Silence()],
    Fault.DUPLICATE: lambda _how, frame: [Send(frame + frame)],
    Fault.SPLIT: lambda _how, frame: single_bytes(frame),
    Fault.COALESCE: lambda _how, frame: [Send(_stale(frame) + frame)],
}

S7_FAULTS = tuple(_DISTURBANCES)
"""The faults that an S7 answer can have."""
