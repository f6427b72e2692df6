"""What the write-ahead log hands out: records, dead letters, gaps, figures, events."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bifrost.core.batch import Batch

__all__ = ["CODEC_BATCH", "DeadLetter", "Gap", "WalEvent", "WalRecord", "WalStatistics"]

CODEC_BATCH = 1
"""The payload is `Batch.encode()`."""


class WalRecord(msgspec.Struct, frozen=True):
    """One appended batch, still encoded.

    Attributes:
        seq: place in the log, from 1; never used twice.
        stream: the stream's name.
        first_ts_ns: earliest source time inside; ns since 1970, UTC.
        last_ts_ns: latest source time inside.
        rows: rows inside.
        codec: how `payload` is encoded; `CODEC_BATCH` is the only one written.
        payload: the bytes, checked against their CRC32C.
    """

    seq: int
    stream: str
    first_ts_ns: int
    last_ts_ns: int
    rows: int
    codec: int
    payload: bytes

    def batch(self) -> Batch:
        """Decode the payload.

        Raises:
            ProtocolError: it is no batch, although its checksum is right: written by another program.
        """
        return Batch.decode(self.payload)


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that a destination will never take.

    Attributes:
        id: identity for `retry_dead_letter` and `delete_dead_letter`.
        destination: who refused it.
        record: the record.
        reason: the refusal in the destination's words.
        attempts: how often it was tried.
    """

    id: int
    destination: str
    record: WalRecord
    reason: str
    attempts: int


class Gap(msgspec.Struct, frozen=True):
    """Records that were deleted without an acknowledgement.

    Attributes:
        first_seq: first place missing.
        last_seq: last place missing.
        records: records missing.
        rows: rows missing; unknown, and 0, for what a damaged file hid.
        reason: ``full`` or ``damaged``.
    """

    first_seq: int
    last_seq: int
    records: int
    rows: int
    reason: str


class WalEvent(msgspec.Struct, frozen=True):
    """Something that people should know.

    Attributes:
        kind: ``recovered`` (a damaged file was put aside, or one that somebody deleted was made again), ``quarantined``
            (a row did not match its checksum), ``cursor_reset`` (a cursor did not: its destination gets some records
            again), ``dropped`` (the oldest records made room).
        details: the facts: `path`, `reason`, `saved`, `lost`; `seq`, `reason`; `destination`, `acked`; `records`,
            `rows`.
    """

    kind: str
    details: Mapping[str, str | int]


class WalStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The log in figures. "Since opened" counts from the last start, the rest over the file's life.

    Attributes:
        records: records kept.
        rows: rows kept.
        payload_bytes: payload bytes kept.
        file_bytes: size of the file.
        wal_bytes: size of its journal.
        first_seq: oldest place kept; 0 if empty.
        last_seq: newest place ever given.
        appended_records: records appended since opened.
        appended_rows: rows appended since opened.
        commits: commits since opened.
        commit_ns: time spent in them.
        commit_max_ns: the longest.
        dropped_records: deleted without an acknowledgement.
        dropped_rows: rows in them.
        quarantined: rows in quarantine.
        dead_letters: dead letters kept.
        dead_letters_dropped: dead letters deleted to keep to their cap.
        blocked: appends that wait for room.
        cursors: place up to which each destination has acknowledged.
    """

    records: int
    rows: int
    payload_bytes: int
    file_bytes: int
    wal_bytes: int
    first_seq: int
    last_seq: int
    appended_records: int
    appended_rows: int
    commits: int
    commit_ns: int
    commit_max_ns: int
    dropped_records: int
    dropped_rows: int
    quarantined: int
    dead_letters: int
    dead_letters_dropped: int
    blocked: int
    cursors: dict[str, int]

    def backlog(self, destination: str) -> int:
        """Records that the destination has not acknowledged; what was dropped in between is not counted twice."""
        waiting = self.last_seq - max(self.cursors.get(destination, 0), self.first_seq - 1)
        return max(0, min(self.records, waiting))
