"""The plug-in of the examples: built and installed by itself, found by its entry point, true to the contract."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "examples" / "nut_plugin"


def run(*command: str, cwd: Path, timeout: float = 100.0, **environment: str) -> str:
    """Run a command to its end; what it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed plug-in; its source is copied first, so that the build leaves no trace."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PLUGIN, folder / "source", ignore=shutil.ignore_patterns("__pycache__", "dist"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"), "./source", cwd=folder)
    return folder


def test_the_plug_in_is_known_once_it_is_installed_and_not_before(installed: Path) -> None:
    """Nothing is registered by hand, and nothing of it is imported before it is asked for."""
    code = "import sys, bifrost.plc; print('nut' in bifrost.plc.known_protocols(), 'bifrost_nut' in sys.modules)"
    assert run(sys.executable, "-c", code, cwd=installed).split() == ["False", "False"]
    found = run(sys.executable, "-c", code, cwd=installed, PYTHONPATH=str(installed / "site"))
    assert found.split() == ["True", "False"]


@pytest.mark.slow
def test_the_plug_in_keeps_the_contract_against_a_real_server(installed: Path) -> None:
    """Its own tests, run as its author runs them."""
    options = ["-q", "-rs", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "-o", "asyncio_mode=auto"]
    output = run(sys.executable, "-m", "pytest", *options, cwd=installed / "source", PYTHONPATH=str(installed / "site"))
    if "needs nut-server" in output:
        pytest.skip("needs nut-server; run: apt-get install nut-server")
    passed = re.search(r"(\d+) passed", output)
    assert passed is not None, output
    assert int(passed[1]) >= 29
