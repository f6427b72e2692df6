"""Settings types: msgspec structs that refuse what they do not know.

In: the tables of one TOML file. Out: frozen, checked structs. Reading the file, and naming the line of each mistake,
is `bifrost.gateway.settings`.
"""

from __future__ import annotations

import msgspec

__all__ = ["Settings"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section of a settings file: immutable, keyword-only, unknown keys are errors."""
