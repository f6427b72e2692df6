"""The live view: what a person must be able to see in one frame."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from bifrost.actors import ActorSnapshot, ActorState, ChildType
from bifrost.core.quality import StatusCode
from bifrost.core.value import TagValue
from bifrost.demo.record import Moment, Note
from bifrost.demo.scene import Scene, UplinkLine
from bifrost.demo.view import frame


def _actor(
    path: str, *children: ActorSnapshot, state: ActorState = ActorState.RUNNING, restarts: int = 0
) -> ActorSnapshot:
    return ActorSnapshot(
        path=path,
        id=path.rpartition("/")[2],
        type=ChildType.SUPERVISOR if children else ChildType.WORKER,
        state=state,
        incarnation=1 + restarts,
        restarts=restarts,
        mailbox_depth=0,
        last_crash=None,
        children=children,
    )


def test_a_frame_shows_tree_tags_flow_and_script() -> None:
    """States other than running, restarts, bad qualities with their reason, the buffer and the script all show."""
    tree = _actor("demo", _actor("devices", _actor("devices/pump", state=ActorState.RESTARTING, restarts=2)))
    scene = Scene(
        moment=Moment(at=12.0, acknowledged=1234567, delivered=1234000, wal_rows=567, devices={}),
        seconds=60.0,
        tree=tree,
        tags=(
            TagValue("press/temperature", 73.967, StatusCode.GOOD, 0, 0),
            TagValue("pump/flow", None, StatusCode.BAD_NOT_CONNECTED, 0, 0, "cable pulled"),
            TagValue("pump/level", None, StatusCode.BAD_TIMEOUT, 0, 0),
        ),
        rate=2200.0,
        wal_bytes=4096,
        uplinks=(UplinkLine("historian", "connected", "database is locked"),),
        anomalies=("2013-12-16 16:00 press/temperature 22.0",),
        notes=(Note(6.0, "pump loses power"),),
    )
    console = Console(file=StringIO(), width=150, height=45, force_terminal=False)
    console.print(frame(scene))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    for words in (
        "12 of 60 s", "pump", "restarting", "restarted 2x", "73.97", "BAD", "cable pulled", "bad_timeout", "1,234,567",
        "567 rows", "uplink historian", "database is locked", "2013-12-16", "pump loses power",
    ):  # fmt: skip
        assert words in text, words
