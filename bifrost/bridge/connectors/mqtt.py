"""MQTT through aiomqtt: publishes at QoS 1 and believes only a positive PUBACK.

In: envelopes. Out: one outcome each. Not here: what a message looks like (`mqtt_message`), reconnecting (the uplink's
actors close this object and make a new one).

Obeys: MQTT 5.0, sections 3.4 (PUBACK), 4.4 (delivery retry), 4.9 (flow control).

`aiomqtt.Client.publish` returns normally when the broker refuses a message (it drops the PUBACK's reason code), so
messages are published through the paho client inside, and the reason code of every PUBACK is read here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bifrost.bridge.connectors.mqtt_ledger import Ledger
from bifrost.bridge.connectors.mqtt_message import Message
from bifrost.bridge.connectors.mqtt_settings import MqttSettings
from bifrost.bridge.connectors.registry import Connector
from bifrost.core.ports import Deferred, Delivered, Envelope, Outcome, Refused
from bifrost.errors import ConfigError, LinkError, LinkTimeout, MissingExtra, NotConnected

if TYPE_CHECKING:
    import aiomqtt

__all__ = ["MQTT", "MqttSettings", "MqttUplink"]

# MQTT 5.0 section 3.4.2.1. Below 0x80 the broker has the message, 0x10 says that nobody is subscribed at the moment.
_FAILURE = 0x80
_NOT_AUTHORIZED = 0x87
_PERMANENT = {0x90: "topic name invalid", 0x99: "payload format invalid"}

# CONNACK codes that no retry mends, section 3.2.2.2.
_HOPELESS_CONNACK = {0x84: "unsupported protocol version", 0x85: "client identifier not valid"}


class MqttUplink:
    """One connection to one broker. A `core.ports.Uplink`."""

    def __init__(self, settings: MqttSettings) -> None:
        """Nothing is connected before `open`.

        Raises:
            ConfigError: the settings can never work or would be unsafe; all mistakes are in `.mistakes`.
        """
        if mistakes := [problem.text for problem in settings.problems()]:
            raise ConfigError("; ".join(mistakes), mistakes=mistakes)
        self._settings = settings
        self._client: aiomqtt.Client | None = None
        self._watch: asyncio.Task[None] | None = None
        self._lost: str | None = None
        self._acks: dict[int, asyncio.Future[int]] = {}
        self._largest_packet: int | None = None
        self._most_in_flight = settings.max_in_flight
        self._published = 0
        self._denied = 0

    async def open(self) -> None:
        """Connect, unless connected.

        Raises:
            MissingExtra: aiomqtt is not installed.
            ConfigError: certificates or credentials cannot be read, or the broker will never take this client.
            LinkError: no broker there at the moment, or it refused: retry.
        """
        if self._lost is not None:
            raise NotConnected(f"{self._settings.url}: {self._lost}")
        if self._client is not None:
            return
        client = self._make_client()
        await self._enter(client)
        self._client = client
        self._watch = asyncio.create_task(self._watch_link(client), name="mqtt-link")

    async def deliver(self, items: Sequence[Envelope]) -> Sequence[Outcome]:
        """Publish all items, `max_in_flight` messages at a time.

        Raises:
            LinkError: the link was lost, or nothing was acknowledged in time, before any item was complete.
        """
        if self._client is None or self._lost is not None:
            raise NotConnected(f"{self._settings.url}: {self._lost or 'not connected'}")
        ledger = Ledger(items, self._settings)
        work = ledger.work()
        workers = [asyncio.create_task(self._publish_all(work, ledger)) for _ in range(self._most_in_flight)]
        try:
            lost = [error for error in await asyncio.gather(*workers) if error is not None]
        finally:
            for worker in workers:
                worker.cancel()
        return ledger.close(lost[0] if lost else None)

    async def aclose(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        self._lose("closed")
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        if client is not None:
            import aiomqtt

            with contextlib.suppress(aiomqtt.MqttError):  # the link is gone: there is nothing to say goodbye to
                await client.__aexit__(None, None, None)

    def figures(self) -> Mapping[str, int | float | str]:
        """Messages that the broker acknowledged, and those that it denied, on this connection."""
        return {"published": self._published, "denied": self._denied}

    def _make_client(self) -> aiomqtt.Client:
        try:
            import aiomqtt
        except ImportError as error:
            raise MissingExtra("MQTT needs aiomqtt: install it with `pip install bifrost-edge[mqtt]`") from error
        settings = self._settings
        client = aiomqtt.Client(
            settings.host,
            settings.port,
            username=settings.username,
            password=settings.secret(),
            identifier=settings.client_id or None,
            protocol=aiomqtt.ProtocolVersion.V5,
            timeout=settings.timeout,
            keepalive=settings.keepalive,
            tls_context=settings.tls_context(),
            max_inflight_messages=settings.max_in_flight,
        )
        paho = getattr(client, "_client", None)
        if paho is None or not hasattr(paho, "on_publish"):
            raise ConfigError("this aiomqtt hides its paho client, so a refused message would go unnoticed: use 2.5")
        paho.connect_timeout = settings.timeout
        paho.on_publish = self._on_publish
        on_connect = paho.on_connect

        def note_limits(*args: Any) -> None:
            properties = args[4] if len(args) > 4 else None
            self._largest_packet = getattr(properties, "MaximumPacketSize", None)
            # Section 3.2.2.3.3: the broker closes the link over one message more; paho does not count them.
            self._most_in_flight = min(settings.max_in_flight, getattr(properties, "ReceiveMaximum", 65_535))
            on_connect(*args)

        paho.on_connect = note_limits
        return client

    async def _enter(self, client: aiomqtt.Client) -> None:
        import aiomqtt

        try:
            await client.__aenter__()
        except aiomqtt.MqttError as error:
            code = getattr(getattr(error, "rc", None), "value", 0)
            if code in _HOPELESS_CONNACK:
                raise ConfigError(f"{self._settings.url} refuses this client: {_HOPELESS_CONNACK[code]}") from error
            raise NotConnected(f"{self._settings.url}: {error}") from error
        except NotImplementedError as error:
            raise ConfigError("MQTT needs an event loop with add_reader: on Windows use a SelectorEventLoop") from error

    async def _watch_link(self, client: aiomqtt.Client) -> None:
        import aiomqtt

        try:
            async for _ in client.messages:
                pass  # nothing is subscribed
        except aiomqtt.MqttError as error:
            self._lose(str(error) or "the connection was lost")
        else:
            self._lose("the connection ended")

    def _lose(self, reason: str) -> None:
        if self._lost is None:
            self._lost = reason
        acks, self._acks = self._acks, {}
        for ack in acks.values():
            if not ack.done():
                ack.set_exception(NotConnected(f"{self._settings.url}: {self._lost}"))

    def _on_publish(self, _client: object, _userdata: object, mid: int, reason_code: Any, _properties: object) -> None:
        ack = self._acks.pop(mid, None)
        if ack is not None and not ack.done():
            ack.set_result(int(reason_code.value))

    async def _publish_all(self, work: Iterator[tuple[int, Message]], ledger: Ledger) -> LinkError | None:
        """Publish one message after the other until there are no more or the link is lost."""
        for number, message in work:
            try:
                ledger.note(number, await self._publish(message))
            except LinkError as error:
                return error
        return None

    async def _publish(self, message: Message) -> Outcome:
        if self._largest_packet is not None and len(message.payload) + 1024 > self._largest_packet:
            # The broker would close the connection, again and again: section 3.2.2.3.6.
            return Refused(f"a message of {len(message.payload)} bytes is larger than the broker takes")
        client = self._client
        if client is None or self._lost is not None:
            raise NotConnected(f"{self._settings.url}: {self._lost or 'not connected'}")
        info = client._client.publish(message.topic, message.payload, 1, False, _properties(message))  # noqa: SLF001 - see above
        if info.rc != 0:
            raise NotConnected(f"{self._settings.url}: the message was not sent (code {info.rc})")
        ack = self._acks[info.mid] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._settings.timeout):
                code = await ack
        except TimeoutError:
            self._lose(f"no acknowledgement within {self._settings.timeout:g} s")
            raise LinkTimeout(f"{self._settings.url}: no acknowledgement within {self._settings.timeout:g} s") from None
        finally:
            self._acks.pop(info.mid, None)
        return self._judge(code, message.topic)

    def _judge(self, code: int, topic: str) -> Outcome:
        if code < _FAILURE:
            self._published += 1
            return Delivered()
        self._denied += 1
        if code == _NOT_AUTHORIZED:
            reason = f"the broker does not allow this client to publish to '{topic}' (0x87)"
            return Refused(reason) if self._settings.on_denied == "dead_letter" else Deferred(reason)
        if code in _PERMANENT:
            return Refused(f"{_PERMANENT[code]} (0x{code:02x}), topic '{topic}'")
        return Deferred(f"the broker answered 0x{code:02x} for topic '{topic}'")


def _properties(message: Message) -> Any:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    properties.ContentType = message.content_type
    properties.UserProperty = message.properties
    return properties


MQTT = Connector(MqttSettings, MqttUplink)
"""The connector ``mqtt``."""
