"""One read: its jobs, and what can still be saved when the device refuses some of them.

In: a plan and a link. Out: values, errors, and what to avoid next time. Not here: the link, the plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from bifrost.errors import BifrostError, LinkTimeout, NotConnected, ProtocolError, S7Fault
from bifrost.plc.s7.areas import S7Area
from bifrost.plc.s7.blocks import Block, Gathered
from bifrost.plc.s7.faults import TAG_CODES, refused_item
from bifrost.plc.s7.jobs import Job
from bifrost.plc.s7.pdu import read_results
from bifrost.plc.s7.plan import Place, ReadJob, pack_reads

__all__ = ["Link", "S7Read"]

_PARTS = 8
_JOB_CODES_OF_ONE_ITEM = frozenset({0x8404, 0x8500})
"""Refusals of a whole job that may be about one place in it."""


class Link(Protocol):
    """What a read needs of a link."""

    pdu: int

    async def exchange(self, task: Job, *, timeout: float) -> bytes:
        """Do one job."""
        ...

    def abort(self, error: BifrostError) -> None:
        """Give the link up: what came cannot be trusted."""
        ...


class S7Read:
    """What one read brings.

    Attributes:
        gathered: values and errors so far.
        refusals: places that the device refused for good.
        cuts: where no block may reach across.
        faults: refusals that came.
    """

    def __init__(self, link: Link, total: int, *, timeout: float) -> None:
        self.gathered = Gathered(total)
        self.refusals: dict[Place, S7Fault] = {}
        self.cuts: set[tuple[S7Area, int, int]] = set()
        self.faults = 0
        self._link = link
        self._timeout = timeout
        self._failed: list[tuple[Block, S7Fault]] = []

    async def run(self, jobs: Iterable[ReadJob]) -> None:
        """Do the jobs, and what it takes to tell good from bad in them.

        Raises:
            NotConnected: the link is gone.
        """
        for job in jobs:
            await self._ask(job)
        while self._failed:
            await self._look_closer()

    async def _ask(self, job: ReadJob) -> None:
        task = Job(job.parameters)
        try:
            data = await self._link.exchange(task, timeout=self._timeout)
            results = read_results(data, job.sizes)
        except S7Fault as fault:
            await self._job_refused(job, fault)
            return
        except LinkTimeout as error:
            raise NotConnected(f"the link was given up: {error}") from error
        except ProtocolError as error:
            self._link.abort(error)
            raise NotConnected(f"the link was given up: {error}") from error
        for block, result in zip(job.blocks, results, strict=True):
            if isinstance(result, int):
                self._block_refused(block, refused_item(result, block.describe()))
            else:
                block.take(result, self.gathered)

    async def _job_refused(self, job: ReadJob, fault: S7Fault) -> None:
        if fault.code not in _JOB_CODES_OF_ONE_ITEM or len(job.blocks) == 1:
            for block in job.blocks:
                self._block_refused(block, fault)
            return
        self.faults += 1
        for block in job.blocks:
            await self._ask(ReadJob([block]))

    def _block_refused(self, block: Block, fault: S7Fault) -> None:
        self.faults += 1
        if fault.code in TAG_CODES or fault.code in _JOB_CODES_OF_ONE_ITEM:
            self._failed.append((block, fault))
        else:
            self._spread(block, fault)

    def _spread(self, block: Block, fault: S7Fault) -> None:
        for piece in block.pieces:
            self.gathered.errors.update(dict.fromkeys(piece.slots, fault))

    async def _look_closer(self) -> None:
        """Cut the blocks that failed into smaller ones and read those, many with one job."""
        failed, self._failed = self._failed, []
        parts_of: list[list[Block]] = []
        for block, fault in failed:
            if len(block.pieces) == 1:
                self._spread(block, fault)
                self.refusals[block.pieces[0].place] = fault
            else:
                parts_of.append(block.split(_PARTS))
        before = len(self._failed)
        for job in pack_reads([part for parts in parts_of for part in parts], self._link.pdu):
            await self._ask(job)
        still_bad = {id(block) for block, _ in self._failed[before:]}
        for parts in parts_of:
            if not any(id(part) in still_bad for part in parts):
                # Each part is fine alone: what lies between, or the size of the whole, was refused.
                self.cuts.update((part.pieces[0].area, part.pieces[0].db, part.start) for part in parts[1:])
