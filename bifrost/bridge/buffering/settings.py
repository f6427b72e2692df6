"""How the write-ahead log behaves: the `[wal]` section of a settings file."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from bifrost.core.settings import LocalPath, Settings

__all__ = ["WalSettings"]

_Positive = Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]


class WalSettings(Settings, frozen=True):
    """Options of the write-ahead log; the defaults suit an edge computer with a local disk.

    Attributes:
        path: the SQLite file; its folder is created. A gateway takes a relative one from its data directory.
        durability: ``sync``: an acknowledged batch survives a power cut. ``normal``: it survives a killed process; a
            power cut may take what was not checkpointed yet.
        max_bytes: cap on the file and its journal together, at least 1 MiB.
        on_full: at the cap, delete the oldest batches (counted, the gap is on record), block the writers, or reject.
        min_free_disk: bytes that stay free on the disk; below, the file does not grow any more, as if the cap were
            reached. None switches the check off.
        max_delay: seconds that a batch waits at most for others to share its commit.
        idle_gap: seconds without a further batch after which a commit begins; 0 commits as soon as nothing waits. Some
            milliseconds spare an SD card when many devices report at the same moment.
        max_group_bytes: a commit begins once this many bytes wait.
        max_pending_bytes: bytes that may wait in memory; beyond, an append fails with `BufferFull`.
    """

    path: LocalPath = "bifrost-wal.sqlite"
    durability: Literal["sync", "normal"] = "sync"
    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 50)] = 1 << 30
    on_full: Literal["drop_oldest", "block", "reject"] = "drop_oldest"
    min_free_disk: Annotated[int, msgspec.Meta(ge=0)] | None = None
    max_delay: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.25
    idle_gap: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.0
    max_group_bytes: _Positive = 1 << 20
    max_pending_bytes: _Positive = 64 << 20
