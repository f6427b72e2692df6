"""Metrics and spans, with OpenTelemetry's own SDK and its in-memory exporters."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from bifrost.actors import Actor, ActorRef, ActorSystem, ChildSpec, Mailbox
from bifrost.actors.blocking import BlockingActor
from bifrost.actors.telemetry import ActorTelemetry
from bifrost.core.value import TagValue
from bifrost.errors import ActorCrashed, ActorError, AskTimeout


class Press(Actor[Any]):
    """Sleeps for numbers, crashes at exceptions, passes on what has a way."""

    async def receive(self, message: Any) -> object:
        match message:
            case Exception():
                raise message
            case float():
                await asyncio.sleep(message)
            case ("tell", ActorRef() as ref, what):
                await asyncio.sleep(0)
                ref.tell(what)
            case ("ask", ActorRef() as ref, what):
                return await ref.ask(what, timeout=3)
            case ("timer", what):
                self.ctx.timers.once("t", 1.0, what)
            case "trace id":
                return trace.get_current_span().get_span_context().trace_id
        return message


class Bench:
    """The SDK's providers with exporters that keep everything."""

    def __init__(self, *, sampler: Any = None) -> None:
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.spans = InMemorySpanExporter()
        self.tracers = TracerProvider(sampler=sampler) if sampler is not None else TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))

    def telemetry(self, **settings: Any) -> ActorTelemetry:
        return ActorTelemetry(meter_provider=self.meters, tracer_provider=self.tracers, **settings)

    def points(self, name: str) -> dict[str, Any]:
        """The data points of one metric by path."""
        data = self.reader.get_metrics_data()
        return {
            str((point.attributes or {})["bifrost.actor.path"]): point
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans.get_finished_spans() if span.name == name]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.meters.shutdown()
    made.tracers.shutdown()


def presses(*names: str, **options: Any) -> list[ChildSpec]:
    return [ChildSpec(id=name, start=Press, **options) for name in names]


async def test_messages_are_counted_and_timed(bench: Bench) -> None:
    """Processed, wait and handler duration, for tell, send and ask, with class, path and system."""
    async with ActorSystem("plant", presses("a"), telemetry=bench.telemetry()) as system:
        a = system.ref("a")
        a.tell(1)
        await a.send(2)
        assert await a.ask(3) == 3
        point = bench.points("bifrost.actor.processed")["a"]
        assert point.value == 3
        assert dict(point.attributes) == {
            "bifrost.system": "plant",
            "bifrost.actor.class": "Press",
            "bifrost.actor.path": "a",
        }
        assert bench.points("bifrost.actor.mailbox.wait")["a"].count == 3
        assert bench.points("bifrost.actor.handler.duration")["a"].count == 3
        assert bench.points("bifrost.actor.handler.duration")["a"].explicit_bounds[0] == 1e-5


class Drive(BlockingActor[Any]):
    """Handles its messages in a thread."""

    def receive(self, message: Any) -> object:
        return message


async def test_an_actor_in_a_thread_is_measured_like_any_other(bench: Bench) -> None:
    """Under its own class, with its spans."""
    specs = [ChildSpec(id="drive", start=Drive)]
    async with ActorSystem(children=specs, telemetry=bench.telemetry()) as system:
        assert await system.ref("drive").ask(1) == 1
        point = bench.points("bifrost.actor.processed")["drive"]
        assert point.attributes["bifrost.actor.class"] == "Drive"
        await asyncio.sleep(0)
        assert len(bench.named("ask drive")) == len(bench.named("process drive")) == 1


async def test_depth_is_what_waits_now(bench: Bench) -> None:
    """The gauge is taken from the mailboxes when it is read, also from an exporter's thread."""
    async with ActorSystem(children=presses("a", "b"), telemetry=bench.telemetry()) as system:
        system.ref("a").tell(5.0)
        await asyncio.sleep(0.1)
        for _ in range(7):
            system.ref("a").tell(0)
        assert {path: point.value for path, point in bench.points("bifrost.actor.mailbox.depth").items()} == {
            "a": 7,
            "b": 0,
        }
        from_thread = await asyncio.to_thread(bench.points, "bifrost.actor.mailbox.depth")
        assert from_thread["a"].value == 7
    assert bench.points("bifrost.actor.mailbox.depth") == {}


@pytest.mark.real_time
async def test_a_blocked_loop_does_not_hold_up_the_exporter(bench: Bench) -> None:
    """Then there is no figure this time, and the exporter goes on."""
    async with ActorSystem(children=presses("a"), telemetry=bench.telemetry()):
        found: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: found.append(bench.points("bifrost.actor.mailbox.depth")))
        thread.start()
        thread.join(10)  # holds the loop, on purpose
        assert not thread.is_alive()
        assert found == [{}]


async def test_drops_crashes_and_restarts_are_counted(bench: Bench) -> None:
    """Dropped with the reason, failed with the error's type, restarts by path."""
    specs = presses("a", mailbox=Mailbox(capacity=1))
    async with ActorSystem(children=specs, telemetry=bench.telemetry()) as system:
        a = system.ref("a")
        a.tell(1)
        a.tell(2)
        await asyncio.sleep(0.1)
        assert dict(bench.points("bifrost.actor.dropped")["a"].attributes)["bifrost.dead_letter.reason"] == "full"
        with pytest.raises(ActorCrashed):
            await a.ask(ValueError("broken"))
        await asyncio.sleep(0.1)
        assert bench.points("bifrost.actor.restarts")["a"].value == 1
        assert bench.points("bifrost.actor.processed")["a"].attributes["error.type"] == "ValueError"


async def test_a_tell_is_two_traces_with_a_link(bench: Bench) -> None:
    """Send is a PRODUCER in the sender's trace; process is the root of a new one, linked to it."""
    async with ActorSystem(children=presses("a", "b"), telemetry=bench.telemetry()) as system:
        a, b = system.ref("a"), system.ref("b")
        with bench.tracers.get_tracer("host").start_as_current_span("host") as host:
            a.tell(("tell", b, "on"))
        await asyncio.sleep(0.1)
        (send_a,), (process_a,), (send_b,), (process_b,) = map(
            bench.named, ("send a", "process a", "send b", "process b")
        )
        assert send_a.kind is SpanKind.PRODUCER
        assert send_a.parent == host.get_span_context()
        assert process_a.kind is SpanKind.CONSUMER
        assert process_a.parent is None
        assert process_a.context.trace_id != send_a.context.trace_id
        assert [link.context for link in process_a.links] == [send_a.context]
        assert send_b.parent == process_a.context
        assert process_b.parent is None
        assert [link.context for link in process_b.links] == [send_b.context]
        assert dict(send_b.attributes or {})["bifrost.message.type"] == "str"
        assert dict(send_b.attributes or {})["messaging.destination.name"] == "b"


async def test_an_ask_is_one_trace(bench: Bench) -> None:
    """The asker's span, the ask and the handling are nested, through several actors."""
    async with ActorSystem(children=presses("a", "b"), telemetry=bench.telemetry()) as system:
        a, b = system.ref("a"), system.ref("b")
        with bench.tracers.get_tracer("host").start_as_current_span("host") as host:
            seen = await a.ask(("ask", b, "trace id"))
        await asyncio.sleep(0.1)
        spans = [bench.named(name)[0] for name in ("ask a", "process a", "ask b", "process b")]
        assert [span.kind for span in spans] == [SpanKind.CLIENT, SpanKind.SERVER] * 2
        parents = [host.get_span_context(), *(span.context for span in spans[:-1])]
        assert [span.parent for span in spans] == parents
        assert {span.context.trace_id for span in spans} == {host.get_span_context().trace_id}
        assert seen == host.get_span_context().trace_id


@pytest.mark.parametrize("how", ["send", "ask"])
async def test_a_message_that_waits_for_room_belongs_to_its_sender(bench: Bench, how: str) -> None:
    """It gets in while the receiver's code runs, and is still part of the sender's trace, once."""
    specs = presses("a", mailbox=Mailbox(capacity=1))
    async with ActorSystem(children=specs, telemetry=bench.telemetry()) as system:
        a = system.ref("a")
        a.tell(1.0)
        await asyncio.sleep(0.1)
        a.tell(2.0)
        with bench.tracers.get_tracer("host").start_as_current_span("host") as host:
            await (a.send("late") if how == "send" else a.ask("late"))
        await asyncio.sleep(5)
        late = [span for span in bench.named(f"{how} a") if span.parent == host.get_span_context()]
        assert len(late) == 1
        process = bench.named("process a")[-1]
        if how == "ask":
            assert process.parent == late[0].context
        else:
            assert [link.context for link in process.links] == [late[0].context]
        assert bench.points("bifrost.actor.mailbox.wait")["a"].count == 3


async def test_failures_are_marked(bench: Bench) -> None:
    """A crash marks the handling and the ask; a deadline marks the ask alone."""
    async with ActorSystem(children=presses("a"), telemetry=bench.telemetry()) as system:
        with pytest.raises(ActorCrashed):
            await system.ref("a").ask(ValueError("broken"))
        await system.ref("a").wait_running()
        with pytest.raises(AskTimeout):
            await system.ref("a").ask(5.0, timeout=1)
        await asyncio.sleep(10)
        crashed, slow = bench.named("process a")
        assert crashed.status.status_code is StatusCode.ERROR
        assert crashed.events[0].name == "exception"
        assert slow.status.status_code is StatusCode.UNSET
        assert [span.status.status_code for span in bench.named("ask a")] == [StatusCode.ERROR] * 2
        assert "AskTimeout" in str(bench.named("ask a")[1].status.description)


class Speechless(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise ZeroDivisionError


async def test_an_error_that_cannot_speak_still_ends_its_spans(bench: Bench) -> None:
    """Its text is lost, the spans and the counts are not, and the actor comes back."""
    async with ActorSystem(children=presses("a"), telemetry=bench.telemetry()) as system:
        with pytest.raises(ActorCrashed):
            await system.ref("a").ask(Speechless())
        await system.ref("a").wait_running()
        assert await system.ref("a").ask(1) == 1
        await asyncio.sleep(0.1)
        assert [span.status.status_code for span in bench.named("process a")] == [StatusCode.ERROR, StatusCode.UNSET]
        assert len(bench.named("ask a")) == 2


async def test_the_context_comes_along_from_a_thread(bench: Bench) -> None:
    """A tell from a foreign thread is linked to the span that was open there."""
    async with ActorSystem(children=presses("a"), telemetry=bench.telemetry()) as system:
        contexts = []

        def from_thread() -> None:
            with bench.tracers.get_tracer("host").start_as_current_span("thread") as span:
                contexts.append(span.get_span_context())
                system.ref("a").tell("hello")

        await asyncio.to_thread(from_thread)
        await asyncio.sleep(0.1)
        assert [span.parent for span in bench.named("send a")] == contexts
        assert len(bench.named("process a")) == 1


async def test_a_timers_message_is_a_root_without_a_send(bench: Bench) -> None:
    """What an actor sends to itself by a timer begins a trace of its own."""
    async with ActorSystem(children=presses("a"), telemetry=bench.telemetry()) as system:
        await system.ref("a").ask(("timer", "tick"))
        await asyncio.sleep(2)
        _, tick = bench.named("process a")
        assert tick.parent is None
        assert not tick.links
        assert bench.named("send a") == []


async def test_a_handlers_span_does_not_stay_behind(bench: Bench) -> None:
    """After a message, and after a crash, the next one begins without a current span."""
    async with ActorSystem(children=presses("a"), telemetry=bench.telemetry()) as system:
        a = system.ref("a")
        ids = {await a.ask("trace id") for _ in range(3)}
        with pytest.raises(ActorCrashed):
            await a.ask(ValueError("broken"))
        ids.add(await a.ask("trace id"))
        assert len(ids) == 4


async def test_single_samples_have_no_span(bench: Bench) -> None:
    """A message that is one sample is counted but not traced; the switch is the application's to set."""
    sample = TagValue("t", 1, 0, 0, 0)
    async with ActorSystem(children=presses("a"), telemetry=bench.telemetry()) as system:
        system.ref("a").tell(sample)
        system.ref("a").tell([sample])
        await asyncio.sleep(0.1)
        assert len(bench.named("process a")) == 1
        assert bench.points("bifrost.actor.processed")["a"].value == 2
    chosen = Bench()
    switch = chosen.telemetry(spans=lambda path, _message: path == "b")
    async with ActorSystem(children=presses("a", "b"), telemetry=switch) as system:
        system.ref("a").tell(1)
        system.ref("b").tell(1)
        await asyncio.sleep(0.1)
    assert [span.name for span in chosen.spans.get_finished_spans()] == ["send b", "process b"]


async def test_the_providers_sampler_decides_too() -> None:
    """With a sampler that takes nothing there are metrics and no spans."""
    bench = Bench(sampler=ALWAYS_OFF)
    async with ActorSystem(children=presses("a"), telemetry=bench.telemetry()) as system:
        await system.ref("a").ask(1)
        assert bench.points("bifrost.actor.processed")["a"].value == 1
    assert bench.spans.get_finished_spans() == ()


async def test_paths_are_capped(bench: Bench) -> None:
    """Beyond max_paths actors are counted together, so that a crowd does not flood the backend."""
    names = [f"d{n}" for n in range(10)]
    async with ActorSystem(children=presses(*names), telemetry=bench.telemetry(max_paths=3)) as system:
        for name in names:
            await system.ref(name).ask(1)
        points = bench.points("bifrost.actor.processed")
        assert len(points) == 4
        assert points["(other)"].value == 7
        assert len(bench.points("bifrost.actor.mailbox.depth")) == 4
        assert len({span.name for span in bench.spans.get_finished_spans()}) == 8


async def test_it_is_off_without_a_provider() -> None:
    """With the API alone nothing is attached: messages travel the short way."""
    async with ActorSystem(children=presses("a"), telemetry=ActorTelemetry()) as system:
        assert system.meter is None
        assert not system.events.has_subscribers
        assert await system.ref("a").ask(1) == 1


async def test_one_telemetry_for_one_system(bench: Bench) -> None:
    """It says so when it is given to two at once, and serves the next when the first has ended."""
    telemetry = bench.telemetry()
    async with ActorSystem("one", presses("a"), telemetry=telemetry) as system:
        with pytest.raises(ActorError, match="measures system 'one'"):
            await ActorSystem("two", telemetry=telemetry).__aenter__()
        assert system.meter is not None
    async with ActorSystem("three", presses("a"), telemetry=telemetry) as system:
        assert await system.ref("a").ask(1) == 1


def test_it_is_off_unless_the_application_has_set_a_provider() -> None:
    """In an interpreter of its own: first no provider, then the global ones of the SDK."""
    code = """
import asyncio
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from bifrost.actors import Actor, ActorSystem, ChildSpec
from bifrost.actors.telemetry import ActorTelemetry

async def metered():
    async with ActorSystem(children=[ChildSpec(id="a", start=Actor)], telemetry=ActorTelemetry()) as system:
        await system.ref("a").ask(1)
        return system.meter is not None

print(asyncio.run(metered()))
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
trace.set_tracer_provider(TracerProvider())
print(asyncio.run(metered()), len(reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "True", "3"]
