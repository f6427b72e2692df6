"""The head that every benchmark prints: machine, date, commit. Figures without it are hearsay."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime

from bifrost._native import BUILD_PROFILE

__all__ = ["heading"]


def heading(title: str) -> str:
    """Say what is measured, where, when and on which commit."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    commit = done.stdout.strip() or "unknown"
    when = datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{title}\n{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}, "
        f"native build {BUILD_PROFILE}, {when}, commit {commit}"
    )
