"""The Arrow stream of a batch, as other libraries read it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bifrost.core.batch import Batch

pyarrow = pytest.importorskip("pyarrow", reason="pip install pyarrow")

BATCH = Batch.from_columns(
    ["press/t", "press/n", "press/t", "press/name", "press/raw", "press/on", "press/t"],
    [1, 2, 3, 4, 5, 6, 1_700_000_000_000_000_007],
    [1.5, 2**62 + 1, -0.0, "tür", b"\x00\xff", True, None],
    status=[0, 0, 0, 0, 0, 0, 0x800A_0000],
    received_ts_ns=[10, None, 12, 13, 14, 15, 16],
)


def test_pyarrow_reads_every_kind_exactly() -> None:
    """An integer beyond 2^53 keeps its last digit, a row of another kind is null, times keep their nanoseconds."""
    table = pyarrow.table(BATCH)
    table.validate(full=True)
    assert str(table.schema.field("tag").type) == "dictionary<values=string, indices=uint32, ordered=0>"
    assert str(table.schema.field("source_ts").type) == "timestamp[ns, tz=UTC]"
    columns = {name: table.column(name).to_pylist() for name in table.column_names if not name.endswith("_ts")}
    none = None
    assert columns == {
        "tag": [row[0] for row in BATCH.rows()],
        "value_f64": [1.5, none, -0.0, none, none, none, none],
        "value_i64": [none, 2**62 + 1, none, none, none, none, none],
        "value_bool": [none, none, none, none, none, True, none],
        "value_utf8": [none, none, none, "tür", none, none, none],
        "value_bytes": [none, none, none, none, b"\x00\xff", none, none],
        "status": [row[3] for row in BATCH.rows()],
    }
    times = table.column("source_ts").cast(pyarrow.int64()).to_pylist()
    assert times == [row[1] for row in BATCH.rows()]
    received = table.column("received_ts").cast(pyarrow.int64()).to_pylist()
    assert received == [row[4] for row in BATCH.rows()]


def test_only_the_kinds_that_occur_have_a_column() -> None:
    """A batch of doubles has one value column and no received times."""
    table = pyarrow.table(Batch.from_columns(["a"], [0], [1.5]))
    assert table.column_names == ["tag", "source_ts", "value_f64", "status"]


def test_an_empty_batch_is_an_empty_table() -> None:
    """No rows, but a schema."""
    assert pyarrow.table(Batch.concat([])).num_rows == 0


def test_the_table_outlives_the_batch() -> None:
    """The stream owns what it gives."""
    table = pyarrow.table(Batch.from_columns(["a"] * 1000, list(range(1000)), [float(row) for row in range(1000)]))
    assert table.column("value_f64").to_pylist()[-1] == 999.0


def test_an_unread_stream_is_released() -> None:
    """Nobody has to take it: thousands of capsules may just be dropped."""
    for _ in range(5_000):
        BATCH.__arrow_c_stream__()


def test_polars_reads_it_too() -> None:
    """Without pyarrow in between."""
    polars = pytest.importorskip("polars", reason="pip install polars")
    frame = polars.DataFrame(BATCH)
    assert frame["value_i64"].drop_nulls().to_list() == [2**62 + 1]
    assert frame["source_ts"][0] == datetime(1970, 1, 1, tzinfo=UTC)
