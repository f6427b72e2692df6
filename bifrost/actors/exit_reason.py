"""Why an incarnation of an actor ended.

In: what happened. Out: one of five frozen values. "Abnormal" (the word of the restart table) is `Crash`, `Killed` and
`StartFailure`; `Normal` and `Shutdown` are normal.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Crash",
    "ExitReason",
    "Killed",
    "Normal",
    "Shutdown",
    "StartFailure",
    "error_text",
    "error_words",
    "is_abnormal",
]


def error_text(error: BaseException) -> str:
    """Name an exception in words, also one that cannot say its own: its `__str__` is foreign code and may raise."""
    return f"{type(error).__name__}: {error_words(error)}"


def error_words(error: BaseException) -> str:
    """The text of an exception, without its name; see `error_text`."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever it raises, the text is all that is lost
        return "(its text failed)"


@dataclass(frozen=True, slots=True)
class Normal:
    """The actor ended by its own wish."""

    def __str__(self) -> str:
        return "normal"


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The actor was asked to end by its supervisor, or ended with this reason itself.

    Attributes:
        detail: what for, in words; may be empty.
    """

    detail: str = ""

    def __str__(self) -> str:
        return f"shutdown: {self.detail}" if self.detail else "shutdown"


@dataclass(frozen=True, slots=True)
class Crash:
    """A handler, `on_start` or a task of the incarnation raised.

    Attributes:
        error: what was raised.
    """

    error: BaseException

    def __str__(self) -> str:
        return f"crash: {error_text(self.error)}"


@dataclass(frozen=True, slots=True)
class Killed:
    """The actor was cancelled: its `shutdown` deadline passed, or its specification says `BRUTAL_KILL`.

    Attributes:
        leaked: true if it did not end even then and was abandoned.
    """

    leaked: bool = False

    def __str__(self) -> str:
        return "killed, abandoned" if self.leaked else "killed"


@dataclass(frozen=True, slots=True)
class StartFailure:
    """The actor never ran: its factory or `on_start` raised, or `start_timeout` passed.

    Attributes:
        error: what was raised.
    """

    error: BaseException

    def __str__(self) -> str:
        return f"start failed: {error_text(self.error)}"


ExitReason = Normal | Shutdown | Crash | Killed | StartFailure


def is_abnormal(reason: ExitReason) -> bool:
    """Tell whether a transient child is restarted after this exit."""
    return not isinstance(reason, Normal | Shutdown)
