"""The control socket on real sockets: only for its owner, bounded, and replaced after a kill."""

from __future__ import annotations

import asyncio
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bifrost.errors import ConfigError, LinkTimeout, NotConnected, ProtocolError
from bifrost.gateway.control import MAX_LINE_BYTES, ControlAddress, ControlServer, ask_gateway
from bifrost.gateway.control.address import find_address, listen, withdraw

unix_only = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix domain sockets here")


async def _echo(params: dict[str, Any]) -> object:
    return params


async def _repeat(params: dict[str, Any]) -> object:
    return "x" * params["bytes"]


async def _slow(_params: dict[str, Any]) -> object:
    await asyncio.sleep(30)
    return None


@asynccontextmanager
async def served(data_dir: Path, **options: Any) -> AsyncIterator[ControlAddress]:
    link, address = listen(data_dir)
    server = ControlServer({"echo": _echo, "repeat": _repeat, "slow": _slow}, token=address.token, **options)
    await server.start(link)
    try:
        yield address
    finally:
        await server.aclose()
        withdraw(data_dir, address)


async def ask(where: Path | ControlAddress, method: str, params: dict[str, Any] | None = None, **options: Any) -> Any:
    return await asyncio.to_thread(ask_gateway, where, method, params, **options)


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name, which a path of pytest's may not."""
    with tempfile.TemporaryDirectory(prefix="bf") as folder:
        yield Path(folder)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@unix_only
async def test_the_socket_is_for_its_owner_alone(short_dir: Path) -> None:
    """Mode 0600 from before the first connection; an answer comes over it; it is gone afterwards."""
    async with served(short_dir):
        assert mode_of(short_dir / "control.sock") == 0o600
        assert await ask(short_dir, "echo", {"a": 1}) == {"a": 1}
    assert names_in(short_dir) == []


@unix_only
async def test_a_socket_left_by_a_kill_is_replaced(short_dir: Path) -> None:
    """A path on which nobody listens does not keep the next gateway from starting."""
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(short_dir / "control.sock"))
    left.close()
    with pytest.raises(NotConnected):
        await ask(short_dir, "echo")
    async with served(short_dir):
        assert await ask(short_dir, "echo") == {}


@unix_only
async def test_a_second_gateway_is_refused(short_dir: Path) -> None:
    """A socket on which somebody listens is not taken away."""
    async with served(short_dir):
        with pytest.raises(NotConnected, match="another gateway"):
            listen(short_dir)
        assert await ask(short_dir, "echo") == {}


async def test_without_unix_sockets_a_token_proves_the_owner(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback port answers only who could read the token file, which has mode 0600."""
    monkeypatch.delattr(socket, "AF_UNIX", raising=False)
    async with served(short_dir) as address:
        assert mode_of(short_dir / "control.json") == 0o600
        assert await ask(short_dir, "echo", {"a": 1}) == {"a": 1}
        with pytest.raises(ProtocolError, match="token"):
            await ask(ControlAddress(port=address.port, token="guessed"), "echo")
        assert address.token is not None
        assert address.token not in repr(address)
    assert names_in(short_dir) == []


async def test_a_path_too_long_for_a_socket_falls_back(tmp_path: Path) -> None:
    """A data directory deeper than a socket path may be long still has a control socket."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    async with served(deep) as address:
        assert address.unix is None
        assert await ask(deep, "echo") == {}


async def test_a_line_too_long_is_refused_and_the_next_asker_served(short_dir: Path) -> None:
    """More than the limit is told so; the server does not collect it."""
    async with served(short_dir):
        with pytest.raises((ProtocolError, NotConnected)):
            await ask(short_dir, "echo", {"a": "x" * MAX_LINE_BYTES})
        assert await ask(short_dir, "echo") == {}


async def test_an_answer_too_long_is_told(short_dir: Path) -> None:
    """An operation whose result does not fit in a line gives an error, not an endless line."""
    async with served(short_dir):
        with pytest.raises(ProtocolError, match="answer longer than"):
            await ask(short_dir, "repeat", {"bytes": MAX_LINE_BYTES})


async def test_a_request_that_hangs_is_answered_by_the_deadline(short_dir: Path) -> None:
    """The server's deadline and the asker's deadline each end the wait."""
    async with served(short_dir, request_timeout=0.1):
        with pytest.raises(LinkTimeout, match=r"longer than 0\.1 s"):
            await ask(short_dir, "slow")
    async with served(short_dir):
        with pytest.raises(LinkTimeout, match=r"no answer to slow within 0\.1 s"):
            await ask(short_dir, "slow", timeout=0.1)


async def test_a_silent_connection_is_closed(short_dir: Path) -> None:
    """Who connects and says nothing, or half a line, does not stay."""
    async with served(short_dir, idle_timeout=0.1) as address:
        link = await asyncio.to_thread(address.connect, timeout=5.0)
        with link:
            link.settimeout(5.0)
            link.sendall(b'{"id": 1, "meth')
            assert await asyncio.to_thread(link.recv, 100) == b""


async def test_no_more_connections_than_allowed(short_dir: Path) -> None:
    """One connection too many is told so, and the others go on."""
    async with served(short_dir, max_connections=1) as address:
        first = await asyncio.to_thread(address.connect, timeout=5.0)
        with first:
            await asyncio.sleep(0.05)
            with pytest.raises(ProtocolError, match="more than 1 connections"):
                await ask(short_dir, "echo")
        await asyncio.sleep(0.05)
        assert await ask(short_dir, "echo") == {}


async def test_an_unknown_method_is_told(short_dir: Path) -> None:
    """The refusal arrives as the error it was."""
    async with served(short_dir):
        with pytest.raises(ConfigError, match="did you mean echo"):
            await ask(short_dir, "eco")


def test_where_no_gateway_runs_that_is_told(tmp_path: Path) -> None:
    """The text says how to start one."""
    with pytest.raises(NotConnected, match="bifrost run"):
        find_address(tmp_path)
