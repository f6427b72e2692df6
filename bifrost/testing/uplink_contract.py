"""What every uplink promises, as tests: run them on a connector of your own.

In: a subclass that knows how to reach the destination and how to look into it. Out: the promises of
`core.ports.Uplink`, tested.

Example:
    >>> class TestMyUplink(UplinkContract):
    ...     async def make(self, folder): ...
    ...     async def stored(self, folder): ...
"""

from __future__ import annotations

import abc
from pathlib import Path

from bifrost.core.batch import Batch
from bifrost.core.ports import Delivered, Envelope, Uplink

__all__ = ["UplinkContract", "contract_envelope"]

_MANY = 50


def contract_envelope(seq: int, rows: int = 3) -> Envelope:
    """An envelope whose samples can be told from all others: a tag for each row, the value is ``seq * 1000 + row``."""
    batch = Batch.from_columns(
        [f"device/tag{row}" for row in range(rows)],
        [1_700_000_000_000_000_000 + seq * 1_000 + row for row in range(rows)],
        [seq * 1_000 + row for row in range(rows)],
        origin="device",
        sequence=seq,
    )
    return Envelope("c0ffee" * 5 + "00", seq, "telemetry", batch)


class UplinkContract(abc.ABC):
    """Tests that any uplink must pass against its real destination; subclass it in a test module."""

    @abc.abstractmethod
    async def make(self, folder: Path) -> Uplink:
        """Make an uplink that is not open yet. `folder` is the test's own and is the same in `stored`."""

    @abc.abstractmethod
    async def stored(self, folder: Path) -> set[int]:
        """The values that the destination has; samples of `contract_envelope` have different ones."""

    async def test_opening_twice_is_opening_once(self, tmp_path: Path) -> None:
        """`open` on an open uplink changes nothing."""
        uplink = await self.make(tmp_path)
        await uplink.open()
        await uplink.open()
        assert list(await uplink.deliver([contract_envelope(1)])) == [Delivered()]
        await uplink.aclose()

    async def test_what_is_delivered_is_there(self, tmp_path: Path) -> None:
        """One outcome per item, in order; each delivered sample is at the destination."""
        uplink = await self.make(tmp_path)
        await uplink.open()
        items = [contract_envelope(seq) for seq in range(1, _MANY + 1)]
        outcomes = list(await uplink.deliver(items))
        assert outcomes == [Delivered()] * _MANY
        assert await self.stored(tmp_path) >= {seq * 1_000 + row for seq in range(1, _MANY + 1) for row in range(3)}
        await uplink.aclose()

    async def test_a_repeated_item_is_delivered_again(self, tmp_path: Path) -> None:
        """An item that comes again, as after a lost acknowledgement, is no error."""
        uplink = await self.make(tmp_path)
        await uplink.open()
        for _ in range(2):
            assert list(await uplink.deliver([contract_envelope(1), contract_envelope(2)])) == [Delivered()] * 2
        assert await self.stored(tmp_path) >= {1_000, 1_001, 1_002, 2_000, 2_001, 2_002}
        await uplink.aclose()

    async def test_nothing_to_deliver_is_nothing_delivered(self, tmp_path: Path) -> None:
        """No items, no outcomes."""
        uplink = await self.make(tmp_path)
        await uplink.open()
        assert list(await uplink.deliver([])) == []
        await uplink.aclose()

    async def test_closing_is_idempotent_and_needs_no_opening(self, tmp_path: Path) -> None:
        """`aclose` works before `open`, after it, and twice."""
        never_opened = await self.make(tmp_path)
        await never_opened.aclose()
        uplink = await self.make(tmp_path)
        await uplink.open()
        await uplink.aclose()
        await uplink.aclose()
