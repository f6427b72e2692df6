"""What the documentation shows is run: every Python block, every settings file, every example."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PAGES = sorted([_ROOT / "README.md", *(_ROOT / "docs").rglob("*.md")])


def _blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in _FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def _name(page: Path) -> str:
    return str(page.relative_to(_ROOT))


def _run(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("page", [page for page in _PAGES if _blocks(page, "python")], ids=_name)
def test_the_python_blocks_of_a_page_run_as_pasted(page: Path, tmp_path: Path) -> None:
    """All Python blocks of one page, in order and in one interpreter, end without an error or a warning."""
    script = tmp_path / "page.py"
    script.write_text("\n\n".join(_blocks(page, "python")), encoding="utf-8")
    done = _run([str(script)], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in _PAGES if _blocks(page, "toml")], ids=_name)
def test_the_settings_of_a_page_pass_the_check(page: Path, tmp_path: Path) -> None:
    """All TOML blocks of one page together are one settings file without a mistake."""
    path = tmp_path / "gateway.toml"
    path.write_text("\n".join(_blocks(page, "toml")), encoding="utf-8")
    done = _run(["-m", "bifrost", "check", str(path)], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", sorted((_ROOT / "examples").glob("*.py")), ids=_name)
def test_an_example_runs(script: Path, tmp_path: Path) -> None:
    """Each example is a whole program that ends by itself within a minute."""
    done = _run([str(script)], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("settings", sorted((_ROOT / "examples").glob("*.toml")), ids=_name)
def test_an_example_of_settings_passes_the_check(settings: Path, tmp_path: Path) -> None:
    """Each settings file among the examples is free of mistakes."""
    done = _run(["-m", "bifrost", "check", str(settings)], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
