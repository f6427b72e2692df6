"""The code on the how-to pages about actors runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

_PAGES = Path(__file__).parents[2] / "docs/how-to"


@pytest.mark.parametrize("page", ["use-a-library-that-blocks", "type-your-messages"])
def test_the_code_on_the_page_runs_and_is_typed(page: str, tmp_path: Path) -> None:
    """Its blocks, one after the other, are one program without warnings, and mypy agrees with it."""
    text = (_PAGES / f"{page}.md").read_text(encoding="utf-8")
    program = tmp_path / "program.py"
    program.write_text("\n\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), encoding="utf-8")
    for command in (["-W", "error"], ["-m", "mypy", "--strict"]):
        run = subprocess.run(
            [sys.executable, *command, str(program)],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            cwd=Path(__file__).parents[2],
        )
        assert run.returncode == 0, run.stdout + run.stderr
