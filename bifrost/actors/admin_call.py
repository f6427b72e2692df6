"""One administrative call to a supervisor, from the request to the answer.

In: the answer, whenever it comes. Out: the child's ref, or an error. A call that is answered while it is being made
costs neither a future nor a turn of the loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bifrost.actors.child_spec import ChildSpec
    from bifrost.actors.ref import ActorRef

__all__ = ["PendingCall"]


class PendingCall:
    """A call that may have been answered already.

    Args:
        child_id: which child it is about; empty for the supervisor itself.
        spec: what a store has to keep if it succeeds.
        yields: give the loop a turn even if the call was answered at once.
    """

    __slots__ = ("_future", "_yields", "answered", "child_id", "error", "ref", "spec")

    def __init__(self, child_id: str, spec: ChildSpec | None = None, *, yields: bool = False) -> None:
        self.child_id = child_id
        self.spec = spec
        self._yields = yields
        self.answered = False
        self.ref: ActorRef[Any] | None = None
        self.error: Exception | None = None
        self._future: asyncio.Future[None] | None = None

    def succeed(self, ref: ActorRef[Any] | None) -> None:
        """Answer with the child's ref, or None if there is no child any more."""
        self.ref = ref
        self._answer()

    def fail(self, error: Exception) -> None:
        """Answer with an error."""
        self.error = error
        self._answer()

    def _answer(self) -> None:
        self.answered = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def _within(self, timeout: float, future: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            if not self.answered:  # else it was decided in the turn in which the time was over: that counts
                raise

    async def result(self, timeout: float | None) -> ActorRef[Any] | None:
        """The child's ref, or None if there is no child any more.

        Raises:
            TimeoutError: no answer in `timeout` seconds; None waits as long as the supervisor lives.
        """
        if not self.answered:
            self._future = asyncio.get_running_loop().create_future()
            if timeout is None:
                await self._future
            else:
                await self._within(timeout, self._future)
        elif self._yields:
            await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.ref
