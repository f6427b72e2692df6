"""A message that names the type of its answer.

In: nothing. Out: one base class, for messages that are asked.
"""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["R", "Request"]

R = TypeVar("R")


class Request(Generic[R]):
    """Base of a message that names the type of its answer: for `ask`, and for the method that handles it.

    Example:
        >>> class Read(Request[float]):
        ...     def __init__(self, tag: str) -> None:
        ...         self.tag = tag

    To a type checker, `await ref.ask(Read("flow"))` is then a `float`.
    """

    __slots__ = ()
