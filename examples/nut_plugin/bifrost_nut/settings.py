"""What a settings file says about a NUT server."""

from __future__ import annotations

from collections.abc import Iterable

from bifrost.core.settings import Problem, Secret
from bifrost.plc import DeviceSettings

__all__ = ["NutSettings"]


class NutSettings(DeviceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One server.

    Attributes:
        host: name or address.
        port: TCP port, 1 to 65535; default 3493.
        ups: the UPS to browse; None: all that the server has.
        username: who writes; None: nobody may.
        password: of that user.
    """

    host: str
    port: int = 3493
    ups: str | None = None
    username: str | None = None
    password: Secret | None = None

    def problems(self) -> Iterable[Problem]:
        """Ranges, and what the tags say."""
        yield from super().problems()
        if not 1 <= self.port <= 65535:
            yield Problem(("port",), f"expected port from 1 to 65535, got {self.port}")
        if (self.username is None) != (self.password is None):
            yield Problem(("username",), "expected username and password together")
