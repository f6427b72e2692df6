"""What a device actor is asked and what it answers: plain frozen messages.

Not here: the actor (`bifrost.plc.actor`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from bifrost.actors import ActorRef
from bifrost.core.value import TagValue

__all__ = ["DeviceMessage", "DeviceStatus", "GetStatus", "PollGroup", "SetOutputs", "WriteOutcome", "WriteTag"]


class PollGroup(msgspec.Struct, frozen=True):
    """Tags that are polled together.

    Attributes:
        tags: names of tags of the connection, at least one.
        interval: seconds between two polls, 0.0005 to 86,400.
        on_change: publish only rows whose status or value changed, `Tag.deadband` considered.
        report_interval: with `on_change`: seconds after which every row is published all the same; None: never.
    """

    tags: tuple[str, ...]
    interval: float
    on_change: bool = False
    report_interval: float | None = None


class GetStatus(msgspec.Struct, frozen=True):
    """Ask a device how it is; the answer is a `DeviceStatus`."""


class WriteTag(msgspec.Struct, frozen=True):
    """Ask a device to take a value; the answer is a `WriteOutcome`. It is sent once at most, before the next poll."""

    tag: str
    value: bool | int | float | str | bytes | list[Any]


class SetOutputs(msgspec.Struct, frozen=True):
    """Tell a device who gets its batches from now on; it survives a restart of the device actor."""

    outputs: tuple[ActorRef[Any], ...]


DeviceMessage = GetStatus | WriteTag | SetOutputs


class WriteOutcome(msgspec.Struct, frozen=True):
    """What became of a write.

    Attributes:
        tag: the tag's name.
        error: why it was not written, in words; None if it was.
        unknown_outcome: true if it was sent and no answer came, so that the device may have acted.
    """

    tag: str
    error: str | None = None
    unknown_outcome: bool = False

    @property
    def ok(self) -> bool:
        """True if the device confirmed it."""
        return self.error is None


class DeviceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a device is; every counter begins at 0 with each incarnation of its actor.

    Attributes:
        name: the device's name.
        state: of the link: disconnected, connecting, connected, degraded, backoff or closed.
        since_ns: when it entered that state; ns since 1970, UTC.
        last_error: why the link is, or last was, down; empty if it never was.
        connects: links that came up.
        polls: polls made, failed ones included.
        overruns: polls that were skipped because the one before was not done.
        poll_p50: median duration of the latest polls that a connected device answered, in seconds; None before that.
        rows_published: rows that an output took, summed over the outputs.
        rows_dropped: rows that an output did not take in time, summed over the outputs.
        repeated_records: polls that found the record of the poll before and published nothing.
        missed_records: records that the device's counter shows to have passed unread.
        good_tags: rows whose latest status is not BAD.
        bad_tags: rows whose latest status is BAD; before the first poll all of them.
        values: the latest reading of each row.
        counters: the protocol's own counters.
    """

    name: str
    state: str
    since_ns: int
    last_error: str
    connects: int
    polls: int
    overruns: int
    poll_p50: float | None
    rows_published: int
    rows_dropped: int
    repeated_records: int
    missed_records: int
    good_tags: int
    bad_tags: int
    values: tuple[TagValue, ...]
    counters: dict[str, int]
