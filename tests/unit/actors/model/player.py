"""The actor that does what its messages say, and reports all of it to the ledger."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from bifrost.actors import Actor, ActorState, Delivery, Down, ExitReason, Lane, Normal, Shutdown
from bifrost.actors.cancellable import cancellable
from tests.unit.actors.model import acts
from tests.unit.actors.model.ledger import Life, Parcel, Tick

if TYPE_CHECKING:
    from tests.unit.actors.model.world import World

__all__ = ["MARK", "Blunder", "Player"]

MARK: ContextVar[str] = ContextVar("mark", default="nobody")
"""Whose context this is."""


class Blunder(Exception):
    """What a player raises."""


class Player(Actor[Any]):
    """Does what its messages say."""

    def __init__(self, world: World, role: acts.Role, *, drains: bool) -> None:
        self._world = world
        self._role = role
        self._drains = drains
        self._life: Life | None = None

    @property
    def life(self) -> Life:
        """The ledger's page of this incarnation."""
        assert self._life is not None
        return self._life

    async def on_start(self) -> None:
        number = self.ctx.incarnation
        life = self._life = self._world.ledger.born(self.ctx.ref, number)
        self._world.ledger.expect(MARK.get() == "host", f"{life.name} starts in the context of {MARK.get()}")
        MARK.set(life.name)
        with self._world.ledger.doing(life, "on_start"):
            await self._stage(self._role.starts[number - 1] if number <= len(self._role.starts) else acts.Stage.OK)
        life.started = True

    async def on_stop(self, reason: ExitReason) -> None:
        number, life = self.ctx.incarnation, self.life
        self._world.ledger.expect(life.started, f"{life.name} stops and has not started")
        self._world.ledger.expect(not life.tasks, f"{life.name} stops and has {life.tasks} tasks")
        life.stopped += 1
        with self._world.ledger.doing(life, "on_stop"):
            self._own_context()
            await self._stage(self._role.stops[number - 1] if number <= len(self._role.stops) else acts.Stage.OK)

    async def on_restart(self, reason: ExitReason, handover: Any) -> None:
        self._world.ledger.expect(self.ctx.incarnation > 1, f"{self.ctx.path} begins with a restart")
        if handover is not None:
            path, number = handover
            fits = path == self.ctx.path and number < self.ctx.incarnation
            self._world.ledger.expect(fits, f"{self.ctx.path}#{self.ctx.incarnation} was handed over {handover}")
        await self.on_start()

    def handover(self) -> Any:
        life = self.life
        quiet = life.stopped == 1 and not life.is_busy and not life.fenced
        self._world.ledger.expect(quiet, f"{life.name} hands over while it does {life.doing}, {life.tasks}")
        return (life.path, life.number) if self._role.hands_over else None

    async def _stage(self, stage: acts.Stage) -> None:
        if stage is acts.Stage.YIELD:
            await asyncio.sleep(0)
        elif stage is acts.Stage.SLOW:
            await asyncio.sleep(0.2)
        elif stage is acts.Stage.FAIL:
            raise Blunder
        elif stage is acts.Stage.HANG:
            await asyncio.get_running_loop().create_future()
        elif stage is acts.Stage.STUBBORN:
            await self._stubborn(10_000)

    async def receive(self, message: Any) -> object:
        life, ledger = self.life, self._world.ledger
        with ledger.doing(life, "receive"):
            self._own_context()
            if isinstance(message, Parcel):
                ledger.begin(message.note, life, self._world.loop.time(), drains=self._drains)
                for act in message.acts:
                    if isinstance(act, acts.Stash):
                        if message.note.aside:
                            continue
                        self.ctx.stash()
                        ledger.put_aside(message.note)
                        return "nobody hears this"
                    await self._perform(act, life.name)
                    self._own_context()
                message.note.done += 1
                return ("answer", message.note.number)
            if isinstance(message, Tick):
                ledger.tick(message, life, asyncio.get_running_loop().time())
            elif isinstance(message, Down):
                self._down(message)
            return None

    @cancellable
    async def receive_while_wanted(self, message: Any) -> object:
        """Handle a message, and end when nobody waits for the answer any more."""
        return await Player.receive(self, message)

    def _own_context(self) -> None:
        self._world.ledger.expect(MARK.get() == self.life.name, f"{self.life.name} runs in the context of {MARK.get()}")

    def _down(self, down: Down) -> None:
        life = self.life
        if down.ref in life.pending_watches:
            del life.pending_watches[down.ref]
        else:
            life.owed_downs[down.ref] -= 1
            many = life.owed_downs[down.ref] < 0
            self._world.ledger.expect(not many, f"{life.name} got a Down of {down.ref.path} that it had not asked for")

    async def _perform(self, act: object, sender: str) -> None:  # noqa: C901, PLR0912 - one branch per act
        life, world = self.life, self._world
        match act:
            case acts.Pause(seconds):
                await asyncio.sleep(seconds)
            case acts.CrashNow():
                raise Blunder
            case acts.Stray():
                raise asyncio.CancelledError
            case acts.Hang():
                await world.release.wait()
            case acts.Stubborn(swallows):
                await self._stubborn(swallows)
            case acts.StopSelf(normal):
                self.ctx.stop(Normal() if normal else Shutdown("own wish"))
            case acts.Timer(key, delay):
                self.ctx.timers.once(key, delay, Tick(life, world.loop.time() + delay, periodic=False))
            case acts.Repeat(key, interval):
                self.ctx.timers.every(key, interval, Tick(life, world.loop.time() + interval, periodic=True))
            case acts.Watch(target):
                self._watch(target)
            case acts.Unwatch(target):
                ref = world.ref(target)
                self.ctx.unwatch(ref)
                if ref in life.pending_watches:
                    del life.pending_watches[ref]
                    life.owed_downs[ref] += 1  # it may have been queued already
            case acts.KillActor(target):
                world.ref(target).kill()
            case acts.Link(target):
                self.ctx.link(world.ref(target))
            case acts.Unlink(target):
                self.ctx.unlink(world.ref(target))
            case acts.Trap(on):
                self.ctx.trap_exits = on
            case acts.Become(other):
                if other:
                    self.ctx.become(self.receive_while_wanted)
                else:
                    self.ctx.unbecome()
            case acts.Stash():
                pass  # a task beside the handler has no message in hand
            case acts.Unstash():
                self.ctx.unstash_all()
            case acts.Spawn(inner):
                if not life.over and not life.fenced:
                    self.ctx.spawn_task(self._work(inner, world.new_name(sender)))
            case acts.Tell() | acts.Send() | acts.Ask():
                # One order for all that a handler sends itself; a task of its own has an order of its own.
                await world.post(
                    act, sender.partition(":")[0] if "task" not in sender else sender.rpartition(":")[0], life
                )
            case _:
                raise TypeError(f"not an act: {act!r}")

    def _watch(self, target: int) -> None:
        life, ref = self.life, self._world.ref(target)
        if life.over or life.fenced:
            return
        if ref.state in (ActorState.STOPPED, ActorState.FAILED, ActorState.RESTARTING):
            life.owed_downs[ref] += 1  # told at once, each time
        else:
            life.pending_watches.setdefault(ref, ref.incarnation)  # a repeat changes nothing
        self.ctx.watch(ref)

    async def _work(self, inner: tuple[object, ...], sender: str) -> None:
        self.life.tasks += 1
        try:
            self._own_context()
            for act in inner:
                await self._perform(act, sender)
        finally:
            self.life.tasks -= 1

    async def _stubborn(self, swallows: int) -> None:
        for _ in range(swallows):
            try:
                await self._world.release.wait()
                break
            except asyncio.CancelledError:
                continue
        else:
            await self._world.release.wait()
        if self.life.fenced:
            self._refused()

    def _refused(self) -> None:
        world, life = self._world, self.life
        ref = world.ref(life.number)
        note = world.ledger.note(f"{life.name}:fenced", life, ref, "tell", Lane.NORMAL)
        note.delivery = ref.tell(Parcel(note, ()))
        world.ledger.expect(note.delivery is Delivery.DEAD, f"{life.name} is fenced and could send: {note}")
        world.ledger.expect(note.letters == ["fenced"], f"not refused as fenced: {note}")
