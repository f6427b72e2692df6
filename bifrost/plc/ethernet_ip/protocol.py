"""EtherNet/IP for the registry of protocols; pycomm3 is not imported until a link is made."""

from __future__ import annotations

from bifrost.plc.drivers.base import ProtocolSpec
from bifrost.plc.ethernet_ip.address import parse_logix_address, recognises_logix_address
from bifrost.plc.ethernet_ip.driver import EtherNetIPDriver
from bifrost.plc.ethernet_ip.settings import EtherNetIPSettings

__all__ = ["ETHERNET_IP"]

ETHERNET_IP = ProtocolSpec(
    name="ethernet-ip",
    default_port=44818,
    settings=EtherNetIPSettings,
    parse_address=parse_logix_address,
    create=EtherNetIPDriver,
    url_path="path",
    url_names={"tags": "init_tags", "large": "large_packets"},
    recognises=recognises_logix_address,
    discover="bifrost.plc.ethernet_ip.discovery:discover",
    extra="ethernet-ip",
)
