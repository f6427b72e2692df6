"""What the actor runtime costs, beside Erlang/OTP on one scheduler and what Python has.

Every figure stands beside a peer measured in the same run. The rounds alternate (ours, first peer, second peer, ...);
a ratio is the median over the rounds of the ratio within the round, a figure the median over the rounds. A peer that
is not installed is printed as missing, with the command that installs it.

Run: ``python -m benchmarks.actors [--quick] [--only tell,ask] [--markdown] [--json FILE] [--strict]``. With
``--strict`` the exit code is 1 if a bar is missed or a peer is missing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from benchmarks import _actors_peers as peers
from benchmarks._actors_crashes import restart_rows, storm_rows
from benchmarks._actors_crowd import crowd_rows
from benchmarks._actors_memory import memory_rows
from benchmarks._actors_messages import ask_rows, suspending_ask_rows, tell_rows
from benchmarks._actors_otp import Otp
from benchmarks._actors_starts import start_rows
from benchmarks._actors_table import Row, Setting, markdown, plain
from benchmarks._command import command_line, write_rows
from benchmarks._report import heading

__all__ = ["main"]

_PARTS: Final[Mapping[str, Callable[[Setting, Otp], list[Row]]]] = {
    "tell": tell_rows,
    "ask": ask_rows,
    "suspend": suspending_ask_rows,
    "spawn": start_rows,
    "memory": memory_rows,
    "crowd": crowd_rows,
    "restart": restart_rows,
    "storm": storm_rows,
}


def main() -> int:
    """Measure and print; 0 unless `--strict` and something is missed."""
    parser = command_line(
        __doc__,
        _PARTS,
        quick="short rounds and few of them; for a first impression",
        strict="exit code 1 if a bar or a peer is missing",
    )
    parser.add_argument("--markdown", action="store_true", help="print the table for the documentation")
    options = parser.parse_args()
    setting = Setting(rounds=3, scale=0.2) if options.quick else Setting()
    rows: list[Row] = []
    with Otp() as otp:
        title = heading("actors: every figure beside a peer, in alternating rounds")
        head = f"{title}\nErlang/OTP {otp.version}; {peers.versions()}; {setting.rounds} rounds"
        print(f"```\n{head}\n```\n" if options.markdown else head, flush=True)
        for part in options.only:
            begun = time.perf_counter()
            rows += _PARTS[part](setting, otp)
            print(f"{part}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    print(markdown(rows) if options.markdown else plain(rows))
    write_rows(options.json, head, rows)
    missed = [row for row in rows if row.reached is False]
    missing = [row for row in rows if row.note]
    reached = sum(row.reached is True for row in rows)
    print(f"bars reached: {reached}, missed: {len(missed)}; peers missing: {len(missing)}")
    return 1 if options.strict and (missed or missing) else 0


if __name__ == "__main__":
    sys.exit(main())
