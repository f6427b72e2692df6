"""A system as one task among others on the host's own loop.

In: an `ActorSystem` that does not run yet. Out: a coroutine for a `TaskGroup`, which ends when the system does. For a
system that has a block to itself, `async with ActorSystem(...)` is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bifrost.actors.system import ActorSystem

__all__ = ["run_system", "system_child"]


async def run_system(system: ActorSystem, *, started: Callable[[ActorSystem], object] | None = None) -> None:
    """Run `system` until it is stopped (`await system.stop()`), this task is cancelled, or the root gives up.

    A cancellation stops the tree in reverse order first and is raised then.

    Args:
        system: the system; it must not have run before.
        started: called with the system when every child's `on_start` has returned.

    Raises:
        StartFailed: a child did not start.
        SupervisorGaveUp: the root supervisor ended.
    """
    async with system:
        if started is not None:
            started(system)
        await system.wait_stopped()


async def system_child(group: asyncio.TaskGroup, system: ActorSystem) -> ActorSystem:
    """Run `system` as a task of `group` and return it once every child's `on_start` has returned.

    The group stays open until the system ends: `await system.stop()` ends it in order, and so does a failure of another
    task of the group. If the root gives up, the group fails with `SupervisorGaveUp`.

    Raises:
        StartFailed: a child did not start; raised here only, the group hears of it if the caller lets it through.
    """
    up: asyncio.Future[ActorSystem] = asyncio.get_running_loop().create_future()
    running = _run_child(system, up)
    try:
        task = group.create_task(running, name=f"system {system.name}")
    except BaseException:
        running.close()  # the group has ended
        raise
    try:
        return await up
    except asyncio.CancelledError:
        task.cancel()  # the caller gave up waiting: nobody else knows the system
        raise


async def _run_child(system: ActorSystem, up: asyncio.Future[ActorSystem]) -> None:
    def is_up(_: ActorSystem) -> None:
        if not up.done():
            up.set_result(system)

    try:
        await run_system(system, started=is_up)
    except Exception as error:
        if up.done():
            raise
        up.set_exception(error)  # the caller waits for it: one report is enough
    finally:
        if not up.done():
            up.cancel()
