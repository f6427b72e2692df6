"""What goes wrong with an answer, planned ahead: one `Injection` or none for each request, the same for the same seed.

In: a script, or a seed. Out: injections, in order. Not here: what they do to the bytes (`disturbance`).
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from bifrost.errors import ConfigError
from bifrost.plc.sim.framing import Framing

__all__ = ["EDGES", "Fault", "FaultPlan", "Injection"]

EDGES = tuple(
    bytes.fromhex(words)
    for words in (
        "7fc00000",  # FLOAT32 NaN
        "7ff8000000000000",  # FLOAT64 NaN
        "7f800000",  # FLOAT32 infinity
        "ff800000",  # FLOAT32 minus infinity
        "ffffffffffffffff",  # UINT64 beyond every signed integer; as text, no UTF-8
        "8000000000000000",  # the smallest INT64, and FLOAT64 minus zero
        "41424344",  # text without a NUL
        "c328",  # text: the start of a two-byte character, without its end
        "0000",
    )
)
"""Register contents at the edges of what types hold; V1.1b3 leaves their meaning to the maker."""


class Fault(StrEnum):
    """The ways in which an answer goes wrong."""

    DROP = "drop"
    """The request is acted on, no answer leaves."""
    DELAY = "delay"
    """The answer leaves `seconds` late, whole and correct."""
    WRONG_TRANSACTION = "wrong_transaction"
    """The transaction id is another one."""
    TRANSACTION_NOT_ECHOED = "transaction_not_echoed"
    """The transaction id is 0, whatever was asked: what some gateways do."""
    WRONG_UNIT = "wrong_unit"
    """The unit id is another one: another device answers."""
    WRONG_FUNCTION = "wrong_function"
    """A correct answer, but to another function."""
    WRONG_BYTE_COUNT = "wrong_byte_count"
    """A well-formed answer with one register (or eight bits) less than was asked for, or more if that leaves none."""
    EXCEPTION = "exception"
    """An exception answer with `code`; the request is not acted on."""
    EXCEPTION_LENGTH = "exception_length"
    """An exception answer with `code` and one byte too many; the request is not acted on."""
    VALUE_EDGE = "value_edge"
    """A well-formed answer to a read whose registers repeat `noise`: NaN, infinity, text without end."""
    TRUNCATE = "truncate"
    """The device dies in the middle of a frame: `cut` bytes leave, then the connection ends."""
    GARBAGE = "garbage"
    """Random bytes instead of the answer."""
    BAD_PROTOCOL_ID = "bad_protocol_id"
    """The protocol id is not 0: the framing is lost."""
    LENGTH_ZERO = "length_zero"
    """The length field of the MBAP header is 0: the framing is lost."""
    LENGTH_HUGE = "length_huge"
    """The length field of the MBAP header is beyond the 254 that a frame can have: the framing is lost."""
    CRC_ERROR = "crc_error"
    """One bit of the answer is flipped, its CRC is not."""
    NOISE_BEFORE = "noise_before"
    """`noise` in front of the answer, in one piece with it."""
    NOISE_AFTER = "noise_after"
    """`noise` behind the answer, in one piece with it."""
    ECHO = "echo"
    """The request itself comes back before the answer: what two-wire adapters without echo suppression do."""
    ECHO_ONLY = "echo_only"
    """The request itself comes back, and no answer: such an adapter with a device that is off."""
    GAP = "gap"
    """A pause of `seconds` after the first `cut` bytes of the answer."""
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
    """A foreign frame and the answer leave in one segment: another transaction id, or another unit's answer."""
    REORDER = "reorder"
    """The answer is held back until the next one has left, `seconds` at most: only a pipelining client has a next."""
    JOIN = "join"
    """The answer waits for the next one, `seconds` at most, and both leave in one segment."""

    @property
    def framings(self) -> frozenset[Framing]:
        """Where it can happen: a serial line cannot be reset, and only MBAP has a transaction id."""
        return _FRAMINGS.get(self, frozenset(Framing))

    def applies_to(self, framing: Framing) -> bool:
        """Tell whether an answer in this framing can go wrong so."""
        return framing in self.framings


_MBAP_ONLY = frozenset({Framing.TCP})
_RTU_ONLY = frozenset({Framing.RTU, Framing.RTU_OVER_TCP})
_CONNECTED = frozenset({Framing.TCP, Framing.RTU_OVER_TCP})
_FRAMINGS = {
    Fault.WRONG_TRANSACTION: _MBAP_ONLY,
    Fault.TRANSACTION_NOT_ECHOED: _MBAP_ONLY,
    Fault.BAD_PROTOCOL_ID: _MBAP_ONLY,
    Fault.LENGTH_ZERO: _MBAP_ONLY,
    Fault.LENGTH_HUGE: _MBAP_ONLY,
    Fault.REORDER: _MBAP_ONLY,
    Fault.JOIN: _MBAP_ONLY,
    Fault.CRC_ERROR: _RTU_ONLY,
    Fault.NOISE_BEFORE: _RTU_ONLY,
    Fault.NOISE_AFTER: _RTU_ONLY,
    Fault.ECHO: _RTU_ONLY,
    Fault.ECHO_ONLY: _RTU_ONLY,
    Fault.FIN: _CONNECTED,
    Fault.RST: _CONNECTED,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Injection:
    """One fault with everything that it needs: two equal injections do the same to equal answers.

    Attributes:
        fault: what goes wrong.
        seconds: how late (DELAY), the gap between bytes (SLOW_BYTES) or in the frame (GAP), how long an answer waits
            for the next one (REORDER, JOIN).
        code: the exception code (EXCEPTION, EXCEPTION_LENGTH), 1..255.
        cut: bytes that leave before the connection dies (TRUNCATE) or the gap (GAP); at most all but one of the answer.
            On a serial line nothing ends: the rest just never comes.
        noise: the bytes that leave instead (GARBAGE), before or after (NOISE_BEFORE, NOISE_AFTER), or that the
            registers repeat (VALUE_EDGE); none means some that fit.
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
        cls,
        seed: int,
        *,
        rate: float = 0.1,
        faults: Sequence[Fault] | None = None,
        seconds: float = 0.05,
        framing: Framing = Framing.TCP,
    ) -> FaultPlan:
        """Draw faults at random; the same arguments give the same plan, byte for byte.

        Args:
            seed: names the plan.
            rate: share of the requests that meet a fault, 0..1.
            faults: the kinds to draw from, each as likely; those that cannot happen in `framing` are left out. None:
                all but VALUE_EDGE, whose answers no client can tell from good ones.
            seconds: how late DELAY is, at most; the gaps of SLOW_BYTES are a tenth of it.
            framing: how the server frames its answers.

        Raises:
            ConfigError: `rate` is outside 0..1, or there is no kind to draw from.
        """
        if not 0.0 <= rate <= 1.0:
            raise ConfigError(f"rate: expected 0..1, got {rate!r}")
        wanted = [fault for fault in Fault if fault is not Fault.VALUE_EDGE] if faults is None else faults
        kinds = tuple(fault for fault in wanted if fault.applies_to(framing))
        if not kinds:
            raise ConfigError(f"faults: expected at least one kind that can happen in {framing}, got none")
        return cls(_draw(random.Random(seed), rate, kinds, seconds))  # noqa: S311 (a test plan, no secret)

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
        noise, edge = rng.randbytes(rng.randrange(8, 24)), rng.choice(EDGES)
        if not strikes:
            yield None
            continue
        gap = late / 10 if fault is Fault.SLOW_BYTES else late
        yield Injection(fault, seconds=gap, code=code, cut=cut, noise=edge if fault is Fault.VALUE_EDGE else noise)
