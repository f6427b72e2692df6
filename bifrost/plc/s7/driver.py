"""S7 as a driver: tags in, values with a status each out.

In: plans and write items. Out: readings. Not here: reconnecting, polling, actors.
Stands on `snap7.AsyncClient` for the connection and its negotiation; the jobs are our own, with many items each, for
snap7's asyncio client has one round trip for each item, and one bad item fails all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from bifrost.core.clock import Clock
from bifrost.errors import (
    BifrostError,
    LinkError,
    MissingExtra,
    NotConnected,
    ProtocolError,
    S7Fault,
    WriteError,
)
from bifrost.plc.datatypes import Tag
from bifrost.plc.drivers.base import BrowsedTag, Capabilities, DeviceInfo, Readings, WriteItem
from bifrost.plc.s7.faults import refused_item, status_of
from bifrost.plc.s7.pdu import OK, write_results
from bifrost.plc.s7.plan import S7ReadPlan
from bifrost.plc.s7.repair import S7Read
from bifrost.plc.s7.settings import S7Settings
from bifrost.plc.s7.writing import encode_write_item, merge_writes, write_jobs

if TYPE_CHECKING:
    from bifrost.plc.s7.link import S7Link

__all__ = ["S7Driver"]

_HOLES_KEPT = 300.0
_SHARE_TO_IDENTIFY = 0.5


class S7Driver:
    """One link to an S7 CPU; see `bifrost.plc.drivers.base.Driver` for the contract.

    Without python-snap7 it plans and prepares, and `connect` raises `MissingExtra`.
    """

    capabilities = Capabilities(browse=True, merge_writes=True, max_in_flight=1)
    degraded = False  # one CPU on one link: it is up or down, never half

    def __init__(self, settings: S7Settings, clock: Clock) -> None:
        self._missing: ModuleNotFoundError | None = None
        try:
            # Here, not on the way to the device: the import takes longer than a loop may be held up.
            from bifrost.plc.s7.identity import ask_identity, list_data_blocks
            from bifrost.plc.s7.link import S7Link
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith("snap7"):
                raise
            self._missing = error
        else:
            self._new_link = S7Link
            self._ask_identity = ask_identity
            self._list_data_blocks = list_data_blocks
        self._settings = settings
        self._clock = clock
        self._link: S7Link | None = None
        self._faults = 0
        self._undecodable = 0
        self._writes = 0

    def counters(self) -> Mapping[str, int]:
        """Jobs, what was refused, what could not be decoded, and how long answers took."""
        link = self._link
        if link is None:
            return {}
        return {
            "requests": link.requests,
            "timeouts": link.timeouts,
            "doubtful_answers": link.broken,
            "exceptions": self._faults,
            "undecodable_values": self._undecodable,
            # A histogram of round trips: each bucket reaches up to twice the one before.
            **{f"answered_below_{2**bucket}_us": times for bucket, times in enumerate(link.rtt) if times},
        }

    def plan(self, tags: Sequence[Tag]) -> S7ReadPlan:
        """Plan a read of these tags; pure."""
        return S7ReadPlan(tags, max_gap=self._settings.max_gap, encoding=self._settings.string_encoding)

    def prepare(self, tag: Tag, value: object) -> WriteItem:
        """Check and encode a value; pure."""
        return encode_write_item(tag, value, encoding=self._settings.string_encoding)

    def merge(self, items: Sequence[WriteItem]) -> list[WriteItem]:
        """Join writes that follow each other without a gap; pure."""
        return merge_writes(items)

    async def connect(self, *, timeout: float, on_lost: Callable[[BifrostError], None]) -> DeviceInfo:
        """Open the link, negotiate the PDU, and ask the CPU who it is; what it does not tell is no error.

        Raises:
            MissingExtra: python-snap7 is not installed.
        """
        if self._missing is not None:
            raise MissingExtra("python-snap7 is missing: pip install 'bifrost-edge[s7]'") from self._missing
        settings = self._settings
        deadline = self._clock.monotonic() + timeout
        link = await self._opened(timeout)
        description = ""
        if settings.identify:
            try:
                description = await self._ask_identity(link, timeout=timeout * _SHARE_TO_IDENTIFY)
            except LinkError:
                # It took offence, or did not answer: then without asking.
                await link.aclose()
                link = await self._opened(max(deadline - self._clock.monotonic(), 0.01))
        self._link = link
        if not link.connected:
            raise NotConnected(f"{settings.endpoint} ended the link as soon as it was up")
        link.tell(on_lost)
        text = f"{description}; PDU of {link.pdu} bytes" if description else f"PDU of {link.pdu} bytes"
        return DeviceInfo(endpoint=settings.endpoint, description=text)

    async def aclose(self) -> None:
        """End the link; idempotent."""
        if self._link is not None:
            await self._link.aclose()

    async def read(self, plan: S7ReadPlan, *, timeout: float) -> Readings:
        """Read every block of the plan; one tag's trouble is not another's."""
        link = self._live()
        now = self._clock.monotonic()
        plan.begin(link, now)
        jobs = plan.jobs(link.pdu)
        read = S7Read(link, plan.total, timeout=timeout)
        gathered = read.gathered
        if plan.refused:
            gathered.errors.update(plan.refused)
        await read.run(jobs)
        if read.faults:
            self._faults += read.faults
            if read.refusals or read.cuts:
                plan.learn(read.refusals, read.cuts, ask_again_at=now + _HOLES_KEPT)
        arrived_ns = self._clock.time_ns()
        if not gathered.errors and not gathered.statuses:
            return Readings(gathered.values, arrived_ns)
        status = [0] * plan.total
        for slot, code in gathered.statuses.items():
            status[slot] = code
        for slot, error in gathered.errors.items():
            gathered.values[slot] = None
            status[slot] = status_of(error)
            self._undecodable += isinstance(error, ProtocolError)
        return Readings(gathered.values, arrived_ns, status, gathered.errors)

    async def write(self, item: WriteItem, *, timeout: float) -> None:
        """Send one write, once; what does not fit one job takes several."""
        link = self._live()
        name = item.tag.name
        accepted = 0
        for job in write_jobs(item.request, link.pdu):
            try:
                codes = write_results(await link.exchange(job, timeout=timeout), job.items)
            except (LinkError, ProtocolError) as error:
                if isinstance(error, ProtocolError):
                    link.abort(error)
                if not job.sent and not accepted:
                    raise
                text = f"tag {name!r}: the write was sent, but {error}; the device may have acted"
                raise WriteError(text, unknown_outcome=True) from error
            except S7Fault as fault:
                self._faults += 1
                if accepted:
                    raise _partly(name, fault) from fault
                raise S7Fault(f"tag {name!r}: {fault}", code=fault.code) from fault
            refused = [code for code in codes if code != OK]
            accepted += len(codes) - len(refused)
            if refused:
                self._faults += len(refused)
                item_fault = refused_item(refused[0], f"tag {name!r}")
                raise _partly(name, item_fault) if accepted else item_fault

    async def browse(self, *, timeout: float) -> list[BrowsedTag]:
        """List the data blocks, each as its bytes; classic S7 communication knows no names of variables."""
        return await self._list_data_blocks(self._live(), timeout=timeout)

    async def _opened(self, timeout: float) -> S7Link:
        link = self._link = self._new_link(self._settings)
        try:
            await link.open(timeout=timeout)
        except BaseException:
            await link.aclose()
            raise
        return link

    def _live(self) -> S7Link:
        link = self._link
        if link is None or not link.connected:
            raise NotConnected("the link to the device is down")
        return link


def _partly(name: str, fault: S7Fault) -> WriteError:
    return WriteError(f"tag {name!r} was written in part: {fault}", unknown_outcome=True)
