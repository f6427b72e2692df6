"""bifrost inside a program that is there already: threads, asyncio, trio, pykka.

In: child specifications, and the host's own way of life. Out: a system whose tree ends in order with the host, and
whose failure reaches the host as `SupervisorGaveUp`. Not here: signal handlers, loop policies, logging handlers;
anything that two systems share.

Every host but asyncio goes through one `Portal`, a thread with a loop of its own. `bifrost.actors.hosts.trio` and
`bifrost.actors.hosts.pykka` are imported by name, for they need the extras ``bifrost-edge[trio]`` and
``bifrost-edge[pykka]``.
"""

from bifrost.actors.hosts.asyncio_child import run_system, system_child
from bifrost.actors.hosts.options import SystemOptions
from bifrost.actors.hosts.portal import Portal
from bifrost.actors.hosts.threads import PortalSystem

__all__ = ["Portal", "PortalSystem", "SystemOptions", "run_system", "system_child"]
