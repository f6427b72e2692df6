"""Simulated devices: real servers on real sockets whose memory, measurements and misbehaviour are chosen by the caller.

In: register banks, signals, fault plans. Out: Modbus TCP and RTU that any client can talk to. Not here: clients.
"""

from bifrost.plc.sim.bank import RegisterBank, WriteRecord
from bifrost.plc.sim.faults import Fault, FaultPlan, Injection
from bifrost.plc.sim.framing import Framing
from bifrost.plc.sim.pty import PtyPair, open_pty_pair
from bifrost.plc.sim.rtu_server import ModbusRtuServer
from bifrost.plc.sim.server import ModbusTcpServer, ServerCounters
from bifrost.plc.sim.signals import Constant, Counter, Noise, Replay, Signal, Sine, Square, Sum

__all__ = [
    "Constant",
    "Counter",
    "Fault",
    "FaultPlan",
    "Framing",
    "Injection",
    "ModbusRtuServer",
    "ModbusTcpServer",
    "Noise",
    "PtyPair",
    "RegisterBank",
    "Replay",
    "ServerCounters",
    "Signal",
    "Sine",
    "Square",
    "Sum",
    "WriteRecord",
    "open_pty_pair",
]
