"""What the control socket does to a gateway: method names in, calls of the gateway out.

| method | params | result |
|---|---|---|
| `status` | `values` | `GatewayStatus`; the devices' latest values only if asked for |
| `tree` | | `ActorSnapshot` |
| `devices.list` | | list of `DeviceInfo`, without values |
| `devices.add` | `name`, `settings`, `persist` | `DeviceInfo` |
| `devices.remove` | `name` | nothing |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from bifrost.core.checking.checker import check_settings
from bifrost.core.checking.mistakes import Mistake, config_error
from bifrost.core.settings import Settings
from bifrost.gateway.control.server import Operation
from bifrost.gateway.status import DeviceInfo

if TYPE_CHECKING:
    from bifrost.gateway.gateway import Gateway

__all__ = ["operations"]


T = TypeVar("T")


class _Nothing(Settings, frozen=True):
    pass


class _Status(Settings, frozen=True):
    values: bool = False


class _Add(Settings, frozen=True):
    name: str
    settings: dict[str, Any]
    persist: bool = False


class _Remove(Settings, frozen=True):
    name: str


def operations(gateway: Gateway) -> dict[str, Operation]:
    """List what may be asked of a gateway."""

    async def status(params: dict[str, Any]) -> object:
        wanted = _checked(params, _Status)
        found = await gateway.status()
        return found if wanted.values else msgspec.structs.replace(found, devices=_without_values(found.devices))

    async def tree(params: dict[str, Any]) -> object:
        _checked(params, _Nothing)
        return gateway.tree()

    async def list_devices(params: dict[str, Any]) -> object:
        _checked(params, _Nothing)
        return _without_details(await gateway.devices())

    async def add_device(params: dict[str, Any]) -> object:
        add = _checked(params, _Add)
        return _without_details([await gateway.add_device(add.name, add.settings, persist=add.persist)])[0]

    async def remove_device(params: dict[str, Any]) -> object:
        await gateway.remove_device(_checked(params, _Remove).name)
        return None

    return {
        "status": status,
        "tree": tree,
        "devices.list": list_devices,
        "devices.add": add_device,
        "devices.remove": remove_device,
    }


def _checked(params: dict[str, Any], params_type: type[T]) -> T:
    mistakes: list[Mistake] = []
    checked = check_settings(params, params_type, path=("params",), mistakes=mistakes)
    if checked is None:
        raise config_error("", mistakes)
    return checked


def _without_details(devices: Sequence[DeviceInfo]) -> list[DeviceInfo]:
    return [msgspec.structs.replace(device, details=None) for device in devices]


def _without_values(devices: Sequence[DeviceInfo]) -> tuple[DeviceInfo, ...]:
    return tuple(
        device
        if device.details is None
        else msgspec.structs.replace(device, details=msgspec.structs.replace(device.details, values=()))
        for device in devices
    )
