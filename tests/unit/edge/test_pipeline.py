"""Pipelines: what the builder refuses, what a running one delivers, and what it does when sinks fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from bifrost.actors.system import ActorSystem
from bifrost.core.batch import Batch
from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.edge.aggregator import Aggregator
from bifrost.edge.anomaly import Anomaly
from bifrost.edge.detector import Detector
from bifrost.edge.pipeline import Pipeline
from bifrost.edge.running import RunningPipeline
from bifrost.edge.statistics import PipelineMeters, StageStatistics
from bifrost.edge.window import Window
from bifrost.errors import ConfigError, LinkError, MailboxFull, Rejected, RetryLater

SECOND = 1_000_000_000
Rows = list[tuple[str, int, Value, int, int | None]]


class Recording:
    """A finite source: the batches it was given."""

    def __init__(self, batches: list[Batch], *, failures: int = 0) -> None:
        self.batch_list = batches
        self.failures = failures
        self.asked: list[Sequence[str] | None] = []

    async def batches(
        self, tags: Sequence[str] | None = None, *, max_rows: int = 1024, max_delay: float = 0.05
    ) -> AsyncIterator[Batch]:
        self.asked.append(tags)
        if self.failures:
            self.failures -= 1
            raise LinkError("no link")
        for batch in self.batch_list:
            yield batch


class Memory:
    """A sink that keeps what it took, and raises what it was told to raise first."""

    def __init__(self, *failures: Exception) -> None:
        self.batches: list[Batch] = []
        self.failures = list(failures)

    async def write(self, batch: Batch) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append(batch)

    @property
    def rows(self) -> Rows:
        return [row for batch in self.batches for row in batch.rows()]


def numbers(values: Sequence[Value], *, start: int = 0, sequence: int = 0) -> Batch:
    times = [(start + index) * SECOND for index in range(len(values))]
    return Batch.from_columns(["press/t"] * len(values), times, values, origin="press", sequence=sequence)


def stage(statistics: Sequence[StageStatistics], name: str) -> StageStatistics:
    return next(each for each in statistics if each.stage == name)


async def test_a_recording_runs_through_windows_and_detector_to_its_sinks() -> None:
    """The five-line pipeline: raw rows tapped, means derived at window starts, the outlier reported once."""
    values: list[Value] = [20.0 + index % 2 for index in range(100)]
    values[80] = 500.0
    raw, derived, scores, seen = Memory(), Memory(), Memory(), list[Anomaly]()
    pipeline = (
        Pipeline("heat")
        .source(Recording([numbers(values[:50]), numbers(values[50:], start=50, sequence=1)]), tags=["t"])
        .sink(raw)
        .window(Window.tumbling(seconds=2))
        .aggregate(Aggregator.mean(), Aggregator.count())
        .detect_anomalies(Detector.mad(min_samples=10, min_scale=0.1), on="mean")
        .sink(derived)
        .sink_on_anomaly(seen.extend)
        .sink_on_anomaly(scores)
    )
    await pipeline.run()
    assert [row[:3] for row in raw.rows] == [("press/t", index * SECOND, value) for index, value in enumerate(values)]
    assert derived.rows[:2] == [("press/t.mean", 0, 20.5, 0, None), ("press/t.count", 0, 2, 0, None)]
    assert len(derived.rows) == 100
    assert {batch.origin for batch in derived.batches} == {"heat/window"}
    assert [batch.sequence for batch in derived.batches] == sorted({batch.sequence for batch in derived.batches})
    assert [(each.tag, each.source_ts_ns, each.value, each.on) for each in seen] == [
        ("press/t", 80 * SECOND, 260.5, "mean")
    ]
    assert 0.5 < seen[0].score <= 1.0
    assert "robust deviations from the median" in seen[0].reasons[0]
    assert [row[:3] for row in scores.rows] == [("press/t.anomaly", 80 * SECOND, seen[0].score)]


async def test_an_orderly_stop_emits_open_windows_as_partial() -> None:
    """Nothing that was accepted is lost at a stop; the status says that the window is not whole."""
    sink = Memory()
    pipeline = Pipeline("p").source("press").window(Window.tumbling(60)).aggregate(Aggregator.sum()).sink(sink)
    async with pipeline.open() as running:
        await running.send(numbers([1, 2, 3]))
    assert [row[:4] for row in sink.rows] == [("press/t.sum", 0, 6, 0x405)]
    assert stage(running.statistics(), "sink").rows_out == 1


async def test_a_silent_device_stops_no_window() -> None:
    """After the idle time the clock completes its windows."""
    sink = Memory()
    window = Window.tumbling(2, idle_timeout=10)
    async with Pipeline("p").source("press").window(window).aggregate(Aggregator.last()).sink(sink).open() as running:
        await running.send(numbers([7]))
        await asyncio.sleep(9)
        assert sink.rows == []
        await asyncio.sleep(3)
        assert [row[:4] for row in sink.rows] == [("press/t.last", 0, 7, 0)]


async def test_a_sink_that_is_away_is_tried_until_it_is_back() -> None:
    """Nothing is lost or given up, in order, and the retries are counted."""
    sink = Memory(RetryLater("full", after=3.0), LinkError("gone"), RetryLater("full"))
    async with Pipeline("p").source("press").sink(sink).open() as running:
        await running.send(numbers([1]))
        await running.send(numbers([2]))
        await asyncio.sleep(20)
        assert [row[2] for row in sink.rows] == [1, 2]
        assert stage(running.statistics(), "sink").retries == 3
        assert running.dead() == ()


@pytest.mark.parametrize("after", [float("nan"), float("inf"), 1e12, -1.0])
async def test_a_sink_that_names_no_sensible_time_is_tried_again_all_the_same(after: float) -> None:
    """The pause is bounded, and no odd number disturbs the timers of others."""
    sink = Memory(RetryLater("full", after=after))
    async with Pipeline("p").source("press").sink(sink).open() as running:
        await running.send(numbers([1]))
        await asyncio.sleep(3_700)
        assert [row[2] for row in sink.rows] == [1]


async def test_partial_windows_that_find_no_room_at_a_stop_are_counted() -> None:
    """A stop does not wait for ever, and what it leaves behind is in the counters."""

    async def stuck(_: Batch) -> None:
        await asyncio.sleep(1e6)

    window = Window.tumbling(1, max_out_of_order=0)
    pipeline = Pipeline("p").source("press").window(window).aggregate(Aggregator.sum()).sink(stuck, timeout=1e6)
    async with pipeline.open() as running:
        for second in range(66):  # one window in the sink's hands, 64 before it, and one open
            await running.send(numbers([1], start=second))
            await asyncio.sleep(0.1)
    counted = stage(running.statistics(), "window")
    assert counted.rows_in == 66
    assert counted.rows_out + counted.overflowed == 66


async def test_a_window_with_the_least_idle_time_starts() -> None:
    """What the settings accept, the timers do as well."""
    sink = Memory()
    window = Window.tumbling(0.001, idle_timeout=1e-7, max_out_of_order=0)
    async with Pipeline("p").source("press").window(window).aggregate(Aggregator.sum()).sink(sink).open() as running:
        await running.send(numbers([7]))
        await asyncio.sleep(1.0)
        assert [row[2] for row in sink.rows] == [7]


async def test_without_an_aggregate_an_anomaly_names_its_tag_in_full() -> None:
    """Whatever the tag ends in."""
    seen: list[Anomaly] = []
    pipeline = Pipeline("p").source(None).detect_anomalies(Detector.limits(high=1.0)).sink_on_anomaly(seen.extend)
    async with pipeline.open() as running:
        await running.send(Batch.from_columns(["press/x.None"], [1], [2.0]))
        await asyncio.sleep(0.1)
    assert [each.tag for each in seen] == ["press/x.None"]


async def test_a_stuck_sink_is_felt_at_the_source_and_bounds_the_memory() -> None:
    """Backpressure: the mailboxes fill up, then senders wait."""
    gate = asyncio.Event()

    async def slow(_batch: Batch) -> None:
        await gate.wait()

    async with Pipeline("p").source("press").select(["press/t"]).sink(slow, timeout=1000).open() as running:
        sent = await send_until_full(running)
        assert 64 < sent < 4 * 64
        gate.set()
    assert stage(running.statistics(), "sink").rows_out == sent


async def send_until_full(running: RunningPipeline) -> int:
    for sent in range(10_000):
        try:
            await running.send(numbers([1]), timeout=0.5)
        except MailboxFull:
            return sent
    pytest.fail("the pipeline took 10,000 batches although its sink takes none")


@pytest.mark.parametrize(
    ("failures", "reason"),
    [
        ([Rejected("too old")], "rejected by the destination: too old"),
        ([ValueError("odd")] * 3, "failed 3 times, last with ValueError: odd"),
    ],
)
async def test_a_batch_that_is_refused_or_keeps_failing_is_given_up_and_the_next_goes_on(
    failures: list[Exception], reason: str
) -> None:
    """The dead letter keeps the rows and the reason; no stage restarts."""
    sink = Memory(*failures)
    async with Pipeline("p").source("press").sink(sink).open() as running:
        await running.send(numbers([1], sequence=4))
        await running.send(numbers([2], sequence=5))
        await asyncio.sleep(10)
        assert [(dead.stage, dead.reason, dead.batch.sequence) for dead in running.dead()] == [("sink", reason, 4)]
        assert [row[2] for row in sink.rows] == [2]
        assert all(each.restarts == 0 for each in running.system.snapshot().walk())


async def test_a_function_that_raises_on_anomalies_does_not_stop_the_rows() -> None:
    """The anomaly is a dead letter, the data goes on."""

    async def broken(_anomalies: list[Anomaly]) -> None:
        raise RuntimeError("no alarm horn")

    sink = Memory()
    pipeline = Pipeline("p").source(None).detect_anomalies(Detector.limits(high=10)).sink(sink).sink_on_anomaly(broken)
    async with pipeline.open() as running:
        await running.send(numbers([1, 50, 2]))
        await asyncio.sleep(10)
        assert [row[2] for row in sink.rows] == [1, 50, 2]
        assert [dead.stage for dead in running.dead()] == ["anomalies"]


async def test_a_filter_passes_drops_and_survives_its_own_errors() -> None:
    """None drops a batch; raising three times makes it a dead letter; a wrong answer counts as raising."""
    answers: dict[int, Callable[[Batch], object]] = {
        0: lambda batch: batch,
        1: lambda _batch: None,
        2: lambda _batch: 1 / 0,
        3: lambda _batch: "text",
        4: lambda batch: batch.slice(0, 1),
    }
    sink = Memory()

    def choose(batch: Batch) -> Batch | None:
        return answers[batch.sequence](batch)  # type: ignore[return-value]  # wrong answers are part of the test

    async with Pipeline("p").source(None).filter(choose).sink(sink).open() as running:
        for sequence in answers:
            await running.send(numbers([sequence, sequence], sequence=sequence))
        await asyncio.sleep(20)
        assert [row[2] for row in sink.rows] == [0, 0, 4]
        assert [dead.batch.sequence for dead in running.dead()] == [2, 3]


async def test_a_source_that_is_away_at_first_is_asked_again() -> None:
    """An outage is a state, not a crash."""
    source = Recording([numbers([1])], failures=3)
    sink = Memory()
    await Pipeline("p").source(source, tags=["t"]).sink(sink).run()
    assert [row[2] for row in sink.rows] == [1]
    assert source.asked == [("t",)] * 4


async def test_sent_batches_are_chosen_by_origin_and_tag() -> None:
    """A tag is named with or without its device; other devices' rows stay out."""
    sink = Memory()
    pipeline = Pipeline("p").source("press", tags=["t"]).source("oven", tags=["oven/x"]).sink(sink)
    async with pipeline.open() as running:
        for origin in ("press", "oven", "other"):
            batch = Batch.from_columns([f"{origin}/t", f"{origin}/x"], [0, 0], [1, 2], origin=origin)
            await running.send(batch)
    assert [row[0] for row in sink.rows] == ["press/t", "oven/x"]


async def test_a_pipeline_embeds_under_any_supervisor_with_the_last_stage_first() -> None:
    """The child spec is a subtree; batches go to its `source`; the counters are the caller's."""
    sink, meters = Memory(), PipelineMeters()
    spec = Pipeline("p").source("press").sink(sink, name="wal").child_spec("heat", meters=meters)
    async with ActorSystem("gateway", children=[spec]) as system:
        await system.ref("heat/source").send(numbers([1], sequence=9))
    assert [batch.sequence for batch in sink.batches] == [9]
    assert [each.stage for each in meters.snapshot()] == ["source", "wal"]
    ids = [child.id for child in Pipeline("p").source(None).select(["a"]).sink(sink).specs()]
    assert ids == ["sink", "select", "source"]


async def test_bad_rows_pass_through_unchanged() -> None:
    """A pipeline without windows changes no row."""
    sink = Memory()
    bad = Batch.from_columns(["press/t"], [1], [None], status=[StatusCode.BAD_TIMEOUT], origin="press")
    async with (
        Pipeline("p")
        .source(None)
        .detect_anomalies(Detector.limits(high=1))
        .sink(sink)
        .sink_on_anomaly(print)
        .open() as running
    ):
        await running.send(bad)
    assert sink.batches == [bad]


async def test_a_crash_behind_full_mailboxes_costs_the_message_in_hand_and_nothing_else() -> None:
    """The stages before it pass on what they hold before they restart, and do not wait for room that cannot come."""
    taken: list[Value] = []
    crashed_at: list[float] = []
    loop = asyncio.get_running_loop()

    async def slow(batch: Batch) -> None:
        await asyncio.sleep(0.5)
        number = batch.rows()[0][2]
        if number == 50 and not crashed_at:
            crashed_at.append(loop.time())
            raise asyncio.CancelledError  # what escapes every handling of errors
        taken.append(number)

    pipeline = Pipeline("p").source(None).filter(lambda batch: batch).select(["press/t"]).sink(slow)
    async with pipeline.open() as running:
        for number in range(300):
            await running.send(numbers([number]), timeout=100.0)
            if crashed_at and not taken[50:]:
                assert loop.time() - crashed_at[0] < 2.0
        await asyncio.sleep(200)
        assert running.system.dead_letters.counts == {"crashed": 1}
        assert running.system.snapshot().children[0].restarts == 0
    assert taken == [number for number in range(300) if number != 50]


@pytest.mark.parametrize("broken", ["window", "source"])
async def test_a_crashed_stage_restarts_with_those_before_it_and_rows_go_on(broken: str) -> None:
    """A defect restarts its stage and the ones that send to it; the sink keeps running and later rows arrive."""
    sink = Memory()
    window = Window.tumbling(1, max_out_of_order=0)
    pipeline = Pipeline("p").source(None).window(window).aggregate(Aggregator.last()).sink(sink)
    async with pipeline.open() as running:
        await running.send(numbers([1, 2]))
        await asyncio.sleep(1)
        await running.system.ref(f"p/{broken}").send("not a batch")
        await asyncio.sleep(1)
        await running.send(numbers([3, 4, 5], start=10))
        await asyncio.sleep(1)
        restarts = {each.id: each.restarts for each in running.system.snapshot().walk() if each.path.startswith("p/")}
    assert restarts == {"sink": 0, "window": int(broken == "window"), "source": 1}
    assert [row[2] for row in sink.rows if row[1] >= 10 * SECOND] == [3, 4, 5]


BASE = Pipeline("p").source(None)
WINDOWED = BASE.window(Window.tumbling(1))
MEANS = WINDOWED.aggregate(Aggregator.mean())


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: Pipeline(""), "pipeline name"),
        (lambda: Pipeline("a/b"), "pipeline name"),
        (lambda: BASE.aggregate(Aggregator.mean()), r"put window\(...\) right before it"),
        (lambda: WINDOWED.sink(print), r"aggregate\(...\) must follow"),
        (WINDOWED.aggregate, "expected Aggregator"),
        (lambda: WINDOWED.aggregate(Aggregator.mean(), Aggregator.mean()), "each aggregator once"),
        (lambda: MEANS.aggregate(Aggregator.std()), r"put window\(...\) right before it"),
        (lambda: MEANS.detect_anomalies(on="std"), "one of mean, got 'std'"),
        (lambda: BASE.detect_anomalies(on="mean"), r"aggregate\(...\) before it"),
        (lambda: BASE.sink_on_anomaly(print), r"put detect_anomalies\(...\) before it"),
        (lambda: BASE.select([]), "list of names"),
        (lambda: BASE.select("press"), "list of names"),
        (lambda: BASE.source(None, tags=[]), "list of names"),
        (lambda: MEANS.source(None), "before the first step"),
        (lambda: BASE.sink(print, name="source").specs(), "used twice"),
        (lambda: BASE.sink(print, name="a").sink(print, name="a").specs(), "used twice"),
        (lambda: BASE.sink(print, timeout=0), "finite seconds above 0"),
        (lambda: BASE.sink(5), "object with write"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: Pipeline("p").source(5), r"object with batches\(\)"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: Pipeline("p").sink(print).specs(), "no source"),
        (BASE.specs, "no sink"),
        (lambda: MEANS.detect_anomalies().sink(print).specs(), "detect_anomalies without sink_on_anomaly"),
        (lambda: Aggregator.named("median"), "expected an aggregate among count"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_built(build: Callable[[], object], text: str) -> None:
    """The text says what to put right; nothing was started."""
    with pytest.raises(ConfigError, match=text):
        build()


def test_all_that_is_missing_is_said_at_once() -> None:
    """One report, not one error after the other."""
    with pytest.raises(ConfigError) as caught:
        Pipeline("p").window(Window.tumbling(1)).specs()
    assert [mistake.partition(":")[0] for mistake in caught.value.mistakes] == [
        "no source",
        "no sink",
        "window without aggregate",
    ]


async def test_run_without_anything_to_pull_from_says_so() -> None:
    """It would never end."""
    with pytest.raises(ConfigError, match="needs a source to pull from"):
        await BASE.sink(print).run()


def test_a_pipeline_is_immutable() -> None:
    """A common beginning may be shared."""
    before = repr(MEANS)
    MEANS.sink(print)
    assert repr(MEANS) == before
