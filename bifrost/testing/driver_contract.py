"""What every driver promises, as tests: run them on a driver of your own.

In: a subclass that knows how to serve a device, how to make a driver for it, and how to trouble it. Out: the promises
of `bifrost.plc.drivers.base.Driver`, tested in real time.

Example:
    >>> class TestMyDriver(DriverContract):
    ...     @asynccontextmanager
    ...     async def device(self):
    ...         async with MyDevice() as self.served:
    ...             yield
    ...
    ...     def make(self, clock):
    ...         return MyDriver(MySettings(host="127.0.0.1", port=self.served.port), clock)
"""

from __future__ import annotations

import abc

from bifrost.testing.driver_link_promises import LinkPromises
from bifrost.testing.driver_read_promises import ReadPromises, ShiftedClock
from bifrost.testing.driver_write_promises import WritePromises

__all__ = ["DriverContract", "ShiftedClock"]


class DriverContract(LinkPromises, ReadPromises, WritePromises, abc.ABC):
    """Tests that any driver must pass against a device that serves its protocol; subclass it in a test module."""
