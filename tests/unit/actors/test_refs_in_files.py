"""A ref outside its process is a path."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec, Supervisor
from bifrost.actors.actor_path import ActorPath
from bifrost.errors import ChildNotFound


async def test_a_pickled_ref_is_its_path_until_a_system_resolves_it() -> None:
    """Nothing that runs is pickled; another system with the same tree gives its own actor."""
    specs = [Supervisor.spec("devices", [ChildSpec(id="press", start=Actor)])]
    async with ActorSystem("one", specs) as one:
        ref = one.ref("devices/press")
        path: Any = pickle.loads(pickle.dumps({"who": ref}))["who"]
        assert path == ActorPath("one", "devices/press")
        assert path.resolve(one) == ref
    async with ActorSystem("two", specs) as two, ActorSystem("empty") as empty:
        assert path.resolve(two) == two.ref("devices/press") != ref
        with pytest.raises(ChildNotFound):
            path.resolve(empty)


async def test_a_copied_ref_is_the_same_ref() -> None:
    """Copying a message that holds a ref does not turn it into a path."""
    async with ActorSystem(children=[ChildSpec(id="a", start=Actor)]) as system:
        ref = system.ref("a")
        assert copy.copy(ref) is ref
        assert copy.deepcopy({"who": ref})["who"] is ref


async def test_dead_letters_are_counted_for_each_actor_class() -> None:
    """The class, or the function that makes the actor, and the reason."""

    class Crashing(Actor[Any]):
        async def receive(self, message: Any) -> Any:
            raise ValueError(message)

    def make() -> Actor[Any]:
        return Actor()

    specs = [ChildSpec(id="a", start=Crashing), ChildSpec(id="b", start=make)]
    async with ActorSystem(children=specs) as system:
        for name in "ab":
            await system.root.terminate_child(name)
            system.ref(name).tell("x")
        await system.root.restart_child("a")
        system.ref("a").tell("y")
        await asyncio.sleep(1)
        await system.root.terminate_child("a")
        system.root.tell("z")
        counts = {name.rpartition(".")[2]: count for name, count in system.dead_letters.counts_by_class.items()}
        assert counts["Crashing"] == {"stopped": 1, "crashed": 1}
        assert counts["make"] == {"stopped": 1}
        assert counts["SupervisorPlan"] == {"no_handler": 1}
