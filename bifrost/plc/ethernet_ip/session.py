"""One session with one controller: pycomm3 in its thread, with its traps closed.

In: messages for the controller. Out: its answers, its identity, its list of tags. Only the thread of the link imports
this module, for it imports pycomm3, which takes long. pycomm3 registers the session, opens the connection, uploads the
tags and knows the layouts of structures; requests for values are packed and read by bifrost (`requests`, `answers`),
because pycomm3 tells of a refusal only a text, and decodes what came as the type that it expected.

Not here: pycomm3's own `read` and `write`; closing and opening again, after which it keeps state of the link before.
Obeys: CIP volume 1 section 3-5.5 (Forward Open), CIP volume 2 section 2-4.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import urandom
from typing import Any

from bifrost.core.clock import Clock
from bifrost.errors import BifrostError, MissingExtra, NotConnected, ProtocolError
from bifrost.plc.ethernet_ip.answers import Answer, parse_answer
from bifrost.plc.ethernet_ip.cip_socket import CipSocket, SentMark
from bifrost.plc.ethernet_ip.faults import LINK_STATUS, cip_fault
from bifrost.plc.ethernet_ip.settings import EtherNetIPSettings
from bifrost.plc.ethernet_ip.tag_table import TagTable

try:
    from pycomm3 import LogixDriver
    from pycomm3.cip import PADDED_EPATH, ClassCode, ConnectionManagerInstances, ConnectionManagerServices
    from pycomm3.const import MSG_ROUTER_PATH, PRIORITY, TIMEOUT_TICKS, TRANSPORT_CLASS
    from pycomm3.exceptions import CommError, PycommError
    from pycomm3.packets.ethernetip import SendUnitDataRequestPacket
except ImportError as error:
    raise MissingExtra(f"{error.name} is missing: pip install 'bifrost-edge[ethernet-ip]'") from error

__all__ = ["LogixSession"]

# pycomm3 says that it is typed, and is not where it matters here.
_Untyped: Any = LogixDriver

_LARGE, _SMALL = 4000, 500
_MULTIPLIER = 7  # of the RPI: 4 * 2**7
_CONNECTION = 0b0100_0010 << 8  # point to point, low priority, variable size; CIP volume 1 section 3-5.5.1.1
_MICRO800 = "2080"  # what their catalogue numbers begin with


class LogixSession(_Untyped):  # type: ignore[misc]  # as above
    """A session; every method is called by the link's own thread, one at a time.

    Attributes:
        table: the controller's tags; None before the upload, or if it has no list.
        stale: true if the list no longer fits what the controller answers.
        uploads: how many lists were uploaded.
        several: false once the controller has refused several requests in one.
    """

    def __init__(self, settings: EtherNetIPSettings, wire: CipSocket, clock: Clock) -> None:
        route = "".join(f"/{port}/{link}" for port, link in settings.route)
        # The host is the socket's own business: pycomm3 would not read an IPv6 address.
        super().__init__(f"controller{route}", init_tags=False)
        self.table: TagTable | None = None
        self.stale = False
        self.uploads = 0
        self.several = True
        self._settings = settings
        self._clock = clock
        self._uploaded_at = clock.monotonic()
        self._sock: CipSocket | None = wire
        self._refused = "it gave no reason"
        self._target_is_connected: bool = False
        self._data_types: dict[str, Any] = {}
        self._cfg["extended forward open"] = settings.large_packets
        self._cfg["connection_size"] = _LARGE if settings.large_packets else _SMALL
        # A program that is loaded gives its tags other numbers: they would read other tags without any error.
        self._cfg["use_instance_ids"] = False

    @property
    def budget(self) -> int:
        """Bytes that a request or an answer may take, its sequence number excluded."""
        size: int = self._cfg["connection_size"]
        return size - 8

    @property
    def seconds_since_upload(self) -> float:
        """How old the list of tags is, or the session if there was none."""
        return self._clock.monotonic() - self._uploaded_at

    def start(self) -> str:
        """Connect, register, identify, open the connection.

        Returns:
            What the controller says of itself.

        Raises:
            LinkError: it is not reachable, or took no connection.
            ProtocolError: it speaks something else.
        """
        with _translated():
            assert self._sock is not None
            self._sock.connect(self._settings.host, self._settings.port)
            self._connection_opened = True
            self._cfg["cid"] = urandom(4)
            self._cfg["vsn"] = urandom(4)
            if self._register_session() is None:
                raise NotConnected(f"the device registered no session: {self._refused}")
            description = self._identify()
            if not self._forward_open() and self._cfg["extended forward open"]:
                self._cfg["extended forward open"] = False
                self._cfg["connection_size"] = _SMALL
                self._forward_open()
            if not self._target_is_connected:
                raise NotConnected(f"the controller opened no connection: {self._refused}")
        return description

    def upload(self) -> None:
        """Get the list of tags and the layouts; afterwards the table is new, or None if the device has no list.

        Raises:
            LinkError: the link is gone.
        """
        self._uploaded_at = self._clock.monotonic()
        self.stale = False
        self._data_types.clear()
        try:
            with _translated():
                self.get_tag_list(program="*" if self._settings.program_tags else None)
        except _NotUnderstood:
            self.table = None  # refused, or not understood: what is declared has to do
            return
        self.uploads += 1
        self.table = TagTable(self._tags, self._data_types)

    def stop(self) -> None:
        """Close the connection and the session in order, then the socket."""
        try:
            with _translated():
                self.close()
        finally:
            self._sock_closed()

    def exchange(self, message: bytes, mark: SentMark | None = None) -> Answer:
        """Send one message over the connection, and wait for its answer.

        Raises:
            LinkError: the link is gone.
            ProtocolError: the answer is none; the link is of no use any more.
        """
        wire = self._sock
        if wire is None:
            raise NotConnected("the link to the device is down")
        wire.mark = mark
        try:
            with _translated():
                request = SendUnitDataRequestPacket(self._sequence).add(message)
                frame = request.build_request(
                    target_cid=self._target_cid,
                    session_id=self._session,
                    context=self._cfg["context"],
                    option=self._cfg["option"],
                )
                self._send(frame)
                raw = self._receive()
        finally:
            wire.mark = None
        answer = parse_answer(raw[46:])
        if answer.service != message[0]:
            text = f"expected an answer to service 0x{message[0]:02x}, got one to 0x{answer.service:02x}"
            raise ProtocolError(text)
        if answer.status in LINK_STATUS:
            raise NotConnected(str(cip_fault("the link was given up", answer.status, answer.extended)))
        return answer

    def send(self, request: Any) -> Any:
        """Send one of pycomm3's own requests, and keep the reason if it is refused."""
        response = super().send(request)
        if not response and not request.no_response:
            self._refused = str(response.error)
        return response

    def _identify(self) -> str:
        identity: dict[str, Any] = self._list_identity() or {}
        choice = self._settings.micro800
        is_micro = str(identity.get("product_name", "")).startswith(_MICRO800)
        self._micro800 = is_micro if choice == "auto" else choice == "yes"
        if self._micro800:
            self.several = False
            if not self._settings.path:
                self._cfg["cip_path"].clear()  # it stands in no rack
        # That was the module with the address; the controller is at the end of the path.
        try:
            with _translated():
                identity = self.get_plc_info() or identity
        except _NotUnderstood:
            pass  # the opening of the connection will tell what is wrong with the path
        self._info = identity  # pycomm3 asks it for the revision before it asks for the tags' access
        revision = identity.get("revision", {})
        parts = [
            str(identity.get("vendor", "")),
            str(identity.get("product_name", "")),
            f"revision {revision.get('major')}.{revision.get('minor')}" if revision else "",
            f"serial {identity['serial']}" if "serial" in identity else "",
        ]
        return ", ".join(part for part in parts if part)

    def _forward_open(self) -> bool:
        """Open the connection with the time that the settings give it; pycomm3's is fixed."""
        if self._target_is_connected:
            return True
        large: bool = self._cfg["extended forward open"]
        size: int = self._cfg["connection_size"]
        parameters = (
            ((_CONNECTION << 16) | size).to_bytes(4, "little")
            if large
            else (_CONNECTION | size & 0x1FF).to_bytes(2, "little")
        )
        interval = int(self._settings.cip_timeout * 1e6 / (4 << _MULTIPLIER)).to_bytes(4, "little")
        body = (
            PRIORITY,
            TIMEOUT_TICKS,
            bytes(4),  # the controller chooses the number of its direction
            self._cfg["cid"],
            self._cfg["csn"],
            self._cfg["vid"],
            self._cfg["vsn"],
            bytes((_MULTIPLIER,)),
            bytes(3),
            interval,
            parameters,
            interval,
            parameters,
            TRANSPORT_CLASS,
        )
        answer = self.generic_message(
            service=ConnectionManagerServices.large_forward_open if large else ConnectionManagerServices.forward_open,
            class_code=ClassCode.connection_manager,
            instance=ConnectionManagerInstances.open_request,
            request_data=b"".join(body),
            route_path=PADDED_EPATH.encode(self._cfg["cip_path"] + MSG_ROUTER_PATH, length=True),
            connected=False,
            name="forward_open",
            return_response_packet=True,
        )
        packet = answer.value
        if packet is None or not packet:
            if packet is not None and packet.raw is not None and len(packet.raw) >= 44:
                refusal = parse_answer(packet.raw[40:])
                self._refused = str(cip_fault("forward open", refusal.status, refusal.extended))
            return False
        if len(packet.value) < 4:
            raise ProtocolError(f"expected the number of a connection, got {len(packet.value)} bytes")
        self._target_cid = packet.value[:4]
        self._target_is_connected = True
        return True

    def _sock_closed(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()


class _NotUnderstood(ProtocolError):
    """The device answered in order, but not what pycomm3 can use: it refused, or is no Logix controller."""


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what went wrong below pycomm3 as it was, and what pycomm3 could not read as a `ProtocolError`."""
    try:
        yield
    except BifrostError:
        raise
    except PycommError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, BifrostError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from None  # the link is gone
        if isinstance(error, CommError):
            raise NotConnected(str(error)) from error
        raise _NotUnderstood(f"the device's answer was not understood: {error}") from error
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        # What pycomm3 raises on answers of a shape that it did not expect.
        raise _NotUnderstood(f"the device's answer was not understood: {error!r}") from error
