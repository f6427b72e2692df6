"""What a type checker knows of messages; every ignored error is one that it must report. Read by `test_messages.py`."""

from __future__ import annotations

from typing import Any, assert_type

from bifrost.actors.blocking import BlockingActor
from bifrost.actors.handlers import HandlingActor, handles, handles_blocking
from bifrost.actors.ref import ActorRef
from bifrost.actors.request import Request


class Read(Request[float]):
    """Asks for a number."""


class Reset(Request[None]):
    """Asks for nothing but the deed."""


class Note:
    """Is told."""


class Press(HandlingActor[Read | Reset | Note]):
    """Handlers that a type checker accepts."""

    @handles
    async def read(self, message: Read) -> float:
        del message
        return 1.0

    @handles(Reset)
    async def reset(self, message: Reset) -> None:
        del message

    @handles
    async def note(self, message: Note | str) -> str:
        assert_type(message, Note | str)
        return ""


class Whole(HandlingActor[Read]):
    """A narrower answer is an answer."""

    @handles(Read)
    async def read(self, message: Read) -> int:
        del message
        return 1


async def refs(press: ActorRef[Read | Reset | Note], anyone: ActorRef[Any], unknown: Any) -> None:
    assert_type(await press.ask(Read()), float)
    assert_type(await press.ask(Reset()), None)
    assert_type(await press.ask(Note()), Any)
    assert_type(await anyone.ask(Read(), timeout=1.0), float)
    assert_type(await anyone.ask("x"), Any)
    assert_type(await anyone.ask(unknown), Any)
    press.tell(Read())
    press.tell("x")  # type: ignore[arg-type]  # not one of its messages
    await press.send(3)  # type: ignore[arg-type]  # not one of its messages
    await press.ask(3)  # type: ignore[call-overload]  # not one of its messages
    word: str = await press.ask(Read())  # type: ignore[assignment]  # the answer is a float
    del word


async def kept_types(press: Press, message: Read) -> None:
    assert_type(await press.read(message), float)
    await press.read("x")  # type: ignore[arg-type]  # a marked method keeps its type
    await press.reset("x")  # type: ignore[arg-type]  # whichever way it was marked


def wrong_async() -> None:
    class Wrong(HandlingActor[Any]):
        @handles(Read)  # type: ignore[arg-type]  # the answer is not what Read asks for
        async def answer(self, message: Read) -> str:
            return str(message)

        @handles(Read)  # type: ignore[arg-type]  # the argument is not what the decorator names
        async def argument(self, message: Note) -> float:
            return float(bool(message))

        @handles(Note)  # type: ignore[arg-type]  # not asynchronous
        def plain(self, message: Note) -> str:
            return str(message)

        @handles  # type: ignore[type-var]  # not asynchronous
        def bare(self, message: Note) -> str:
            return str(message)

        @handles  # type: ignore[type-var]  # takes no message
        async def none(self) -> None: ...

    del Wrong


class Drive(BlockingActor[Read | Note]):
    """A blocking actor's handlers."""

    @handles_blocking(Read)
    def read(self, message: Read) -> float:
        del message
        return 1.0

    @handles_blocking
    def note(self, message: Note) -> str:
        return str(message)


def wrong_blocking() -> None:
    class Wrong(BlockingActor[Any]):
        @handles_blocking(Read)  # type: ignore[arg-type]  # the answer is not what Read asks for
        def answer(self, message: Read) -> str:
            return str(message)

        @handles_blocking(Read)  # type: ignore[arg-type]  # the argument is not what the decorator names
        def argument(self, message: Note) -> float:
            return float(bool(message))

    del Wrong
