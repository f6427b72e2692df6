"""One S7 link: one job at a time, on snap7's asyncio client. Whatever is doubtful ends it.

An S7 answer that comes late looks like any other, so after a timeout, a job that was cancelled, or an answer with
another number, nothing that follows can be trusted: the link is dropped, and whoever owns it makes a new one.
Needs the extra ``s7``; import it where it is used. In: jobs. Out: the data of their answers. Not here: reconnecting.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import TypeVar

from snap7.async_client import AsyncClient
from snap7.error import S7ConnectionError, S7Error

from bifrost.errors import BifrostError, LinkTimeout, NotConnected, ProtocolError, S7Fault
from bifrost.plc.s7.jobs import Job
from bifrost.plc.s7.pdu import job, open_answer
from bifrost.plc.s7.settings import S7Settings
from bifrost.plc.s7.wire import WatchedConnection

__all__ = ["S7Link"]

_T = TypeVar("_T")
_CLOSING_SECONDS = 1.0
_MALFORMED = (S7Error, RuntimeError, ValueError, LookupError, struct.error)
"""What snap7 raises for an answer that is a refusal, or none at all."""


class S7Link:
    """A link, alive from `open` until it ends, by whatever side.

    Attributes:
        connected: false before the link is up and for good after it ended.
        pdu: bytes of a PDU, as negotiated.
        requests: jobs sent.
        timeouts: jobs without an answer in time.
        broken: links ended because an answer was doubtful.
        rtt: jobs answered by round-trip time; index n counts 2**(n-1) to 2**n - 1 microseconds.
    """

    def __init__(self, settings: S7Settings) -> None:
        self.connected = False
        self.pdu = 0
        self.requests = 0
        self.timeouts = 0
        self.broken = 0
        self.rtt = [0] * 32
        self._settings = settings
        self._on_lost: Callable[[BifrostError], None] | None = None
        self._turn = asyncio.Lock()
        self._busy = False
        self._reference = 0
        self._why: BifrostError | None = None
        self._client = AsyncClient()
        self._client.pdu_length = settings.pdu_length
        self._connection = WatchedConnection(
            settings.host,
            settings.port,
            local_tsap=settings.local_tsap,
            remote_tsap=settings.called_tsap,
            on_end=lambda reason: self._break(NotConnected(reason)),
            on_data=self._heard,
        )

    async def open(self, *, timeout: float) -> None:
        """Connect TCP, then ISO, then negotiate the PDU, all within `timeout` seconds.

        Raises:
            LinkTimeout: it took too long.
            NotConnected: refused on the way; the text says where.
        """
        host, port = self._settings.host, self._settings.port
        connection, client = self._connection, self._client
        self._busy = True
        try:
            async with asyncio.timeout(timeout):
                await connection.connect()
                client.connection = connection
                # snap7 has no other way to negotiate over a connection that it did not make.
                await client._setup_communication()  # noqa: SLF001
        except TimeoutError:
            self._drop()
            raise LinkTimeout(f"no S7 link to {host} port {port} within {timeout:g} s") from None
        except OSError as error:
            self._drop()
            raise NotConnected(f"cannot connect to {host} port {port}: {error.strerror or error}") from error
        except _MALFORMED as error:
            self._drop()
            raise NotConnected(self._refused(str(error))) from error
        except BaseException:
            self._drop()
            raise
        finally:
            self._busy = False
        if not connection.connected:
            self._drop()
            raise NotConnected(f"{host} port {port} ended the link while it was being made")
        # More than was asked for is no grant: what we send is as long as we said at most.
        self.pdu = min(client.pdu_length, self._settings.pdu_length)
        client.connected = self.connected = True

    def tell(self, on_lost: Callable[[BifrostError], None]) -> None:
        """Call `on_lost` once, when the link ends by itself."""
        self._on_lost = on_lost

    def abort(self, error: BifrostError) -> None:
        """Give the link up: what came cannot be trusted; `on_lost` hears `error`."""
        self.broken += 1
        self._break(error)

    async def exchange(self, task: Job, *, timeout: float) -> bytes:
        """Do one job; the deadline counts from when it is sent.

        Args:
            task: what to send; its `sent` is set as soon as a byte may have left.
            timeout: seconds.

        Returns:
            The data of its answer.

        Raises:
            NotConnected: the link is gone, or went before the answer came.
            LinkTimeout: no answer came in time; the link was dropped.
            ProtocolError: what came was no answer to this job; the link was dropped.
            S7Fault: the CPU refused the job; the link goes on.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            self._check_alive()
            reference = self._reference = self._reference % 0xFFFF + 1
            request = job(reference, task.parameters, task.data)
            self.requests += 1
            task.sent = self._busy = True
            began = loop.time()
            answer = await self._under_deadline(
                lambda: self._client.iso_exchange_buffer(bytearray(request)), timeout, _nothing_is_fine
            )
            self.rtt[int((loop.time() - began) * 1e6).bit_length() & 31] += 1
            try:
                return open_answer(bytes(answer), reference, task.function, task.items)
            except ProtocolError as error:
                self.abort(error)
                raise

    async def ask(self, question: Callable[[AsyncClient], Awaitable[_T]], *, timeout: float) -> _T:
        """Let snap7's client do something of its own, such as reading the system status list.

        Raises:
            NotConnected: as `exchange`. LinkTimeout: likewise.
            S7Fault: refused, or the answer made no sense; `code` is 0 if snap7 does not tell it.
        """
        async with self._turn:
            self._check_alive()
            self.requests += 1
            self._busy = True
            return await self._under_deadline(lambda: question(self._client), timeout, _refusal)

    async def aclose(self) -> None:
        """End the link in order, by force after a second; idempotent; `on_lost` is not called."""
        self._on_lost = None
        connection = self._connection
        in_order = self.connected and not self._busy
        self.connected = False
        try:
            if in_order:
                async with asyncio.timeout(_CLOSING_SECONDS):
                    await self._client.disconnect()
        except TimeoutError:
            pass  # the peer does not read: by force, below
        finally:
            connection.abort()
        await connection.gone(_CLOSING_SECONDS)

    async def _under_deadline(
        self, work: Callable[[], Awaitable[_T]], timeout: float, refusal: Callable[[Exception], S7Fault | None]
    ) -> _T:
        try:
            async with asyncio.timeout(timeout):
                came = await work()
        except TimeoutError:
            self.timeouts += 1
            silent = LinkTimeout(f"the device did not answer within {timeout:g} s")
            self._break(silent)
            raise silent from None
        except asyncio.CancelledError:
            self._break(NotConnected("a job was given up before its answer came"))
            raise
        except (S7ConnectionError, OSError) as error:
            self._break(NotConnected(f"the link broke: {error}"))
            raise self._gone() from error
        except _MALFORMED as error:
            fault = refusal(error)
            if fault is None:
                self._break(ProtocolError(f"the answer was malformed: {error}"))
                raise self._gone() from error
            raise fault from error
        finally:
            self._busy = False
        if self._connection.unread:
            self.abort(ProtocolError("more came than the answer to the job"))
        return came

    def _heard(self) -> None:
        if not self._busy:
            self.abort(ProtocolError("the device sent what nobody asked for"))

    def _check_alive(self) -> None:
        if not self.connected:
            raise self._gone()

    def _gone(self) -> NotConnected:
        why = self._why
        return NotConnected("the link to the device is down" if why is None else f"the link was lost: {why}")

    def _break(self, error: BifrostError) -> None:
        """End the link at once and say so, once."""
        if self._why is None:
            self._why = error
        was_up = self.connected
        self._drop()
        on_lost, self._on_lost = self._on_lost, None
        if was_up and on_lost is not None:
            on_lost(error)

    def _drop(self) -> None:
        self.connected = False
        self._connection.abort()

    def _refused(self, why: str) -> str:
        settings = self._settings
        place = f"{settings.host} port {settings.port}"
        if "Expected COTP CC" in why:
            return (
                f"{place} refused the connection to TSAP 0x{settings.called_tsap:04X} (rack {settings.rack}, slot "
                f"{settings.slot}); see the CPU's hardware configuration, and whether all its connections are taken"
            )
        return f"{place} did not agree on an S7 connection: {why}"


def _nothing_is_fine(error: Exception) -> None:
    """An exchange of plain bytes has no refusals: `open_answer` looks at them."""


def _refusal(error: Exception) -> S7Fault:
    return S7Fault(f"the device refused: {error}", code=getattr(error, "error_code", None) or 0)
