"""The page of guarantees names tests that exist, and no guarantee without one."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs/concepts/semantics.md").read_text(encoding="utf-8")
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


@functools.cache
def _names(path: Path) -> frozenset[str]:
    """What a test module defines at its top level."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return frozenset(names)


@pytest.mark.parametrize(("module", "name"), sorted(set(_TEST.findall(_PAGE))))
def test_a_named_test_exists(module: str, name: str) -> None:
    """Every `module::test` on the page can be run as it stands there."""
    path = _ROOT / module
    assert path.is_file(), f"{module} does not exist"
    assert not name or name in _names(path), f"{module} has no {name}"


def test_every_guarantee_names_its_test() -> None:
    """A paragraph that begins with its promise in bold ends with what shows it."""
    guarantees = [paragraph for paragraph in _PAGE.split("\n\n") if paragraph.startswith("**")]
    assert len(guarantees) > 50
    for guarantee in guarantees:
        last = guarantee.rstrip().rpartition("\n")[2]
        assert last.startswith("Shown by `tests/"), guarantee
        assert _TEST.search(last), guarantee
