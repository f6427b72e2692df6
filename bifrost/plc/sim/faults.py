"""What goes wrong with an answer, planned ahead: one `Injection` or none for each request, the same for the same seed.

In: a script, or a seed. Out: injections, in order. Not here: what they do to the bytes (`disturbance`).
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from bifrost.errors import ConfigError

__all__ = ["Fault", "FaultPlan", "Injection"]


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
