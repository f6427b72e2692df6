"""From a message's type to the method that handles it: declarations in, one table per class out.

In: functions marked by `@handles`, with the annotations of their first argument. Out: a `HandlerTable`, or a
`HandlerError` that names the mistake. Everything is checked while the class is defined; nothing at the first message.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from bifrost.actors.request import Request
from bifrost.errors import HandlerError, NoHandler

__all__ = ["Handler", "HandlerTable", "Unhandled", "declare", "dispatcher", "is_dispatcher"]

Handler = Callable[[Any, Any], Any]

_MARK: Final = "__bifrost_handles__"
_DISPATCHES: Final = "__bifrost_dispatches__"
_CACHED: Final = 1024  # types found by a search that are remembered, so that types made at run time cannot fill memory
_PROMOTED: Final = {int: (float, complex), float: (complex,)}  # what type checkers let stand for each other


def dispatcher(method: Handler) -> Handler:
    """Mark a method that only chooses a coroutine function and calls it, so that calling it runs no code of users."""
    setattr(method, _DISPATCHES, True)
    return method


def is_dispatcher(method: Any) -> bool:
    """True if `dispatcher` has marked the method."""
    return getattr(method, _DISPATCHES, False) is True


class Unhandled(Exception):
    """There is no handler: the runtime makes a dead letter of the message, and no crash of the actor."""

    def __init__(self, message: object, table: HandlerTable) -> None:
        super().__init__(f"{table.owner} has no handler for {type(message).__name__}; it has {table.names}")

    def for_asker(self, path: str) -> NoHandler:
        """The error that the asker gets."""
        return NoHandler(f"{path}: {self}")


class _Declaration:
    """What `@handles` notes on a function."""

    __slots__ = ("blocking", "kinds")

    def __init__(self, kinds: tuple[type, ...], *, blocking: bool) -> None:
        self.kinds = kinds
        self.blocking = blocking


def declare(handler: Any, names: Mapping[str, Any], *, blocking: bool, kind: type | None = None) -> Any:
    """Note on `handler` which types it handles.

    Args:
        handler: a function with `self` and the message as arguments.
        names: local names that its annotation may use.
        blocking: it runs in a thread, so it is a plain function; otherwise a coroutine function.
        kind: the type; None takes the annotation of the message.

    Raises:
        HandlerError: see `handles`.
    """
    if not inspect.isfunction(handler):
        raise HandlerError(f"@handles marks a method, or takes one class: @handles(Type); got {handler!r}")
    where = handler.__qualname__
    if inspect.iscoroutinefunction(inspect.unwrap(handler)) is blocking:
        wanted = (
            "a plain function: it runs in a thread" if blocking else "'async def'; @handles_blocking is for threads"
        )
        raise HandlerError(f"{where} must be {wanted}")
    parameters = list(inspect.signature(handler).parameters.values())
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    needed = [one for one in parameters if one.default is one.empty and one.kind not in variable]
    if len(positional) < 2 or len(needed) > 2:
        raise HandlerError(f"{where} must take 'self' and the message, got {inspect.signature(handler)}")
    annotation = kind if kind is not None else _annotation(handler, positional[1].name, names)
    kinds = tuple(dict.fromkeys(_kinds(annotation, where)))
    _check_answers(handler, kinds, names, where)
    setattr(handler, _MARK, _Declaration(kinds, blocking=blocking))
    return handler


class HandlerTable:
    """The handlers of one actor class.

    Args:
        owner: the class; handlers of its bases count, nearer ones first.
        blocking: whether its handlers run in a thread.
        required: types, or unions of them, that must have a handler.

    Raises:
        HandlerError: two handlers of one class for a type, a required type without any, or a handler of the wrong sort.
    """

    __slots__ = ("_declared", "known", "owner")

    def __init__(self, owner: type, *, blocking: bool, required: Iterable[Any] = ()) -> None:
        self.owner = owner.__qualname__
        methods: dict[type, str] = {}
        for base in reversed(owner.__mro__):
            own = dict(_declarations(base, blocking=blocking))
            # A method declared anew no longer handles what it did in a base.
            methods = {kind: name for kind, name in methods.items() if name not in own.values()} | own
        self._declared: dict[type, Handler] = {kind: _method(owner, name) for kind, name in methods.items()}
        self.known: dict[type, Handler] = dict(self._declared)
        """By exact type: what is declared, and what a search has found."""
        for annotation in required:
            for kind in _kinds(annotation, self.owner, erase=True):
                if self.find(kind) is None:
                    raise HandlerError(
                        f"{self.owner} declares messages of type {kind.__name__} and has no handler for them; "
                        "add one, or define the class with partial=True"
                    )

    @property
    def names(self) -> str:
        """The types that are handled, in words."""
        return ", ".join(sorted(kind.__name__ for kind in self._declared)) or "none at all"

    def __len__(self) -> int:
        return len(self._declared)

    def find(self, kind: type) -> Handler | None:
        """The handler for the nearest class that `kind` inherits from; remembered for the next time."""
        for base in _line(kind):
            handler = self._declared.get(base)
            if handler is not None:
                if len(self.known) > _CACHED + len(self._declared):
                    self.known = dict(self._declared)
                self.known[kind] = handler
                return handler
        return None


def _line(kind: type) -> Iterator[type]:
    for base in kind.__mro__:
        if base is object:
            for one in kind.__mro__:
                yield from _PROMOTED.get(one, ())
        yield base


def _declarations(base: type, *, blocking: bool) -> Iterator[tuple[type, str]]:
    taken: dict[type, str] = {}
    for name, value in vars(base).items():
        if isinstance(value, staticmethod | classmethod | property) and _mark_of(value) is not None:
            raise HandlerError(f"{base.__qualname__}.{name}: @handles marks plain methods only")
        mark = _mark_of(value)
        if mark is None:
            continue
        if mark.blocking is not blocking:
            wanted = "@handles_blocking" if blocking else "@handles"
            raise HandlerError(f"{base.__qualname__}.{name}: handlers of this kind of actor are marked with {wanted}")
        for kind in mark.kinds:
            if kind in taken:
                raise HandlerError(f"{base.__qualname__} handles {kind.__name__} twice: in {taken[kind]} and in {name}")
            taken[kind] = name
            yield kind, name


def _mark_of(value: Any) -> _Declaration | None:
    inner = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    mark = getattr(inner, _MARK, None) if inspect.isfunction(inner) else None
    return mark if isinstance(mark, _Declaration) else None


def _method(owner: type, name: str) -> Handler:
    method = inspect.getattr_static(owner, name)
    if not inspect.isfunction(method):
        raise HandlerError(f"{owner.__qualname__}.{name} overrides a handler and is no method: {method!r}")
    return method


# Annotations


def _annotation(handler: types.FunctionType, name: str, names: Mapping[str, Any]) -> Any:
    try:
        annotation = handler.__annotations__[name]
        if isinstance(annotation, str):
            annotation = eval(annotation, _globals(handler), dict(names))  # noqa: S307 - the class's own source text
    except KeyError:
        raise HandlerError(
            f"{handler.__qualname__}: annotate {name!r} with the message's type, or write @handles(Type)"
        ) from None
    except Exception as error:
        raise HandlerError(
            f"{handler.__qualname__}: the annotation of {name!r} cannot be resolved while the class is defined "
            f"({error}); define or import the message's type above the class"
        ) from error
    return annotation


def _globals(handler: types.FunctionType) -> dict[str, Any]:
    """Those of the module that the handler was written in, under whatever decorators."""
    names: dict[str, Any] = inspect.unwrap(handler).__globals__
    return names


def _kinds(annotation: Any, where: str, *, erase: bool = False) -> Iterator[type]:
    """The classes that an annotation stands for; `erase` leaves out type arguments and what is no class."""
    origin = get_origin(annotation)
    if annotation is None:
        yield type(None)
    elif origin is Union or origin is types.UnionType:
        for member in get_args(annotation):
            yield from _kinds(member, where, erase=erase)
    elif origin is Annotated:
        yield from _kinds(get_args(annotation)[0], where, erase=erase)
    elif hasattr(annotation, "__value__"):
        yield from _kinds(annotation.__value__, where, erase=erase)
    elif isinstance(origin, type) and (erase or all(one is Any for one in get_args(annotation))):
        yield origin
    elif not erase or isinstance(annotation, type):
        yield _checked(annotation, origin, where)


def _checked(annotation: Any, origin: Any, where: str) -> type:
    problem = None
    if annotation is Any:
        problem = "write 'object' for a handler that takes everything"
    elif origin is not None:
        problem = "type arguments are not kept at run time; write the bare class, or Any as its arguments"
    elif isinstance(annotation, TypeVar):
        problem = "a type variable is no class; write @handles(Type)"
    elif not isinstance(annotation, type):
        problem = "a handler is chosen by a class"
    elif getattr(annotation, "_is_protocol", False) or typing.is_typeddict(annotation):
        problem = "protocols and typed dicts are no classes that a message could be an instance of by name"
    if problem is not None:
        raise HandlerError(f"{where}: cannot choose by {annotation!r}: {problem}")
    assert isinstance(annotation, type)
    return annotation


def _check_answers(handler: types.FunctionType, kinds: Iterable[type], names: Mapping[str, Any], where: str) -> None:
    """Compare the return type with what the requests name, as far as both are plain classes."""
    try:
        returned = handler.__annotations__.get("return", Any)
        if isinstance(returned, str):
            returned = eval(returned, _globals(handler), dict(names))  # noqa: S307 - the class's own source text
    except Exception:  # noqa: BLE001 - a return type may be known to the type checker alone
        return
    returned = type(None) if returned is None else returned
    for kind in kinds:
        answer = _answer_of(kind)
        answer = type(None) if answer is None else answer
        if isinstance(answer, type) and isinstance(returned, type) and not _fits(returned, answer):
            raise HandlerError(f"{where} returns {returned.__name__}, but {kind.__name__} asks for {answer.__name__}")


def _answer_of(kind: type) -> Any:
    for base in kind.__mro__:
        for origin in vars(base).get("__orig_bases__", ()):
            if get_origin(origin) is Request:
                return get_args(origin)[0]
    return Any


def _fits(returned: type, answer: type) -> bool:
    if Any in (answer, returned):  # on some versions of Python it is a class
        return True
    if getattr(answer, "_is_protocol", False) or typing.is_typeddict(answer) or typing.is_typeddict(returned):
        return True
    return issubclass(returned, answer) or answer in _PROMOTED.get(returned, ())
