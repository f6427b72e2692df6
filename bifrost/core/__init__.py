"""The words everyone shares: quality, values, batches, ports, clocks, settings.

In: plain values. Out: immutable types. Not here: anything that waits, any protocol.
"""

from bifrost.core.batch import Batch
from bifrost.core.clock import Clock, SystemClock
from bifrost.core.ports import Deferred, Delivered, Envelope, Outcome, Refused, Sink, Source, Uplink
from bifrost.core.quality import Quality, StatusCode, quality_of
from bifrost.core.settings import Settings
from bifrost.core.value import TagValue, Value

__all__ = [
    "Batch",
    "Clock",
    "Deferred",
    "Delivered",
    "Envelope",
    "Outcome",
    "Quality",
    "Refused",
    "Settings",
    "Sink",
    "Source",
    "StatusCode",
    "SystemClock",
    "TagValue",
    "Uplink",
    "Value",
    "quality_of",
]
