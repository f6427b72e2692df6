"""The commands that talk to devices: what is wrong with their words is told before anything is opened."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NoReturn

import pytest

from bifrost.cli.main import main

URL = "modbus-tcp://192.0.2.7"


@pytest.fixture(autouse=True)
def no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be connected to."""

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["read", URL, "HRX1"], "known forms are 40001, 'HR1'"),
        (["read", URL], "nothing to read"),
        (["read", URL + "?timeuot=1", "HR1"], "did you mean timeout"),
        (["read", URL + "?timeout=1", "HR1", "--timeout", "2"], "keep one"),
        (["read", "modbus-tpc://h", "HR1"], "did you mean 'modbus-tcp'"),
        (["read", "192.0.2.7", "HR1"], "expected a URL such as modbus-tcp://"),
        (["read", "modbus-tcp://", "HR1"], "names no host"),
        (["read", URL, "a=HR1", "a=HR2"], "asked for twice"),
        (["write", URL, "HR1=warm"], "a whole number such as 42"),
        (["write", URL, "IR1=5"], "can only be read"),
        (["write", URL, "HR1"], "expected ADDRESS=VALUE"),
        (["write", URL, "HR1=1", "HR1=2"], "written twice"),
        (["poll", URL, "HR1:FLAOT32"], "did you mean FLOAT32"),
        (["scan", "modbus-tpc", "192.0.2.7"], "did you mean 'modbus-tcp'"),
        (["sim", "modbus", "--faults", "7"], "expected SEED:RATE"),
        (["sim", "modbus", "--faults", "7:2"], "expected SEED:RATE"),
        (["sim", "modbus", "--units", "0-300"], "expected a list such as 1-32"),
    ],
)
def test_wrong_words_are_told_before_anything_is_opened(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr says what is expected; exit code 2; stdout stays empty."""
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert hint in told.err
    assert len(told.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["read"],
        ["write", URL],
        ["poll", URL, "HR1", "--interval-ms", "0"],
        ["poll", URL, "HR1", "--count", "0"],
        ["read", URL, "HR1", "--timeout", "nan"],
        ["scan", "modbus-tcp"],
        ["sim"],
        ["sim", "modbus", "--port", "65536"],
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """By the parser, with the usage of the command and exit code 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_all_mistakes_in_a_list_of_tags_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each in a line of its own with its place."""
    path = tmp_path / "tags.csv"
    path.write_text("name,address,scale\na,HR0,\nb,HR1,0\n")
    assert main(["read", URL, "--tags", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("bifrost: 2 mistakes in ")
    assert [line.split(": ")[0].rpartition(":")[2] for line in lines[1:]] == ["2", "3"]
