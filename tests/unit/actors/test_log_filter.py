"""Log records name the actor they come from."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from bifrost.actors import Actor, ActorSystem, ChildSpec
from bifrost.actors.log_filter import ActorLogFilter
from bifrost.errors import ActorCrashed


class Library(Actor[Any]):
    """Logs by its context and by a library's own logger."""

    async def receive(self, message: Any) -> object:
        if message == "crash":
            raise ValueError(message)
        self.ctx.log.warning("own %s", message, extra={"order": 7})
        logging.getLogger("some.library").warning("library %s", message)
        return None


class Lines(logging.Handler):
    """Formats records as JSON, as an application would."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []
        self.addFilter(ActorLogFilter())

    def emit(self, record: logging.LogRecord) -> None:
        names = ("actor", "incarnation", "system", "order")
        facts = {name: getattr(record, name) for name in names if hasattr(record, name)}
        self.lines.append(json.loads(json.dumps({"message": record.getMessage(), **facts})))


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler.lines
    logging.getLogger().removeHandler(handler)


async def test_records_carry_path_incarnation_and_system(lines: list[dict[str, Any]]) -> None:
    """Those of the context by themselves, those of other loggers by the filter, also after a restart."""
    async with ActorSystem("plant", [ChildSpec(id="press", start=Library)]) as system:
        await system.ref("press").ask("one")
        with pytest.raises(ActorCrashed):
            await system.ref("press").ask("crash")
        await system.ref("press").ask("two")
    facts = {"actor": "press", "system": "plant"}
    assert [line for line in lines if "crash" not in line["message"]] == [
        {"message": "press: own one", "incarnation": 1, "order": 7, **facts},
        {"message": "library one", "incarnation": 1, **facts},
        {"message": "press: own two", "incarnation": 2, "order": 7, **facts},
        {"message": "library two", "incarnation": 2, **facts},
    ]


async def test_outside_of_actors_the_attributes_are_none(lines: list[dict[str, Any]]) -> None:
    """So that one format string serves the whole application."""
    async with ActorSystem(children=[ChildSpec(id="press", start=Library)]):
        logging.getLogger("host").warning("hello")
    assert lines == [{"message": "hello", "actor": None, "incarnation": None, "system": None}]
