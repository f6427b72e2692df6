"""The press of the demo plant: a device that replays the recorded machine temperature through one block of registers.

In: the recording, and the seconds in which the whole of it is to pass. Out: a register bank. Not here: the network.

The registers hold one record at a time. A read that covers the first register takes the next record if it is due, so
one read of the block is always consistent. A record stays until it has been read once, however late: a collector that
falls behind makes the replay take longer, and no sample is lost on the device's side.
"""

from __future__ import annotations

import math

from bifrost.core.clock import Clock, SystemClock
from bifrost.demo.recording import Recording
from bifrost.errors import ConfigError
from bifrost.plc.datatypes import DataType
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim import RegisterBank, WriteRecord

__all__ = ["Press"]

_RECORDED_AT, _TEMPERATURE, _SAMPLE_INDEX, _SAMPLES_DUE = 0, 2, 4, 6
_START = 0
_RUNNING, _FINISHED = 0, 1


class Press:
    """Replays a recording, one record for each read, never faster than the declared rate.

    Holding registers (0-based): 0 ``recorded_at`` UINT32 (seconds since 1970, UTC), 2 ``temperature`` FLOAT32,
    4 ``sample_index`` UINT32, 6 ``samples_due`` UINT32 (records that are due and not yet shown). Coil 0: writing 1
    starts the replay; the first read does too. Discrete inputs: 0 running, 1 finished (the last record was read).

    Args:
        recording: what to replay.
        seconds: in which the whole recording passes, if it is read fast enough.
        clock: where time is read.

    Attributes:
        bank: serve this.

    Raises:
        ConfigError: `seconds` is not positive.
    """

    def __init__(self, recording: Recording, *, seconds: float, clock: Clock | None = None) -> None:
        if not (math.isfinite(seconds) and seconds > 0):
            raise ConfigError(f"seconds: expected a positive number, got {seconds!r}")
        self.bank = RegisterBank()
        self._recording = recording
        self._period = seconds / len(recording)
        self._clock = SystemClock() if clock is None else clock
        self._began: float | None = None
        self._shown = 0
        self._was_read = False
        self.bank.put(Area.COIL, _START, 0)
        self.bank.put(Area.DISCRETE_INPUT, _RUNNING, 0)
        self.bank.put(Area.DISCRETE_INPUT, _FINISHED, 0)
        self._show(0)
        self.bank.on_read = self._before_read
        self.bank.on_write = self._after_write

    @property
    def finished(self) -> bool:
        """True once the last record was read."""
        return self._was_read and self._shown == len(self._recording) - 1

    @property
    def shown(self) -> int:
        """Index of the record that the registers hold."""
        return self._shown

    def _start(self) -> None:
        if self._began is None:
            self._began = self._clock.monotonic()
            self.bank.put(Area.COIL, _START, 1)
            self.bank.put(Area.DISCRETE_INPUT, _RUNNING, 1)

    def _after_write(self, record: WriteRecord) -> None:
        if record.area is Area.COIL and record.address == _START and record.values[0]:
            self._start()

    def _before_read(self, area: Area, address: int, quantity: int) -> None:
        if area is not Area.HOLDING or address > _RECORDED_AT:
            return
        self._start()
        assert self._began is not None
        due = min(int((self._clock.monotonic() - self._began) / self._period), len(self._recording) - 1)
        if self._was_read and due > self._shown:
            self._shown += 1
        self._was_read = True
        self._show(max(due - self._shown, 0))
        if self.finished:
            self.bank.put(Area.DISCRETE_INPUT, _RUNNING, 0)
            self.bank.put(Area.DISCRETE_INPUT, _FINISHED, 1)

    def _show(self, samples_due: int) -> None:
        sample = self._recording[self._shown]
        put = self.bank.put
        put(Area.HOLDING, _RECORDED_AT, sample.recorded_at, DataType.UINT32)
        put(Area.HOLDING, _TEMPERATURE, sample.temperature, DataType.FLOAT32)
        put(Area.HOLDING, _SAMPLE_INDEX, sample.index, DataType.UINT32)
        put(Area.HOLDING, _SAMPLES_DUE, samples_due, DataType.UINT32)
