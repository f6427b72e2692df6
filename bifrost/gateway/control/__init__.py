"""The control socket: one program on this machine asks a running gateway, or changes it.

In: one JSON request a line over a Unix domain socket that only its owner may open (where there is none: loopback TCP
with a random token in a file that only its owner may read). Out: one JSON answer a line. Not here: what a request
does (`bifrost.gateway.gateway`), the command line (`bifrost.cli`).
"""

from bifrost.gateway.control.actor import ControlActor
from bifrost.gateway.control.address import ControlAddress
from bifrost.gateway.control.client import ask_gateway
from bifrost.gateway.control.protocol import MAX_LINE_BYTES, ControlRequest, ControlResponse
from bifrost.gateway.control.server import ControlServer, Operation

__all__ = [
    "MAX_LINE_BYTES",
    "ControlActor",
    "ControlAddress",
    "ControlRequest",
    "ControlResponse",
    "ControlServer",
    "Operation",
    "ask_gateway",
]
