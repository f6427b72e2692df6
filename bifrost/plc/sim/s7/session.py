"""One client of a simulated S7 CPU: frames in, disturbed answers out, one after the other.

Writes are acted on here, with a return code for each item and bits as bits, as a CPU does; snap7's server takes the
first item of a job alone and writes a whole byte for a bit. All else is snap7's, over a connection of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from bifrost.errors import ProtocolError
from bifrost.plc.s7.pdu import OK, READ_VAR, open_answer, read_results
from bifrost.plc.sim.actions import Drop, Pause, Send, Silence
from bifrost.plc.sim.faults import Fault, Injection
from bifrost.plc.sim.s7.disturbance import disturb_s7
from bifrost.plc.sim.s7.memory import S7Memory, S7WriteRecord
from bifrost.plc.sim.s7.requests import (
    CONNECTION_REQUEST,
    DATA,
    DISCONNECT_REFUSED,
    S7Item,
    S7Job,
    answer_error,
    answer_items,
    answer_writes,
    clamp_pdu,
    is_userdata,
    read_job,
    write_values,
)
from bifrost.plc.sim.simulated_link import end_transport

__all__ = ["S7Session", "SessionOwner"]

_TOO_LONG = 0x8500
_NO_SUCH_OBJECT = 0x0A


class SessionOwner(Protocol):
    """What a session asks of its target."""

    memory: S7Memory
    pdu_length: int
    refuse_connections: bool
    refuse_jobs: int | None
    max_items: int
    mute_userdata: bool

    def next_injection(self) -> Injection | None:
        """Count a job and take the fault that it meets."""
        ...


class _Ended(Exception):
    """The session is over, by intention."""


class S7Session:
    """One client, and snap7's server behind."""

    def __init__(
        self,
        target: SessionOwner,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._target = target
        self._reader, self._writer = client
        self._from_server, self._to_server = server
        self._pdu = target.pdu_length

    async def run(self) -> None:
        """Serve until one side ends."""
        with contextlib.suppress(_Ended, ProtocolError, asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._serve(await _frame(self._reader))

    async def _serve(self, frame: bytes) -> None:
        kind = frame[5]
        if kind == CONNECTION_REQUEST and self._target.refuse_connections:
            await self._send(DISCONNECT_REFUSED)
            raise _Ended
        if kind not in {CONNECTION_REQUEST, DATA}:
            raise _Ended
        job = read_job(frame) if kind == DATA else None
        if job is None:
            if self._target.mute_userdata and is_userdata(frame):
                return
            answer, granted = clamp_pdu(await self._relayed(frame), self._target.pdu_length)
            self._pdu = granted or self._pdu
            await self._send(answer)
            return
        injection = self._target.next_injection()
        answer = await self._answer(job, frame, injection)
        for action in disturb_s7(injection, answer):
            match action:
                case Send(data):
                    await self._send(data)
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Drop(reset):
                    end_transport(self._writer.transport, reset=reset)
                    raise _Ended
                case Silence():
                    await self._reader.read()  # until the client gives up
                    raise _Ended

    async def _answer(self, job: S7Job, frame: bytes, injection: Injection | None) -> bytes:
        if injection is not None and injection.fault is Fault.EXCEPTION:
            codes = [injection.code] * len(job.items)
            return answer_items(job, codes) if job.function == READ_VAR else answer_writes(job, codes)
        if self._target.refuse_jobs is not None:
            return answer_error(job, self._target.refuse_jobs)
        if len(job.items) > self._target.max_items:
            return answer_error(job, _TOO_LONG)
        if job.function != READ_VAR:
            return answer_writes(job, self._write(job))
        self._target.memory.refresh()
        answer = await self._read(job, frame)
        return answer if len(answer) - 7 <= self._pdu else answer_error(job, _TOO_LONG)

    def _write(self, job: S7Job) -> list[int]:
        memory = self._target.memory
        codes: list[int] = []
        for item, value in zip(job.items, write_values(job), strict=True):
            if item.area is None:
                codes.append(_NO_SUCH_OBJECT)
            else:
                codes.append(memory.write(S7WriteRecord(item.area, item.db, item.start, item.bit, value)))
        return codes

    async def _read(self, job: S7Job, frame: bytes) -> bytes:
        answer = await self._relayed(frame)
        sizes = [1 if item.bit is not None else item.size for item in job.items]
        results = read_results(open_answer(answer[7:], job.reference, READ_VAR, len(job.items)), sizes)
        return answer_items(job, [self._seen(item, result) for item, result in zip(job.items, results, strict=True)])

    def _seen(self, item: S7Item, result: bytes | int) -> bytes | int:
        """What the client may see of what snap7's server read: no refused area, and of a byte perhaps one bit."""
        if item.area is None:
            return _NO_SUCH_OBJECT
        code = self._target.memory.refusing.get((item.area, item.db), OK)
        if code != OK:
            return code
        if isinstance(result, bytes) and item.bit is not None:
            return bytes([result[0] >> item.bit & 1])
        return result

    async def _relayed(self, frame: bytes) -> bytes:
        self._to_server.write(frame)
        return await _frame(self._from_server)

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    header = await reader.readexactly(4)
    length = int.from_bytes(header[2:])
    if header[0] != 3 or length < 7:
        raise ProtocolError(f"expected a TPKT header, got 0x{header.hex()}")
    return header + await reader.readexactly(length - 4)
