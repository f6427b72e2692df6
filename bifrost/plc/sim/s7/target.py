"""A simulated S7 CPU on a real TCP port: snap7's server, and in front of it what a fault plan makes of its answers.

Serves any client of classic S7 communication. Not here: the memory (`memory`), the faults (`disturbance`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from bifrost.core.clock import Clock
from bifrost.core.value import Value
from bifrost.errors import MissingExtra
from bifrost.plc.s7.areas import S7Area
from bifrost.plc.sim.faults import FaultPlan, Injection
from bifrost.plc.sim.s7.memory import S7Memory
from bifrost.plc.sim.s7.session import S7Session
from bifrost.plc.sim.signals import Signal
from bifrost.plc.sim.simulated_device import TcpDevice
from bifrost.plc.sim.simulated_link import end_transport

if TYPE_CHECKING:
    from snap7.server import Server

__all__ = ["S7Counters", "S7Target"]

_LOOPBACK = "127.0.0.1"


@dataclasses.dataclass(slots=True)
class S7Counters:
    """What a target has seen since it was made.

    Attributes:
        connections: connections accepted, those turned away included.
        turned_away: connections beyond `max_clients`.
        jobs: Read Var and Write Var jobs.
        injected: jobs that met a fault.
    """

    connections: int = 0
    turned_away: int = 0
    jobs: int = 0
    injected: int = 0


class S7Target(TcpDevice):
    """A CPU that serves S7.

    Use it as ``async with``, or call `start` and `stop`; a stopped target can be started again and keeps its port.
    Starting it raises `MissingExtra` if python-snap7 is not installed.

    Args:
        dbs: bytes of each data block, by number.
        memory: all areas; then `dbs` is left out.
        host: address to listen on.
        port: TCP port; 0 lets the system choose, `port` then tells.
        faults: what goes wrong with answers to Read Var and Write Var. May be replaced at any time.
        pdu_length: longest PDU that it grants, up to 480. May be replaced; it holds from the next connection on.
        max_clients: connections served at the same time. None: no limit.
        when_full: what happens to further ones: they are closed, or accepted and never answered.
        clock: where bound signals read time.

    Attributes:
        refuse_jobs: error code with which every Read Var and Write Var is refused as a whole, such as 0x8104, which an
            S7-1200 says while PUT/GET is not permitted; None (default): none is.
        max_items: items in one job; jobs with more are refused with 0x8500.
        refuse_connections: refuse the ISO connection of every client from now on, as a wrong rack or slot does.
        mute_userdata: never answer questions about the CPU itself, as some devices that imitate one.
    """

    def __init__(
        self,
        dbs: Mapping[int, int] | None = None,
        *,
        memory: S7Memory | None = None,
        host: str = _LOOPBACK,
        port: int = 0,
        faults: FaultPlan | None = None,
        pdu_length: int = 480,
        max_clients: int | None = None,
        when_full: Literal["close", "silence"] = "close",
        clock: Clock | None = None,
    ) -> None:
        self.memory = S7Memory(dbs or {}, clock=clock) if memory is None else memory
        self.host = host
        self.port = port
        self.faults = faults
        self.pdu_length = pdu_length
        self.refuse_jobs: int | None = None
        self.max_items = 20
        self.refuse_connections = False
        self.mute_userdata = False
        self.counters = S7Counters()
        super().__init__(self.counters, max_clients=max_clients, silent_when_full=when_full == "silence")
        self._snap7: Server | None = None
        self._snap7_port = 0
        self._tasks: dict[asyncio.Task[None], _Client] = {}

    async def stop(self, *, reset: bool = False, timeout: float = 3.0) -> None:
        """Stop listening and end every connection, as a CPU does that is switched off. Idempotent.

        Args:
            reset: end the connections by RST instead of FIN.
            timeout: seconds until the connections, and snap7's threads, must be gone.

        Raises:
            LinkTimeout: something was still there at the deadline.
        """
        await super().stop(reset=reset, timeout=timeout)

    async def restart(self) -> None:
        """Switch the CPU off and on again; its memory stays."""
        await self.stop()
        await self.start()

    def put(self, address: str, value: object) -> None:
        """Store a value; see `S7Memory.put`."""
        self.memory.put(address, value)

    def get(self, address: str) -> Value:
        """Look at a value; see `S7Memory.get`."""
        return self.memory.get(address)

    def bind(self, address: str, signal: Signal) -> None:
        """Let a signal drive a value; see `S7Memory.bind`."""
        self.memory.bind(address, signal)

    @property
    def write_count(self) -> int:
        """Items that came over the wire to be written."""
        return self.memory.write_count

    def next_injection(self) -> Injection | None:
        """Count a job and take the fault that it meets."""
        self.counters.jobs += 1
        injection = None if self.faults is None else self.faults.next_injection()
        self.counters.injected += injection is not None
        return injection

    async def _listen(self) -> asyncio.Server:
        self._snap7 = _serve_memory(self.memory)
        assert self._snap7.server_socket is not None
        self._snap7_port = self._snap7.server_socket.getsockname()[1]
        try:
            return await asyncio.start_server(self._accept, self.host, self.port)
        except BaseException:
            await self._stop_snap7()
            raise

    async def _switch_off(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await self._idle.wait()
        await self._stop_snap7()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(writer)
        if not self.opened(client):
            writer.close()
            self.closed(client)
            return
        work = _swallow(reader) if client.silent else self._serve(reader, writer)
        task = asyncio.get_running_loop().create_task(work, name="bifrost-s7-session")
        self._tasks[task] = client
        task.add_done_callback(self._ended)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await asyncio.open_connection(_LOOPBACK, self._snap7_port)
        try:
            await S7Session(self, (reader, writer), server).run()
        finally:
            server[1].close()
            with contextlib.suppress(OSError):
                await server[1].wait_closed()

    def _ended(self, task: asyncio.Task[None]) -> None:
        client = self._tasks.pop(task)
        client.writer.close()
        self.closed(client)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a session of the simulated S7 CPU failed", "exception": error, "task": task}
            )

    async def _stop_snap7(self) -> None:
        """End snap7's threads. That waits for them, so it is done in a thread of its own."""
        server, self._snap7 = self._snap7, None
        if server is None:
            return
        loop = asyncio.get_running_loop()
        stopped: asyncio.Future[None] = loop.create_future()

        def stop() -> None:
            server.stop()
            with contextlib.suppress(RuntimeError):  # the loop did not wait for this
                loop.call_soon_threadsafe(_settle, stopped)

        thread = threading.Thread(target=stop, name="bifrost-s7-stop", daemon=True)
        thread.start()
        await stopped
        thread.join(timeout=1.0)


class _Client:
    """One accepted connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.silent = False

    def drop(self, *, reset: bool) -> None:
        end_transport(self.writer.transport, reset=reset)

    def fall_silent(self) -> None:
        self.silent = True


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _swallow(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        await reader.read()


def _serve_memory(memory: S7Memory) -> Server:
    try:
        from snap7.server import Server
        from snap7.type import SrvArea
    except ModuleNotFoundError as error:
        raise MissingExtra("python-snap7 is missing: pip install 'bifrost-edge[s7]'") from error
    areas = {
        S7Area.DB: SrvArea.DB,
        S7Area.MERKER: SrvArea.MK,
        S7Area.INPUT: SrvArea.PE,
        S7Area.OUTPUT: SrvArea.PA,
        S7Area.TIMER: SrvArea.TM,
        S7Area.COUNTER: SrvArea.CT,
    }
    # A refused item is no news: without this, snap7's warnings end on the terminal of a program that logs nothing.
    logging.getLogger("snap7").addHandler(logging.NullHandler())
    server = Server(log=False, max_clients=4096)
    for (area, number), data in memory.areas.items():
        server.register_area(areas[area], number, data)
    server.host = _LOOPBACK
    server.start(0)
    return server
