"""The local historian keeps the uplink's contract."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bifrost.bridge.connectors.historian import HistorianSettings, HistorianUplink
from bifrost.core.ports import Uplink
from bifrost.testing.uplink_contract import UplinkContract


class TestHistorian(UplinkContract):
    """Against its own SQLite file."""

    async def make(self, folder: Path) -> Uplink:
        return HistorianUplink(HistorianSettings(path=str(folder / "history.sqlite")))

    async def stored(self, folder: Path) -> set[int]:
        with sqlite3.connect(folder / "history.sqlite") as reader:
            found = {row[0] for row in reader.execute("SELECT value FROM history")}
        reader.close()
        return found
