"""What the live view shows at one instant, gathered from the running gateway by the director."""

from __future__ import annotations

import msgspec

from bifrost.actors import ActorSnapshot
from bifrost.core.value import TagValue
from bifrost.demo.record import Moment, Note

__all__ = ["Scene", "UplinkLine"]


class UplinkLine(msgspec.Struct, frozen=True):
    """One uplink in a line.

    Attributes:
        name: its name in the settings.
        state: ``connected`` or what it is instead.
        detail: the last error, or nothing.
    """

    name: str
    state: str
    detail: str = ""


class Scene(msgspec.Struct, frozen=True):
    """Everything that the view needs for one frame.

    Attributes:
        moment: the counters.
        seconds: how long the run will take; None while it is kept running.
        tree: the supervision tree with states and restarts.
        tags: the last value of each tag, devices in order.
        rate: rows delivered per second, over the last seconds.
        wal_bytes: the buffer's size on disk.
        uplinks: one line for each uplink.
        anomalies: the last anomalies, in words.
        notes: what the script has done so far.
    """

    moment: Moment
    seconds: float | None
    tree: ActorSnapshot
    tags: tuple[TagValue, ...]
    rate: float
    wal_bytes: int
    uplinks: tuple[UplinkLine, ...]
    anomalies: tuple[str, ...]
    notes: tuple[Note, ...]
