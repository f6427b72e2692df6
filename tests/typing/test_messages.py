"""mypy reports exactly the errors that `typed_messages.py` marks, and infers the types that it asserts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("typed_messages.py")
ROOT = Path(__file__).parents[2]

_IGNORE = re.compile(r"#\s*type:\s*ignore\[([a-z-]+)\]")


def test_a_type_checker_reports_exactly_the_marked_errors(tmp_path: Path) -> None:
    """Without its marks the file has one error on each line that was marked, with that code, and no other."""
    lines = CASES.read_text(encoding="utf-8").splitlines()
    expected = {(number, found[1]) for number, line in enumerate(lines, 1) if (found := _IGNORE.search(line))}
    bare = tmp_path / "typed_messages_bare.py"
    bare.write_text("\n".join(_IGNORE.sub("# was marked", line) for line in lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--output=json", str(bare)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert run.stderr == ""
    reports = [json.loads(line) for line in run.stdout.splitlines()]
    reported = {(one["line"], one["code"]) for one in reports if one["severity"] == "error"}
    assert reported == expected, run.stdout
    assert len(expected) > 10
