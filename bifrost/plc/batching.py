"""One read as a batch: columns in, columns out.

Not here: reading. A batch has no place for lists, structures and integers beyond 64 bits with sign; what becomes of
them is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bifrost.core.batch import Batch
from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.plc.prepared import PreparedRead
from bifrost.plc.readings import Reading

__all__ = ["batch_of"]

_I64_MAX = 2**63 - 1
_STALE = int(StatusCode.UNCERTAIN_LAST_USABLE_VALUE)


def batch_of(prepared: PreparedRead, reading: Reading, *, origin: str, sequence: int) -> Batch:
    """Make a batch of a read: one row for each value, those of arrays labelled with their index.

    A structure becomes JSON text, an integer beyond 63 bits BAD_OUT_OF_RANGE. A value that stands in for one out of
    reach keeps its own source time: it is never stamped as new.
    """
    labels, values, status = prepared.labels, reading.values, reading.status
    rows = len(labels)
    source_ns = [reading.source_ns] * rows
    if prepared.plan.wide:
        status = _without_wide(values, prepared.plan.wide, status)
    for slot, (last, last_ns) in reading.stand_ins.items():
        assert status is not None, "only what is BAD has a stand-in"
        stop = slot + len(last)
        values[slot:stop] = last
        status[slot:stop] = [_STALE] * len(last)
        source_ns[slot:stop] = [last_ns] * len(last)
    if prepared.has_structs:
        values = [_as_text(value) if isinstance(value, dict | list) else value for value in values]
    received = None
    if prepared.clock_slot is not None or reading.stand_ins:
        received = [reading.arrived_ns] * rows
    return Batch.from_columns(
        labels, source_ns, values, status=status, received_ts_ns=received, origin=origin, sequence=sequence
    )


def _without_wide(values: list[Value], wide: Sequence[int], status: list[int] | None) -> list[int] | None:
    for slot in wide:
        value = values[slot]
        if isinstance(value, int) and value > _I64_MAX:
            values[slot] = None
            status = [0] * len(values) if status is None else status
            status[slot] = StatusCode.BAD_OUT_OF_RANGE
    return status


def _as_text(value: object) -> str:
    return msgspec.json.encode(value).decode()
