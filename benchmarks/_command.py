"""The command line of benchmarks that are made of parts: which parts, how long, and where the rows go.

Out: options, rows as JSON. Not here: any measurement.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

__all__ = ["JsonRow", "command_line", "write_rows"]


class JsonRow(Protocol):
    """One row of a table."""

    def as_json(self) -> Mapping[str, Any]:
        """The row as it is written to a file."""
        ...


def command_line(description: str | None, parts: Iterable[str], *, quick: str, strict: str) -> argparse.ArgumentParser:
    """Make a parser with ``--quick``, ``--only``, ``--json`` and ``--strict``; `quick` and `strict` are their help."""
    names = list(parts)
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--only", type=_chosen_from(names), default=names, help=f"some of {','.join(names)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file too")
    parser.add_argument("--strict", action="store_true", help=strict)
    return parser


def write_rows(path: Path | None, head: str, rows: Iterable[JsonRow]) -> None:
    """Write what was measured, if it was asked for."""
    if path is not None:
        path.write_text(json.dumps({"head": head, "rows": [row.as_json() for row in rows]}, indent=1))


def _chosen_from(names: list[str]) -> Callable[[str], list[str]]:
    def parts(text: str) -> list[str]:
        wanted = text.split(",")
        unknown = [part for part in wanted if part not in names]
        if unknown:
            raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {', '.join(names)}")
        return wanted

    return parts
