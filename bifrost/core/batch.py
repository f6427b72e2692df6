"""What travels between stages: a columnar table of readings, owned by Rust.

In: columns or readings. Out: an immutable table, its bytes, its rows, an Arrow stream. Not here: anything that computes
over batches; that is `bifrost.edge`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import cast, final

from bifrost._native import Columns
from bifrost.core.value import TagValue, Value

__all__ = ["Batch"]


@final
class Batch:
    """Rows of readings from one origin, column by column; thousands of rows are one Python object.

    A value is a bool, an int of 64 bits with sign, a float (every bit is kept, NaN payload and -0.0 too), a str, bytes,
    or None where the quality is BAD. An int never passes through a float. Lists are flattened before they come here.

    Two batches are equal if their rows, origin and sequence are equal bit for bit.
    """

    __slots__ = ("columns",)

    columns: Columns
    """The native table, for the parts of bifrost that compute in Rust."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    @staticmethod
    def from_values(values: Iterable[TagValue], *, origin: str = "", sequence: int = 0) -> Batch:
        """Make a batch of readings; for people, since each reading is an object.

        The reading's `server_ts_ns` becomes the received time; its `error` text does not travel.

        Raises:
            DataTypeError: a value is a list or does not fit 64 bits; the text names its tag.
        """
        rows = list(values)
        return Batch.from_columns(
            [row.tag for row in rows],
            [row.source_ts_ns for row in rows],
            [row.value for row in rows],
            status=[row.status for row in rows],
            received_ts_ns=[row.server_ts_ns for row in rows],
            origin=origin,
            sequence=sequence,
        )

    @staticmethod
    def from_columns(
        tags: Sequence[str],
        source_ts_ns: Sequence[int],
        values: Sequence[Value],
        *,
        status: Sequence[int] | None = None,
        received_ts_ns: Sequence[int | None] | None = None,
        origin: str = "",
        sequence: int = 0,
    ) -> Batch:
        """Make a batch of columns of equal length; lists are fastest.

        Args:
            tags: label of each row.
            source_ts_ns: the device's own times, ns since 1970 UTC.
            values: one value per row.
            status: 32-bit OPC UA status codes; all GOOD (0) if left out.
            received_ts_ns: when bifrost saw each row, ns since 1970 UTC, if known.
            origin: who made the batch, such as a device's name.
            sequence: its number there, 0 to 2^64 - 1; with `origin` it makes a duplicate recognisable.

        Raises:
            DataTypeError: the lengths differ, or a value is of no known kind or beyond 64 bits.
        """
        return Batch(Columns.from_columns(tags, source_ts_ns, values, status, received_ts_ns, origin, sequence))

    @staticmethod
    def concat(batches: Sequence[Batch]) -> Batch:
        """Join batches in order; origin and sequence are the first one's. No batches give an empty one."""
        return Batch(Columns.concat([batch.columns for batch in batches]))

    @staticmethod
    def decode(data: bytes) -> Batch:
        """Restore what `encode` wrote.

        Raises:
            ProtocolError: the bytes are damaged, foreign, or of a newer version; the text says which.
        """
        return Batch(Columns.decode(data))

    def encode(self) -> bytes:
        """Turn the batch into lossless bytes that carry their dictionary, version and checksum; zstd inside."""
        return self.columns.encode()

    def __len__(self) -> int:
        return len(self.columns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Batch) and self.columns == other.columns

    def __hash__(self) -> int:
        return hash(self.columns)

    def __repr__(self) -> str:
        return f"Batch(rows={len(self)}, tags={len(self.tags())}, origin={self.origin!r}, sequence={self.sequence})"

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return Batch.decode, (self.encode(),)

    @property
    def origin(self) -> str:
        """Who made it, such as the device's or the pipeline's name."""
        return self.columns.origin

    @property
    def sequence(self) -> int:
        """Its number at the origin."""
        return self.columns.sequence

    @property
    def nbytes(self) -> int:
        """The bytes that its columns and dictionary hold."""
        return self.columns.nbytes

    @property
    def first_ts_ns(self) -> int | None:
        """The earliest source time, ns since 1970 UTC; None if empty."""
        times = self.columns.time_range()
        return None if times is None else times[0]

    @property
    def last_ts_ns(self) -> int | None:
        """The latest source time, ns since 1970 UTC; None if empty."""
        times = self.columns.time_range()
        return None if times is None else times[1]

    def tags(self) -> list[str]:
        """List the distinct tags, in first-seen order."""
        return self.columns.tags()

    def rows(self) -> list[tuple[str, int, Value, int, int | None]]:
        """List the rows as (tag, source_ts_ns, value, status, received_ts_ns)."""
        return cast(list[tuple[str, int, Value, int, int | None]], self.columns.rows())

    def statuses(self) -> list[int] | None:
        """List the status code of each row, or None if every row is GOOD (0)."""
        return self.columns.statuses()

    def iter_values(self) -> Iterator[TagValue]:
        """Yield each row as a reading; where no received time is known, the source time stands for it."""
        for tag, source_ts_ns, value, status, received_ts_ns in self.columns.rows():
            yield TagValue(
                tag=tag,
                value=value,
                status=status,
                source_ts_ns=source_ts_ns,
                server_ts_ns=source_ts_ns if received_ts_ns is None else received_ts_ns,
            )

    def select(self, tags: Collection[str]) -> Batch:
        """Keep the rows of these tags, in order; unknown tags select nothing."""
        return Batch(self.columns.select(list(tags)))

    def slice(self, start: int, stop: int) -> Batch:
        """Keep the rows from `start` up to, not including, `stop`, both counted from 0 and cut to the length."""
        return Batch(self.columns.slice(max(start, 0), max(stop, 0)))

    def with_origin(self, origin: str, sequence: int) -> Batch:
        """Give the same rows another origin and number."""
        return Batch(self.columns.with_origin(origin, sequence))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export the rows through Arrow's PyCapsule interface: pyarrow, polars, pandas and others read it as it is.

        One struct per row: ``tag`` (dictionary), ``source_ts`` (ns, UTC), one column ``value_f64``, ``value_i64``,
        ``value_bool``, ``value_utf8``, ``value_bytes`` for each kind that occurs, null where a row is of another kind,
        ``status``, and ``received_ts`` if any row has one. A requested schema is not granted: the consumer casts.
        """
        return self.columns.__arrow_c_stream__(requested_schema)
