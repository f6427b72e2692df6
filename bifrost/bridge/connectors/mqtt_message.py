"""What an envelope becomes on MQTT: topics, payloads, and the user properties that make a duplicate recognisable.

In: an envelope. Out: messages. Not here: the connection.

A JSON payload is one object: `buffer_id`, `seq`, `part`, `parts`, `stream`, `origin`, `replayed`, and `samples`, each
with `tag`, `ts` and `received` (ns since 1970, UTC), `value`, `status` (OPC UA). Integers stay integers of 64 bits;
bytes are base64; a float that JSON cannot write is the text ``NaN``, ``Infinity`` or ``-Infinity``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from bifrost.bridge.connectors.mqtt_settings import MqttSettings
from bifrost.core.batch import Batch
from bifrost.core.ports import Envelope
from bifrost.core.value import Value

__all__ = ["Message", "messages"]

_WILDCARDS = str.maketrans({"+": "_", "#": "_", "\0": "_"})
_encoder = msgspec.json.Encoder()


class Message(NamedTuple):
    """One publish."""

    topic: str
    payload: bytes
    content_type: str
    properties: list[tuple[str, str]]


class _Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    tag: str
    ts: int
    value: Value
    status: int = 0
    received: int | None = None


class _Body(msgspec.Struct, frozen=True):
    buffer_id: str
    seq: int
    part: int
    parts: int
    stream: str
    origin: str
    replayed: bool
    samples: list[_Sample]


def messages(item: Envelope, settings: MqttSettings) -> list[Message]:
    """Turn an envelope into as many messages as the topic template and the payload limit ask for."""
    chunks = [
        (topic, chunk) for topic, batch in _by_topic(item, settings.topic) for chunk in _fitting(batch, item, settings)
    ]
    content_type = "application/json" if settings.payload == "json" else "application/vnd.bifrost.batch"
    made = []
    for part, (topic, batch) in enumerate(chunks):
        properties = [
            ("buffer_id", item.buffer_id),
            ("seq", str(item.seq)),
            ("part", f"{part}/{len(chunks)}"),
            ("stream", item.stream),
        ]
        if item.replayed:
            properties.append(("replayed", "true"))
        made.append(Message(topic, _payload(batch, item, settings, part, len(chunks)), content_type, properties))
    return made


def _by_topic(item: Envelope, template: str) -> Iterator[tuple[str, Batch]]:
    words = {"stream": _level(item.stream), "origin": _level(item.batch.origin)}
    if "{tag}" not in template:
        yield template.format(**words), item.batch
        return
    for tag in item.batch.tags():
        yield template.format(**words, tag=_level(tag)), item.batch.select([tag])


def _level(word: str) -> str:
    """A word as part of a topic: never empty, no wildcard."""
    return word.translate(_WILDCARDS) or "_"


def _fitting(batch: Batch, item: Envelope, settings: MqttSettings) -> list[Batch]:
    """Halve a batch until every payload fits; a single row that does not fit goes as it is, for the broker to judge."""
    if len(batch) <= 1 or len(_payload(batch, item, settings, 0, 1)) <= settings.max_payload_bytes:
        return [batch]
    middle = len(batch) // 2
    return [
        *_fitting(batch.slice(0, middle), item, settings),
        *_fitting(batch.slice(middle, len(batch)), item, settings),
    ]


def _payload(batch: Batch, item: Envelope, settings: MqttSettings, part: int, parts: int) -> bytes:
    if settings.payload == "batch":
        return batch.encode()
    samples = [
        _Sample(tag, source_ts, _json_value(value), status, received)
        for tag, source_ts, value, status, received in batch.rows()
    ]
    body = _Body(item.buffer_id, item.seq, part, parts, item.stream, batch.origin, item.replayed, samples)
    return _encoder.encode(body)


def _json_value(value: Value) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
