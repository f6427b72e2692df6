"""What `bifrost.plc` costs and how steadily it polls, beside what each figure is held against.

Every ratio stands beside a rival that was measured in the same run, in alternating rounds; servers run in processes of
their own; garbage is collected as ever. The table says for each figure the bar, what was measured, how it spread over
the rounds, and whether the bar was reached.

Run: ``python -m benchmarks.plc [--quick] [--only single,mixed] [--json FILE] [--strict]``. With ``--strict`` the exit
code is 1 if a bar is missed; it always is if a part failed.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Final

from benchmarks._command import command_line, write_rows
from benchmarks._plc_links import cip_rows, s7_rows
from benchmarks._plc_mixed import mixed_rows
from benchmarks._plc_neuron import neuron_rows
from benchmarks._plc_poll import poll_rows
from benchmarks._plc_single import single_rows
from benchmarks._plc_table import Length, Row, markdown
from benchmarks._report import heading

__all__ = ["main"]

_PARTS: Final[Mapping[str, Callable[[Length], list[Row]]]] = {
    "single": single_rows,
    "mixed": mixed_rows,
    "neuron": neuron_rows,
    "poll10": poll_rows,
    "cip": cip_rows,
    "s7": s7_rows,
}


def main() -> int:
    """Measure and print; 0 unless a part failed, or a bar is missed and `--strict` was asked for."""
    parser = command_line(
        __doc__,
        _PARTS,
        quick="few rounds and phases of 10 s; for a first impression",
        strict="exit code 1 if a bar is missed",
    )
    options = parser.parse_args()
    length = Length(quick=options.quick)
    head = heading(f"bifrost.plc{', quick' if options.quick else ''}")
    print(f"```\n{head}\n```\n", flush=True)
    rows: list[Row] = []
    failed: list[str] = []
    for part in options.only:
        begun = time.perf_counter()
        try:
            rows += _PARTS[part](length)
        except Exception as error:  # noqa: BLE001 - one part that fails must not cost the others' figures
            failed.append(part)
            rows.append(Row(part, None, "", note=f"failed: {type(error).__name__}"))
            traceback.print_exc()
        print(f"{part}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    print(markdown(rows))
    write_rows(options.json, head, rows)
    missed = sum(row.reached is False for row in rows)
    print(f"\nbars reached: {sum(row.reached is True for row in rows)}, missed: {missed}; failed: {len(failed)}")
    return 1 if failed or (options.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
