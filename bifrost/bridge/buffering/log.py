"""The write-ahead log: batches in, the same batches out, until every destination has acknowledged them.

In: `Batch`. Out: `WalRecord`, by destination and cursor. Not here: how a destination is reached, retries, actors.

The work is done by the native owner thread (`native/wal`); this module turns its answers into awaitables.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from bifrost._native import Wal
from bifrost.bridge.buffering.completions import Completions
from bifrost.bridge.buffering.records import CODEC_BATCH, DeadLetter, Gap, WalEvent, WalRecord, WalStatistics
from bifrost.bridge.buffering.settings import WalSettings
from bifrost.core.batch import Batch
from bifrost.core.clock import Clock, SystemClock
from bifrost.errors import BufferClosed, ConfigError

__all__ = ["WriteAheadLog"]

_log = logging.getLogger(__name__)

_OPENING = 1  # the token of the opening itself
_DISK_CHECK = 1.0  # seconds between two looks at the free space


class WriteAheadLog:
    """One buffer file, used from one event loop. Make it with `open`; close it with `aclose` or ``async with``.

    Attributes:
        buffer_id: identity of the file, stable over restarts; with a record's `seq` it makes the record recognisable.
    """

    buffer_id: str

    def __init__(self, settings: WalSettings, clock: Clock, on_event: Callable[[WalEvent], None] | None) -> None:
        """Use `open`."""
        self._settings = settings
        self._clock = clock
        self._on_event = on_event
        self._completions = Completions(asyncio.get_running_loop(), self._event)
        self._native: Wal | None = None
        self._closing: asyncio.Future[None] | None = None
        self._at_exit: Callable[[], None] | None = None
        self._listeners: list[Callable[[int], None]] = []
        self._last_seq = 0
        self._next_disk_check = 0.0
        self._disk_low = False
        self.buffer_id = ""

    @classmethod
    async def open(
        cls,
        settings: WalSettings,
        *,
        clock: Clock | None = None,
        on_event: Callable[[WalEvent], None] | None = None,
    ) -> Self:
        """Open the file or create it. A damaged file is put aside and reported as an event; it never fails the start.

        Args:
            settings: path, durability, cap and so on.
            clock: for the interval of disk checks; the machine's own if left out.
            on_event: called on the loop with every `WalEvent`; events are logged in any case.

        Raises:
            ConfigError: the settings contradict themselves; no file was touched.
            WalError: another process uses the file, it belongs to another program, or the disk does not allow it.
        """
        log = cls(settings, clock or SystemClock(), on_event)
        native = Wal(
            os.fspath(settings.path),
            log._completions.wake,
            durability=settings.durability,
            max_bytes=settings.max_bytes,
            on_full=settings.on_full,
            max_delay=settings.max_delay,
            idle_gap=settings.idle_gap,
            max_group_bytes=settings.max_group_bytes,
            max_pending_bytes=settings.max_pending_bytes,
        )
        opening = log._completions.expect(_OPENING)
        log._at_exit = _ending(weakref.ref(native))
        atexit.register(log._at_exit)
        log._completions.attach(native)
        log._completions.drain()  # a quick thread may have answered before the native log was attached
        try:
            log.buffer_id, _, log._last_seq = await opening
        except asyncio.CancelledError:
            atexit.register(_end, native)  # it may still be reading a damaged file: nobody waits for that here
            atexit.unregister(log._at_exit)
            raise
        except BaseException:
            log._at_exit()  # it has answered and is leaving: the process must not end before it
            atexit.unregister(log._at_exit)
            raise
        log._native = native
        return log

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    @property
    def settings(self) -> WalSettings:
        """The settings it was opened with."""
        return self._settings

    @property
    def last_seq(self) -> int:
        """The newest place known here; 0 if nothing was ever appended."""
        return self._last_seq

    @property
    def closed(self) -> bool:
        """True once `aclose` was called."""
        return self._native is None

    async def append(self, batch: Batch, stream: str = "telemetry", *, timeout: float | None = 30.0) -> int:
        """Append a batch; returns when it is as durable as the settings promise.

        Args:
            batch: at least one row.
            stream: name of the stream, 1 to 255 bytes of UTF-8.
            timeout: seconds to wait at most; None waits for as long as ``on_full = "block"`` takes.

        Returns:
            The batch's place, from 1.

        Raises:
            BufferFull: at the cap (``on_full = "reject"``), or the disk is full or failing: retry later.
            BufferClosed: closed, or closed while it waited; then the batch was not stored.
            BatchTooLarge: encoded, it is larger than an eighth of the cap or 8 MiB: send smaller ones.
            TimeoutError: no answer in time; the batch may still be stored, so a retry may duplicate it.
        """
        if not len(batch):
            raise ConfigError("a batch to append has at least one row, got 0")
        native = self._open()
        self._check_disk(native)
        first, last = batch.first_ts_ns or 0, batch.last_ts_ns or 0
        token = native.append(stream, first, last, len(batch), CODEC_BATCH, batch.encode())
        seq: int = await self._answer(token, timeout)
        self._last_seq = max(self._last_seq, seq)
        for listener in self._listeners:
            listener(seq)
        return seq

    async def register_destination(self, name: str, *, start: str = "oldest") -> int:
        """Register a destination, or find it again, and return its cursor.

        Args:
            name: 1 to 255 bytes; the identity of the cursor, so keep it over restarts.
            start: where a new destination begins: ``oldest`` record kept, or ``now``.

        Raises:
            ConfigError: `start` or the name is wrong.
        """
        if start not in {"oldest", "now"}:
            raise ConfigError(f"start must be 'oldest' or 'now', got '{start}'")
        cursor: int = await self._answer(self._open().register(name, start == "oldest"))
        return cursor

    async def forget_destination(self, name: str) -> None:
        """Drop a destination's cursor; what only it had not acknowledged is deleted."""
        await self._answer(self._open().forget(name))

    async def read(
        self, destination: str, after: int | None = None, *, limit: int = 64, max_bytes: int = 1 << 20
    ) -> list[WalRecord]:
        """Read the records after a place, oldest first, without moving the cursor.

        Args:
            destination: a registered destination.
            after: read behind this place; None reads behind the cursor.
            limit: records at most.
            max_bytes: payload bytes at most; the first record comes even if it is larger.

        Returns:
            Records in order; an empty list means that there is nothing yet.
        """
        rows = await self._answer(self._open().read(destination, after, limit, max_bytes))
        return [WalRecord(*row) for row in rows]

    async def ack(self, destination: str, seq: int) -> int:
        """Say that the destination has everything up to `seq`; returns its cursor, which never moves back.

        What every destination has acknowledged is deleted in the same transaction.
        """
        cursor: int = await self._answer(self._open().ack(destination, seq))
        return cursor

    async def dead_letter(self, destination: str, seq: int, reason: str, *, attempts: int) -> None:
        """Copy a record to the dead letters; acknowledge it afterwards to move on."""
        await self._answer(self._open().dead_letter(destination, seq, reason, attempts))

    async def dead_letters(self, *, limit: int = 100) -> list[DeadLetter]:
        """List dead letters, oldest first."""
        rows = await self._answer(self._open().dead_letters(limit))
        return [
            DeadLetter(number, destination, WalRecord(*record), reason, attempts)
            for number, destination, record, reason, attempts in rows
        ]

    async def retry_dead_letter(self, number: int) -> int:
        """Append a dead letter again under a new place, for every destination, and take it off the list."""
        seq: int = await self._answer(self._open().retry_dead_letter(number))
        self._last_seq = max(self._last_seq, seq)
        for listener in self._listeners:
            listener(seq)
        return seq

    async def delete_dead_letter(self, number: int) -> None:
        """Delete a dead letter."""
        await self._answer(self._open().delete_dead_letter(number))

    async def gaps(self, *, limit: int = 100) -> list[Gap]:
        """List what was deleted without an acknowledgement, oldest first."""
        return [Gap(*row) for row in await self._answer(self._open().gaps(limit))]

    async def statistics(self) -> WalStatistics:
        """The log in figures."""
        return msgspec.convert(await self._answer(self._open().statistics()), WalStatistics)

    def listen(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Have `listener(seq)` called on the loop after every append; returns the call that ends it."""
        self._listeners.append(listener)

        def unlisten() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unlisten

    async def aclose(self) -> None:
        """Commit what was appended, close the file, end the thread. Idempotent; runs to its end even if cancelled."""
        native, self._native = self._native, None
        if native is not None:
            closing = asyncio.ensure_future(self._close(native))
            self._closing = closing
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _close(self, native: Wal) -> None:
        try:
            await self._completions.expect(native.close())
        except BufferClosed:
            _log.warning("the thread of the write-ahead log %s had ended before it was closed", self._settings.path)
        native.join()  # the thread has answered and is leaving: this takes microseconds
        if self._at_exit is not None:
            atexit.unregister(self._at_exit)
        self._completions.drain()
        self._completions.abandon()

    def _open(self) -> Wal:
        if self._native is None:
            raise BufferClosed("the write-ahead log is closed: open it again")
        return self._native

    async def _answer(self, token: int, timeout: float | None = 30.0) -> Any:
        async with asyncio.timeout(timeout):
            return await self._completions.expect(token)

    def _check_disk(self, native: Wal) -> None:
        reserve = self._settings.min_free_disk
        now = self._clock.monotonic()
        if reserve is None or now < self._next_disk_check:
            return
        self._next_disk_check = now + _DISK_CHECK
        try:
            low = shutil.disk_usage(Path(self._settings.path).parent).free < reserve
        except OSError:
            return  # the folder is gone: the append itself makes it again, or tells what is wrong with the disk
        if low != self._disk_low:
            self._disk_low = low
            native.set_disk_low(low)
            if low:
                _log.warning("less than %d bytes of disk are free: %s does not grow", reserve, self._settings.path)

    def _event(self, details: dict[str, Any]) -> None:
        kind = details.pop("kind")
        event = WalEvent(kind, details)
        _log.warning("write-ahead log %s: %s %s", self._settings.path, kind, details)
        if self._on_event is not None:
            self._on_event(event)


def _ending(native: weakref.ref[Wal]) -> Callable[[], None]:
    """Make the call that ends the thread of a log which nobody closed.

    Without it the interpreter, on its way down, would end the thread in the middle of a wake-up, and so the process.
    """

    def end() -> None:
        left = native()
        if left is not None:
            _end(left)

    return end


def _end(native: Wal) -> None:
    with contextlib.suppress(BufferClosed):  # it was being closed already
        native.close()
    native.join()
