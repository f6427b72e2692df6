"""What it costs to start a supervised actor.

In: the setting and the running OTP. Out: rows. The specification is built inside the measured loop, each child has a
name of its own, and a child counts as started when its `on_start` has returned: the promise of `start_child`.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks import _actors_peers as peers
from benchmarks._actors_otp import Otp
from benchmarks._actors_table import Bar, Round, Row, Setting, compete
from bifrost.actors import Actor, ActorSystem, ChildSpec, DynamicSupervisor, Supervisor

__all__ = ["Idle", "start_rows"]


class Idle(Actor[object]):
    """Waits for messages and answers each."""

    async def receive(self, message: object) -> object:
        """Answer with the message."""
        return message


def dynamic_round(count: int) -> Round:
    """`await supervisor.start_child(ChildSpec(...))`, one after the other; children per second."""

    async def run() -> float:
        async with ActorSystem("bench", [DynamicSupervisor.spec("crowd")]) as system:
            crowd = system.supervisor("crowd")
            begun = time.perf_counter()
            for number in range(count):
                await crowd.start_child(ChildSpec(id=f"idle{number}", start=Idle))
            elapsed = time.perf_counter() - begun
            assert crowd.count_children().active == count
            return count / elapsed

    return lambda: asyncio.run(run())


def static_round(count: int) -> Round:
    """A supervisor with so many children from the beginning: from building it until all run; children per second."""

    async def run() -> float:
        begun = time.perf_counter()
        children = [ChildSpec(id=f"idle{number}", start=Idle) for number in range(count)]
        async with ActorSystem("bench", [Supervisor.spec("crowd", children)]) as system:
            elapsed = time.perf_counter() - begun
            assert system.supervisor("crowd").count_children().active == count
            return count / elapsed

    return lambda: asyncio.run(run())


def start_rows(setting: Setting, otp: Otp) -> list[Row]:
    """Children that come at run time, and children of the tree."""
    count, theirs = setting.ops(5_000), setting.ops(20_000)
    child, plain = "OTP, start_child of gen_server", "OTP, start_child of a plain process"
    linked, bare, static = "OTP, proc_lib:start_link", "OTP, bare spawn", "OTP, static children"
    dynamic: dict[str, Round] = {
        child: otp.rate("start_child", theirs),
        plain: otp.rate("start_child_plain", theirs),
        linked: otp.rate("start_link", theirs),
        bare: otp.rate("spawn", theirs),
        "pykka": lambda: peers.pykka_start(setting.ops(500)),
        "thespian": lambda: peers.thespian_start(setting.ops(2_000)),
        "xoscar": lambda: peers.xoscar_start(setting.ops(1_000)),
    }
    half = Bar(0.5)
    return [
        *compete(
            "spawn, start_child",
            "/s",
            dynamic_round(count),
            dynamic,
            setting,
            bars=dict.fromkeys((child, plain, linked, bare), half),
        ),
        *compete(
            "spawn, static tree",
            "/s",
            static_round(count),
            {static: otp.rate("static_tree", theirs)},
            setting,
            bars={static: half},
        ),
    ]
