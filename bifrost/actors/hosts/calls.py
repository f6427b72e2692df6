"""What a host asks of a system from outside its loop, as coroutines that run on it.

In: a system, a target as ref or path. Out: the results and errors of the runtime's own methods. Run through
`Portal.call`, by every host in its own manner of waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bifrost.actors.child_spec import ChildSpec
from bifrost.actors.events import ActorEvent
from bifrost.actors.mailbox import Lane
from bifrost.actors.ref import ActorRef
from bifrost.actors.snapshot import ActorSnapshot
from bifrost.actors.supervisor_ref import ChildInfo, SupervisorRef
from bifrost.actors.system import ActorSystem
from bifrost.errors import AskTimeout, MailboxFull

__all__ = [
    "Target",
    "ask",
    "delete_child",
    "find",
    "restart_child",
    "run",
    "send",
    "snapshot",
    "start_child",
    "subscribe",
    "terminate_child",
    "wait_running",
    "which_children",
]

Target = ActorRef[Any] | str
"""An actor: its ref, or its path such as ``devices/press``."""


async def find(system: ActorSystem, path: str) -> ActorRef[Any]:
    """`ActorSystem.ref`."""
    return system.ref(path)


async def ask(system: ActorSystem, target: Target, message: Any, deadline: float | None, lane: Lane) -> Any:
    """`ActorRef.ask`, with a deadline of `time.monotonic` that began to run in the host."""
    ref = _ref(system, target)
    if deadline is None:
        return await ref.ask(message, timeout=None, lane=lane)
    left = deadline - time.monotonic()
    if left <= 0:
        raise AskTimeout(f"{ref.path}: the time was over before the loop got to it; the actor has not seen the message")
    return await ref.ask(message, timeout=left, lane=lane)


async def send(system: ActorSystem, target: Target, message: Any, deadline: float | None, lane: Lane) -> None:
    """`ActorRef.send`, with a deadline of `time.monotonic` that began to run in the host."""
    ref = _ref(system, target)
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and left <= 0:
        raise MailboxFull(
            f"{ref.path}: the time was over before the loop got to it; the actor has not seen the message"
        )
    await ref.send(message, timeout=left, lane=lane)


async def start_child(system: ActorSystem, spec: ChildSpec, under: str | None, timeout: float) -> ActorRef[Any]:
    """`SupervisorRef.start_child`, of the root if `under` is None."""
    return await _supervisor(system, under).start_child(spec, timeout=timeout)


async def terminate_child(system: ActorSystem, child_id: str, under: str | None, timeout: float) -> None:
    """`SupervisorRef.terminate_child`."""
    await _supervisor(system, under).terminate_child(child_id, timeout=timeout)


async def restart_child(system: ActorSystem, child_id: str, under: str | None, timeout: float) -> ActorRef[Any]:
    """`SupervisorRef.restart_child`."""
    return await _supervisor(system, under).restart_child(child_id, timeout=timeout)


async def delete_child(system: ActorSystem, child_id: str, under: str | None, timeout: float) -> None:
    """`SupervisorRef.delete_child`."""
    await _supervisor(system, under).delete_child(child_id, timeout=timeout)


async def which_children(system: ActorSystem, under: str | None) -> list[ChildInfo]:
    """`SupervisorRef.which_children`."""
    return _supervisor(system, under).which_children()


async def subscribe(system: ActorSystem, callback: Callable[[ActorEvent], object]) -> Callable[[], None]:
    """`EventStream.subscribe`."""
    return system.events.subscribe(callback)


async def run(fn: Callable[[], object]) -> None:
    """Call a plain function on the loop."""
    fn()


async def wait_running(system: ActorSystem, target: Target, timeout: float) -> None:
    """`ActorRef.wait_running`."""
    await _ref(system, target).wait_running(timeout=timeout)


async def snapshot(system: ActorSystem) -> ActorSnapshot:
    """`ActorSystem.snapshot`."""
    return system.snapshot()


def _ref(system: ActorSystem, target: Target) -> ActorRef[Any]:
    return system.ref(target) if isinstance(target, str) else target


def _supervisor(system: ActorSystem, under: str | None) -> SupervisorRef:
    return system.root if under is None else system.supervisor(under)
