"""Destinations: what an uplink speaks to. Each is a `core.ports.Uplink` with a settings type of its own.

In: envelopes. Out: one outcome for each. Not here: retries, cursors, acknowledgement (`bifrost.bridge.delivery`).
Nothing is imported before `connector` is asked for it: each destination's library is an extra.
"""

from bifrost.bridge.connectors.registry import (
    ENTRY_POINT_GROUP,
    Connector,
    connector,
    connector_names,
    register_connector,
)

__all__ = ["ENTRY_POINT_GROUP", "Connector", "connector", "connector_names", "register_connector"]
