"""Siemens S7: jobs out, values in, on snap7's asyncio client.

In: tags and values. Out: readings. Not here: reconnecting and polling (`bifrost.plc.connection`), actors, S7CommPlus
and so blocks with optimized access. Needs the extra ``s7`` to connect, not to understand addresses.
"""

from bifrost.plc.s7.address import S7Address, parse_s7_address
from bifrost.plc.s7.areas import S7Area
from bifrost.plc.s7.driver import S7Driver
from bifrost.plc.s7.settings import S7Settings
from bifrost.plc.s7.types import S7Type

__all__ = ["S7Address", "S7Area", "S7Driver", "S7Settings", "S7Type", "parse_s7_address"]
