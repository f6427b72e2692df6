"""A device as a supervised actor: polls in the background, batches to its outputs.

In: a connection, groups of tags, references of pipelines. Out: one `Batch` per poll; `DeviceStatus` when asked.
Not here: protocols, reconnecting (`PLCConnection` does both). An outage is a state of the device and marks its tags
BAD; only a defect crashes the actor, which is its supervisor's business.
"""

from __future__ import annotations

import asyncio
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from bifrost.actors import Actor, ActorRef, Backoff, ChildSpec, ExitReason, Mailbox, OnRestart
from bifrost.core.batch import Batch
from bifrost.core.clock import Clock, SystemClock
from bifrost.core.quality import Quality, StatusCode, quality_of
from bifrost.core.value import TagValue, Value
from bifrost.errors import ActorStopped, BifrostError, MailboxFull, WriteError
from bifrost.plc.connection import PLCConnection
from bifrost.plc.device import DeviceMessage, DeviceStatus, GetStatus, PollGroup, SetOutputs, WriteOutcome, WriteTag
from bifrost.plc.group import GroupAtWork, groups_at_work
from bifrost.plc.last_usable import OUT_OF_REACH
from bifrost.plc.link_news import LinkNews
from bifrost.plc.polling import stagger
from bifrost.plc.reconnect import LinkState, StateChange
from bifrost.plc.settings import DeviceSettings

__all__ = ["Connect", "DeviceActor", "Outputs", "device_spec"]

Connect = Callable[[Clock], PLCConnection]
"""Makes a connection that is not started, with the given clock; called once per incarnation."""

_Row = tuple[str, int, Value, int, int | None]

_DURATIONS_KEPT = 128
_PROMPT = 1.0
"""A group with a longer interval is polled out of turn when the link is lost or comes up, so both show at once."""
_WARN_EVERY = 30.0
_UNANSWERED = OUT_OF_REACH | {StatusCode.UNCERTAIN_LAST_USABLE_VALUE}
"""Statuses that a device has which takes the connection and then says nothing, or nothing that can be understood."""


class Outputs:
    """Who gets a device's batches; shared by all incarnations of its actor, so that a change survives a crash.

    Attributes:
        refs: the receivers.
    """

    __slots__ = ("refs",)

    def __init__(self, refs: Sequence[ActorRef[Any]] = ()) -> None:
        self.refs = tuple(refs)


class DeviceActor(Actor[DeviceMessage]):
    """Polls one device and publishes what it reads.

    It starts without waiting for the device. Each poll becomes one batch and goes to every output with `send`; what an
    output does not take within `publish_timeout`, its mailbox being full, is lost to it, counted and reported. Batches
    are numbered without gaps, from the start time in nanoseconds on, so that no incarnation repeats another's numbers.

    During an outage its tags are BAD with the reason: at once, and again every `bad_repeat` seconds. A group that
    publishes on change leaves out rows without news. A record counter (see `RecordCounter`) keeps a record that was
    read twice from being published twice.

    Args:
        name: the device's name.
        connect: makes the connection.
        outputs: who gets the batches.
        groups: what to poll and how often; None polls all tags of the connection, each at its own `interval_ms` or
            else at the connection's, and publishes as the connection's settings say.
        record_counter: name of the tag in which the device numbers its records; None: it does not.
        bad_repeat: seconds between two rows of the same bad status; 0 publishes one for each poll.
        publish_timeout: seconds that an output may take to accept a batch.
    """

    def __init__(
        self,
        name: str,
        connect: Connect,
        outputs: Outputs,
        *,
        groups: Sequence[PollGroup] | None = None,
        record_counter: str | None = None,
        bad_repeat: float = 10.0,
        publish_timeout: float = 5.0,
    ) -> None:
        self._name = name
        self._connect = connect
        self._outputs = outputs
        self._group_settings = groups
        self._record_counter = record_counter
        self._bad_repeat = bad_repeat
        self._publish_timeout = publish_timeout
        self._closing = AsyncExitStack()
        self._turn = asyncio.Lock()
        self._no_write = asyncio.Event()
        self._no_write.set()
        self._link_changed = asyncio.Event()
        self._durations: deque[float] = deque(maxlen=_DURATIONS_KEPT)
        self._polls = self._published = self._dropped = self._repeated = 0
        self._warn_at = 0.0
        self._proven = False

    async def on_start(self) -> None:
        """Make the connection and begin to poll; whether the device is there shows later."""
        self._clock = self.ctx.clock
        self._news = LinkNews(self.ctx.log)
        self._sequence = self._since_ns = self._clock.time_ns()
        self._connection = self._connect(self._clock)
        self._groups = groups_at_work(self._connection, self._group_settings, self._record_counter, self._bad_repeat)
        self._closing.callback(self._connection.on_state_change(self._on_link))
        self.ctx.spawn_task(self._run(), name="connect")

    async def receive(self, message: DeviceMessage) -> object:
        """Answer one message."""
        match message:
            case GetStatus():
                return self._status()
            case WriteTag(tag, value):
                return await self._write(tag, value)
            case SetOutputs(outputs):
                self._outputs.refs = outputs
        return None

    async def on_stop(self, reason: ExitReason) -> None:
        """Close the connection; the polls have ended by then."""
        await self._closing.aclose()
        await self._connection.aclose()

    async def _run(self) -> None:
        # The first attempt to connect is awaited here, so that a device that is there is not called BAD at first.
        # A missing extra is an outage, too: a restart would not bring it sooner, and its values say what to install.
        self._connection.start(retry_all=True)
        await self._closing.enter_async_context(self._connection)
        self._link_changed.clear()
        for group in self._groups:
            self.ctx.spawn_task(self._poll_group(group), name="poll")
        self.ctx.spawn_task(self._follow_link(), name="link")

    async def _poll_group(self, group: GroupAtWork) -> None:
        await asyncio.sleep(stagger(f"{self._name}/{group.tags[0]}", group.interval))
        while True:
            await group.ticker.wait()
            await self._poll(group)

    async def _follow_link(self) -> None:
        slow = [group for group in self._groups if group.interval > _PROMPT]
        while slow:
            await self._link_changed.wait()
            self._link_changed.clear()
            for group in slow:
                await self._poll(group)

    def _on_link(self, change: StateChange) -> None:
        self._since_ns = self._clock.time_ns()
        if change.new is LinkState.BACKOFF:
            # Said once for each outage: the attempts that fail during it are in the status.
            if self._news.down(change.reason, self._clock.monotonic()):
                self._link_changed.set()
        elif change.new is LinkState.CONNECTED and change.old is LinkState.CONNECTING:
            self._proven = False
            if not self._groups:
                self._end_outage()
            self._link_changed.set()

    def _end_outage(self) -> None:
        # Not when the link comes up: a device that hangs takes one connection after the other and answers none, and
        # that is one outage.
        self._proven = True
        self._news.up(self._clock.monotonic())

    async def _poll(self, group: GroupAtWork) -> None:
        async with self._turn:  # one poll at a time: the link has one request in flight, and batches keep their order
            await self._no_write.wait()
            began = self._clock.monotonic()
            batch = await self._connection.read_batch(group.tags, sequence=self._sequence)
            now = self._clock.monotonic()
            self._polls += 1
            group.latest = batch
            statuses = batch.statuses()
            if self._connection.state in {LinkState.CONNECTED, LinkState.DEGRADED}:
                self._durations.append(now - began)
                if not self._proven and (statuses is None or not _UNANSWERED.issuperset(statuses)):
                    self._end_outage()
            self._news.look(now)
            if group.counter_at is not None and not self._is_new_record(group, batch, statuses is None):
                return
            batch = group.worth_publishing(batch, statuses, now)
            if len(batch):
                self._sequence += 1
                await self._publish(batch)

    def _is_new_record(self, group: GroupAtWork, batch: Batch, all_good: bool) -> bool:
        assert group.counter_at is not None
        ((_, _, number, _, _),) = batch.slice(group.counter_at, group.counter_at + 1).rows()
        new = group.record.is_new(number)
        was_good, group.all_good = group.all_good, all_good
        if not (was_good and all_good):
            return True  # the same record may be, but something is, or was, the matter with it: that is news
        self._repeated += not new
        return new

    async def _publish(self, batch: Batch) -> None:
        refs = self._outputs.refs
        if len(refs) == 1:
            await self._hand(refs[0], batch)
        elif refs:
            # Side by side, so that one slow pipeline does not take another one's time.
            await asyncio.gather(*(self._hand(ref, batch) for ref in refs))

    async def _hand(self, ref: ActorRef[Any], batch: Batch) -> None:
        try:
            await ref.send(batch, timeout=self._publish_timeout)
        except (MailboxFull, ActorStopped) as error:
            self._dropped += len(batch)
            now = self._clock.monotonic()
            if now >= self._warn_at:
                self._warn_at = now + _WARN_EVERY
                self.ctx.log.warning("dropped %d rows, %d so far: %s", len(batch), self._dropped, error)
        else:
            self._published += len(batch)

    async def _write(self, tag: str, value: object) -> WriteOutcome:
        self._no_write.clear()
        try:
            await self._connection.write(tag, value)
        except WriteError as error:
            return WriteOutcome(tag, str(error), error.unknown_outcome)
        except BifrostError as error:
            return WriteOutcome(tag, str(error))
        finally:
            self._no_write.set()
        return WriteOutcome(tag)

    def _status(self) -> DeviceStatus:
        connection = self._connection
        stats = connection.stats
        rows = [row for group in self._groups if group.latest is not None for row in group.latest.rows()]
        bad = sum(quality_of(row[3]) is Quality.BAD for row in rows)
        expected = sum(group.gate.rows for group in self._groups)
        return DeviceStatus(
            name=self._name,
            state=connection.state.value,
            since_ns=self._since_ns,
            last_error=connection.last_error if stats.losses or stats.connect_failures else "",
            connects=stats.connects,
            polls=self._polls,
            overruns=sum(group.ticker.overruns for group in self._groups),
            poll_p50=statistics.median(self._durations) if self._durations else None,
            rows_published=self._published,
            rows_dropped=self._dropped,
            repeated_records=self._repeated,
            missed_records=sum(group.record.missed for group in self._groups),
            good_tags=len(rows) - bad,
            bad_tags=bad + expected - len(rows),
            values=tuple(self._reading(row) for row in rows),
            counters=dict(stats.protocol),
        )

    def _reading(self, row: _Row) -> TagValue:
        label, source_ns, value, status, received_ns = row
        error = None
        if status != StatusCode.GOOD:
            error = self._connection.last_error if status == StatusCode.BAD_NOT_CONNECTED else _words(status)
        return TagValue(label, value, status, source_ns, source_ns if received_ns is None else received_ns, error)


def _words(status: int) -> str:
    try:
        return StatusCode(status).name.lower().replace("_", " ")
    except ValueError:
        return f"status {status:#010x}"


def device_spec(
    device: DeviceSettings | Connect,
    *,
    name: str,
    outputs: Sequence[ActorRef[Any]] | Outputs = (),
    groups: Sequence[PollGroup] | None = None,
    record_counter: str | None = None,
    bad_repeat: float = 10.0,
    publish_timeout: float = 5.0,
    backoff: Backoff | None = None,
    shutdown: float = 5.0,
) -> ChildSpec:
    """Describe a device for a supervisor: a permanent child with a back-off between restarts after a crash.

    Args:
        device: checked settings, or a function that makes the connection (named `name`, with its tags).
        name: the child's id, the first part of its tags' labels and the origin of its batches.
        outputs: who gets the batches.
        groups: see `DeviceActor`.
        record_counter: see `DeviceActor`; None takes the one of the settings.
        bad_repeat: see `DeviceActor`.
        publish_timeout: see `DeviceActor`.
        backoff: between restarts; None waits 0.5 s, doubling up to 30 s.
        shutdown: seconds that an orderly stop may take.

    Raises:
        ConfigError: the settings cannot work, or a group or the counter names a tag that is not there.
    """
    if isinstance(device, DeviceSettings):
        connect: Connect = partial(_from_settings, device, name)
        record_counter = device.record_counter if record_counter is None else record_counter
        # Made once here and thrown away: what is wrong shows before anything starts.
        groups_at_work(connect(SystemClock()), groups, record_counter, bad_repeat)
    else:
        connect = device
    return ChildSpec(
        id=name,
        start=DeviceActor,
        args=(name, connect, outputs if isinstance(outputs, Outputs) else Outputs(outputs)),
        kwargs={
            "groups": groups,
            "record_counter": record_counter,
            "bad_repeat": bad_repeat,
            "publish_timeout": publish_timeout,
        },
        # A write that waited through a crash must not reach the machine late.
        mailbox=Mailbox(capacity=64, on_restart=OnRestart.DROP),
        backoff=Backoff(min=0.5, max=30.0) if backoff is None else backoff,
        shutdown=shutdown,
    )


def _from_settings(settings: DeviceSettings, name: str, clock: Clock) -> PLCConnection:
    return PLCConnection.from_settings(settings, name=name, clock=clock)
