"""What the entry point names."""

from __future__ import annotations

from bifrost.plc.drivers.base import ProtocolSpec
from bifrost_nut.address import parse_nut_address
from bifrost_nut.driver import NutDriver
from bifrost_nut.settings import NutSettings

__all__ = ["NUT"]

NUT = ProtocolSpec(
    name="nut",
    default_port=3493,
    settings=NutSettings,
    parse_address=parse_nut_address,
    create=NutDriver,
    url_path="ups",
    url_names={"user": "username"},
)
