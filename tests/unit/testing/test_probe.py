"""What a probe promises to the test that uses it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from bifrost.actors import Actor, ActorRef, ActorSystem, ChildSpec, Down
from bifrost.errors import ActorCrashed, ActorError, ActorStopped, AskTimeout
from bifrost.testing import Probe, SystemBench


@dataclass(frozen=True)
class Report:
    value: int


class Reporter(Actor[int]):
    """Tells its boss of every number, and asks him about the negative ones."""

    def __init__(self, boss: ActorRef[Any]) -> None:
        self.boss = boss

    async def receive(self, message: int) -> object:
        if message < 0:
            return await self.boss.ask(Report(message))
        await asyncio.sleep(message)
        self.boss.tell(Report(message))
        return None


async def reporter(bench: SystemBench, probe: Probe) -> ActorRef[Any]:
    return await bench.start(ChildSpec(id="reporter", start=Reporter, args=(probe.ref,)))


async def test_expect_returns_the_next_message() -> None:
    """By type, by predicate and by value, each within its deadline of virtual time."""
    async with SystemBench() as bench:
        probe = await bench.probe()
        ref = await reporter(bench, probe)
        for seconds in (1, 2, 2):
            ref.tell(seconds)
        assert (await probe.expect(Report)).value == 1
        assert await probe.expect(lambda message: message.value == 2) == Report(2)
        assert await probe.expect(Report(2)) == Report(2)
        assert asyncio.get_running_loop().time() == 5
        assert probe.messages == (Report(1), Report(2), Report(2))


async def test_expect_names_what_came_instead() -> None:
    """Another message fails the test at once, with both in the text."""
    async with SystemBench() as bench:
        probe = await bench.probe("boss")
        probe.ref.tell("hello")
        with pytest.raises(AssertionError, match="probe 'boss' expected Report, got 'hello'"):
            await probe.expect(Report)


async def test_expect_may_skip_what_comes_before() -> None:
    """With skip_others it looks for the message and forgets the ones before it."""
    async with SystemBench() as bench:
        probe = await bench.probe()
        for message in ("a", "b", Report(1), "c"):
            probe.ref.tell(message)
        await asyncio.sleep(1)
        assert await probe.expect(Report, skip_others=True) == Report(1)
        assert probe.unread == ("c",)


async def test_expect_gives_up_at_its_deadline() -> None:
    """Nothing by then is a failure that says so."""
    async with SystemBench() as bench:
        probe = await bench.probe()
        with pytest.raises(AssertionError, match=r"expected Report, got nothing in 2.5 s"):
            await probe.expect(Report, timeout=2.5)
        assert asyncio.get_running_loop().time() == 2.5


async def test_expect_nothing_passes_in_silence_and_fails_at_a_message() -> None:
    """A message that comes within the time, or is still unread, fails it."""
    async with SystemBench() as bench:
        probe = await bench.probe()
        ref = await reporter(bench, probe)
        ref.tell(5)
        await probe.expect_nothing(within=4)
        with pytest.raises(AssertionError, match=r"expected nothing for 2 s, got Report\(value=5\)"):
            await probe.expect_nothing(within=2)


async def test_an_ask_is_answered_when_the_test_says_so() -> None:
    """The asker waits until reply, and gets what fail raises."""
    async with SystemBench() as bench:
        probe = await bench.probe()
        ref = await reporter(bench, probe)
        asking = asyncio.create_task(ref.ask(-1))
        await probe.expect(Report)
        await asyncio.sleep(3)
        assert not asking.done()
        probe.reply("good")
        assert await asking == "good"
        asking = asyncio.create_task(ref.ask(-2))
        await probe.expect(Report)
        probe.fail(ValueError("no such thing"))
        with pytest.raises(ActorCrashed, match="no such thing"):
            await asking


async def test_a_probe_takes_messages_while_an_ask_waits() -> None:
    """An unanswered ask holds nothing up, and answers may be given in another order."""
    async with SystemBench() as bench:
        probe = await bench.probe()
        first = asyncio.create_task(probe.ref.ask("first"))
        await probe.expect("first")
        probe.ref.tell("told")
        await probe.expect("told")
        with pytest.raises(AssertionError, match="'told': it was no ask"):
            probe.reply(0)
        second = asyncio.create_task(probe.ref.ask("second"))
        await probe.expect("second")
        probe.reply(2)
        assert await second == 2
        assert not first.done()
        with pytest.raises(AskTimeout):
            await first


async def test_a_late_reply_is_a_failure_of_the_test() -> None:
    """Nobody waits for the answer any more: the test should know."""
    async with SystemBench() as bench:
        probe = await bench.probe()
        with pytest.raises(AskTimeout):
            await probe.ref.ask("hello", timeout=1)
        await probe.expect("hello")
        with pytest.raises(AssertionError, match="nobody waits"):
            probe.reply(1)


async def test_answers_can_be_set_up_beforehand() -> None:
    """The newest rule that matches answers at once; tells are only kept."""
    async with SystemBench() as bench:
        probe = await bench.probe()
        probe.answer(Report, lambda report: report.value * 2)
        probe.answer(Report(7), "seven")
        ref = await reporter(bench, probe)
        assert await ref.ask(-4) == -8
        assert await probe.ref.ask(Report(7)) == "seven"
        assert probe.ref.tell(Report(7)).value == "accepted"
        await asyncio.sleep(1)
        assert len(probe.messages) == 3


async def test_a_forwarding_probe_sits_between_two_actors() -> None:
    """It keeps what passes; answers and errors of the real actor go back to the sender."""
    async with SystemBench() as bench:
        wire, boss = await bench.probe("wire"), await bench.probe("boss")
        boss.answer(Report, "fine")
        wire.forward_to(boss.ref)
        ref = await reporter(bench, wire)
        assert await ref.ask(-1) == "fine"
        ref.tell(1)
        await boss.expect(Report(-1))
        await boss.expect(Report(1))
        assert wire.messages == boss.messages
        boss.ref.kill()
        with pytest.raises(ActorCrashed) as raised:
            await ref.ask(-2)
        assert isinstance(raised.value.cause, ActorStopped)


async def test_the_end_of_a_forwarded_ask_ends_the_forwarding() -> None:
    """When the sender waits no more, nothing is left waiting at the real actor."""
    async with SystemBench() as bench:
        wire, boss = await bench.probe("wire"), await bench.probe("boss")
        wire.forward_to(boss.ref)
        with pytest.raises(AskTimeout):
            await wire.ref.ask("hello", timeout=1)
        await boss.expect("hello")
        await asyncio.sleep(0)
        with pytest.raises(AssertionError, match="nobody waits"):
            boss.reply(1)


async def test_a_watching_probe_gets_down() -> None:
    """The notice of an end is a message like any other."""
    async with SystemBench() as bench:
        probe = await bench.probe()
        ref = await reporter(bench, probe)
        probe.watch(ref)
        ref.kill()
        down = await probe.expect(Down)
        assert (down.ref, down.will_restart) == (ref, True)


async def test_a_probe_can_stand_in_a_specification() -> None:
    """Its spec works wherever a child's does, without a bench."""
    probe = Probe("boss")
    with pytest.raises(AssertionError, match="probe 'boss' was not started"):
        _ = probe.ref
    async with ActorSystem(children=[probe.spec]) as system:
        system.ref("boss").tell(1)
        assert await probe.expect(int) == 1


async def test_what_a_probe_did_not_answer_fails_when_it_ends() -> None:
    """No asker waits for a probe that is gone."""
    async with SystemBench() as bench:
        probe = await bench.probe()
        asking = asyncio.create_task(probe.ref.ask("hello", timeout=None))
        await probe.expect("hello")
        probe.ref.kill()
        with pytest.raises(ActorError):
            await asking


@pytest.mark.real_time
async def test_a_probe_works_in_real_time_too() -> None:
    """On an ordinary event loop the same words wait for real."""
    async with SystemBench() as bench:
        probe = await bench.probe()
        ref = await reporter(bench, probe)
        asking = asyncio.create_task(ref.ask(-1))
        assert await probe.expect(Report, timeout=5) == Report(-1)
        probe.reply("good")
        assert await asking == "good"
        await probe.expect_nothing(within=0.05)


async def test_each_of_many_asks_gets_its_own_answer() -> None:
    """Asks that wait at the same time do not get each other's answers."""
    async with SystemBench() as bench:
        probe = await bench.probe()
        asks = [asyncio.create_task(probe.ref.ask(n)) for n in range(20)]
        for _ in asks:
            probe.reply(await probe.expect(int) * 10)
        assert await asyncio.gather(*asks) == [n * 10 for n in range(20)]
