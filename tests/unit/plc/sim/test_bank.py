from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import AddressError, DataTypeError, ModbusFault
from bifrost.plc.datatypes import DataType
from bifrost.plc.modbus.address import Area
from bifrost.plc.sim import Counter, RegisterBank, Sine, WriteRecord


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)


def test_what_was_put_is_read_as_words() -> None:
    """A FLOAT32 and a UINT32 side by side are four words of one read."""
    bank = RegisterBank()
    bank.put(Area.HOLDING, 0, 1.0, DataType.FLOAT32)
    bank.put(Area.HOLDING, 2, 70000, DataType.UINT32)
    assert bank.read(Area.HOLDING, 0, 4) == [0x3F80, 0, 1, 4464]
    assert bank.get(Area.HOLDING, 2, DataType.UINT32) == 70000


def test_an_address_that_does_not_exist_is_refused_with_code_2() -> None:
    """Reading or writing one address beyond the last fails as a whole and changes nothing."""
    bank = RegisterBank()
    bank.map(Area.HOLDING, 10, 2)
    for address, quantity in ((9, 1), (9, 2), (11, 2), (12, 1)):
        with pytest.raises(ModbusFault) as caught:
            bank.read(Area.HOLDING, address, quantity)
        assert caught.value.code == 2
    with pytest.raises(ModbusFault):
        bank.write(Area.HOLDING, 11, [7, 8])
    assert bank.read(Area.HOLDING, 10, 2) == [0, 0]
    assert bank.write_count == 0


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=12))
def test_mapping_joins_neighbours_whatever_the_order(ranges: list[tuple[int, int]]) -> None:
    """Every run of mapped addresses can be read in one piece, and keeps the values that were there."""
    bank = RegisterBank()
    there: dict[int, int] = {}
    for number, (start, count) in enumerate(ranges, start=1):
        bank.map(Area.INPUT, start, count)
        for address in range(start, start + count):
            there.setdefault(address, 0)
        bank.put(Area.INPUT, start, number)
        there[start] = number
    runs: list[list[int]] = []
    for address in sorted(there):
        if runs and runs[-1][-1] == address - 1:
            runs[-1].append(address)
        else:
            runs.append([address])
    for run in runs:
        assert bank.read(Area.INPUT, run[0], len(run)) == [there[address] for address in run]
        with pytest.raises(ModbusFault):
            bank.read(Area.INPUT, run[0], len(run) + 1)


def test_writes_from_the_wire_are_recorded() -> None:
    """Each write is kept with its place and values, and counted."""
    bank = RegisterBank()
    seen: list[WriteRecord] = []
    bank.on_write = seen.append
    bank.map(Area.COIL, 0, 8)
    bank.write(Area.COIL, 2, [1, 0, 1])
    assert list(bank.writes) == seen == [WriteRecord(Area.COIL, 2, (1, 0, 1))]
    assert bank.write_count == 1
    assert bank.get(Area.COIL, 4) == 1


def test_a_bound_signal_is_read_as_of_the_moment_of_the_read() -> None:
    """The signal's time begins with the first read and follows the clock."""
    clock = FakeClock()
    bank = RegisterBank(clock=clock)
    bank.bind(Area.INPUT, 0, Sine(10.0, 2.0, period=4.0))
    bank.bind(Area.INPUT, 2, Counter(period=0.5), DataType.UINT16)
    bank.read(Area.INPUT, 0, 3)
    assert bank.get(Area.INPUT, 0, DataType.FLOAT32) == 10.0
    clock.now += 1.0
    bank.read(Area.INPUT, 0, 3)
    assert bank.get(Area.INPUT, 0, DataType.FLOAT32) == 12.0
    assert bank.get(Area.INPUT, 2) == 2


def test_mistakes_of_the_simulation_are_named() -> None:
    """Addresses outside the table and values that do not fit never get in."""
    bank = RegisterBank()
    with pytest.raises(AddressError, match=r"0\.\.65535"):
        bank.map(Area.COIL, 65535, 2)
    with pytest.raises(AddressError):
        bank.put(Area.HOLDING, 65535, 1.0, DataType.FLOAT32)
    with pytest.raises(AddressError, match="nothing is mapped"):
        bank.get(Area.HOLDING, 0)
    with pytest.raises(DataTypeError):
        bank.put(Area.HOLDING, 0, 70000)
