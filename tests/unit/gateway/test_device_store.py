"""Kept devices survive a restart; a broken store is told, not overwritten."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bifrost.errors import BifrostError, ConfigError
from bifrost.gateway.device_store import DeviceStore

OVEN = {"protocol": "modbus-tcp", "host": "127.0.0.1", "tags": [{"name": "t", "address": 40001}]}


def test_a_new_store_is_empty(tmp_path: Path) -> None:
    """Without a file nothing is kept, and reading makes none."""
    store = DeviceStore(tmp_path)
    assert store.load() == {}
    assert not store.path.exists()


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    """A second store on the same folder, as after a restart, has the same devices."""
    DeviceStore(tmp_path).keep("oven", OVEN)
    DeviceStore(tmp_path).keep("press", {"host": "h"})
    assert DeviceStore(tmp_path).load() == {"oven": OVEN, "press": {"host": "h"}}


def test_forgetting_tells_whether_it_was_there(tmp_path: Path) -> None:
    """Only what was kept can be forgotten."""
    store = DeviceStore(tmp_path)
    store.keep("oven", OVEN)
    assert store.forget("press") is False
    assert store.forget("oven") is True
    assert store.load() == {}


def test_no_temporary_file_is_left(tmp_path: Path) -> None:
    """The folder holds the store and nothing else."""
    DeviceStore(tmp_path).keep("oven", OVEN)
    assert [path.name for path in tmp_path.iterdir()] == ["devices.json"]


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"oven"', b"\xff\xfe", b'{"a":' + b"[" * 100_000])
def test_a_broken_store_is_told_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """Whatever the file holds, it is named; neither reading nor keeping replaces it."""
    store = DeviceStore(tmp_path)
    store.path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"devices\.json"):
        store.load()
    with pytest.raises(ConfigError):
        store.keep("oven", OVEN)
    assert store.path.read_bytes() == content


def test_a_folder_that_is_gone_is_an_error_of_ours(tmp_path: Path) -> None:
    """A failing disk is told with the path."""
    with pytest.raises(BifrostError, match="cannot keep devices"):
        DeviceStore(tmp_path / "gone").keep("oven", OVEN)


def test_devices_kept_at_the_same_moment_are_all_kept(tmp_path: Path) -> None:
    """Two requests in two threads: neither writes over what the other has added."""
    store = DeviceStore(tmp_path)
    store.keep("gone", OVEN)
    with ThreadPoolExecutor(8) as threads:
        names = [f"d{number}" for number in range(40)]
        kept = [threads.submit(store.keep, name, OVEN) for name in names]
        forgotten = threads.submit(store.forget, "gone")
        for each in kept:
            each.result()
        assert forgotten.result() is True
    assert sorted(store.load()) == sorted(names)
