"""What a supervisor knows about a child before it starts.

In: a factory and how to treat what it makes. Out: a frozen, checked value. Nothing is started here: a wrong
specification is a `ChildSpecError` before anything runs.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from bifrost.actors.backoff import Backoff
from bifrost.actors.mailbox import Mailbox
from bifrost.actors.strategy import AutoShutdown
from bifrost.errors import ChildSpecError

__all__ = ["BRUTAL_KILL", "IGNORE", "INFINITY", "ChildSpec", "ChildType", "Ignore", "Restart", "check_child_specs"]

INFINITY: Final = float("inf")
"""`shutdown` without a limit: right for supervisors, dangerous for workers (one that hangs holds up the whole stop)."""

BRUTAL_KILL: Final = 0.0
"""`shutdown` without a grace: the child is cancelled at once."""


class Ignore(enum.Enum):
    """The type of `IGNORE`."""

    IGNORE = "ignore"


IGNORE: Final = Ignore.IGNORE
"""What `start` returns instead of an actor to say that nothing is to run here: no error, no process, no retry.

The specification is kept for `restart_child` or a group restart, except that of a temporary or dynamic child.
"""


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


_MAILBOX: Final = Mailbox()
_PERMANENT: Final = Restart.PERMANENT
_WORKER: Final = ChildType.WORKER
_SHUTDOWN: Final = 5.0


@dataclass(frozen=True, slots=True, init=False)
class ChildSpec:
    """One child of a supervisor.

    Attributes:
        id: name within the supervisor; a part of the actor's path, so it is not empty and has no ``/``.
        start: class or function that returns a new `Actor`, or `IGNORE`; called once per incarnation with `args` and
            `kwargs`.
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
        name: the name it has in the system's registry, unique there; None is none.
    """

    id: str
    start: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    restart: Restart
    shutdown: float | None
    type: ChildType
    significant: bool
    mailbox: Mailbox
    backoff: Backoff | None
    start_timeout: float
    drain: bool
    name: str | None

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - the word of every child specification
        start: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        restart: Restart = _PERMANENT,
        shutdown: float | None = None,
        type: ChildType = _WORKER,  # noqa: A002 - OTP's word
        significant: bool = False,
        mailbox: Mailbox = _MAILBOX,
        backoff: Backoff | None = None,
        start_timeout: float = 5.0,
        drain: bool = False,
        name: str | None = None,
    ) -> None:
        # By hand and not generated, because a specification is made for every child that is started: this way costs
        # half. The descriptors are what `object.__setattr__` would look up again for each field.
        if shutdown is None:
            shutdown = _SHUTDOWN if type is _WORKER else INFINITY
        _set_id(self, id)
        _set_start(self, start)
        _set_args(self, args)
        _set_kwargs(self, _NO_KWARGS if kwargs is None else kwargs)
        _set_restart(self, restart)
        _set_shutdown(self, shutdown)
        _set_type(self, type)
        _set_significant(self, significant)
        _set_mailbox(self, mailbox)
        _set_backoff(self, backoff)
        _set_start_timeout(self, start_timeout)
        _set_drain(self, drain)
        _set_name(self, name)
        # The ordinary case is told by the identity of types; whatever is unusual is looked at field by field.
        if not (
            id.__class__ is str
            and id
            and "/" not in id
            and restart.__class__ is Restart
            and type.__class__ is ChildType
            and args.__class__ is tuple
            and mailbox.__class__ is Mailbox
            and kwargs is None
            and significant is False
            and drain is False
            and name is None
            and backoff is None
            and shutdown.__class__ is float
            and shutdown >= 0.0
            and start_timeout.__class__ is float
            and 0.0 < start_timeout < INFINITY
            and callable(start)
        ):
            _check(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, ({field: getattr(self, field) for field in _plain_fields(self)},)

    @property
    def shutdown_seconds(self) -> float:
        """The `shutdown` in force: a number, `INFINITY` or `BRUTAL_KILL`."""
        assert self.shutdown is not None
        return self.shutdown


_NO_KWARGS: Final[Mapping[str, Any]] = MappingProxyType({})

(
    _set_id,
    _set_start,
    _set_args,
    _set_kwargs,
    _set_restart,
    _set_shutdown,
    _set_type,
    _set_significant,
    _set_mailbox,
    _set_backoff,
    _set_start_timeout,
    _set_drain,
    _set_name,
) = (ChildSpec.__dict__[slot].__set__ for slot in ChildSpec.__slots__)


def _plain_fields(spec: ChildSpec) -> list[str]:
    return [field for field in ChildSpec.__slots__ if field != "kwargs" or spec.kwargs is not _NO_KWARGS]


def _remake(fields: dict[str, Any]) -> ChildSpec:
    return ChildSpec(**fields)


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


def _check(spec: ChildSpec) -> None:
    child_id: object = spec.id
    if not isinstance(child_id, str) or not child_id or "/" in child_id:
        raise ChildSpecError(f"child id must be a non-empty string without '/', got {child_id!r}")
    if not callable(spec.start):
        raise ChildSpecError(f"child {child_id!r}: start must be a class or function, got {spec.start!r}")
    for name, expected in _FIELD_TYPES.items():
        value = getattr(spec, name)
        if not isinstance(value, expected):
            wanted = getattr(expected, "__name__", expected)
            raise ChildSpecError(f"child {child_id!r}: {name} must be of type {wanted}, got {value!r}")
    if not _is_seconds(spec.shutdown):
        raise ChildSpecError(
            f"child {child_id!r}: shutdown must be seconds >= 0, INFINITY or BRUTAL_KILL, got {spec.shutdown!r}"
        )
    timeout = spec.start_timeout
    if not _is_seconds(timeout) or not 0 < timeout < INFINITY:
        raise ChildSpecError(f"child {child_id!r}: start_timeout must be finite seconds > 0, got {timeout!r}")
    registered: object = spec.name
    if registered is not None and (not isinstance(registered, str) or not registered):
        raise ChildSpecError(f"child {child_id!r}: name must be a non-empty string or None, got {registered!r}")
    if spec.significant and spec.restart is Restart.PERMANENT:
        raise ChildSpecError(f"child {child_id!r}: a permanent child cannot be significant, it never ends for good")


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def check_child_specs(specs: Iterable[object], *, auto_shutdown: AutoShutdown | None = None) -> tuple[ChildSpec, ...]:
    """Return `specs` as a tuple if a supervisor could start them.

    Args:
        specs: what to check, in start order.
        auto_shutdown: that of the supervisor that they are meant for; None leaves `significant` unchecked.

    Raises:
        ChildSpecError: something is no `ChildSpec`, two have the same id or the same registered name, or one is
            significant under `AutoShutdown.NEVER`.

    Source: Erlang/OTP `supervisor:check_childspecs/2`.
    """
    checked: dict[str, ChildSpec] = {}
    names: set[str] = set()
    for spec in specs:
        if not isinstance(spec, ChildSpec):
            raise ChildSpecError(f"expected a ChildSpec, got {spec!r}")
        if spec.id in checked:
            raise ChildSpecError(f"child id {spec.id!r} is used twice; ids are unique within a supervisor")
        if spec.significant and auto_shutdown is AutoShutdown.NEVER:
            raise ChildSpecError(f"child {spec.id!r} is significant but its supervisor's auto_shutdown is never")
        if spec.name is not None:
            if spec.name in names:
                raise ChildSpecError(f"child {spec.id!r}: the name {spec.name!r} is used twice; names are unique")
            names.add(spec.name)
        checked[spec.id] = spec
    return tuple(checked.values())
