"""OpenTelemetry metrics and spans of one actor system.

In: what the runtime tells a meter, and events. Out: instruments and spans of the providers that the application has set
up; without any, nothing is attached and no message pays for it. Not here: exporters, providers, samplers: they are the
application's, from ``opentelemetry-sdk``.

Metrics, each with the attributes ``bifrost.system``, ``bifrost.actor.class`` and ``bifrost.actor.path``:

- ``bifrost.actor.mailbox.depth``: messages that wait (gauge)
- ``bifrost.actor.mailbox.wait``: seconds from a message's arrival to its handler's begin (histogram)
- ``bifrost.actor.processed``: messages handled, failed ones included (counter; ``error.type`` if it failed)
- ``bifrost.actor.dropped``: messages that nobody handled (counter; ``bifrost.dead_letter.reason``)
- ``bifrost.actor.restarts``: incarnations after the first (counter)
- ``bifrost.actor.handler.duration``: seconds in the handler (histogram; ``error.type`` if it failed)

Spans: ``send PATH`` (PRODUCER) when a message enters a mailbox, ``process PATH`` (CONSUMER) around its handler: the
root of a new trace, linked to the send, so that a trace does not grow for as long as the system runs. An ask is one
trace: ``ask PATH`` (CLIENT) until the answer, and ``process PATH`` (SERVER) below it. A message that an actor sends to
itself by a timer has only the second span. The context travels in the message's envelope, also from other threads.

Source: OpenTelemetry semantic conventions for messaging spans.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from bifrost.actors import events
from bifrost.actors.blocking import BlockingShell
from bifrost.actors.exit_reason import error_text
from bifrost.actors.meters import add_meter
from bifrost.actors.worker import WorkerCell
from bifrost.core.value import TagValue
from bifrost.errors import ActorError, MissingExtra

try:
    from opentelemetry import context as otel_context
    from opentelemetry import metrics, trace
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode
except ImportError as error:
    raise MissingExtra(f"{error.name} is missing: pip install 'bifrost-edge[otel]'") from error

if TYPE_CHECKING:
    from bifrost.actors.cell import Cell
    from bifrost.actors.dead_letters import DeadLetterReason
    from bifrost.actors.mailbox import Envelope
    from bifrost.actors.system import ActorSystem

__all__ = ["ActorTelemetry"]

_Attributes = Mapping[str, str]

_SCOPE: Final = "bifrost.actors"
_OTHER: Final = "(other)"
_SECONDS: Final = (1e-5, 1e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SCRAPE_LIMIT: Final = 1.0  # seconds that an exporter's thread waits for the loop to count the mailboxes


class _Trace:
    """What travels with a message."""

    __slots__ = ("at", "span")

    def __init__(self) -> None:
        self.at = time.perf_counter()
        self.span: trace.Span | None = None


class ActorTelemetry:
    """Measures one system; give it to `ActorSystem(telemetry=...)`.

    Args:
        meter_provider: where metrics go; None is the global provider, if the application has set one.
        tracer_provider: where spans go; None is the global provider, if the application has set one.
        spans: the sampling switch: whether a message gets spans, given the receiver's path and the message. The default
            gives them to every message but single samples (`TagValue`); batches have them. A tracer provider's own
            sampler decides after it.
        max_paths: how many values ``bifrost.actor.path`` may take; further actors are counted together as ``(other)``,
            by class, and their spans are named so.

    Raises:
        MissingExtra: on import of this module, without ``opentelemetry-api``.
    """

    def __init__(
        self,
        *,
        meter_provider: metrics.MeterProvider | None = None,
        tracer_provider: trace.TracerProvider | None = None,
        spans: Callable[[str, object], bool] | None = None,
        max_paths: int = 1000,
    ) -> None:
        self._meter_provider = meter_provider
        self._tracer_provider = tracer_provider
        self._wants_span = spans or _is_no_sample
        self._max_paths = max_paths
        self._attributes: dict[tuple[str, str], _Attributes] = {}
        self._paths: set[str] = set()
        self._system: ActorSystem | None = None
        self._tracer: trace.Tracer | None = None
        self._detach: list[Callable[[], None]] = []

    def start(self, system: ActorSystem) -> None:
        """Begin to measure, if there is a provider; the system calls it before its actors start.

        Raises:
            ActorError: it measures already.
        """
        if self._system is not None:
            raise ActorError(f"this telemetry measures system {self._system.name!r}; make one for each system")
        meters = self._meter_provider or _unless_default(metrics.get_meter_provider())
        tracers = self._tracer_provider or _unless_default(trace.get_tracer_provider())
        if meters is None and tracers is None:
            return
        self._system = system
        self._tracer = None if tracers is None else tracers.get_tracer(_SCOPE)
        self._make_instruments(metrics.NoOpMeterProvider() if meters is None else meters)
        self._detach = [add_meter(system, self), system.events.subscribe(self._on_event)]

    def stop(self) -> None:
        """End it; the system calls it when it has stopped. The gauge shows nothing from then on."""
        for detach in self._detach:
            detach()
        self._detach = []
        self._system = None

    def _make_instruments(self, provider: metrics.MeterProvider) -> None:
        meter = provider.get_meter(_SCOPE)
        meter.create_observable_gauge(
            "bifrost.actor.mailbox.depth", [self._observe], unit="{message}", description="messages that wait"
        )
        self._wait = meter.create_histogram(
            "bifrost.actor.mailbox.wait",
            unit="s",
            description="from a message's arrival to its handler's begin",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._processed = meter.create_counter(
            "bifrost.actor.processed", unit="{message}", description="messages handled, failed ones included"
        )
        self._dropped = meter.create_counter(
            "bifrost.actor.dropped", unit="{message}", description="messages that nobody handled"
        )
        self._restarts = meter.create_counter(
            "bifrost.actor.restarts", unit="{restart}", description="incarnations after the first"
        )
        self._duration = meter.create_histogram(
            "bifrost.actor.handler.duration",
            unit="s",
            description="time in the handler",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    # The meter

    def sent(self, cell: Cell, envelope: Envelope) -> None:
        """See `Meter`."""
        travelling = _Trace()
        envelope.trace = travelling
        if self._tracer is None or envelope.owner is not None or not self._wants_span(cell.path, envelope.message):
            return
        path = self._attributes_of(cell)["bifrost.actor.path"]
        verb, kind = ("send", SpanKind.PRODUCER) if envelope.reply is None else ("ask", SpanKind.CLIENT)
        span = self._tracer.start_span(f"{verb} {path}", kind=kind, attributes=self._span_attributes(cell, envelope))
        travelling.span = span
        if envelope.reply is None:
            span.end()
        else:
            envelope.reply.add_done_callback(lambda reply: _end_ask(span, reply))

    def begin(self, cell: Cell, envelope: Envelope) -> object:
        """See `Meter`."""
        travelling = envelope.trace
        now = time.perf_counter()
        sent: trace.Span | None = None
        if isinstance(travelling, _Trace):
            self._wait.record(now - travelling.at, self._attributes_of(cell))
            sent = travelling.span
        if self._tracer is None or (sent is None and not self._wants_span(cell.path, envelope.message)):
            return now, None, None
        name = f"process {self._attributes_of(cell)['bifrost.actor.path']}"
        if sent is not None and envelope.reply is not None:
            kind, parent, links = SpanKind.SERVER, trace.set_span_in_context(sent, otel_context.Context()), []
        else:
            kind, parent = SpanKind.CONSUMER, otel_context.Context()
            links = [Link(sent.get_span_context())] if sent is not None else []
        attributes = self._span_attributes(cell, envelope)
        span = self._tracer.start_span(name, context=parent, kind=kind, links=links, attributes=attributes)
        return now, span, otel_context.attach(trace.set_span_in_context(span))

    def end(self, cell: Cell, envelope: Envelope, token: Any, error: BaseException | None) -> None:
        """See `Meter`."""
        begun, span, attached = token
        attributes = self._attributes_of(cell)
        if error is not None:
            attributes = {**attributes, "error.type": type(error).__qualname__}
        self._processed.add(1, attributes)
        self._duration.record(time.perf_counter() - begun, attributes)
        if span is not None:
            otel_context.detach(attached)
            try:
                if error is not None:
                    span.set_status(Status(StatusCode.ERROR, error_text(error)))
                    span.record_exception(error)  # asks the error for its text, which is foreign code
            finally:
                span.end()

    def dropped(self, cell: Cell, message: object, reason: DeadLetterReason) -> None:
        """See `Meter`."""
        self._dropped.add(1, {**self._attributes_of(cell), "bifrost.dead_letter.reason": reason.value})

    # Events and mailboxes

    def _on_event(self, event: events.ActorEvent) -> None:
        if isinstance(event, events.ActorRestarted) and self._system is not None:
            self._restarts.add(1, self._attributes_of(self._system.ref(event.path).cell))

    def _observe(self, options: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        """Count the mailboxes; an exporter calls this from a thread of its own, and the tree belongs to the loop's."""
        system = self._system
        if system is None:
            return []
        if threading.get_ident() == system.thread_id:
            return self._depths()
        counted: concurrent.futures.Future[list[metrics.Observation]] = concurrent.futures.Future()

        def count() -> None:
            if counted.set_running_or_notify_cancel():
                counted.set_result(self._depths())

        try:
            system.loop.call_soon_threadsafe(count)
            return counted.result(_SCRAPE_LIMIT)
        except (RuntimeError, TimeoutError):  # the loop is closed, or blocked: there is no figure this time
            counted.cancel()
            return []

    def _depths(self) -> list[metrics.Observation]:
        system = self._system
        if system is None:
            return []
        depths: dict[tuple[tuple[str, str], ...], int] = {}
        for cell in system.cells():
            if isinstance(cell, WorkerCell):
                key = tuple(self._attributes_of(cell).items())
                depths[key] = depths.get(key, 0) + cell.waiting_messages()
        return [metrics.Observation(depth, dict(key)) for key, depth in depths.items()]

    # Attributes

    def _attributes_of(self, cell: Cell) -> _Attributes:
        name = _class_of(cell)
        found = self._attributes.get((cell.path, name))
        if found is not None:
            return found
        path = cell.path
        if path not in self._paths:
            if len(self._paths) < self._max_paths:
                self._paths.add(path)
            else:
                path = _OTHER
        made = {
            "bifrost.system": cell.system.name,
            "bifrost.actor.class": name,
            "bifrost.actor.path": path,
        }
        if path != _OTHER or len(self._attributes) < 2 * self._max_paths:
            self._attributes[cell.path, name] = made
        return made

    def _span_attributes(self, cell: Cell, envelope: Envelope) -> dict[str, str]:
        return {
            **self._attributes_of(cell),
            "messaging.system": "bifrost",
            "messaging.destination.name": cell.path,
            "bifrost.message.type": type(envelope.message).__qualname__,
        }


def _class_of(cell: Cell) -> str:
    inc = cell.present if isinstance(cell, WorkerCell) else None
    if inc is not None and inc.actor is not None:
        actor = inc.actor
        return type(actor.body if isinstance(actor, BlockingShell) else actor).__qualname__
    return str(getattr(cell.spec.start, "__qualname__", type(cell.spec.start).__qualname__))


def _is_no_sample(_path: str, message: object) -> bool:
    return not isinstance(message, TagValue)


def _unless_default(provider: Any) -> Any:
    """The global provider, or None if it is the API's own stand-in: nobody has set one."""
    package = type(provider).__module__
    return None if package.startswith(("opentelemetry.metrics", "opentelemetry.trace")) else provider


def _end_ask(span: trace.Span, reply: Any) -> None:
    """End the span of an ask when its answer is there, or when it has failed."""
    if reply.cancelled():
        span.set_status(Status(StatusCode.ERROR, "the sender waits no more"))
    elif (failure := reply.exception()) is not None:
        span.set_status(Status(StatusCode.ERROR, error_text(failure)))
    span.end()
