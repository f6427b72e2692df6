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


def batch_of(prepared: PreparedRead, reading: Reading, *, origin: str, sequence: int) -> Batch:
    """Make a batch of a read: one row for each value, those of arrays labelled with their index.

    A structure becomes JSON text, an integer beyond 63 bits BAD_OUT_OF_RANGE. A value that stands in for one out of
    reach keeps its own source time: it is never stamped as new.
    """
    labels = prepared.labels
    values, status = reading.shown()
    rows = len(labels)
    source_ns = [reading.source_ns] * rows
    for slot, (last, last_ns) in reading.stand_ins.items():
        source_ns[slot : slot + len(last)] = [last_ns] * len(last)
    if prepared.plan.wide:
        values, status = _without_wide(values, prepared.plan.wide, status)
    if prepared.has_structs:
        values = [_as_text(value) if isinstance(value, dict | list) else value for value in values]
    received = None
    if prepared.clock_slot is not None or reading.stand_ins:
        received = [reading.arrived_ns] * rows
    return Batch.from_columns(
        labels, source_ns, values, status=status, received_ts_ns=received, origin=origin, sequence=sequence
    )


def _without_wide(
    values: list[Value], wide: Sequence[int], status: list[int] | None
) -> tuple[list[Value], list[int] | None]:
    beyond = [slot for slot in wide if isinstance(value := values[slot], int) and value > _I64_MAX]
    if not beyond:
        return values, status
    values = list(values)
    status = [0] * len(values) if status is None else list(status)
    for slot in beyond:
        values[slot] = None
        status[slot] = StatusCode.BAD_OUT_OF_RANGE
    return values, status


def _as_text(value: object) -> str:
    return msgspec.json.encode(value).decode()
