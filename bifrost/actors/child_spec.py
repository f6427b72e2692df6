"""What a supervisor knows about a child before it starts.

In: a factory and how to treat what it makes. Out: a frozen, checked value. Nothing is started here: a wrong
specification is a `ChildSpecError` before anything runs.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bifrost.actors.backoff import Backoff
from bifrost.actors.mailbox import Mailbox
from bifrost.errors import ChildSpecError

__all__ = ["BRUTAL_KILL", "INFINITY", "ChildSpec", "ChildType", "Restart", "check_child_specs"]

INFINITY: Final = float("inf")
"""`shutdown` without a limit: right for supervisors, dangerous for workers (one that hangs holds up the whole stop)."""

BRUTAL_KILL: Final = 0.0
"""`shutdown` without a grace: the child is cancelled at once."""


class Restart(enum.Enum):
    """When a child that ended is started again."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """Only after an abnormal exit."""
    TEMPORARY = "temporary"
    """Never; its specification goes with it."""


class ChildType(enum.Enum):
    """What a child is, for counting and for its default shutdown."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"


@dataclass(frozen=True, kw_only=True)
class ChildSpec:
    """One child of a supervisor.

    Attributes:
        id: name within the supervisor; a part of the actor's path, so it is not empty and has no ``/``.
        start: class or function that returns a new `Actor`; called once per incarnation with `args` and `kwargs`.
        args: positional arguments of `start`.
        kwargs: keyword arguments of `start`.
        restart: when the child is started again.
        shutdown: seconds that an orderly stop may take, `INFINITY`, or `BRUTAL_KILL`; None means 5.0 for a worker and
            `INFINITY` for a supervisor.
        type: worker or supervisor.
        significant: its own end may end the supervisor, see `AutoShutdown`; not with `Restart.PERMANENT`.
        mailbox: bound and overflow policy.
        backoff: delay before restarts; None restarts at once.
        start_timeout: seconds that `on_start` may take; it must not wait for a remote device.
        drain: at an orderly stop the queued messages are handled first, within `shutdown`.
    """

    id: str
    start: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    restart: Restart = Restart.PERMANENT
    shutdown: float | None = None
    type: ChildType = ChildType.WORKER
    significant: bool = False
    mailbox: Mailbox = Mailbox()  # noqa: RUF009 - frozen, so that sharing one is safe
    backoff: Backoff | None = None
    start_timeout: float = 5.0
    drain: bool = False

    def __post_init__(self) -> None:
        child_id: object = self.id
        if not isinstance(child_id, str) or not child_id or "/" in child_id:
            raise ChildSpecError(f"child id must be a non-empty string without '/', got {child_id!r}")
        if not callable(self.start):
            raise ChildSpecError(f"child {self.id!r}: start must be a class or function, got {self.start!r}")
        for name, expected in _FIELD_TYPES.items():
            value = getattr(self, name)
            if not isinstance(value, expected):
                wanted = getattr(expected, "__name__", expected)
                raise ChildSpecError(f"child {self.id!r}: {name} must be of type {wanted}, got {value!r}")
        if self.shutdown is None:
            default = INFINITY if self.type is ChildType.SUPERVISOR else 5.0
            object.__setattr__(self, "shutdown", default)
        elif not _is_seconds(self.shutdown):
            raise ChildSpecError(
                f"child {self.id!r}: shutdown must be seconds >= 0, INFINITY or BRUTAL_KILL, got {self.shutdown!r}"
            )
        timeout = self.start_timeout
        if not _is_seconds(timeout) or not 0 < timeout < INFINITY:
            raise ChildSpecError(f"child {self.id!r}: start_timeout must be finite seconds > 0, got {timeout!r}")
        if self.significant and self.restart is Restart.PERMANENT:
            raise ChildSpecError(f"child {self.id!r}: a permanent child cannot be significant, it never ends for good")

    @property
    def shutdown_seconds(self) -> float:
        """The `shutdown` in force: a number, `INFINITY` or `BRUTAL_KILL`."""
        assert self.shutdown is not None
        return self.shutdown


_FIELD_TYPES: Final[Mapping[str, Any]] = {
    "args": tuple,
    "kwargs": Mapping,
    "restart": Restart,
    "type": ChildType,
    "significant": bool,
    "mailbox": Mailbox,
    "backoff": Backoff | None,
    "drain": bool,
}


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def check_child_specs(specs: Iterable[object]) -> tuple[ChildSpec, ...]:
    """Return `specs` as a tuple if a supervisor could start them.

    Raises:
        ChildSpecError: something is no `ChildSpec`, or two have the same id.
    """
    checked: dict[str, ChildSpec] = {}
    for spec in specs:
        if not isinstance(spec, ChildSpec):
            raise ChildSpecError(f"expected a ChildSpec, got {spec!r}")
        if spec.id in checked:
            raise ChildSpecError(f"child id {spec.id!r} is used twice; ids are unique within a supervisor")
        checked[spec.id] = spec
    return tuple(checked.values())
