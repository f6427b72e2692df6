"""The page of faults names tests that exist, and no fault of a protocol without one."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs/reference/faults.md").read_text(encoding="utf-8")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)(?:\[[^`]*\])?`")
_COLUMNS = ["fault", "Modbus TCP", "Modbus RTU", "EtherNet/IP", "S7"]
_NOT_APPLICABLE = "\u2013 "


@functools.cache
def _module(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _functions(body: list[ast.stmt]) -> set[str]:
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def _file_of(module: str) -> Path:
    return _ROOT / (module.replace(".", "/") + ".py")


def _methods(path: Path, name: str) -> set[str]:
    """The methods of a class, and of the classes of ours that it is made from."""
    tree = _module(path)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            return _functions(node.body).union(*(_methods(path, base) for base in bases))
        if isinstance(node, ast.ImportFrom) and node.module and name in {alias.name for alias in node.names}:
            origin = _file_of(node.module)
            return _methods(origin, name) if origin.is_file() else set()
    return set()


def _table(first: str) -> list[list[str]]:
    table = _PAGE[_PAGE.index(f"| {first} |") :].split("\n\n", maxsplit=1)[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()]


def _rows() -> list[list[str]]:
    rows = _table("fault")
    assert rows[0] == _COLUMNS
    return rows[2:]


@pytest.mark.parametrize(("module", "name"), sorted(set(_TEST.findall(_PAGE))))
def test_a_named_test_exists(module: str, name: str) -> None:
    """Every `module::test` on the page can be run as it stands there."""
    path = _ROOT / module
    assert path.is_file(), f"{module} does not exist"
    test = name.rpartition("::")[2]
    assert test.startswith("test_")
    if "::" in name:
        assert test in _methods(path, name.partition("::")[0]), f"{module} has no {name}"
    else:
        assert test in _functions(_module(path).body), f"{module} has no {name}"


def test_every_name_of_a_test_is_read() -> None:
    """Nothing that looks like a test is overlooked because it is written otherwise."""
    assert _PAGE.count("`tests/") == len(_TEST.findall(_PAGE))


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row[0][:40])
def test_every_fault_of_a_protocol_has_its_test(row: list[str]) -> None:
    """Each cell says what bifrost does and names a test, or says why the protocol cannot fail so."""
    assert len(row) == len(_COLUMNS)
    assert any(_TEST.search(cell) for cell in row[1:])
    for cell, protocol in zip(row[1:], _COLUMNS[1:], strict=True):
        words, _, _ = cell.partition("<br>")
        assert words.removeprefix(_NOT_APPLICABLE), f"{row[0]}: nothing is said about {protocol}"
        assert bool(_TEST.search(cell)) != cell.startswith(_NOT_APPLICABLE), f"{row[0]}: {protocol} has no test"


def test_no_fault_is_missing() -> None:
    """Beside the rows for each, one names the tests that go through everything that the simulators can do."""
    rows = {row[0]: row[1:] for row in _rows()}
    assert len(rows) >= 40
    assert all(_TEST.search(cell) for cell in rows["every fault of the simulator, one after the other"])


def test_every_complaint_has_its_test() -> None:
    """What others are blamed for is said of us only with a test behind it."""
    complaints = _table("complaint")[2:]
    assert len(complaints) == 16
    for complaint, here in complaints:
        assert _TEST.search(here), complaint
