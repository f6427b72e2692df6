"""What goes wrong with an answer, planned ahead: one `Injection` or none for each request, the same for the same seed.

In: a plan, and a correct answer frame. Out: what the server does with the bytes instead. No socket, no clock.

Obeys: MODBUS Messaging on TCP/IP V1.0b, section 3.1.3 (MBAP header), for what is broken on purpose.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum

from bifrost.errors import ConfigError

__all__ = ["Action", "Drop", "Fault", "FaultPlan", "Injection", "Pause", "Send", "Silence", "disturb"]

_HEADER_BYTES = 7
_MIN_SPLIT_PAUSE = 0.0


class Fault(StrEnum):
    """The ways in which an answer goes wrong."""

    DROP = "drop"
    """The request is acted on, no answer leaves."""
    DELAY = "delay"
    """The answer leaves `seconds` late, whole and correct."""
    WRONG_TRANSACTION = "wrong_transaction"
    """The transaction id is another one."""
    WRONG_UNIT = "wrong_unit"
    """The unit id is another one."""
    WRONG_FUNCTION = "wrong_function"
    """A correct answer, but to another function."""
    WRONG_BYTE_COUNT = "wrong_byte_count"
    """A well-formed answer with one register (or eight bits) less than was asked for, or more if that leaves none."""
    EXCEPTION = "exception"
    """An exception answer with `code`; the request is not acted on."""
    TRUNCATE = "truncate"
    """The device dies in the middle of a frame: `cut` bytes leave, then the connection ends."""
    GARBAGE = "garbage"
    """Random bytes instead of the answer."""
    BAD_PROTOCOL_ID = "bad_protocol_id"
    """The protocol id is not 0: the framing is lost."""
    SLOW_BYTES = "slow_bytes"
    """One byte at a time, `seconds` apart."""
    FIN = "fin"
    """An orderly end of the connection instead of the answer."""
    RST = "rst"
    """A reset of the connection instead of the answer."""
    SILENCE = "silence"
    """This and everything later on the same connection stays unanswered; the connection stays open."""
    DUPLICATE = "duplicate"
    """The answer leaves twice."""
    SPLIT = "split"
    """One byte at a time, without waiting."""
    COALESCE = "coalesce"
    """A frame with a foreign transaction id and the answer leave in one segment."""


@dataclasses.dataclass(frozen=True, slots=True)
class Injection:
    """One fault with everything that it needs: two equal injections do the same to equal answers.

    Attributes:
        fault: what goes wrong.
        seconds: how late (DELAY), or the gap between bytes (SLOW_BYTES).
        code: the exception code (EXCEPTION), 1..255.
        cut: bytes that leave before the connection dies (TRUNCATE); at most all but one of the answer.
        noise: the bytes that leave instead (GARBAGE).
    """

    fault: Fault
    seconds: float = 0.0
    code: int = 4
    cut: int = 9
    noise: bytes = b""

    def __post_init__(self) -> None:
        if self.seconds < 0:
            raise ConfigError(f"seconds: expected 0 or more, got {self.seconds!r}")
        if not 1 <= self.code <= 255:
            raise ConfigError(f"code: expected 1..255, got {self.code!r}")
        if self.cut < 0:
            raise ConfigError(f"cut: expected 0 or more bytes, got {self.cut!r}")


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
    Fault.SPLIT: lambda _how, frame: _single_bytes(frame, _MIN_SPLIT_PAUSE),
    Fault.COALESCE: lambda _how, frame: [Send(_foreign(frame) + frame)],
}


class FaultPlan:
    """Which request meets which fault.

    A plan is used up as requests come; `history` says what was injected. Give each server its own.

    Args:
        injections: one entry for each request in order of arrival, None for a correct answer; after its end every
            answer is correct.
    """

    def __init__(self, injections: Iterable[Injection | None] = ()) -> None:
        self._injections: Iterator[Injection | None] = iter(injections)
        self.history: list[Injection | None] = []

    @classmethod
    def script(cls, *injections: Injection | Fault | None) -> FaultPlan:
        """Name the fault of the first request, of the second, and so on; then all is well."""
        return cls(_injection(entry) for entry in injections)

    @classmethod
    def always(cls, injection: Injection | Fault) -> FaultPlan:
        """Meet every request with the same fault, until the server gets another plan."""
        one = _injection(injection)
        return cls(iter(lambda: one, object()))

    @classmethod
    def seeded(
        cls, seed: int, *, rate: float = 0.1, faults: Sequence[Fault] = tuple(Fault), seconds: float = 0.05
    ) -> FaultPlan:
        """Draw faults at random; the same arguments give the same plan, byte for byte.

        Args:
            seed: names the plan.
            rate: share of the requests that meet a fault, 0..1.
            faults: the kinds to draw from, each as likely.
            seconds: how late DELAY is, at most; the gaps of SLOW_BYTES are a tenth of it.

        Raises:
            ConfigError: `rate` is outside 0..1, or there is no kind to draw from.
        """
        if not 0.0 <= rate <= 1.0:
            raise ConfigError(f"rate: expected 0..1, got {rate!r}")
        if not faults:
            raise ConfigError("faults: expected at least one kind, got none")
        return cls(_draw(random.Random(seed), rate, tuple(faults), seconds))  # noqa: S311 (a test plan, no secret)

    def next_injection(self) -> Injection | None:
        """Take the fault for the next request."""
        injection = next(self._injections, None)
        self.history.append(injection)
        return injection


def _injection(entry: Injection | Fault | None) -> Injection | None:
    return Injection(entry) if isinstance(entry, Fault) else entry


def _draw(rng: random.Random, rate: float, faults: tuple[Fault, ...], seconds: float) -> Iterator[Injection | None]:
    while True:
        # Always the same number of draws, so that a plan with another rate differs only where it must.
        strikes, fault = rng.random() < rate, rng.choice(faults)
        late, code, cut = rng.uniform(0.0, seconds), rng.choice((1, 2, 3, 4, 5, 6, 8, 10, 11)), rng.randrange(1, 12)
        noise = rng.randbytes(rng.randrange(8, 24))
        if not strikes:
            yield None
            continue
        gap = late / 10 if fault is Fault.SLOW_BYTES else late
        yield Injection(fault, seconds=gap, code=code, cut=cut, noise=noise)
