"""What a message makes its receiver do, and how an actor behaves when it starts and stops.

In: nothing. Out: frozen values, and the hypothesis strategies that draw them. A message is a tree of acts: it may send
messages that carry acts of their own, so that no run goes on for ever.
"""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass

from hypothesis import strategies as st

from bifrost.actors import Lane

__all__ = [
    "Act",
    "Ask",
    "Become",
    "CrashNow",
    "Hang",
    "KillActor",
    "Link",
    "Pause",
    "Post",
    "Repeat",
    "Role",
    "Send",
    "Spawn",
    "Stage",
    "Stash",
    "StopSelf",
    "Stray",
    "Stubborn",
    "Tell",
    "Timer",
    "Trap",
    "Unlink",
    "Unstash",
    "Unwatch",
    "Watch",
    "posts",
    "roles",
]


@dataclass(frozen=True)
class Pause:
    """Suspend; 0 is one turn of the loop."""

    seconds: float


@dataclass(frozen=True)
class CrashNow:
    """Raise."""


@dataclass(frozen=True)
class Stray:
    """Raise a cancellation that nobody asked for."""


@dataclass(frozen=True)
class Hang:
    """Wait for ever; ends when cancelled."""


@dataclass(frozen=True)
class Stubborn:
    """Wait, and swallow this many cancellations; the grace period makes about ten."""

    swallows: int


@dataclass(frozen=True)
class StopSelf:
    """End after this message."""

    normal: bool


@dataclass(frozen=True)
class Timer:
    """Set a one-shot timer."""

    key: int
    delay: float


@dataclass(frozen=True)
class Repeat:
    """Set a periodic timer."""

    key: int
    interval: float


@dataclass(frozen=True)
class Watch:
    """Watch an actor."""

    target: int


@dataclass(frozen=True)
class Unwatch:
    """Take a watch back."""

    target: int


@dataclass(frozen=True)
class KillActor:
    """Kill an actor, maybe oneself."""

    target: int


@dataclass(frozen=True)
class Link:
    """Fall together with an actor."""

    target: int


@dataclass(frozen=True)
class Unlink:
    """Take a link back."""

    target: int


@dataclass(frozen=True)
class Trap:
    """Hear of the end of linked actors, or fall with them again."""

    on: bool


@dataclass(frozen=True)
class Become:
    """Let another method handle what comes next, one that ends when its asker gives up, or go back to the first."""

    other: bool


@dataclass(frozen=True)
class Stash:
    """Put this message aside, if it is in hand for the first time."""


@dataclass(frozen=True)
class Unstash:
    """Take back what was put aside."""


@dataclass(frozen=True)
class Spawn:
    """Do something in a task of the incarnation."""

    acts: tuple[Act, ...]


@dataclass(frozen=True)
class Tell:
    """Send and go on."""

    target: int
    acts: tuple[Act, ...]
    lane: Lane
    ttl: float | None = None


@dataclass(frozen=True)
class Send:
    """Send and wait for room."""

    target: int
    acts: tuple[Act, ...]
    lane: Lane
    timeout: float
    catch: bool
    ttl: float | None = None


@dataclass(frozen=True)
class Ask:
    """Send and wait for the answer."""

    target: int
    acts: tuple[Act, ...]
    lane: Lane
    timeout: float
    catch: bool


Post = Tell | Send | Ask
Act = (
    Pause
    | CrashNow
    | Stray
    | Hang
    | Stubborn
    | StopSelf
    | Timer
    | Repeat
    | Watch
    | Unwatch
    | KillActor
    | Link
    | Unlink
    | Trap
    | Become
    | Stash
    | Unstash
    | Spawn
    | Tell
    | Send
    | Ask
)


class Stage(enum.Enum):
    """How a start or stop hook behaves."""

    OK = "ok"
    YIELD = "yield"
    SLOW = "slow"
    FAIL = "fail"
    HANG = "hang"
    STUBBORN = "stubborn"


@dataclass(frozen=True)
class Role:
    """How the hooks of one actor behave, incarnation by incarnation; later ones behave well."""

    starts: tuple[Stage, ...] = ()
    stops: tuple[Stage, ...] = ()
    hands_over: bool = False


_targets = st.integers(0, 11)
_lanes = st.sampled_from([Lane.NORMAL, Lane.NORMAL, Lane.NORMAL, Lane.HIGH, Lane.SYSTEM])
_ttls = st.sampled_from([None, None, None, 0.1, 1.0])
_timeouts = st.sampled_from([0.0, 0.05, 0.5, 2.0, 5.0])

_leaves: st.SearchStrategy[Act] = st.one_of(
    st.builds(Pause, st.sampled_from([0.0, 0.0, 0.01, 0.3, 2.0])),
    st.builds(Pause, st.sampled_from([0.0, 0.0, 0.01, 0.3, 2.0])),
    st.just(CrashNow()),
    st.just(Stray()),
    st.just(Hang()),
    st.builds(Stubborn, st.sampled_from([1, 2, 10_000])),
    st.builds(StopSelf, st.booleans()),
    st.builds(Timer, st.integers(0, 1), st.sampled_from([0.0, 0.2, 3.0])),
    st.builds(Repeat, st.integers(0, 1), st.sampled_from([0.3, 1.0])),
    st.builds(Watch, _targets),
    st.builds(Watch, _targets),
    st.builds(Unwatch, _targets),
    st.builds(KillActor, _targets),
    st.one_of(st.builds(Link, _targets), st.builds(Unlink, _targets), st.builds(Trap, st.booleans())),
    st.builds(Become, st.booleans()),
    st.just(Stash()),
    st.just(Unstash()),
)


def _sequence(depth: int, most: int) -> st.SearchStrategy[tuple[Act, ...]]:
    """Acts that send messages with acts of their own, `depth` levels deep."""
    one = _leaves
    if depth:
        one = st.one_of(_leaves, _post(depth - 1), st.builds(Spawn, _sequence(depth - 1, 2)))
    return st.lists(one, max_size=most).map(tuple)


def _post(depth: int) -> st.SearchStrategy[Post]:
    inner = _sequence(depth, depth + 1)
    return st.one_of(
        st.builds(Tell, _targets, inner, _lanes, _ttls),
        st.builds(Send, _targets, inner, _lanes, _timeouts, st.booleans(), _ttls),
        st.builds(Ask, _targets, inner, _lanes, _timeouts, st.booleans()),
    )


_outside = st.lists(_post(2), min_size=1, max_size=5).map(tuple)


@st.composite
def posts(draw: st.DrawFn) -> tuple[Post, ...]:
    """What one sender outside the tree sends, one after the other."""
    return draw(_outside)  # behind a name: written out, the strategy would be too long for a failure's report


@functools.cache
def roles(*first_start: Stage) -> st.SearchStrategy[Role]:
    """A role whose first start is one of `first_start`."""
    rare = st.sampled_from([Stage.OK, Stage.OK, Stage.YIELD, Stage.SLOW, Stage.FAIL, Stage.HANG, Stage.STUBBORN])
    later = st.lists(rare, max_size=2)
    starts = st.builds(lambda first, rest: (first, *rest), st.sampled_from(first_start), later)
    return st.builds(Role, starts, st.lists(rare, max_size=2).map(tuple), st.booleans())
