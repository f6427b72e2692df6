"""The class that users write: one message at a time, a new instance after every crash.

In: messages. Out: whatever the actor does, through `self.ctx`. Not here: mailbox, tasks, supervision; see `worker.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bifrost.actors.exit_reason import ExitReason

if TYPE_CHECKING:
    from bifrost.actors.context import ActorContext

__all__ = ["Actor", "M"]

M = TypeVar("M")


class Actor(Generic[M]):
    """Base of every actor; `M` is the type of its messages.

    The supervisor makes a new instance for each incarnation, so `__init__` and the attributes it sets are the clean
    state that a restart returns to. Nobody else ever holds a reference to the instance.

    Attributes:
        ctx: what the actor may do to the world; set before `on_start`.
    """

    ctx: ActorContext

    async def on_start(self) -> object:
        """Get ready; the actor counts as started when this returns.

        What it returns, such as the address that it listens on, is the `start_info` of its ref for this incarnation.
        It is bounded by the specification's `start_timeout` and must not wait for a remote device: an outage is a
        state, not a failed start. If it raises, it cleans up after itself: `on_stop` is not called.
        """

    async def on_restart(self, reason: ExitReason, handover: Any) -> object:
        """Get ready after an earlier incarnation has ended; calls `on_start` unless it is overridden.

        The supervisor's restarts call it in the place of `on_start`. A start by hand after a stop for good does not.

        Args:
            reason: why the earlier incarnation ended, or why the last attempt to start failed.
            handover: what `handover` of the last incarnation that ran returned; None if it returned nothing, raised,
                or was abandoned.
        """
        del reason, handover
        return await self.on_start()

    def handover(self) -> Any:
        """Say what the next incarnation is to be given: called once, when this one has ended and may be restarted.

        `on_stop` has returned by then. Give what is known to be good, such as the number of the last batch sent: the
        state as a whole is what the restart is meant to get rid of. It must not block; an exception is reported, and
        then the next incarnation gets None.
        """
        return None

    async def receive(self, message: M) -> object:
        """Handle one message; what is returned answers an `ask`. An exception is a crash."""
        return None

    async def on_stop(self, reason: ExitReason) -> None:
        """Release what `on_start` took: called once for each `on_start` that returned, also after a crash.

        The incarnation's own tasks have ended by then. It is bounded by the specification's `shutdown`; an exception
        is reported and changes nothing.
        """
