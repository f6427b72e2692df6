"""The settings file of the demo's gateway, written where the user can read, change and run it again.

In: the plant's ports and where to put things. Out: TOML for `bifrost run` and `bifrost check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bifrost.demo.plant import PLANT

__all__ = ["HISTORY_FILE", "TOPIC", "WINDOW_SECONDS", "device_table", "settings_text"]

HISTORY_FILE = "history.sqlite"
"""The historian's file, in the gateway's data directory."""

TOPIC = "bifrost-demo/{stream}/{origin}"

_PRESS_TAGS = ("recorded_at", "temperature", "sample_index", "samples_due")

_HEAD = """\
# Written by `bifrost demo`. Check it with `bifrost check`, run it with `bifrost run` while the plant runs.

[gateway]
name = "demo"
data_dir = "state"
stop_timeout = 60.0
"""

_PIPELINES = """
# Every value of every device, also of those that are added later, goes to the buffer and from there to the uplinks.
[pipelines.raw]
sinks = ["wal"]

# The press: means over two hours of recorded time against two weeks of them; unusual is what lasts for eight hours.
[pipelines.watch]
sources = ["press"]
tags = ["temperature"]
aggregates = ["mean", "std", "count"]
sinks = ["wal"]
anomaly_sinks = ["wal"]
window = {{ seconds = {window:.1f}, max_out_of_order = 3600.0 }}
detect = {{ {detect} }}

[uplinks.historian]
kind = "historian"
path = "{history}"
busy_timeout = 0.2
delivery = {{ retry = {{ base = 0.2, cap = 1.0 }} }}
"""

_MQTT = """
[uplinks.broker]
kind = "mqtt"
url = "{url}"
topic = "{topic}"
timeout = 5.0
delivery = {{ retry = {{ base = 0.2, cap = 1.0 }} }}
"""

WINDOW_SECONDS = 7200.0
"""Length of the means that are judged, in recorded time."""

# Means over two hours, a memory of two weeks, three robust deviations, and only what lasts for a shift of eight hours.
_DETECT = 'detector = "mad", on = "mean", window = 168, threshold = 3.0, min_samples = 24, consecutive = 4'


def device_table(device: str, port: int, *, interval_ms: float = 100.0) -> dict[str, Any]:
    """The keys of one device's table, as `Gateway.add_device` takes them.

    Args:
        device: a name in `PLANT`.
        port: where the plant serves it, on this machine.
        interval_ms: milliseconds between two polls.
    """
    wanted = _PRESS_TAGS if device == "press" else tuple(tag.name for tag in PLANT[device])
    table: dict[str, Any] = {"protocol": "modbus-tcp", "host": "127.0.0.1", "port": port, "interval_ms": interval_ms}
    if device == "press":
        table |= {"source_time": "recorded_at", "record_counter": "sample_index"}
    table["tags"] = [
        {"name": tag.name, "address": tag.address, "datatype": tag.datatype.value}
        for tag in PLANT[device]
        if tag.name in wanted
    ]
    return table


def settings_text(ports: Mapping[str, int], *, press_interval_ms: float, mqtt_url: str | None = None) -> str:
    """Write the settings file.

    Args:
        ports: port of each device that is there from the start.
        press_interval_ms: milliseconds between two polls of the press.
        mqtt_url: a broker to deliver to as well.
    """
    parts = [_HEAD]
    for device, port in ports.items():
        interval = press_interval_ms if device == "press" else 100.0
        parts.append(_device_text(device, device_table(device, port, interval_ms=interval)))
    parts.append(_PIPELINES.format(window=WINDOW_SECONDS, detect=_DETECT, history=HISTORY_FILE))
    if mqtt_url is not None:
        parts.append(_MQTT.format(url=mqtt_url, topic=TOPIC))
    return "".join(parts)


def _device_text(device: str, table: Mapping[str, Any]) -> str:
    lines = [f"\n[devices.{device}]"]
    lines += [f"{key} = {_toml(value)}" for key, value in table.items() if key != "tags"]
    lines.append("tags = [")
    for tag in table["tags"]:
        lines.append("    { " + ", ".join(f"{key} = {_toml(value)}" for key, value in tag.items()) + " },")
    lines.append("]")
    return "\n".join(lines) + "\n"


def _toml(value: str | float) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
