"""The `bifrost` command: arguments in, text and exit codes out."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bifrost.cli.main import build_parser, main
from bifrost.errors import BifrostError

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def parsers(parser: argparse.ArgumentParser, name: str = "bifrost") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """List a parser and those of its subcommands."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from parsers(inner, f"{name} {word}")


def test_the_reference_names_every_command_and_option() -> None:
    """A command or option that was added or renamed shows here."""
    text = REFERENCE.read_text(encoding="utf-8")
    missing = []
    for name, parser in parsers(build_parser()):
        section = text.partition(f"## `{name}`\n")[2].split("\n## ")[0]
        options = [option for action in parser._actions for option in action.option_strings]
        if name not in ("bifrost device", "bifrost demo"):
            missing += [f"{name} {option}" for option in options if option not in section]
        if f"`{name}" not in text and name != "bifrost device":
            missing.append(name)
    assert missing == []


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of each command ends with exit code 0 and says what it is for."""
    for name, _ in parsers(build_parser()):
        if name == "bifrost demo":
            continue  # it answers for itself
        with pytest.raises(SystemExit) as caught:
            main([*name.split()[1:], "--help"])
        assert caught.value.code == 0
        assert name in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["rum"], ["check"], ["device"], ["device", "add"], ["tree", "--tiemout"]])
def test_wrong_arguments_end_with_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong is told on stderr; stdout stays empty."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    told = capsys.readouterr()
    assert (told.out, "error:" in told.err) == ("", True)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` names the program."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("bifrost ")


def test_a_right_file_is_told_with_its_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people and for programs, with exit code 0."""
    path = tmp_path / "g.toml"
    path.write_text('[devices.a]\nhost = "h"\ntags = [{ name = "t", address = 40001 }]\n')
    assert main(["check", str(path)]) == 0
    assert "1 device, 1 tag, 0 pipelines, 0 uplinks" in capsys.readouterr().out
    assert main(["check", "--json", str(path)]) == 0
    expected = {"ok": True, "devices": 1, "tags": 1, "pipelines": 0, "uplinks": 0}
    assert json.loads(capsys.readouterr().out) == expected


def test_where_no_gateway_runs_that_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asking a gateway that is not there ends with exit code 1 and one line that says what to do."""
    assert main(["device", "list", "--gateway", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("bifrost: no gateway runs with the data directory")
    assert "bifrost run" in told.err
    assert len(told.err.splitlines()) == 1


def test_a_settings_file_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for every command that reads one, with exit code 2."""
    for command in (["check"], ["run"], ["tree", "--gateway"]):
        assert main([*command, str(tmp_path / "absent.toml")]) == 2
        assert "cannot read" in capsys.readouterr().err


def test_an_error_of_ours_has_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever error of bifrost's comes up ends as one line and exit code 1."""

    def fail(_options: object) -> int:
        raise BifrostError("the disk is full")

    monkeypatch.setattr("bifrost.cli.check._check", fail)
    assert main(["check", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "bifrost: the disk is full\n"


def test_no_optional_dependency_is_imported_for_the_command_line() -> None:
    """Reading arguments loads no connector's or protocol's library and no terminal library."""
    import subprocess

    optional = ("rich", "aiomqtt", "sqlite_utils", "pycomm3", "snap7", "serial", "pymodbus")
    code = f"import sys, bifrost.cli.main; print([m for m in {optional} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("seconds", ["nan", "-1", "0", "inf", "soon"])
def test_a_timeout_that_is_none_is_refused_at_once(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the option's name, whatever the sockets would make of it."""
    with pytest.raises(SystemExit) as caught:
        main(["tree", f"--timeout={seconds}"])
    assert caught.value.code == 2
    assert "--timeout" in capsys.readouterr().err


def test_a_console_that_knows_few_letters_gets_others_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A console of another code page, as on many Windows machines, ends no command with a traceback."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", errors="strict"))
    path = tmp_path / "größe.toml"
    path.write_text("", encoding="utf-8")
    assert main(["check", str(path)]) == 0
    sys.stdout.flush()
    assert b"right" in written.getvalue()
