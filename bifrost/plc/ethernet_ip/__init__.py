"""EtherNet/IP: Logix and Micro800 controllers, on pycomm3.

In: tags with addresses such as ``Program:Main.Motor[3].Speed``. Out: their values with a status each; what a
controller has (`browse`); controllers on a network (`discovery`). pycomm3 runs in a dedicated, watched thread for each
link, and is first imported there. Not here: reconnecting, polling, implicit (cyclic) messages, programming.
"""

from bifrost.plc.ethernet_ip.settings import EtherNetIPSettings

__all__ = ["EtherNetIPSettings"]
