"""The demo, whole, as a newcomer runs it: separate plant processes, injected faults, and the verdict on all of it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.mosquitto import mosquitto, require_mosquitto


def _demo(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "bifrost", "demo", "--plain", "--output", str(folder), *arguments]


def test_a_run_loses_nothing_finds_the_anomalies_and_leaves_a_picture(tmp_path: Path) -> None:
    """Through a dead device, an added one, a cut uplink and a killed actor, every sample arrives exactly once."""
    command = _demo(tmp_path, "--seconds", "20")
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for step in ("pump loses power", "pump is back", "mixer added", "uplink cut", "uplink restored", "sender killed"):
        assert step in done.stdout
    verdict = (tmp_path / "verdict.txt").read_text(encoding="utf-8")
    words = {line.split()[0]: line.split()[1] for line in verdict.splitlines()}
    assert words["lost"] == "0"
    assert words["duplicated"] == "0"
    assert words["produced"] == words["delivered"]
    assert words["recording"] == "22,695"
    assert int(words["anomalies"]) >= 3
    assert int(words["restarts"]) >= 2
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    checked = [sys.executable, "-m", "bifrost", "check", str(tmp_path / "gateway.toml")]
    assert subprocess.run(checked, capture_output=True, timeout=60, check=False).returncode == 0


def test_a_run_with_a_broker_delivers_every_sample_there_too(tmp_path: Path) -> None:
    """A subscriber of its own at a real mosquitto counts every sample once, although the way there was cut."""
    require_mosquitto()
    with mosquitto(tmp_path) as broker:
        command = _demo(tmp_path / "out", "--seconds", "15", "--mqtt", broker.url)
        done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    words = {line.split()[0]: line for line in done.stdout.splitlines() if line}
    assert words["broker"].split()[1] == words["produced"].split()[1]
    assert "lost 0, duplicated 0" in words["broker"]


def test_a_killed_demo_leaves_no_process_behind(tmp_path: Path) -> None:
    """The plant's processes end by themselves when the demo is killed without a chance to clean up."""
    with subprocess.Popen(_demo(tmp_path, "--seconds", "60"), stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        demo.stdout.readline()  # the first line comes when plant and gateway run
        plant = psutil.Process(demo.pid).children(recursive=True)
        assert len(plant) >= 4
        demo.kill()
        demo.wait(timeout=10)
        _, alive = psutil.wait_procs(plant, timeout=10)
        assert not alive


def test_a_run_that_is_kept_ends_with_a_verdict_when_it_is_told_to(tmp_path: Path) -> None:
    """A signal ends a kept run in order: everything is delivered, and the verdict is written."""
    with subprocess.Popen(
        _demo(tmp_path, "--seconds", "10", "--keep-running"), stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "sender killed" in line:
                break
        time.sleep(1)
        demo.terminate()  # an interrupt takes the same way, but a shell may have told its background jobs to ignore it
        rest = demo.stdout.read()
        demo.wait(timeout=60)
    words = {line.split()[0]: line.split()[1] for line in rest.splitlines() if line}
    assert words["lost"] == "0"
    assert words["duplicated"] == "0"
    assert (tmp_path / "picture.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seconds", "5"], "expected 10 to 3600"),
        (["--seconds", "soon"], "invalid"),
        (["--mqtt", "localhost"], "expected mqtt://HOST"),
    ],
)
def test_wrong_options_are_refused_before_anything_starts(tmp_path: Path, arguments: list[str], words: str) -> None:
    """Exit code 2, and the text says what was expected."""
    command = _demo(tmp_path / "out", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "out").exists()
