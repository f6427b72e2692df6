"""What an uplink has done, in figures."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = ["UplinkStatistics"]


class UplinkStatistics(msgspec.Struct, kw_only=True):
    """One destination since its reader was started; the cursor and the backlog are over the log's life.

    Attributes:
        name: the destination.
        connected: true from a connect or delivery that worked to the first that did not.
        delivered_records: records that the destination has said it has.
        delivered_rows: rows in them.
        batches: sends that were answered.
        retries: sends after which something had to be sent again.
        link_failures: sends and connects that found no link.
        dead_lettered_records: records given up.
        in_flight_records: records sent and not answered yet.
        backlog_records: records that the destination has not acknowledged; at the time of asking.
        cursor: place up to which the destination has acknowledged.
        last_error: the newest trouble in words; empty if there was none.
        connector: the connector's own figures, such as a historian's duplicates.
    """

    name: str
    connected: bool = False
    delivered_records: int = 0
    delivered_rows: int = 0
    batches: int = 0
    retries: int = 0
    link_failures: int = 0
    dead_lettered_records: int = 0
    in_flight_records: int = 0
    backlog_records: int = 0
    cursor: int = 0
    last_error: str = ""
    connector: Mapping[str, int | float | str] = {}
