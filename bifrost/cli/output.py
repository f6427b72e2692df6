"""What several subcommands print: JSON for programs, columns for people, and the option that names a gateway."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bifrost.errors import ConfigError
from bifrost.gateway.control.address import ControlAddress

__all__ = [
    "HelpWithExamples",
    "add_gateway_options",
    "counted",
    "device_rows",
    "gateway_address",
    "print_columns",
    "print_json",
    "shown",
]

_LONGEST_TIMEOUT: Final = 86_400


class HelpWithExamples(argparse.HelpFormatter):
    """Help that leaves the lines of a list of examples as they are, and wraps all other text."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return "\n".join(f"{indent}{line}" for line in text.splitlines())
        return super()._fill_text(text, width, indent)


def counted(count: int, nouns: str) -> str:
    """Say how many; `nouns` ends in an ``s``, which one of them has not."""
    return f"{count} {nouns[:-1] if count == 1 else nouns}"


def print_json(value: Any) -> None:
    """Write a value as indented JSON."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Write rows with every column as wide as its longest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def shown(value: object) -> str:
    """Write a value for people, in one line."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value if value.isprintable() else repr(value)[1:-1]
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {shown(part)}' for key, part in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    return str(value)


def device_rows(devices: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Lay out the devices of a gateway as rows with a heading."""
    rows: list[tuple[str, ...]] = [("DEVICE", "STATE", "GOOD", "BAD", "FROM", "ERROR")]
    rows += [
        (
            device["name"],
            device["state"],
            str(device["good_tags"]),
            str(device["bad_tags"]),
            device["declared_in"],
            device["error"],
        )
        for device in devices
    ]
    return rows


def add_gateway_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which running gateway is meant."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--gateway",
        type=Path,
        default=Path("gateway.toml"),
        metavar="PATH",
        help="the running gateway's settings file or data directory (default: gateway.toml)",
    )
    where.add_argument("--socket", type=Path, metavar="PATH", help="the running gateway's control socket")
    parser.add_argument(
        "--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="longest wait for the answer (default: 30)"
    )
    parser.add_argument("--json", action="store_true", help="write the answer as JSON")


def _seconds(word: str) -> float:
    seconds = float(word)
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise argparse.ArgumentTypeError(f"{word} is no timeout, expected seconds above 0, at most {_LONGEST_TIMEOUT}")
    return seconds


def gateway_address(options: argparse.Namespace) -> Path | ControlAddress:
    """Tell where the gateway that the options mean listens."""
    if options.socket is not None:
        return ControlAddress(unix=str(options.socket))
    path: Path = options.gateway
    if path.is_dir():
        return path
    if not path.exists():
        raise ConfigError(f"cannot read {path}: no such file; name the settings file or data directory with --gateway")
    from bifrost.gateway.settings_file import read_data_dir

    return read_data_dir(path)
