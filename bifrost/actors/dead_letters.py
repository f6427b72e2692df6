"""Messages that nobody handled: the last ones, and how many for which reason.

In: undeliverable messages. Out: a bounded list and counters. A dead letter is kept for people to read; it is never
delivered again.
"""

from __future__ import annotations

import enum
from collections import Counter, deque
from dataclasses import dataclass

__all__ = ["DeadLetter", "DeadLetterReason", "DeadLetters"]


class DeadLetterReason(enum.StrEnum):
    """Why a message was not handled."""

    FULL = "full"
    TTL = "ttl"
    STOPPED = "stopped"
    RESTARTING_DROP = "restarting_drop"
    CRASHED = "crashed"
    FENCED = "fenced"
    NO_HANDLER = "no_handler"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was not handled.

    Attributes:
        path: whom it was for.
        message: the message itself.
        reason: why.
        at: monotonic seconds.
        actor_class: the name of the class, or of the function that makes the actor, whom it was for.
    """

    path: str
    message: object
    reason: DeadLetterReason
    at: float
    actor_class: str = ""


class DeadLetters:
    """The dead letters of one system.

    Args:
        keep: how many of the last ones are kept.
    """

    def __init__(self, *, keep: int = 256) -> None:
        self._recent: deque[DeadLetter] = deque(maxlen=keep)
        self._counts: Counter[DeadLetterReason] = Counter()
        self._by_class: Counter[tuple[str, DeadLetterReason]] = Counter()

    def add(self, letter: DeadLetter) -> None:
        """Count and keep one."""
        self._recent.append(letter)
        self._counts[letter.reason] += 1
        self._by_class[letter.actor_class, letter.reason] += 1

    @property
    def recent(self) -> tuple[DeadLetter, ...]:
        """The last ones, oldest first."""
        return tuple(self._recent)

    @property
    def counts(self) -> dict[str, int]:
        """How many since the system started, by reason."""
        return {reason.value: count for reason, count in self._counts.items()}

    @property
    def counts_by_class(self) -> dict[str, dict[str, int]]:
        """How many since the system started, by actor class and reason."""
        counts: dict[str, dict[str, int]] = {}
        for (name, reason), count in self._by_class.items():
            counts.setdefault(name, {})[reason.value] = count
        return counts

    def __len__(self) -> int:
        return self._counts.total()
