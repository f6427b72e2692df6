"""Typed handlers: which method gets which message, and what is refused while the class is defined."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, TypedDict, TypeVar

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec, Down
from bifrost.actors.cancellable import cancellable
from bifrost.actors.handlers import HandlingActor, handles
from bifrost.actors.request import Request
from bifrost.errors import ActorCrashed, HandlerError, NoHandler


@dataclass(frozen=True, slots=True)
class Read(Request[float]):
    tag: str


@dataclass(frozen=True, slots=True)
class Write(Request[None]):
    tag: str
    value: float


@dataclass(frozen=True, slots=True)
class Fault:
    code: int


@dataclass(frozen=True, slots=True)
class Overheated(Fault):
    kelvin: float


class Press(HandlingActor[Read | Write | Fault]):
    """Keeps values; counts faults."""

    def __init__(self) -> None:
        self.values = {"flow": 1.5}
        self.faults: list[str] = []

    @handles
    async def read(self, message: Read) -> float:
        return self.values[message.tag]

    @handles(Write)
    async def write(self, message: Write) -> None:
        self.values[message.tag] = message.value

    @handles
    async def fault(self, message: Fault) -> str:
        return f"fault {message.code}"

    @handles
    async def text(self, message: str | bytes) -> str:
        return f"text {message!r}"


def child(start: Any) -> ChildSpec:
    return ChildSpec(id="a", start=start)


async def answers(start: Any, *messages: object) -> list[Any]:
    """What an actor of this class answers to each message."""
    async with ActorSystem(children=[child(start)]) as system:
        return [await system.ref("a").ask(message) for message in messages]


async def test_a_message_goes_to_the_method_for_its_type() -> None:
    """The annotation of the first argument or the type in the decorator decides; a union stands for its members."""
    got = await answers(Press, Read("flow"), Write("flow", 2.5), Read("flow"), Fault(3), "x", b"y")
    assert got == [1.5, None, 2.5, "fault 3", "text 'x'", "text b'y'"]


async def test_the_most_specific_class_wins() -> None:
    """A subclass of a message goes to its own handler if there is one, else to the nearest base's."""

    class Careful(Press):
        @handles
        async def hot(self, message: Overheated) -> str:
            return f"{message.kelvin} K"

    @dataclass(frozen=True, slots=True)
    class Molten(Overheated):
        pass

    assert await answers(Press, Overheated(1, 400.0)) == ["fault 1"]
    assert await answers(Careful, Fault(1), Overheated(1, 400.0), Molten(1, 900.0)) == ["fault 1", "400.0 K", "900.0 K"]


async def test_numbers_go_where_a_type_checker_lets_them_go() -> None:
    """An int is taken by a handler of float, before a handler that takes everything; a bool is an int."""

    class Numbers(HandlingActor[Any]):
        @handles
        async def number(self, message: float) -> str:
            return f"number {message}"

        @handles
        async def rest(self, message: object) -> str:
            return f"rest {message}"

    assert await answers(Numbers, 1.5, 3, True, "x", None) == [
        "number 1.5",
        "number 3",
        "number True",
        "rest x",
        "rest None",
    ]


async def test_none_annotated_and_local_types_can_be_handled() -> None:
    """`None`, `Annotated` and a class of the surrounding function are told like any other type."""

    class Local:
        pass

    class Mixed(HandlingActor[Any]):
        class Inner:
            pass

        @handles
        async def nothing(self, message: Local | None) -> str:
            return type(message).__name__

        @handles
        async def noted(self, message: Annotated[int, "a count"]) -> str:
            return f"{message}"

        @handles
        async def inner(self, message: Inner) -> str:
            del message
            return "inner"

    assert await answers(Mixed, None, Local(), 3, Mixed.Inner()) == ["NoneType", "Local", "3", "inner"]


async def test_annotations_are_resolved_under_other_decorators() -> None:
    """A handler below another decorator names types of its own module, even if the class stands in a function."""

    class Under(HandlingActor[Any]):
        @handles
        @cancellable
        async def fault(self, message: Fault) -> str:
            return f"fault {message.code}"

    assert await answers(Under, Fault(7)) == ["fault 7"]


async def test_a_subclass_overrides_by_name_and_by_type() -> None:
    """Overriding a method keeps its type; a new method for an inherited type goes first; a mixin adds handlers."""

    class Extra:
        @handles
        async def count(self, message: int) -> str:
            return f"count {message}"

    class Better(Extra, Press):
        async def fault(self, message: Fault) -> str:
            return f"better {message.code}"

        @handles
        async def other_text(self, message: str) -> str:
            return message.upper()

    assert await answers(Better, Fault(2), "x", b"y", 7, Read("flow")) == ["better 2", "X", "text b'y'", "count 7", 1.5]


async def test_a_redeclared_method_gives_up_its_old_type() -> None:
    """A method that a subclass declares for another type no longer gets what the base declared it for."""

    class Turned(Press, partial=True):
        @handles
        async def text(self, message: int) -> str:  # type: ignore[override]  # what is tested
            return f"int {message}"

    async with ActorSystem(children=[child(Turned)]) as system:
        assert await system.ref("a").ask(3) == "int 3"
        with pytest.raises(NoHandler):
            await system.ref("a").ask("x")


async def test_a_message_without_handler_is_refused_and_the_actor_goes_on() -> None:
    """It becomes a dead letter `no_handler`, its asker gets `NoHandler`, and nothing crashes."""
    async with ActorSystem(children=[child(Press)]) as system:
        ref = system.ref("a")
        await ref.ask(Write("flow", 9.0))
        with pytest.raises(NoHandler, match=r"a: Press has no handler for list; it has Fault, Read, Write, bytes, str"):
            await ref.ask([1])
        ref.tell({2})
        assert await ref.ask(Read("flow")) == 9.0
        assert ref.incarnation == 1
        assert system.dead_letters.counts == {"no_handler": 2}
        assert [letter.message for letter in system.dead_letters.recent] == [[1], {2}]


async def test_unhandled_can_be_overridden() -> None:
    """An actor may take what it has no handler for, and may still refuse."""

    class Curious(Press):
        async def unhandled(self, message: object) -> object:
            if isinstance(message, list):
                return "a list"
            return await super().unhandled(message)

    async with ActorSystem(children=[child(Curious)]) as system:
        assert await system.ref("a").ask([1]) == "a list"
        with pytest.raises(NoHandler):
            await system.ref("a").ask({1})


async def test_no_handler_of_another_actor_is_an_ordinary_error() -> None:
    """An actor that asks another one and does not catch its refusal crashes like after any error."""

    class Relay(HandlingActor[list[int]]):
        @handles
        async def relay(self, message: list) -> Any:  # type: ignore[type-arg]  # type arguments are gone at run time
            return await self.ctx.system.ref("b").ask(message)

    async with ActorSystem(children=[child(Relay), ChildSpec(id="b", start=Press)]) as system:
        with pytest.raises(ActorCrashed) as caught:
            await system.ref("a").ask([1])
        assert isinstance(caught.value.cause, NoHandler)


async def test_an_error_in_a_handler_is_a_crash() -> None:
    """A handler that raises crashes its actor, and the asker gets the cause."""
    async with ActorSystem(children=[child(Press)]) as system:
        with pytest.raises(ActorCrashed) as caught:
            await system.ref("a").ask(Read("missing"))
        assert isinstance(caught.value.cause, KeyError)
        await system.ref("a").wait_running()
        assert system.ref("a").incarnation == 2


async def test_notices_of_the_runtime_are_dispatched_too() -> None:
    """A `Down` goes to the handler of `Down`."""
    downs: list[Down] = []

    class Watcher(HandlingActor[Any]):
        async def on_start(self) -> None:
            self.ctx.watch(self.ctx.system.ref("b"))

        @handles
        async def down(self, message: Down) -> None:
            downs.append(message)

    async with ActorSystem(children=[ChildSpec(id="b", start=Actor), child(Watcher)]) as system:
        system.ref("b").kill()
        await asyncio.sleep(0.1)
        assert [down.ref.path for down in downs] == ["b"]


def test_types_made_at_run_time_cannot_fill_the_memory() -> None:
    """The table remembers the types of which it found the handler by a search, up to a bound."""
    for _ in range(5000):
        assert Press._table.find(type("Made", (Fault,), {})) is not None
    assert len(Press._table.known) < 1100
    assert Press._table.known[Read] is Press.read


# What is refused while the class is defined


class Answers(Protocol):
    def answer(self) -> int: ...


class Options(TypedDict):
    retries: int


T = TypeVar("T")


def test_two_handlers_of_one_class_for_a_type_are_refused() -> None:
    """The text names the class, the type and both methods."""
    with pytest.raises(HandlerError, match=r"Twice handles Read twice: in first and in second"):

        class Twice(HandlingActor[Read]):
            @handles
            async def first(self, message: Read) -> float:
                return len(message.tag)

            @handles
            async def second(self, message: Fault | Read) -> float:
                del message
                return 0.0


def test_a_declared_message_type_without_handler_is_refused_unless_partial() -> None:
    """Every member of the type in the brackets has a handler; `partial=True` leaves some to subclasses."""
    with pytest.raises(HandlerError, match=r"Hole declares messages of type Write and has no handler"):

        class Hole(HandlingActor[Read | Write]):
            @handles
            async def read(self, message: Read) -> float:
                return len(message.tag)

    class Base(HandlingActor[Read | Write], partial=True):
        @handles
        async def read(self, message: Read) -> float:
            return len(message.tag)

    assert Base._table.find(Write) is None


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        ("Any", "write 'object'"),
        ("list[int]", "type arguments are not kept"),
        ("T", "a type variable is no class"),
        ("Literal['on']", "type arguments are not kept"),
        ("Answers", "protocols and typed dicts"),
        ("Options", "protocols and typed dicts"),
        ("3", "a handler is chosen by a class"),
        ("Missing", "cannot be resolved while the class is defined"),
        ("1 +", "cannot be resolved while the class is defined"),
    ],
)
def test_an_annotation_that_cannot_choose_is_refused(annotation: str, text: str) -> None:
    """The text says what to write instead."""

    async def method(self: Any, message: Any) -> None:
        del self, message

    method.__annotations__["message"] = annotation
    with pytest.raises(HandlerError, match=text):
        handles(method)
    assert Literal is not None


def test_a_handler_without_annotation_or_with_wrong_arguments_is_refused() -> None:
    """A handler is an async method that takes the message."""

    async def bare(self, message): ...  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202

    async def none(self: Any) -> None: ...

    async def more(self: Any, message: int, other: int) -> None: ...

    def plain(self: Any, message: int) -> None: ...

    for method, text in [(bare, "annotate 'message'"), (none, "must take"), (more, "must take"), (plain, "async def")]:
        with pytest.raises(HandlerError, match=text):
            handles(method)  # type: ignore[call-overload]
    with pytest.raises(HandlerError, match="marks a method"):
        handles(3)  # type: ignore[call-overload]


def test_an_answer_that_contradicts_the_request_is_refused() -> None:
    """`@handles` compares plain classes at run time; subclasses and numbers that fit are let through."""
    with pytest.raises(HandlerError, match=r"read returns str, but Read asks for float"):

        class Wrong(HandlingActor[Read]):
            @handles
            async def read(self, message: Read) -> str:
                return message.tag

    class Right(HandlingActor[Read]):
        @handles
        async def read(self, message: Read) -> int:
            return len(message.tag)

    assert Right._table.find(Read) is Right.read


def test_handlers_that_are_no_plain_methods_are_refused() -> None:
    """A static method, or a subclass that puts a value in a handler's place, is an error."""
    with pytest.raises(HandlerError, match="plain methods only"):

        class Static(HandlingActor[Any]):
            @staticmethod
            @handles
            async def read(this: Any, message: Read) -> float:
                del this
                return len(message.tag)

    with pytest.raises(HandlerError, match="is no method"):

        class Hidden(Press):
            read = None  # type: ignore[assignment]
