"""Devices of every protocol that die and come back all the time, while they are read, written and polled.

What must hold through it all: nothing raises that is no error of bifrost's, no value is wrong, no write arrives twice,
and in the end no task, thread or descriptor is left. The same seed draws the same deaths; the kernel adds its own.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections import Counter
from contextlib import aclosing
from typing import Any

import pytest

from bifrost.core.quality import StatusCode
from bifrost.errors import BifrostError, NotConnected, WriteError
from bifrost.plc import PLCConnection
from tests.faults.soak_plants import CONSTANT, Plant, plants
from tests.integration.leftovers import nothing_left_behind
from tests.integration.waiting import until

_SECONDS = float(os.environ.get("BIFROST_SOAK_SECONDS", "10"))


class Soak:
    """One device and everybody who uses it.

    Attributes:
        good: readings that had a value.
        tried: numbers that somebody tried to write.
        done: numbers whose write was confirmed.
        unsent: numbers of which it was said that nothing was sent.
        deaths: how often the device was switched off.
    """

    def __init__(self, plant: Plant, seed: int, until_time: float) -> None:
        self.plant = plant
        self.good = 0
        self.tried: list[int] = []
        self.done: list[int] = []
        self.unsent: list[int] = []
        self.deaths = 0
        self._rng = random.Random(f"{seed} {plant.name}")
        self._end = until_time
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()

    @property
    def _going_on(self) -> bool:
        return self._loop.time() < self._end

    async def run(self) -> None:
        """Live through it, and look at what is left of the connection."""
        await self.plant.switch_on()
        try:
            async with self.plant.connection() as plc:
                users = [self._poll(plc), self._poll(plc), self._read(plc), self._write(plc), self._write(plc)]
                async with asyncio.TaskGroup() as group:
                    for user in (*users, self._come_and_go(), self._die_and_rise()):
                        group.create_task(user)
                await until(lambda: self._is_well(plc), timeout=5.0)
        finally:
            await self.plant.switch_off(reset=False)
            self.plant.dispose()

    async def _die_and_rise(self) -> None:
        while self._going_on:
            await asyncio.sleep(self._rng.uniform(0.05, 0.2))
            await self.plant.switch_off(reset=self._rng.random() < 0.5)
            self.deaths += 1
            await asyncio.sleep(self._rng.uniform(0.05, 0.2))
            await self.plant.switch_on()

    async def _poll(self, plc: PLCConnection) -> None:
        """Begin polls, and leave them in the middle."""
        while self._going_on:
            cycles = self._rng.randrange(5, 60)
            async with aclosing(plc.poll([self.plant.constant, self.plant.written], 10)) as snapshots:
                async for snapshot in snapshots:
                    self._look_at(snapshot)
                    cycles -= 1
                    if not cycles or not self._going_on:
                        break

    async def _read(self, plc: PLCConnection) -> None:
        """Read, and give up now and then."""
        while self._going_on:
            tags = [self.plant.written, self.plant.constant]
            reading = asyncio.create_task(plc.read_tags(self._rng.sample(tags, self._rng.randrange(1, 3))))
            await asyncio.wait([reading], timeout=self._patience())
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled():
                self._look_at(reading.result())
            await asyncio.sleep(0.002)

    async def _write(self, plc: PLCConnection) -> None:
        """Write numbers that nobody wrote before, and give up now and then."""
        while self._going_on:
            number = next(self._numbers)
            self.tried.append(number)
            writing = asyncio.create_task(plc.write(self.plant.written, number))
            await asyncio.wait([writing], timeout=self._patience())
            writing.cancel()
            await asyncio.wait([writing])
            if not writing.cancelled():
                self._note(number, writing.exception())
            await asyncio.sleep(self._rng.uniform(0.03, 0.06))

    async def _come_and_go(self) -> None:
        """Connections that live for a moment, whatever the device does just then."""
        while self._going_on:
            try:
                async with asyncio.timeout(self._rng.uniform(0.0, 0.3)), self.plant.connection() as passing:
                    while self._going_on:
                        self._look_at(await passing.read_tags([self.plant.constant]))
                        await asyncio.sleep(0.005)
            except TimeoutError:
                pass

    def _patience(self) -> float | None:
        return self._rng.uniform(0.0, 0.02) if self._rng.random() < 0.2 else None

    def _look_at(self, readings: Any) -> None:
        for name, reading in readings.items():
            if reading.value is None:
                assert reading.status >= StatusCode.BAD
                continue
            self.good += 1
            assert reading.ok
            if name == "constant":
                assert reading.value == CONSTANT
            else:
                assert reading.value in {0, *self.tried}

    def _note(self, number: int, error: BaseException | None) -> None:
        if error is None:
            self.done.append(number)
            return
        assert isinstance(error, BifrostError), error
        if isinstance(error, NotConnected):
            self.unsent.append(number)
        else:
            assert isinstance(error, WriteError), repr(error)
            assert error.unknown_outcome

    async def _is_well(self, plc: PLCConnection) -> bool:
        readings = await plc.read_tags([self.plant.constant, self.plant.written])
        self._look_at(readings)
        return readings.ok

    def judge(self) -> None:
        """Compare what was said with what the device saw."""
        arrived = self.plant.arrived()
        name = self.plant.name
        twice = [number for number, times in Counter(arrived).items() if times > 1]
        assert not twice, f"{name}: written more than once: {twice}"
        assert set(self.done) <= set(arrived), f"{name}: confirmed, and never arrived"
        assert not set(self.unsent) & set(arrived), f"{name}: said to be unsent, and arrived"
        assert self.deaths > 5 * _SECONDS / 10, f"{name}: it did not die often enough to show anything"
        assert self.good > 20 * _SECONDS, f"{name}: hardly anything was read"
        assert len(self.done) > 2 * _SECONDS, f"{name}: hardly anything was written"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [int(os.environ.get("BIFROST_SOAK_SEED", "1"))])
async def test_devices_that_die_and_come_back_leave_no_trace(seed: int) -> None:
    """All protocols at once; `BIFROST_SOAK_SECONDS` and `BIFROST_SOAK_SEED` make it longer, or another."""
    loop = asyncio.get_running_loop()
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    async with nothing_left_behind():
        soaks = [Soak(plant, seed, loop.time() + _SECONDS) for plant in plants()]
        async with asyncio.TaskGroup() as group:
            for soak in soaks:
                group.create_task(soak.run())
    assert not reported, reported
    for soak in soaks:
        soak.judge()
