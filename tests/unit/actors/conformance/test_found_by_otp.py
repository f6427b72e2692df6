"""What random scripts showed to differ from Erlang/OTP, each as small as it became; `tests/differential` draws them."""

from __future__ import annotations

from bifrost.actors import BRUTAL_KILL, Actor, ActorSystem, ChildSpec, ExitReason, Killed, Restart, events
from bifrost.actors.dead_letters import DeadLetterReason
from bifrost.testing import CoreBench, EventLog


def test_start_child_looks_at_the_specification_before_the_id() -> None:
    """A significant child under auto_shutdown=never is refused as such, also if its id is in use."""
    bench = CoreBench([ChildSpec(id="a", start=object)]).begin()
    significant = ChildSpec(id="a", start=object, restart=Restart.TEMPORARY, significant=True)
    assert bench.add(significant) == "significant"
    assert bench.add(ChildSpec(id="a", start=object)) == "already_started"


class _Noting(Actor[str]):
    """Notes with which reason it was stopped."""

    def __init__(self, reasons: list[ExitReason]) -> None:
        self._reasons = reasons

    async def on_stop(self, reason: ExitReason) -> None:
        self._reasons.append(reason)


async def test_a_child_with_brutal_kill_is_killed_also_if_it_has_nothing_to_do() -> None:
    """BRUTAL_KILL leaves out the request to stop: the reason is Killed, in the stop hook, the event and the notices."""
    reasons: list[ExitReason] = []
    spec = ChildSpec(id="a", start=_Noting, args=(reasons,), shutdown=BRUTAL_KILL, drain=True)
    async with ActorSystem("plant", [spec]) as system:
        log = EventLog(system, events.ActorStopped)
        system.ref("a").tell("never handled: the queue is not drained either")
        await system.root.terminate_child("a")
        assert log.take() == ["stopped a killed"]
    assert reasons == [Killed()]
    assert [letter.reason for letter in system.dead_letters.recent] == [DeadLetterReason.STOPPED]
