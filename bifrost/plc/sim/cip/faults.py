"""What goes wrong between a simulated controller and its clients, planned ahead.

In: a script, or a seed. Out: one `CipInjection` or none for each request, and what it does to the answer's bytes.
Not here: sockets, clocks.

Obeys: CIP volume 2, section 2-3 (header), for what is broken on purpose; volume 1, appendix B (general statuses).
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum

from bifrost.errors import ConfigError
from bifrost.plc.sim.actions import Action, Drop, Pause, Send, Silence, single_bytes
from bifrost.plc.sim.cip.encapsulation import HEADER_BYTES, Command, Status
from bifrost.plc.sim.cip.replies import Reply
from bifrost.plc.sim.cip.router import Tampering

__all__ = ["CipFault", "CipFaultPlan", "CipInjection", "disturb"]

_SEQUENCE_AT = 44
_CARRIED_AT = {Command.SEND_RR_DATA: 40, Command.SEND_UNIT_DATA: _SEQUENCE_AT}
"""Where the data of the item begins that carries the answer; its length stands in the two bytes before."""
_STATUSES = ((0x04, 0), (0x05, 0), (0x08, None), (0x0A, None), (0x10, 0x2101), (0x13, None), (0xFF, 0x2107))


class CipFault(StrEnum):
    """The ways in which an answer goes wrong."""

    DROP = "drop"
    """The request is acted on, no answer leaves."""
    DELAY = "delay"
    """The answer leaves `seconds` late, whole and correct."""
    HANG = "hang"
    """`cut` bytes of the answer leave, then this connection is silent for ever and stays open."""
    TRUNCATE = "truncate"
    """`cut` bytes of the answer leave, then the connection ends by FIN."""
    FIN = "fin"
    """An orderly end of the connection instead of the answer."""
    RST = "rst"
    """A reset of the connection instead of the answer."""
    SILENCE = "silence"
    """This and everything later on the same connection stays unanswered; the connection stays open."""
    SPLIT = "split"
    """One byte at a time, without waiting."""
    SLOW_BYTES = "slow_bytes"
    """One byte at a time, `seconds` apart."""
    COALESCE = "coalesce"
    """A frame with a foreign context and the answer leave in one segment."""
    DUPLICATE = "duplicate"
    """The answer leaves twice."""
    GARBAGE = "garbage"
    """`noise` instead of the answer."""
    WRONG_LENGTH = "wrong_length"
    """The header announces 4 bytes less than follow."""
    WRONG_SESSION = "wrong_session"
    """The session handle in the answer is another one."""
    INVALID_SESSION = "invalid_session"
    """The request is refused with encapsulation status 0x64, and not acted on."""
    WRONG_SEQUENCE = "wrong_sequence"
    """The sequence count of a connected answer is another one; other answers stay as they are."""
    STALE = "stale"
    """The answer to the request before, once more, instead of this one; none if there was none."""
    WRONG_CONTEXT = "wrong_context"
    """The sender context in the answer is another one."""
    CONNECTION_LOST = "connection_lost"
    """The controller has closed all CIP connections; a connected request is not acted on and not answered."""
    STATUS = "status"
    """The general status is `code` with `extended`; the request is not acted on."""
    EMBEDDED = "embedded"
    """Of a multiple service packet, the service `index` fails with `code`; other requests fail as a whole."""
    WRONG_SERVICE = "wrong_service"
    """A correct answer, but to another service."""
    SHORT_DATA = "short_data"
    """The last byte of the answer's data is missing, and every length says so; answers without data stay."""
    PARTIAL = "partial"
    """Answers with more than `cut` bytes of data are cut there and say so: status 0x06, where the service has it."""


@dataclasses.dataclass(frozen=True, slots=True)
class CipInjection:
    """One fault with everything that it needs: two equal injections do the same to equal answers.

    Attributes:
        fault: what goes wrong.
        seconds: how late (DELAY), or the gap between bytes (SLOW_BYTES).
        code: general status (STATUS, EMBEDDED), 1..255.
        extended: extended status (STATUS, EMBEDDED), 0..65535; None for none.
        index: which service of a multiple service packet (EMBEDDED), from 0.
        cut: bytes that leave (HANG, TRUNCATE; at most all but one), or bytes of data (PARTIAL).
        noise: the bytes that leave instead (GARBAGE); none means the answer's own, inverted.
    """

    fault: CipFault
    seconds: float = 0.0
    code: int = 0x05
    extended: int | None = None
    index: int = 0
    cut: int = 30
    noise: bytes = b""

    def __post_init__(self) -> None:
        for name, number, low, high in (
            ("seconds", self.seconds, 0, 86_400),
            ("code", self.code, 1, 255),
            ("extended", self.extended or 0, 0, 0xFFFF),
            ("index", self.index, 0, 0xFFFF),
            ("cut", self.cut, 0, 0xFFFF),
        ):
            if not low <= number <= high:
                raise ConfigError(f"{name}: expected {low}..{high}, got {number!r}")

    @property
    def tampering(self) -> Tampering:
        """What the fault does to services, before there is an answer."""
        match self.fault:
            case CipFault.STATUS:
                return Tampering(refusal=Reply(status=self.code, extended=self.extended))
            case CipFault.EMBEDDED:
                return Tampering(refusal=Reply(status=self.code, extended=self.extended), embedded=self.index)
            case CipFault.PARTIAL:
                return Tampering(room=self.cut)
        return Tampering()


class CipFaultPlan:
    """Which request meets which fault.

    A plan is used up as requests come; `history` says what was injected. Give each target its own.

    Args:
        injections: one entry for each request in order of arrival, None for a correct answer; after its end every
            answer is correct.
    """

    def __init__(self, injections: Iterable[CipInjection | None] = ()) -> None:
        self._injections: Iterator[CipInjection | None] = iter(injections)
        self.history: list[CipInjection | None] = []

    @classmethod
    def script(cls, *injections: CipInjection | CipFault | None) -> CipFaultPlan:
        """Name the fault of the first request, of the second, and so on; then all is well."""
        return cls(_injection(entry) for entry in injections)

    @classmethod
    def always(cls, injection: CipInjection | CipFault) -> CipFaultPlan:
        """Meet every request with the same fault, until the target gets another plan."""
        one = _injection(injection)
        return cls(iter(lambda: one, object()))

    @classmethod
    def seeded(
        cls, seed: int, *, rate: float = 0.1, faults: Sequence[CipFault] = tuple(CipFault), seconds: float = 0.05
    ) -> CipFaultPlan:
        """Draw faults at random; the same arguments give the same plan, byte for byte.

        Args:
            seed: names the plan.
            rate: share of the requests that meet a fault, 0..1.
            faults: the kinds to draw from, each as likely.
            seconds: how late DELAY is, at most; the gaps of SLOW_BYTES are a hundredth of it.

        Raises:
            ConfigError: `rate` is outside 0..1, or there is no kind to draw from.
        """
        if not 0.0 <= rate <= 1.0:
            raise ConfigError(f"rate: expected 0..1, got {rate!r}")
        if not faults:
            raise ConfigError("faults: expected at least one kind, got none")
        return cls(_draw(random.Random(seed), rate, tuple(faults), seconds))  # noqa: S311 (a test plan, no secret)

    def next_injection(self) -> CipInjection | None:
        """Take the fault for the next request."""
        injection = next(self._injections, None)
        self.history.append(injection)
        return injection


def disturb(injection: CipInjection | None, frame: bytes, previous: bytes) -> list[Action]:
    """Say what the target does with a correct answer.

    Args:
        injection: what goes wrong, or None.
        frame: the whole answer.
        previous: the answer before it on the same connection, b"" if there was none.
    """
    if injection is None:
        return [Send(frame)]
    if injection.fault is CipFault.STALE:
        return [Send(previous)] if previous else []
    change = _DISTURBANCES.get(injection.fault)
    return [Send(frame)] if change is None else change(injection, frame)


def _injection(entry: CipInjection | CipFault | None) -> CipInjection | None:
    return CipInjection(entry) if isinstance(entry, CipFault) else entry


def _draw(
    rng: random.Random, rate: float, faults: tuple[CipFault, ...], seconds: float
) -> Iterator[CipInjection | None]:
    while True:
        # Always the same number of draws, so that a plan with another rate differs only where it must.
        strikes, fault, late = rng.random() < rate, rng.choice(faults), rng.uniform(0.0, seconds)
        (code, extended), index, cut = rng.choice(_STATUSES), rng.randrange(4), rng.randrange(1, 60)
        noise = rng.randbytes(rng.randrange(8, 64))
        gap = late / 100 if fault is CipFault.SLOW_BYTES else late
        yield CipInjection(fault, gap, code, extended, index, cut, noise) if strikes else None


def _patched(frame: bytes, at: int, mask: bytes) -> bytes:
    changed = bytes(one ^ other for one, other in zip(frame[at : at + len(mask)], mask, strict=True))
    return frame[:at] + changed + frame[at + len(mask) :]


def _wrong_length(frame: bytes) -> bytes:
    announced = max(int.from_bytes(frame[2:4], "little") - 4, 0)
    return frame[:2] + announced.to_bytes(2, "little") + frame[4:]


def _wrong_sequence(frame: bytes) -> bytes:
    connected = int.from_bytes(frame[:2], "little") == Command.SEND_UNIT_DATA and len(frame) >= _SEQUENCE_AT + 2
    return _patched(frame, _SEQUENCE_AT, b"\x00\x55") if connected else frame


def _service_at(frame: bytes) -> int | None:
    """Find the answer in a frame; None if it carries none."""
    command = int.from_bytes(frame[:2], "little")
    if command not in _CARRIED_AT:
        return None
    at = _CARRIED_AT[Command(command)] + 2 * (command == Command.SEND_UNIT_DATA)
    return at if len(frame) >= at + 4 else None


def _wrong_service(frame: bytes) -> bytes:
    at = _service_at(frame)
    return frame if at is None else _patched(frame, at, b"\x01")


def _short_data(frame: bytes) -> bytes:
    at = _service_at(frame)
    if at is None or len(frame) <= at + 4 + 2 * frame[at + 3]:
        return frame
    carried = _CARRIED_AT[Command(int.from_bytes(frame[:2], "little"))]
    for place in (2, carried - 2):
        length = int.from_bytes(frame[place : place + 2], "little") - 1
        frame = frame[:place] + length.to_bytes(2, "little") + frame[place + 2 :]
    return frame[:-1]


def _foreign(frame: bytes) -> bytes:
    return _patched(frame, 12, b"\x5a\xa5\x5a\xa5\x5a\xa5\x5a\xa5")


def _invalid_session(frame: bytes) -> bytes:
    head = frame[:2] + bytes(2) + frame[4:8] + Status.INVALID_SESSION.to_bytes(4, "little")
    return head + frame[12:HEADER_BYTES]


def _begun(how: CipInjection, frame: bytes) -> Send:
    return Send(frame[: min(how.cut, len(frame) - 1)])


_DISTURBANCES: dict[CipFault, Callable[[CipInjection, bytes], list[Action]]] = {
    CipFault.DROP: lambda _how, _frame: [],
    CipFault.DELAY: lambda how, frame: [Pause(how.seconds), Send(frame)],
    CipFault.HANG: lambda how, frame: [_begun(how, frame), Silence()],
    CipFault.TRUNCATE: lambda how, frame: [_begun(how, frame), Drop(reset=False)],
    CipFault.FIN: lambda _how, _frame: [Drop(reset=False)],
    CipFault.RST: lambda _how, _frame: [Drop(reset=True)],
    CipFault.SILENCE: lambda _how, _frame: [Silence()],
    CipFault.SPLIT: lambda _how, frame: single_bytes(frame),
    CipFault.SLOW_BYTES: lambda how, frame: single_bytes(frame, how.seconds),
    CipFault.COALESCE: lambda _how, frame: [Send(_foreign(frame) + frame)],
    CipFault.DUPLICATE: lambda _how, frame: [Send(frame), Send(frame)],
    CipFault.GARBAGE: lambda how, frame: [Send(how.noise or bytes(byte ^ 0xFF for byte in frame))],
    CipFault.WRONG_LENGTH: lambda _how, frame: [Send(_wrong_length(frame))],
    CipFault.WRONG_SESSION: lambda _how, frame: [Send(_patched(frame, 4, b"\x5a\xa5\x00\x00"))],
    CipFault.INVALID_SESSION: lambda _how, frame: [Send(_invalid_session(frame))],
    CipFault.WRONG_SEQUENCE: lambda _how, frame: [Send(_wrong_sequence(frame))],
    CipFault.WRONG_CONTEXT: lambda _how, frame: [Send(_foreign(frame))],
    CipFault.WRONG_SERVICE: lambda _how, frame: [Send(_wrong_service(frame))],
    CipFault.SHORT_DATA: lambda _how, frame: [Send(_short_data(frame))],
}
