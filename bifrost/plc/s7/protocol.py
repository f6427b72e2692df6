"""S7 as the registry knows it."""

from __future__ import annotations

from bifrost.plc.drivers.base import ProtocolSpec
from bifrost.plc.s7.address import parse_s7_address
from bifrost.plc.s7.driver import S7Driver
from bifrost.plc.s7.notation import surely_s7
from bifrost.plc.s7.settings import S7Settings

__all__ = ["S7"]

S7 = ProtocolSpec(
    name="s7",
    default_port=102,
    settings=S7Settings,
    parse_address=parse_s7_address,
    create=S7Driver,
    url_names={"tsap": "remote_tsap", "pdu": "pdu_length", "type": "connection_type", "encoding": "string_encoding"},
    recognises=surely_s7,
    discover="bifrost.plc.s7.discovery:discover",
    extra="s7",
)
