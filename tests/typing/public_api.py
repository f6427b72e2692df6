"""What the public names are to a type checker: these functions are checked, never called.

Each `type: ignore` here is an expectation: the checker complains about one that is not needed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, assert_type

from bifrost import (
    Actor,
    ActorRef,
    ActorSystem,
    Aggregator,
    Anomaly,
    Batch,
    ChildSpec,
    DataType,
    Detector,
    Gateway,
    Pipeline,
    PLCConnection,
    Quality,
    Supervisor,
    Tag,
    TagValue,
    Window,
)
from bifrost.actors import ActorSnapshot, Delivery
from bifrost.core.ports import Deferred, Delivered, Envelope, Outcome, Refused, Sink, Source, Uplink
from bifrost.core.value import Value
from bifrost.edge import RunningPipeline
from bifrost.gateway import DeviceInfo, GatewayStatus
from bifrost.plc import LinkState, Snapshot, TagReadings, WriteResults

__all__ = [
    "the_actors",
    "the_batch",
    "the_connection",
    "the_gateway",
    "the_pipeline",
    "the_ports",
]

Row = tuple[str, int, Value, int, int | None]


async def the_pipeline(plc: PLCConnection, historian: Sink) -> None:
    """Every call of the builder gives a pipeline, and sinks may be objects or functions, plain or async."""

    def on_batch(batch: Batch) -> None:
        assert_type(batch.origin, str)

    async def on_anomalies(found: list[Anomaly]) -> None:
        assert_type(found[0].score, float)

    start = assert_type(Pipeline("press"), Pipeline)
    sourced = assert_type(start.source(plc, tags=["temperature"]), Pipeline)
    filtered = assert_type(sourced.select(["temperature"]).filter(lambda batch: batch.slice(0, 1)), Pipeline)
    windowed = assert_type(filtered.window(Window.tumbling(seconds=60)), Pipeline)
    aggregated = assert_type(windowed.aggregate(Aggregator.mean(), Aggregator.std()), Pipeline)
    detected = assert_type(aggregated.detect_anomalies(Detector.mad(), on="mean"), Pipeline)
    ended = assert_type(detected.sink(historian).sink(on_batch).sink_on_anomaly(on_anomalies), Pipeline)
    assert_type(ended.specs(), list[ChildSpec])
    assert_type(ended.child_spec("press"), ChildSpec)
    async with ended.open() as running:
        assert_type(running, RunningPipeline)
        assert_type(await running.send(Batch.from_values([])), None)
    assert_type(await ended.run(), None)
    ended.source(42)  # type: ignore[arg-type]  # neither a source nor a name
    ended.window("60 s")  # type: ignore[arg-type]  # a window is a Window
    ended.aggregate("mean")  # type: ignore[arg-type]  # an aggregator is an Aggregator
    ended.sink(historian, timeout="soon")  # type: ignore[arg-type]  # seconds


class Counter(Actor[int]):
    """An actor that takes whole numbers."""

    async def receive(self, message: int) -> int:
        """Count one further."""
        return message + 1


async def the_actors(ref: ActorRef[int], anybody: ActorRef[object]) -> None:
    """A ref takes its actor's messages and no others."""
    assert_type(ref.tell(1), Delivery)
    assert_type(await ref.send(1), None)
    assert_type(await ref.ask(1, timeout=1.0), Any)
    assert_type(ref.path, str)
    assert_type(await ref.wait_running(), None)
    ref.tell("one")  # type: ignore[arg-type]  # this actor takes numbers
    await ref.send(None)  # type: ignore[arg-type]  # as above
    await ref.ask(b"")  # type: ignore[call-overload]  # as above
    anybody.tell("one")
    assert_type(ref == anybody, bool)
    spec = assert_type(ChildSpec(id="counter", start=Counter), ChildSpec)
    branch = assert_type(Supervisor.spec("branch", [spec]), ChildSpec)
    async with ActorSystem("plant", [branch]) as system:
        assert_type(system, ActorSystem)
        assert_type(system.snapshot(), ActorSnapshot)
        assert_type(system.ref("branch/counter"), ActorRef[Any])


async def the_connection(plc: PLCConnection) -> None:
    """Readings are a mapping from names to readings; a bare value may be of any kind."""
    temperature = assert_type(Tag("temperature", "HR1", DataType.FLOAT32), Tag)
    async with plc as itself:
        assert_type(itself, PLCConnection)
    readings = assert_type(await plc.read_tags([temperature, "speed"]), TagReadings)
    assert_type(readings["temperature"], TagValue)
    assert_type(readings["temperature"].value, Value)
    assert_type(readings["temperature"].quality, Quality)
    assert_type(readings.ok, bool)
    assert_type(await plc.read(temperature), Value)
    assert_type(await plc.read_batch(), Batch)
    assert_type(await plc.write(temperature, 21.5), None)
    outcomes = await plc.write_tags({temperature: 21.5, "speed": 1})
    assert_type(list(outcomes), list[str])
    assert_type(plc.state, LinkState)
    assert_type(outcomes, WriteResults)
    by_name = {"speed": 1}
    await plc.write_tags(by_name)
    await plc.write_tags({temperature: 1.0})
    await plc.write_tags({4711: 1})  # type: ignore[dict-item]  # tags, or names of some
    assert_type(readings["temperature"].expect(float), float)
    assert_type(float(readings["temperature"]), float)
    assert_type(plc.poll(interval_ms=100), AsyncGenerator[Snapshot, None])
    async for batch in plc.batches(max_rows=100):
        assert_type(batch, Batch)
    as_source: Source = plc
    assert_type(as_source.batches(), AsyncIterator[Batch])
    await plc.read(4711)  # type: ignore[arg-type]  # a tag, or the name of one
    await plc.read_tags(temperature)  # type: ignore[arg-type]  # a list of tags


def the_batch(readings: Sequence[TagValue]) -> None:
    """A batch goes in as columns or readings, and comes out as rows, readings or bytes."""
    batch = assert_type(Batch.from_values(readings, origin="press", sequence=7), Batch)
    assert_type(Batch.from_columns(["t"], [1], [2.0], status=[0]), Batch)
    assert_type(Batch.concat([batch, batch]), Batch)
    assert_type(Batch.decode(batch.encode()), Batch)
    assert_type(batch.rows(), list[Row])
    assert_type(batch.tags(), list[str])
    assert_type([each.value for each in batch.iter_values()], list[Value])
    assert_type(batch.select({"t"}).slice(0, 1), Batch)
    assert_type(batch.first_ts_ns, int | None)
    assert_type(len(batch), int)
    Batch.from_columns("t", [1], ["x"], status=["GOOD"])  # type: ignore[list-item]  # status codes are numbers


async def the_ports(uplink: Uplink, envelope: Envelope) -> str:
    """An outcome is one of three, and a `match` over them is complete."""
    assert_type(await uplink.open(), None)
    outcomes = assert_type(await uplink.deliver([envelope]), Sequence[Outcome])
    match outcomes[0]:
        case Delivered():
            return "delivered"
        case Deferred(reason, after):
            assert_type(after, float | None)
            return reason
        case Refused(reason):
            return reason


async def the_gateway(on_row: Callable[[Batch], None]) -> None:
    """A gateway is itself inside its block."""
    async with Gateway.from_file("gateway.toml", sinks={"mine": on_row}) as gateway:
        assert_type(gateway, Gateway)
        assert_type(await gateway.add_device("oven", {"host": "192.0.2.8"}), DeviceInfo)
        assert_type(await gateway.devices(), tuple[DeviceInfo, ...])
        assert_type(await gateway.status(), GatewayStatus)
        assert_type(gateway.tree(), ActorSnapshot)
