"""Handlers chosen by the type of the message, checked where the class is defined and by a type checker.

In: a class whose methods carry `@handles`. Out: a table from message type to method, made once per class; a call is one
look-up. Not here: mailboxes and supervision, which do not know how an actor picks its method.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin, overload

from bifrost.actors.actor import Actor, M
from bifrost.actors.handler_table import Handler, HandlerTable, Unhandled, declare, dispatcher
from bifrost.actors.request import R, Request

__all__ = ["HandlingActor", "handles", "handles_blocking", "message_types"]

A = TypeVar("A")
Q = TypeVar("Q")
Q_co = TypeVar("Q_co", covariant=True)
RQ = TypeVar("RQ", bound=Request[Any])
RQ_co = TypeVar("RQ_co", bound=Request[Any], covariant=True)
AsyncHandler = TypeVar("AsyncHandler", bound=Callable[[Any, Any], Coroutine[Any, Any, Any]])
PlainHandler = TypeVar("PlainHandler", bound=Callable[[Any, Any], Any])


class _Named:
    """A decorator that was given the message's type."""

    __slots__ = ("_blocking", "_kind")

    def __init__(self, kind: type, *, blocking: bool) -> None:
        self._kind = kind
        self._blocking = blocking

    def declare(self, handler: Any) -> Any:
        return declare(handler, {}, blocking=self._blocking, kind=self._kind)


class _ForRequest(_Named, Generic[RQ_co]):
    """`@handles(Read)`: the handler takes a `Read` and returns the answer that `Read` names."""

    __slots__ = ()

    def __call__(
        self: _ForRequest[Request[R]], handler: Callable[[A, RQ_co], Coroutine[Any, Any, R]], /
    ) -> Callable[[A, RQ_co], Coroutine[Any, Any, R]]:
        self.declare(handler)
        return handler


class _ForType(_Named, Generic[Q_co]):
    """`@handles(str)`: the handler takes a `str` and returns what it likes."""

    __slots__ = ()

    def __call__(
        self, handler: Callable[[A, Q_co], Coroutine[Any, Any, R]], /
    ) -> Callable[[A, Q_co], Coroutine[Any, Any, R]]:
        self.declare(handler)
        return handler


class _BlockingForRequest(_Named, Generic[RQ_co]):
    __slots__ = ()

    def __call__(self: _BlockingForRequest[Request[R]], handler: Callable[[A, RQ_co], R], /) -> Callable[[A, RQ_co], R]:
        self.declare(handler)
        return handler


class _BlockingForType(_Named, Generic[Q_co]):
    __slots__ = ()

    def __call__(self, handler: Callable[[A, Q_co], R], /) -> Callable[[A, Q_co], R]:
        self.declare(handler)
        return handler


@overload
def handles(  # type: ignore[overload-overlap]  # a class is callable too, but no coroutine function of two arguments
    target: AsyncHandler, /
) -> AsyncHandler: ...
@overload
def handles(target: type[RQ], /) -> _ForRequest[RQ]: ...  # type: ignore[overload-overlap]  # the narrower one first
@overload
def handles(target: type[Q], /) -> _ForType[Q]: ...
def handles(target: Any, /) -> Any:
    """Mark a method of a `HandlingActor` as the handler of one message type.

    `@handles` alone takes the type from the annotation of the method's first argument; a union there stands for each
    of its members. `@handles(Read)` names the type, and lets a type checker compare the method with it: if `Read` is a
    `Request[float]`, the method must take a `Read` and return a `float`.

    Raises:
        HandlerError: the annotation is missing, not defined yet, or no type that can be told at run time.
    """
    return _mark(target, blocking=False)


@overload
def handles_blocking(  # type: ignore[overload-overlap]  # the narrower one first
    target: type[RQ], /
) -> _BlockingForRequest[RQ]: ...
@overload
def handles_blocking(  # type: ignore[overload-overlap]  # a class is callable too, and stands for its instances here
    target: type[Q], /
) -> _BlockingForType[Q]: ...
@overload
def handles_blocking(target: PlainHandler, /) -> PlainHandler: ...
def handles_blocking(target: Any, /) -> Any:
    """Mark a plain method of a `BlockingActor` as the handler of one message type; otherwise as `handles`."""
    return _mark(target, blocking=True)


def _mark(target: Any, *, blocking: bool) -> Any:
    # Two frames up is the class body; its own names and those of the function around it may stand in annotations.
    body = sys._getframe(2)  # noqa: SLF001 - the only way to resolve a local class, as dataclass libraries do
    if isinstance(target, type):
        request = issubclass(target, Request)
        if blocking:
            return (_BlockingForRequest if request else _BlockingForType)(target, blocking=True)
        return (_ForRequest if request else _ForType)(target, blocking=False)
    around = {} if body.f_back is None else body.f_back.f_locals
    return declare(target, {**around, **body.f_locals}, blocking=blocking)


class HandlingActor(Actor[M]):
    """An actor whose messages go to the method for their type.

    The method for the most specific class of the message is called; an `int` goes to a handler of `float` if there is
    no better one, as type checkers have it. A subclass may override a handler by its name, or declare one for a type
    that its base handles already. Two handlers of one class for the same type are an error at the class definition,
    and so is a member of `M` that has no handler; write `class Base(HandlingActor[...], partial=True)` for a base that
    leaves handlers to its subclasses.

    A message of a type without handler becomes a dead letter `no_handler`; if it was asked, the asker gets
    `NoHandler`. The actor goes on.

    Example:
        >>> class Press(HandlingActor[Read | str]):
        ...     @handles(Read)
        ...     async def read(self, message: Read) -> float:
        ...         return 180.0
        ...
        ...     @handles
        ...     async def note(self, message: str) -> None:
        ...         self.ctx.log.info(message)

    Raises:
        HandlerError: a declaration is wrong; the text names the class, the method and the type.
    """

    _table: ClassVar[HandlerTable]

    def __init_subclass__(cls, *, partial: bool = False, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._table = HandlerTable(cls, blocking=False, required=() if partial else message_types(cls, HandlingActor))

    @dispatcher
    def receive(self, message: M) -> Coroutine[Any, Any, object]:
        """Call the handler of the message's type; not overridden."""
        table = self._table
        handler: Handler | None = table.known.get(type(message)) or table.find(type(message))
        if handler is None:
            return self.unhandled(message)
        coro: Coroutine[Any, Any, object] = handler(self, message)
        return coro

    async def unhandled(self, message: object) -> object:
        """Take a message without handler; override it to do more than refuse."""
        raise Unhandled(message, self._table)


def message_types(cls: type, base: type) -> tuple[Any, ...]:
    """What `cls` itself puts in the brackets of `base`; empty if that says nothing."""
    for origin in getattr(cls, "__orig_bases__", ()) if "__orig_bases__" in vars(cls) else ():
        if get_origin(origin) is base:
            (argument,) = get_args(origin)
            return () if isinstance(argument, TypeVar | str) or argument is Any else (argument,)
    return ()


HandlingActor._table = HandlerTable(HandlingActor, blocking=False)  # noqa: SLF001 - the class itself handles nothing
