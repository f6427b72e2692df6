"""Clients and servers written in JavaScript: partners that share no line with bifrost, at pinned versions."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["VERSIONS", "missing_for_node", "need_node", "node_environment", "node_process"]

VERSIONS = {"modbus-serial": "8.0.25", "nodes7": "0.3.18", "st-ethernet-ip": "2.7.5"}
"""What the tests were written against; another version is another partner."""

_INSTALL_SECONDS = 100.0


def missing_for_node() -> str | None:
    """Tell what has to be installed first, or None."""
    return None if shutil.which("node") and shutil.which("npm") else "apt-get install nodejs npm"


def need_node(package: str) -> Path:
    """Return the folder whose ``node_modules`` holds `package`; installs it there if it is not.

    Without Node, or where the package cannot be had, a test fails in CI and is skipped elsewhere.
    """
    if (missing := missing_for_node()) is not None:
        _give_up(f"needs Node; run: {missing}")
    folder = _cache() / f"{package}-{VERSIONS[package]}"
    if not _is_installed(folder, package):
        _install(folder, package)
    return folder


def node_environment(folder: Path) -> dict[str, str]:
    """The environment in which a script finds the packages of `folder`."""
    return {**os.environ, "NODE_PATH": str(folder / "node_modules"), "NODE_NO_WARNINGS": "1"}


@contextlib.contextmanager
def node_process(folder: Path, script: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script with pipes for its input and output; it is ended with the block."""
    process = subprocess.Popen(
        ["node", str(script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=node_environment(folder),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bifrost" / "node"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _is_installed(folder: Path, package: str) -> bool:
    try:
        manifest = json.loads((folder / "node_modules" / package / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(manifest.get("version") == VERSIONS[package])


def _install(folder: Path, package: str) -> None:
    # Built beside its place and moved there whole: two test runs at once never see half of it.
    with tempfile.TemporaryDirectory(dir=_cache()) as workshop:
        built = Path(workshop) / "built"
        built.mkdir()
        (built / "package.json").write_text('{"name": "partners", "private": true}', encoding="utf-8")
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"{package}@{VERSIONS[package]}"]
        done = subprocess.run(command, cwd=built, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS)
        if done.returncode:
            _give_up(f"needs the Node package {package}; run: {' '.join(command)}\n{done.stderr[-500:]}")
        try:
            built.rename(folder)
        except OSError:
            if not _is_installed(folder, package):
                raise


def _give_up(text: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)
