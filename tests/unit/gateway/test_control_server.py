"""A request line becomes one answer, whatever it holds."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import BifrostError, ChildNotFound, ConfigError, DeviceFault, ProtocolError
from bifrost.gateway.control.protocol import ControlFailure, ControlRequest, decode_request, failure_of
from bifrost.gateway.control.server import ControlServer


async def _echo(params: dict[str, Any]) -> object:
    return params


async def _refuse(_params: dict[str, Any]) -> object:
    raise ConfigError("2 mistakes", mistakes=["one", "two"])


async def _break(_params: dict[str, Any]) -> object:
    return 1 // 0


async def _sleep(_params: dict[str, Any]) -> object:
    await asyncio.sleep(1000)
    return None


OPERATIONS = {"echo": _echo, "refuse": _refuse, "break": _break, "sleep": _sleep}


async def test_a_request_gets_its_result() -> None:
    """The answer carries the request's id and what the operation returned."""
    answer = await ControlServer(OPERATIONS).respond(b'{"id": 7, "method": "echo", "params": {"a": [1]}}\n')
    assert (answer.id, answer.result, answer.error) == (7, {"a": [1]}, None)


async def test_a_refusal_carries_every_mistake() -> None:
    """A ConfigError of the operation comes out on the other side as the same error."""
    answer = await ControlServer(OPERATIONS).respond(b'{"id": 1, "method": "refuse"}\n')
    assert answer.error is not None
    with pytest.raises(ConfigError) as caught:
        answer.error.throw()
    assert caught.value.mistakes == ("one", "two")


async def test_an_unknown_method_is_refused_with_the_nearest() -> None:
    """A misspelt method is answered, not dropped."""
    answer = await ControlServer(OPERATIONS).respond(b'{"id": 1, "method": "ecco"}\n')
    assert answer.error == ControlFailure(
        kind="ConfigError",
        text='unknown method "ecco"; did you mean echo?',
        mistakes=('unknown method "ecco"; did you mean echo?',),
    )


async def test_a_defect_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An operation that breaks gives an error and a log record; the server lives on."""
    server = ControlServer(OPERATIONS)
    answer = await server.respond(b'{"id": 1, "method": "break"}\n')
    assert answer.error is not None
    assert "ZeroDivisionError" in answer.error.text
    assert "control request break failed" in caplog.text
    assert (await server.respond(b'{"id": 2, "method": "echo"}\n')).id == 2


async def test_a_request_is_answered_within_its_deadline() -> None:
    """An operation that hangs is cut off and told as a timeout."""
    answer = await ControlServer(OPERATIONS, request_timeout=30).respond(b'{"id": 1, "method": "sleep"}\n')
    assert answer.error == ControlFailure(kind="LinkTimeout", text="sleep took longer than 30 s")


@pytest.mark.parametrize("token", [b"", b', "token": "wrong"', b', "token": null'])
async def test_a_wrong_token_is_refused(token: bytes) -> None:
    """Over loopback TCP, who cannot read the token file may not ask; the answer does not repeat the token."""
    answer = await ControlServer(OPERATIONS, token="secret").respond(b'{"id": 1, "method": "echo"' + token + b"}")
    assert answer.error is not None
    assert answer.error.kind == "ProtocolError"
    assert "secret" not in answer.error.text


async def test_the_right_token_is_let_in() -> None:
    """Who has read the token file may ask."""
    answer = await ControlServer(OPERATIONS, token="secret").respond(b'{"id": 1, "method": "echo", "token": "secret"}')
    assert answer.error is None


def test_no_token_in_a_repr() -> None:
    """A request can be logged."""
    assert "secret" not in repr(ControlRequest(id=1, method="echo", token="secret"))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_request_or_a_protocol_error(line: bytes) -> None:
    """Nothing that comes over the socket raises anything else."""
    with contextlib.suppress(ProtocolError):
        assert isinstance(decode_request(line), ControlRequest)


def test_deep_nesting_is_refused() -> None:
    """A line of brackets does not exhaust the stack."""
    with pytest.raises(ProtocolError):
        decode_request(b'{"id": 1, "method": "echo", "params": {"a": ' + b"[" * 100_000)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ChildNotFound("no device oven"), ChildNotFound),
        (ConfigError("wrong", mistakes=["a", "b"]), ConfigError),
        (DeviceFault("unit 1 refused", code=2), BifrostError),
    ],
)
def test_an_error_survives_the_way_over_the_socket(error: BifrostError, kind: type[BifrostError]) -> None:
    """The other side raises the same class with the same text, or the base class if it needs more facts."""
    failure = msgspec.json.decode(msgspec.json.encode(failure_of(error)), type=ControlFailure)
    with pytest.raises(kind, match=str(error)):
        failure.throw()


def test_a_kind_that_is_no_error_of_ours_is_the_base_class() -> None:
    """The other side's word is no licence to construct anything."""
    with pytest.raises(BifrostError, match="text"):
        ControlFailure(kind="Sequence", text="text").throw()
