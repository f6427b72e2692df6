"""What an envelope becomes on MQTT: nothing is lost, everything fits, no topic has a wildcard."""

from __future__ import annotations

import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bifrost.bridge.connectors.mqtt_message import messages
from bifrost.bridge.connectors.mqtt_settings import MqttSettings
from bifrost.core.batch import Batch
from bifrost.core.ports import Envelope
from bifrost.core.value import Value

VALUES = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=20), st.none()
)


def envelope(tags: list[str], values: list[Value], origin: str = "press", *, replayed: bool = False) -> Envelope:
    batch = Batch.from_columns(tags, list(range(len(tags))), values, origin=origin)
    return Envelope("f" * 32, 9, "telemetry", batch, replayed)


@given(st.lists(st.tuples(st.sampled_from(["a", "b/c", "d+#e"]), VALUES), min_size=1, max_size=60), st.booleans())
def test_all_parts_together_hold_every_sample_once(rows: list[tuple[str, Value]], by_tag: bool) -> None:
    """Any values, any limit: each sample is in exactly one part, every part fits or is a single sample."""
    item = envelope([tag for tag, _ in rows], [value for _, value in rows])
    settings = MqttSettings(topic="x/{tag}" if by_tag else "x/{origin}", max_payload_bytes=1024)
    made = messages(item, settings)
    samples = []
    for number, message in enumerate(made):
        body = msgspec.json.decode(message.payload)
        assert (body["seq"], body["part"], body["parts"]) == (9, number, len(made))
        assert ("part", f"{number}/{len(made)}") in message.properties
        assert len(message.payload) <= 1040 or len(body["samples"]) == 1
        assert not set(message.topic) & set("+#\0")
        samples += body["samples"]
    samples.sort(key=lambda sample: sample["ts"])
    expected = [(tag, row, value) for row, (tag, value) in enumerate(rows)]
    found = [(sample["tag"], sample["ts"], sample["value"]) for sample in samples]
    jsonable = [
        (tag, row, str(value).replace("inf", "Infinity") if isinstance(value, float) and math.isinf(value) else value)
        for tag, row, value in expected
    ]
    assert found == jsonable


def test_integers_stay_exact_and_floats_that_json_lacks_are_named() -> None:
    """2^63 - 1 comes out as itself; NaN and the infinities are texts; a status travels when it is not GOOD."""
    item = envelope(["a"] * 4, [2**63 - 1, math.nan, math.inf, -math.inf])
    (message,) = messages(item, MqttSettings())
    samples = msgspec.json.decode(message.payload)["samples"]
    assert [sample["value"] for sample in samples] == [2**63 - 1, "NaN", "Infinity", "-Infinity"]
    assert "status" not in samples[0]


def test_topics_are_made_of_the_template() -> None:
    """Stream, origin and tag are filled in; what is empty becomes an underscore."""
    item = envelope(["a", "b"], [1, 2], origin="")
    topics = [message.topic for message in messages(item, MqttSettings(topic="site/{stream}/{origin}/{tag}"))]
    assert topics == ["site/telemetry/_/a", "site/telemetry/_/b"]


def test_a_replay_is_flagged_and_the_native_encoding_is_lossless() -> None:
    """`replayed` is a user property; with ``payload = "batch"`` the bytes decode to the very batch."""
    item = envelope(["a"], [math.nan], replayed=True)
    (message,) = messages(item, MqttSettings(payload="batch"))
    assert ("replayed", "true") in message.properties
    assert Batch.decode(message.payload) == item.batch
    assert message.content_type == "application/vnd.bifrost.batch"
