"""Store and forward: the write-ahead log between what is measured and where it goes.

In: batches. Out: the same batches, per destination and in order, until acknowledged. Not here: how destinations are
reached (`bifrost.bridge.connectors`, `bifrost.bridge.uplink`), and the file format (`native/wal`).
"""

from bifrost.bridge.buffering.log import WriteAheadLog
from bifrost.bridge.buffering.records import DeadLetter, Gap, WalEvent, WalRecord, WalStatistics
from bifrost.bridge.buffering.settings import WalSettings
from bifrost.bridge.buffering.sink import Appendable, WalSink

__all__ = [
    "Appendable",
    "DeadLetter",
    "Gap",
    "WalEvent",
    "WalRecord",
    "WalSettings",
    "WalSink",
    "WalStatistics",
    "WriteAheadLog",
]
