"""The local historian: samples in an SQLite file on this machine, so that a gateway needs no server.

In: envelopes. Out: rows of the table `samples`, each stored once however often it comes. Not here: the schema
(`historian_schema`), queries; read the view `history` with any SQLite client.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec

from bifrost.bridge.connectors.historian_schema import KIND_FLOAT, SCHEMA, cell
from bifrost.bridge.connectors.registry import Connector
from bifrost.core.ports import Deferred, Delivered, Envelope, Outcome, Refused
from bifrost.core.settings import LocalPath, Settings
from bifrost.errors import ConfigError, LinkError, MissingExtra, NotConnected

if TYPE_CHECKING:
    from sqlite_utils import Database

__all__ = ["HISTORIAN", "HistorianSettings", "HistorianUplink"]

_T = TypeVar("_T")

_INSERT = "INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TOGETHER = 32
"""Rows that one statement stores: half the time of one by one, far below the number of parameters SQLite allows."""
_INSERT_TOGETHER = _INSERT + ", (?, ?, ?, ?, ?, ?, ?, ?, ?)" * (_TOGETHER - 1)
_PROBE = "SELECT buffer, seq, row, tag, source_ts_ns, received_ts_ns, status, kind, value FROM samples LIMIT 0"


class HistorianSettings(Settings, frozen=True):
    """Options of the local historian.

    Attributes:
        path: the SQLite file; its folder is created. A gateway takes a relative one from its data directory.
        synchronous: ``full``: stored samples survive a power cut. ``normal``: they survive a killed process; after a
            power cut, what the write-ahead log had handed over since the last checkpoint may be missing.
        busy_timeout: seconds to wait for another program that writes to the file; then the samples are tried again.
    """

    path: LocalPath = "bifrost-history.sqlite"
    synchronous: Literal["full", "normal"] = "full"
    busy_timeout: Annotated[float, msgspec.Meta(ge=0, le=60)] = 2.0


class HistorianUplink:
    """Writes to one SQLite file through sqlite-utils, in a thread of its own. A `core.ports.Uplink`."""

    def __init__(self, settings: HistorianSettings) -> None:
        """Nothing is opened before `open`."""
        self._settings = settings
        self._thread: ThreadPoolExecutor | None = None
        self._database: Database | None = None
        self._opened: tuple[int, int] | None = None  # the file behind the connection
        self._buffers: dict[str, int] = {}
        self._tags: dict[str, int] = {}
        self._stored = 0
        self._duplicates = 0

    async def open(self) -> None:
        """Open the file and create what it lacks.

        Raises:
            MissingExtra: sqlite-utils is not installed.
            ConfigError: the file is no SQLite database, or one with other tables of the same names.
            LinkError: it cannot be opened at the moment: locked, no permission, disk full.
        """
        if self._database is not None:
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="bifrost-historian")
        await self._in_thread(self._open)

    async def deliver(self, items: Sequence[Envelope]) -> Sequence[Outcome]:
        """Store all items in one transaction; rows that are there already are counted and left alone."""
        if self._database is None:
            raise NotConnected("the historian is not open")
        return await self._in_thread(lambda: self._store(items))

    async def aclose(self) -> None:
        """Close the file and end the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
        finally:
            thread.shutdown(wait=False)  # its only job has ended, or was given up

    def figures(self) -> Mapping[str, int | float | str]:
        """Samples stored, and duplicates that were recognised and not stored again, since it was opened first."""
        return {"stored": self._stored, "duplicates": self._duplicates}

    async def _in_thread(self, job: Callable[[], _T]) -> _T:
        if self._thread is None:
            raise NotConnected("the historian is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def _open(self) -> None:
        try:
            from sqlite_utils import Database
        except ImportError as error:
            raise MissingExtra(
                "the historian needs sqlite-utils: install it with `pip install bifrost-edge[historian]`"
            ) from error
        path = Path(self._settings.path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=self._settings.busy_timeout, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise LinkError(f"the historian's file {path} cannot be opened: {error}") from error
        try:
            database = Database(connection)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(f"PRAGMA synchronous={self._settings.synchronous}")
            connection.executescript(SCHEMA)
            self._tags = {row["name"]: row["id"] for row in database["tags"].rows}
            self._buffers = {row["buffer_id"]: row["id"] for row in database["buffers"].rows}
            database.execute(_PROBE)
        except sqlite3.OperationalError as error:
            connection.close()
            if _is_transient(error):
                raise LinkError(f"the historian's file {path} does not open: {error}") from error
            raise ConfigError(f"{path} holds other tables than a historian's: {error}; choose another path") from error
        except sqlite3.DatabaseError as error:
            connection.close()
            raise ConfigError(f"{path} is no SQLite database: {error}; move it away or choose another path") from error
        self._database, self._opened = database, _identity(path)

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _store(self, items: Sequence[Envelope]) -> Sequence[Outcome]:
        assert self._database is not None
        if _identity(Path(self._settings.path)) != self._opened:
            # Rows that go into a file without a name are gone when it is closed.
            raise LinkError(f"the historian's file {self._settings.path} was deleted or replaced: it is opened anew")
        connection = self._database.conn
        stored = rows_in_all = 0
        known = len(self._tags), len(self._buffers)
        try:
            connection.execute("BEGIN IMMEDIATE")
            for item in items:
                rows = self._rows(item)
                before = connection.total_changes
                _insert(connection, rows)
                stored += connection.total_changes - before
                rows_in_all += len(rows)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._forget_new(*known)
            if _is_transient(error):
                return [Deferred(f"the historian's file does not take it: {error}")] * len(items)
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.DataError):
                raise LinkError(f"the historian's file failed: {error}") from error
            if len(items) > 1:  # only the one that SQLite cannot take is refused
                return [outcome for item in items for outcome in self._store([item])]
            return [Refused(str(error))]
        self._stored += stored
        self._duplicates += rows_in_all - stored
        return [Delivered()] * len(items)

    def _rows(self, item: Envelope) -> list[tuple[object, ...]]:
        buffer = self._id_of(self._buffers, "buffers", "buffer_id", item.buffer_id)
        tags = self._tags
        for name in item.batch.tags():
            if name not in tags:
                self._id_of(tags, "tags", "name", name)
        seq = item.seq
        # Most values are floats; what they become is spelled out here, because this runs once for every sample.
        return [
            (buffer, seq, row, tags[tag], source_ts, received_ts, status, KIND_FLOAT, value)
            if type(value) is float and value == value  # noqa: PLR0124 - only a NaN differs from itself
            else (buffer, seq, row, tags[tag], source_ts, received_ts, status, *cell(value))
            for row, (tag, source_ts, value, status, received_ts) in enumerate(item.batch.rows())
        ]

    def _id_of(self, known: dict[str, int], table: str, column: str, name: str) -> int:
        number = known.get(name)
        if number is None:
            assert self._database is not None
            # Looked up as well: another program may have added it meanwhile.
            self._database.execute(f"INSERT OR IGNORE INTO {table} ({column}) VALUES (?)", [name])  # noqa: S608 - constants
            found = self._database.execute(f"SELECT id FROM {table} WHERE {column} = ?", [name])  # noqa: S608 - constants
            number = known[name] = int(found.fetchone()[0])
        return number

    def _forget_new(self, tags: int, buffers: int) -> None:
        """Forget the numbers that the rolled-back transaction gave."""
        self._tags = dict(list(self._tags.items())[:tags])
        self._buffers = dict(list(self._buffers.items())[:buffers])


def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    whole = len(rows) - len(rows) % _TOGETHER
    for start in range(0, whole, _TOGETHER):
        connection.execute(_INSERT_TOGETHER, tuple(chain.from_iterable(rows[start : start + _TOGETHER])))
    connection.executemany(_INSERT, rows[whole:])


_TRANSIENT = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
}


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_transient(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _TRANSIENT  # the low byte is the primary code


HISTORIAN = Connector(HistorianSettings, HistorianUplink)
"""The connector ``historian``."""
