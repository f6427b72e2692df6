"""What a whole gateway weighs: `bifrost run` with one device, one pipeline, buffer and historian.

It runs in a process of its own, the simulated device in another. Beside the gateway stand a bare interpreter and one
that has imported bifrost, so that it shows what is ours. The pipeline has a window, a detector and its sinks. MB are
1,000,000 bytes.

Run: ``python -m benchmarks.footprint [--seconds 10]``. Exit code 1 above the bound, or if `import bifrost` loads more
than it needs.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil

from benchmarks._gateway import GatewayProcess, peak_rss_mb, rss_mb
from benchmarks._plant import Plant
from benchmarks._report import heading

__all__ = ["main"]

_BOUND_MB = 70.0
_TAGS = 20
_INTERVAL_MS = 100
_IMPORTS = 9
_NEEDED = ("bifrost-edge", "msgspec", "typing_extensions")  # msgspec itself loads the last where it is installed

# Run in a fresh interpreter: whose modules has it loaded?
_LOOK = """
import sys
before = set(sys.modules)
{code}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
import importlib.metadata, json
owners = importlib.metadata.packages_distributions()
print(json.dumps(sorted({{owner for name in loaded for owner in owners.get(name, [])}})))
"""


def packages_loaded_by(code: str) -> list[str]:
    """Run some code in a fresh interpreter; tell which installed packages it loaded."""
    done = subprocess.run([sys.executable, "-c", _LOOK.format(code=code)], capture_output=True, check=True)
    return msgspec.json.decode(done.stdout, type=list[str])


def own_rss_mb(code: str) -> float:
    """Memory of a fresh interpreter that has run some code and waits, in MB, looked at from outside."""
    program = f"import sys\n{code}\nsys.stdout.write('.'); sys.stdout.flush(); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        held = rss_mb(psutil.Process(process.pid))
        process.communicate()
    return held


def seconds_for(code: str) -> float:
    """Time of a fresh interpreter that runs some code."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def gateway_mb(seconds: float, folder: Path) -> tuple[float, float | None, int, str]:
    """Run a gateway; its memory at the end and at its peak, the rows it delivered, and what it logged."""
    with (
        Plant(devices=1, tags=_TAGS) as plant,
        GatewayProcess(folder, plant.ports, tags=_TAGS, interval_ms=_INTERVAL_MS) as gateway,
    ):
        time.sleep(seconds)
        held, peak = rss_mb(gateway.process), peak_rss_mb(gateway.process)
        delivered = int(gateway.status()["uplinks"][0]["statistics"]["delivered_rows"])
        gateway.stop()
        return held, peak, delivered, gateway.log()


def main() -> int:
    """Measure and print; 0 if the aims are reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the gateway runs (default: %(default)g)")
    options = parser.parse_args()
    print(heading("footprint: memory of a whole gateway, and what `import bifrost` costs"))
    bare, imported = own_rss_mb("pass"), own_rss_mb("import bifrost")
    codes = ("pass", "import asyncio", "import bifrost")
    times = [[seconds_for(code) for code in codes] for _ in range(_IMPORTS + 1)][1:]
    nothing, asyncio, ours = (statistics.median(column) for column in zip(*times, strict=True))
    optional = [name for name in packages_loaded_by("import bifrost") if name not in _NEEDED]
    with tempfile.TemporaryDirectory(prefix="bifrost-") as folder:
        held, peak, delivered, log = gateway_mb(options.seconds, Path(folder))
    most = held if peak is None else peak
    print(f"one device, {_TAGS} tags every {_INTERVAL_MS} ms, for {options.seconds:g} s; {delivered:,} rows delivered")
    print(f"{'bare interpreter':<34}{bare:8.1f} MB")
    print(f"{'after import bifrost':<34}{imported:8.1f} MB")
    print(f"{'gateway':<34}{held:8.1f} MB")
    print(f"{'gateway, peak':<34}{most:8.1f} MB   bound {_BOUND_MB:.0f} MB: {'yes' if most < _BOUND_MB else 'no'}")
    print(f"{'python -c pass':<34}{nothing * 1e3:8.0f} ms")
    print(f"{'python -c import asyncio':<34}{asyncio * 1e3:8.0f} ms")
    print(f"{'python -c import bifrost':<34}{ours * 1e3:8.0f} ms   {ours / asyncio:.1f} times asyncio alone")
    print(f"packages that import bifrost loads beyond {_NEEDED[1]}: {', '.join(optional) or 'none'}")
    if log:
        print(f"the gateway wrote:\n{log}")
    return 0 if most < _BOUND_MB and not optional and delivered else 1


if __name__ == "__main__":
    sys.exit(main())
