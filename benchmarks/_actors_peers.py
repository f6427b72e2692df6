"""Other actor libraries of Python, each used as its own documentation shows.

In: how many operations. Out: operations per second. None of them is needed to run bifrost; one that is not installed
raises `MissingPeer` with the command that installs it. None has a bounded mailbox, and none restarts what crashed.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.metadata
import itertools
import socket
import sys
import threading
import time
from typing import Any

from benchmarks._actors_table import MissingPeer

__all__ = [
    "pykka_ask",
    "pykka_start",
    "pykka_tell",
    "thespian_ask",
    "thespian_start",
    "thespian_tell",
    "versions",
    "xoscar_ask",
    "xoscar_start",
    "xoscar_tell",
]

_LONG = 120.0  # seconds that a round may take at most


def load(module: str) -> Any:
    """Import an optional peer; its types are unknown here.

    What it brings along (xoscar: pandas and scipy) is taken out of the garbage collector's sight, so that it costs
    nobody's round a longer collection.
    """
    if module in sys.modules and sys.modules[module] is not None:
        return sys.modules[module]
    try:
        loaded = importlib.import_module(module)
    except ImportError:
        raise MissingPeer(f"pip install {module.partition('.')[0]}") from None
    gc.collect()
    gc.freeze()
    return loaded


def versions() -> str:
    """The peers that are installed."""
    found = []
    for name in ("pykka", "thespian", "xoscar"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} missing")
    return ", ".join(found)


# pykka: an actor is a thread


def _pykka_actor(target: int, done: threading.Event) -> Any:
    seen = itertools.count(1)

    def on_receive(self: Any, message: object) -> object:
        del self
        if next(seen) == target:
            done.set()
        return message

    return type("Peer", (load("pykka").ThreadingActor,), {"on_receive": on_receive})


def pykka_tell(count: int) -> float:
    """`ref.tell` from one thread, until the last was handled."""
    done = threading.Event()
    ref = _pykka_actor(count, done).start()
    begun = time.perf_counter()
    for number in range(count):
        ref.tell(number)
    assert done.wait(_LONG), "pykka did not handle every message"
    elapsed = time.perf_counter() - begun
    ref.stop()
    return count / elapsed


def pykka_ask(count: int) -> float:
    """`ref.ask` from a thread."""
    ref = _pykka_actor(0, threading.Event()).start()
    begun = time.perf_counter()
    for number in range(count):
        assert ref.ask(number, timeout=5.0) == number
    elapsed = time.perf_counter() - begun
    ref.stop()
    return count / elapsed


def pykka_start(count: int) -> float:
    """`Actor.start()`: unsupervised, for pykka has no supervisors."""
    actor = _pykka_actor(0, threading.Event())
    begun = time.perf_counter()
    refs = [actor.start() for _ in range(count)]
    elapsed = time.perf_counter() - begun
    for ref in refs:
        ref.stop()
    return count / elapsed


# thespian: its simple base, where everything happens in the caller's thread


def _thespian_actor() -> Any:
    seen = 0

    def receive(self: Any, message: object, sender: Any) -> None:
        nonlocal seen
        if isinstance(message, int):
            self.send(sender, message)
        elif isinstance(message, float):
            seen += 1
        else:
            self.send(sender, seen)

    return type("Peer", (load("thespian.actors").Actor,), {"receiveMessage": receive})


def thespian_tell(count: int) -> float:
    """`system.tell` with simpleSystemBase."""
    actor = _thespian_actor()
    system = load("thespian.actors").ActorSystem("simpleSystemBase")
    try:
        ref = system.createActor(actor)
        begun = time.perf_counter()
        for _ in range(count):
            system.tell(ref, 0.5)
        seen = system.ask(ref, "count", 5)
        elapsed = time.perf_counter() - begun
    finally:
        system.shutdown()
    assert seen == count, f"thespian handled {seen} of {count}"
    return count / elapsed


def thespian_ask(count: int) -> float:
    """`system.ask` with simpleSystemBase."""
    actor = _thespian_actor()
    system = load("thespian.actors").ActorSystem("simpleSystemBase")
    try:
        ref = system.createActor(actor)
        begun = time.perf_counter()
        for number in range(count):
            assert system.ask(ref, number, 5) == number
        elapsed = time.perf_counter() - begun
    finally:
        system.shutdown()
    return count / elapsed


def thespian_start(count: int) -> float:
    """`system.createActor` with simpleSystemBase."""
    actor = _thespian_actor()
    system = load("thespian.actors").ActorSystem("simpleSystemBase")
    try:
        begun = time.perf_counter()
        for _ in range(count):
            system.createActor(actor)
        elapsed = time.perf_counter() - begun
    finally:
        system.shutdown()
    return count / elapsed


# xoscar: one pool without sub-processes, asked from its own loop, its fastest arrangement


def _xoscar_actor() -> Any:
    seen = 0

    def note(self: Any, message: object) -> None:
        nonlocal seen
        del self, message
        seen += 1

    def count(self: Any) -> int:
        del self
        return seen

    def echo(self: Any, message: object) -> object:
        del self
        return message

    return type("Peer", (load("xoscar").Actor,), {"note": note, "count": count, "echo": echo})


async def _xoscar_pool() -> Any:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return await load("xoscar").create_actor_pool(f"127.0.0.1:{port}", n_process=0)


def xoscar_tell(count: int) -> float:
    """`await ref.note.tell(...)`, which is what xoscar offers for sending without an answer."""
    actor = _xoscar_actor()

    async def run() -> float:
        async with await _xoscar_pool() as pool:
            ref = await load("xoscar").create_actor(actor, address=pool.external_address, uid="peer")
            begun = time.perf_counter()
            for number in range(count):
                await ref.note.tell(number)
            async with asyncio.timeout(_LONG):
                while await ref.count() < count:  # noqa: ASYNC110 - another library's actor has no event of ours
                    await asyncio.sleep(0)
            return count / (time.perf_counter() - begun)

    return asyncio.run(run())


def xoscar_ask(count: int) -> float:
    """`await ref.echo(...)`."""
    actor = _xoscar_actor()

    async def run() -> float:
        async with await _xoscar_pool() as pool:
            ref = await load("xoscar").create_actor(actor, address=pool.external_address, uid="peer")
            begun = time.perf_counter()
            for number in range(count):
                assert await ref.echo(number) == number
            return count / (time.perf_counter() - begun)

    return asyncio.run(run())


def xoscar_start(count: int) -> float:
    """`await xoscar.create_actor(...)`."""
    actor = _xoscar_actor()

    async def run() -> float:
        xoscar = load("xoscar")
        async with await _xoscar_pool() as pool:
            begun = time.perf_counter()
            for number in range(count):
                await xoscar.create_actor(actor, address=pool.external_address, uid=f"peer{number}")
            return count / (time.perf_counter() - begun)

    return asyncio.run(run())
