"""A device is added to a running gateway and removed again; the values of the other one never stop.

Run it as it is: two simulated devices serve Modbus TCP on this machine.
"""

import asyncio
import tempfile

from bifrost.gateway import Gateway, GatewaySection, GatewaySettings
from bifrost.plc.datatypes import DataType
from bifrost.plc.modbus.address import Area
from bifrost.plc.modbus.settings import ModbusSettings
from bifrost.plc.settings import TagSettings
from bifrost.plc.sim import ModbusTcpServer, RegisterBank, Sine


def bank(mean: float) -> RegisterBank:
    """A device with one living value."""
    registers = RegisterBank()
    registers.bind(Area.HOLDING, 0, Sine(mean, 5.0, period=2.0), DataType.FLOAT32)
    return registers


async def main() -> None:
    """Run the story."""
    tags = (TagSettings(name="temperature", address="HR1:FLOAT32"),)
    async with ModbusTcpServer(bank(80.0)) as press, ModbusTcpServer(bank(210.0)) as oven:
        with tempfile.TemporaryDirectory() as folder:
            settings = GatewaySettings(
                gateway=GatewaySection(name="plant", data_dir=folder),
                devices={"press": ModbusSettings(host="127.0.0.1", port=press.port, interval_ms=50, tags=tags)},
            )
            async with Gateway(settings) as gateway:
                await show(gateway, "at the start")
                added = ModbusSettings(host="127.0.0.1", port=oven.port, interval_ms=50, tags=tags)
                await gateway.add_device("oven", added)
                await show(gateway, "with the oven")
                await gateway.remove_device("oven")
                await show(gateway, "without it")


async def show(gateway: Gateway, when: str) -> None:
    """Print each device's newest values after a moment."""
    await asyncio.sleep(0.3)
    print(when)
    for device in await gateway.devices():
        values = device.details.values if device.details is not None else ()
        shown = ", ".join(f"{value.tag} = {value.value!r:.5} {value.quality.name}" for value in values)
        print(f"  {device.name}: {device.state}, {shown}")


if __name__ == "__main__":
    asyncio.run(main())
