"""MQTT against a real broker: what counts as delivered was acknowledged, whatever happens to the broker."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from bifrost.bridge.buffering import WalSettings, WriteAheadLog
from bifrost.bridge.buffering.port import WalPort
from bifrost.bridge.connectors.mqtt import MqttSettings, MqttUplink
from bifrost.bridge.delivery import Delivery, DeliverySettings
from bifrost.bridge.retry import RetrySettings
from bifrost.core.batch import Batch
from bifrost.core.ports import Deferred, Delivered, Envelope, Outcome, Refused
from bifrost.errors import ConfigError, LinkError
from tests.integration.mosquitto import Mosquitto, mosquitto, require_mosquitto
from tests.integration.waiting import until

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho leaves sockets of killed brokers open

RIGHTS = "topic readwrite bifrost/telemetry/#\ntopic read #\n"


def batch(sequence: int, rows: int = 3, origin: str = "press") -> Batch:
    return Batch.from_columns(
        [f"{origin}/t{row}" for row in range(rows)],
        [1_700_000_000_000_000_000 + sequence * 1000 + row for row in range(rows)],
        [sequence * 1000 + row for row in range(rows)],
        origin=origin,
        sequence=sequence,
    )


def envelope(sequence: int, stream: str = "telemetry") -> Envelope:
    return Envelope("0" * 32, sequence, stream, batch(sequence))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    require_mosquitto()
    with mosquitto(tmp_path, acl=RIGHTS) as running:
        yield running


class Subscriber:
    """Collects what arrives, over any number of broker lives."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen: Counter[int] = Counter()
        self.messages: list[aiomqtt.Message] = []
        self.ready = asyncio.Event()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(
                    "127.0.0.1", self.port, protocol=aiomqtt.ProtocolVersion.V5, timeout=2
                ) as client:
                    await client.subscribe("bifrost/#", qos=1)
                    self.ready.set()
                    async for message in client.messages:
                        self.messages.append(message)
                        assert isinstance(message.payload, bytes)
                        self.seen[msgspec.json.decode(message.payload)["seq"]] += 1
            self.ready.clear()
            await asyncio.sleep(0.05)


class Direct:
    """The uplink as a transport, made anew after every failure, as the sender actor does."""

    def __init__(self, settings: MqttSettings) -> None:
        self._settings = settings
        self.uplink = MqttUplink(settings)

    async def connect(self) -> None:
        try:
            await self.uplink.open()
        except LinkError:
            await self._anew()
            raise

    async def deliver(self, items: Sequence[Envelope]) -> Sequence[Outcome]:
        try:
            return await self.uplink.deliver(items)
        except LinkError:
            await self._anew()
            raise

    async def _anew(self) -> None:
        await self.uplink.aclose()
        self.uplink = MqttUplink(self._settings)


@contextlib.asynccontextmanager
async def opened(settings: MqttSettings) -> AsyncIterator[MqttUplink]:
    uplink = MqttUplink(settings)
    try:
        await uplink.open()
        yield uplink
    finally:
        await uplink.aclose()


@contextlib.asynccontextmanager
async def running(coroutine: Coroutine[object, object, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def drained(log: WriteAheadLog) -> bool:
    return not (await log.statistics()).records


async def test_an_acknowledged_publish_arrives_with_what_makes_it_recognisable(broker: Mosquitto) -> None:
    """Topic, JSON body and user properties say where a message comes from and which it is."""
    subscriber = Subscriber(broker.port)
    async with running(subscriber.run()), opened(MqttSettings(url=broker.url)) as uplink:
        await asyncio.wait_for(subscriber.ready.wait(), 5)
        assert await uplink.deliver([envelope(7)]) == [Delivered()]
        await until(lambda: bool(subscriber.messages))
    message = subscriber.messages[0]
    assert message.topic.value == "bifrost/telemetry/press"
    body = msgspec.json.decode(message.payload)
    assert body["seq"] == 7
    assert body["samples"][2] == {"tag": "press/t2", "ts": 1_700_000_000_000_007_002, "value": 7002}
    properties = getattr(message.properties, "UserProperty", [])
    assert ("buffer_id", "0" * 32) in properties
    assert ("seq", "7") in properties


async def test_a_publish_that_the_broker_denies_is_not_delivered(broker: Mosquitto) -> None:
    """A PUBACK "not authorized" holds the record or refuses it, by choice, and never counts as delivered."""
    async with opened(MqttSettings(url=broker.url)) as uplink:
        outcomes = await uplink.deliver([envelope(1), envelope(2, stream="secret"), envelope(3)])
        assert outcomes[0] == outcomes[2] == Delivered()
        assert isinstance(outcomes[1], Deferred)
        assert "0x87" in outcomes[1].reason
        assert uplink.figures() == {"published": 2, "denied": 1}
    async with opened(MqttSettings(url=broker.url, on_denied="dead_letter")) as uplink:
        assert isinstance((await uplink.deliver([envelope(2, stream="secret")]))[0], Refused)


async def test_no_more_is_in_flight_than_the_broker_takes(tmp_path: Path) -> None:
    """A broker that announces a small "receive maximum" may close the link over one message more, for ever again."""
    require_mosquitto()
    most = 0

    async def watch(uplink: MqttUplink) -> None:
        nonlocal most
        while True:
            most = max(most, len(uplink._acks))
            await asyncio.sleep(0)

    with mosquitto(tmp_path, lines="max_inflight_messages 2") as broker:
        settings = MqttSettings(url=broker.url, max_in_flight=50, timeout=5)
        async with opened(settings) as uplink, running(watch(uplink)):
            assert await uplink.deliver([envelope(seq) for seq in range(1, 200)]) == [Delivered()] * 199
    assert most == 2


async def test_a_black_holed_broker_ends_the_wait_at_its_deadline(broker: Mosquitto) -> None:
    """A broker that accepts bytes and answers nothing costs one timeout, then the link counts as lost."""
    async with opened(MqttSettings(url=broker.url, timeout=0.5)) as uplink:
        broker.stop_reading()
        try:
            started = asyncio.get_running_loop().time()
            with pytest.raises(LinkError):
                await uplink.deliver([envelope(1), envelope(2)])
            assert 0.4 < asyncio.get_running_loop().time() - started < 3
            with pytest.raises(LinkError):
                await uplink.open()
        finally:
            broker.read_again()


async def test_a_broker_that_is_not_there_is_a_link_error(broker: Mosquitto) -> None:
    """No broker: the uplink says so, to be retried, and can be closed."""
    broker.kill()
    uplink = MqttUplink(MqttSettings(url=broker.url, timeout=2))
    with pytest.raises(LinkError):
        await uplink.open()
    await uplink.aclose()


async def test_large_batches_travel_in_parts_that_fit(broker: Mosquitto) -> None:
    """No payload is larger than the limit, and together the parts hold every sample."""
    subscriber = Subscriber(broker.port)
    settings = MqttSettings(url=broker.url, max_payload_bytes=2048)
    async with running(subscriber.run()), opened(settings) as uplink:
        await asyncio.wait_for(subscriber.ready.wait(), 5)
        assert await uplink.deliver([Envelope("b" * 32, 1, "telemetry", batch(1, rows=200))]) == [Delivered()]
        rows: list[dict[str, object]] = []
        async with asyncio.timeout(5):
            while len(rows) < 200:
                rows = [row for m in subscriber.messages for row in msgspec.json.decode(m.payload)["samples"]]
                await asyncio.sleep(0.01)
    assert all(len(message.payload) <= 2048 for message in subscriber.messages)
    assert len({row["ts"] for row in rows}) == 200


async def test_broker_kills_and_restarts_lose_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    """While the broker is killed and restarted at awkward moments, every record is delivered at least once."""
    retry = RetrySettings(base=0.05, cap=0.2)
    async with await WriteAheadLog.open(WalSettings(path=str(tmp_path / "wal.sqlite"))) as log:
        port = WalPort()
        port.attach(log)
        settings = MqttSettings(url=broker.url, timeout=2)
        transport = Direct(settings)
        delivery = Delivery("broker", port, transport, DeliverySettings(retry=retry, batch_records=8, safety_poll=0.2))
        subscriber = Subscriber(broker.port)
        async with running(subscriber.run()), running(delivery.run()):
            await asyncio.wait_for(subscriber.ready.wait(), 5)
            for life in range(3):
                for sequence in range(60):
                    await log.append(batch(life * 60 + sequence))
                    if sequence == 30:
                        broker.kill()
                await asyncio.sleep(0.1)
                broker.start()
                await asyncio.wait_for(subscriber.ready.wait(), 5)
            await until(lambda: drained(log), timeout=20)
            assert delivery.statistics.delivered_records == 180
            assert delivery.statistics.link_failures >= 1
        await transport.uplink.aclose()


async def test_a_backlog_drains_on_reconnect_without_new_traffic(broker: Mosquitto, tmp_path: Path) -> None:
    """What was appended while the broker was away goes out as soon as it is back, with nothing appended meanwhile."""
    broker.kill()
    async with await WriteAheadLog.open(WalSettings(path=str(tmp_path / "wal.sqlite"))) as log:
        port = WalPort()
        port.attach(log)
        for sequence in range(100):
            await log.append(batch(sequence))
        transport = Direct(MqttSettings(url=broker.url, timeout=2))
        retry = RetrySettings(base=0.05, cap=0.1)
        delivery = Delivery("broker", port, transport, DeliverySettings(retry=retry))
        async with running(delivery.run()):
            await asyncio.sleep(0.3)
            assert not delivery.statistics.connected
            assert (await log.statistics()).records == 100
            broker.start()
            await until(lambda: drained(log), timeout=20)
        assert delivery.statistics.connected
        await transport.uplink.aclose()


def test_credentials_never_show_and_plain_links_stay_at_home() -> None:
    """A repr hides user and password; plain MQTT to another machine has to be asked for."""
    settings = MqttSettings(url="mqtts://broker.example", username="scott", password="tiger")
    assert "scott" not in repr(settings)
    assert "tiger" not in repr(settings)
    with pytest.raises(ConfigError, match="not encrypted"):
        MqttUplink(MqttSettings(url="mqtt://broker.example"))
    assert MqttSettings(url="mqtt://broker.example", insecure=True).port == 1883
    with pytest.raises(ConfigError, match="credentials"):
        MqttUplink(MqttSettings(url="mqtts://scott:tiger@broker.example"))


async def test_a_topic_with_the_tag_gives_each_tag_its_own_messages(broker: Mosquitto) -> None:
    """With ``{tag}`` in the template an item is many messages, and is delivered when all are acknowledged."""
    subscriber = Subscriber(broker.port)
    settings = MqttSettings(url=broker.url, topic="bifrost/{stream}/{tag}")
    async with running(subscriber.run()), opened(settings) as uplink:
        await asyncio.wait_for(subscriber.ready.wait(), 5)
        items = [Envelope("b" * 32, seq, "telemetry", batch(seq, rows=100)) for seq in range(1, 6)]
        assert await uplink.deliver(items) == [Delivered()] * 5
        await until(lambda: len(subscriber.messages) == 500)
    topics = Counter(message.topic.value for message in subscriber.messages)
    assert topics == {f"bifrost/telemetry/press/t{row}": 5 for row in range(100)}


async def test_tls_and_a_password_are_checked_by_both_sides(tmp_path: Path) -> None:
    """A broker with the right certificate and credentials is spoken to; a stranger's certificate or password is not."""
    require_mosquitto()
    for tool in ("openssl", "mosquitto_passwd"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is missing: apt-get install openssl mosquitto")
    await asyncio.to_thread(make_secrets, tmp_path)
    lines = (
        f"cafile {tmp_path}/cert.pem\ncertfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem\n"
        f"allow_anonymous false\npassword_file {tmp_path}/users"
    )
    with mosquitto(tmp_path, lines=lines) as secured:
        url = f"mqtts://localhost:{secured.port}"
        right = MqttSettings(url=url, ca_file=f"{tmp_path}/cert.pem", username="scott", password="tiger")
        async with opened(right) as uplink:
            assert await uplink.deliver([envelope(1)]) == [Delivered()]
        wrong_password = MqttSettings(url=url, ca_file=f"{tmp_path}/cert.pem", username="scott", password="lion")
        with pytest.raises(LinkError, match=r"(?i)not authori[sz]ed|bad user") as caught:
            async with opened(wrong_password):
                pass
        assert "lion" not in str(caught.value)
        stranger = MqttSettings(url=url, username="scott", password="tiger")
        with pytest.raises(LinkError, match=r"(?i)certificate"):
            async with opened(stranger):
                pass


def make_secrets(folder: Path) -> None:
    key, certificate, users = (str(folder / name) for name in ("key.pem", "cert.pem", "users"))
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "scott", "tiger"], check=True, capture_output=True)
