"""The examples of embedding are whole programs: each is run, and what it prints is what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parents[3] / "examples" / "hosts"

PRINTED = {
    "asyncio_taskgroup": [
        "highest: 180.0",
        "press-2 stopped: shutdown",
        "press-1 stopped: shutdown",
        "the program failed: address already in use",
    ],
    "pykka_app": ["highest: 180.0 bar", "crashed: -1.0 bar cannot be", "started again, highest: 0.0 bar"],
    "pykka_child": [
        "141 seconds",
        "the caller's error: 'fugue' and the actor lives, incarnation 1",
        "a crash: no such message: 'nonsense'",
        "started again, incarnation 2",
    ],
    "sync_threads": [
        "highest: 159.0",
        "crashed: -1.0 bar cannot be",
        "started again: 20.0",
        "stopped in order: True",
    ],
    "trio_app": [
        "press-1 highest: 180.0",
        "press-1 stopped: crash: ValueError: -1.0 bar cannot be",
        "press-1 stopped: crash: ValueError: -1.0 bar cannot be",
        "press-2 highest: 90.0",
        "press-2 stopped: shutdown",
        (
            "the tree failed: the root supervisor 'plant' ended: shutdown: restart intensity exceeded; "
            "press-1: ValueError: -1.0 bar cannot be"
        ),
    ],
    "uvloop_app": ["as the program's loop: uvloop", "in a portal: uvloop"],
}


def test_every_example_is_tested() -> None:
    """No example in the folder is left out below."""
    assert {path.stem for path in _FOLDER.glob("*.py")} == set(PRINTED)


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_an_example_prints_what_it_promises(name: str, tmp_path: Path) -> None:
    """It ends by itself, without a warning, and prints these lines; those of a trio program come in trio's order."""
    command = [sys.executable, "-W", "error", str(_FOLDER / f"{name}.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    if name == "trio_app":
        assert printed[-2:] == PRINTED[name][-2:]
        printed.sort()
    assert printed == PRINTED[name], done.stderr
