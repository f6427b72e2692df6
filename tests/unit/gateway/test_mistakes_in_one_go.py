"""One run of the check tells every mistake of a file, also where mistakes lie inside one another."""

from __future__ import annotations

import pytest

from bifrost.errors import ConfigError
from bifrost.gateway import parse_settings

_FILE = """\
[gatway]
name = "x"

[devices.press]
protocol = "modbus-tpc"

[devices.oven]
hots = "127.0.0.1"
port = 99999
interval_ms = "fast"
[[devices.oven.tags]]
name = "a"
address = 40000
[[devices.oven.tags]]
name = "a"
adress = 5
datatype = "FLOAT23"
byte_order = "ABDC"

[pipelines.p]
sources = ["ovn"]
sinks = ["wall"]

[uplinks.u]
kind = "mqtt"
url = "http://x"
topc = 3
"""

_EXPECTED = [
    (1, "gatway", "did you mean gateway"),
    (5, "devices.press.protocol", "did you mean 'modbus-tcp'"),
    (8, "devices.oven.hots", "did you mean host"),
    (9, "devices.oven.port", "from 1 to 65535, got 99999"),
    (10, "devices.oven.interval_ms", 'found "fast" (a string), expected a number'),
    (11, "devices.oven.tags[0]", "run from 1 to 65536"),
    (15, "devices.oven.tags[1].name", "taken by tag 1"),
    (16, "devices.oven.tags[1].adress", "did you mean address"),
    (17, "devices.oven.tags[1].datatype", "did you mean FLOAT32"),
    (18, "devices.oven.tags[1].byte_order", "expected one of ABCD, CDAB, BADC, DCBA"),
    (21, "pipelines.p.sources[0]", "did you mean oven"),
    (22, "pipelines.p.sinks[0]", "did you mean wal"),
    (26, "uplinks.u.url", "mqtts://"),
    (27, "uplinks.u.topc", "did you mean topic"),
]


def test_a_file_with_fourteen_mistakes_is_told_all_of_them() -> None:
    """Each with its line, the path of its key, and what was expected; none twice."""
    with pytest.raises(ConfigError) as caught:
        parse_settings(_FILE, origin="gateway.toml")
    mistakes = caught.value.mistakes
    assert len(mistakes) == len(_EXPECTED), mistakes
    for mistake, (line, path, words) in zip(mistakes, _EXPECTED, strict=True):
        assert f"gateway.toml:{line}: {path}:" in mistake
        assert words in mistake


def test_types_are_written_in_any_case() -> None:
    """`float32` is FLOAT32."""
    tag = '{ name = "t", address = "HR1", datatype = "float32", byte_order = "cdab" }'
    settings = parse_settings(f'devices.d = {{ host = "127.0.0.1", tags = [{tag}] }}', origin="gateway.toml")
    (made,) = settings.devices["d"].plc_tags()
    assert (made.datatype, made.byte_order) == ("FLOAT32", "CDAB")
