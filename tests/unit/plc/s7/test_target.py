"""The memory of the simulated S7 CPU, and what it makes of requests."""

from __future__ import annotations

import pytest

from bifrost.errors import AddressError, ConfigError, DataTypeError, ProtocolError
from bifrost.plc.s7 import S7Area
from bifrost.plc.s7.jobs import Job
from bifrost.plc.s7.pdu import (
    Transport,
    item_specification,
    job,
    open_answer,
    read_parameters,
    read_results,
    write_data,
    write_parameters,
)
from bifrost.plc.sim import Counter, Fault, Injection, Square
from bifrost.plc.sim.s7 import S7Memory, S7WriteRecord
from bifrost.plc.sim.s7.disturbance import disturb_s7
from bifrost.plc.sim.s7.requests import S7Job, answer_items, read_job, write_values
from bifrost.testing import VirtualClock


def test_a_text_brings_its_room() -> None:
    """As the CPU's own program initialises it."""
    memory = S7Memory({1: 40})
    memory.put("DB1:0:STRING(4)[2]", ["ab", "c"])
    assert bytes(memory.areas[S7Area.DB, 1][:12]) == b"\x04\x02ab\0\0\x04\x01c\0\0\0"
    assert memory.get("DB1:0:STRING(4)[2]") == ["ab", "c"]


@pytest.mark.parametrize(
    ("address", "value", "error"),
    [
        ("DB2.DBW0", 1, AddressError),
        ("DB1.DBW39", 1, AddressError),
        ("T64", 10, AddressError),
        ("DB1:0:INT[2]", [1], AddressError),
        ("DB1.DBW0", 65536, DataTypeError),
        ("DB1.DBX0.0", 1, DataTypeError),
    ],
)
def test_what_does_not_fit_is_refused(address: str, value: object, error: type[ConfigError]) -> None:
    """There is no such place, or no such value."""
    with pytest.raises(error):
        S7Memory({1: 40}).put(address, value)


def test_areas_have_limits() -> None:
    """A data block has a number, and 64 KiB at most."""
    for dbs in ({0: 10}, {1: 65537}, {65536: 1}):
        with pytest.raises(ConfigError):
            S7Memory(dbs)
    with pytest.raises(AddressError):
        S7Memory({1: 8}).bind("DB1:0:INT[2]", Counter(period=1.0))


def test_a_write_is_taken_or_refused_by_its_code() -> None:
    """And counted either way."""
    memory = S7Memory({1: 4})
    assert memory.write(S7WriteRecord(S7Area.DB, 1, 0, None, b"\1\2")) == 0xFF
    assert memory.write(S7WriteRecord(S7Area.DB, 1, 3, None, b"\1\2")) == 0x05
    assert memory.write(S7WriteRecord(S7Area.DB, 2, 0, None, b"\1")) == 0x0A
    memory.refuse("db1")
    assert memory.write(S7WriteRecord(S7Area.DB, 1, 0, None, rb"\9")) == 0x03
    memory.refuse("DB1", None)
    assert memory.write(S7WriteRecord(S7Area.DB, 1, 0, 7, b"\1")) == 0xFF
    assert memory.get("DB1.DBB0") == 0x81
    assert memory.write_count == 5


async def test_signals_drive_numbers_and_bits(clock: VirtualClock) -> None:
    """As they stand when a client reads, counted from the first read."""
    import asyncio

    memory = S7Memory({1: 8}, clock=clock)
    memory.bind("DB1.DBW0", Counter(period=1.0))
    memory.bind("DB1.DBX2.3", Square(0.0, 1.0, period=4.0, duty=0.5))
    memory.refresh()
    assert (memory.get("DB1.DBW0"), memory.get("DB1.DBX2.3")) == (0, True)
    await asyncio.sleep(3.5)
    memory.refresh()
    assert (memory.get("DB1.DBW0"), memory.get("DB1.DBX2.3")) == (3, False)


def _job_of(task: Job) -> S7Job:
    pdu = job(5, task.parameters, task.data)
    read = read_job(b"\x03\0" + (len(pdu) + 7).to_bytes(2) + b"\x02\xf0\x80" + pdu)
    assert read is not None
    return read


def test_a_bit_is_answered_as_a_bit() -> None:
    """Transport size BIT, length 1, beside others."""
    asked = _job_of(
        Job(
            read_parameters(
                [
                    item_specification(0x84, 1, 83, 1, Transport.BIT),
                    item_specification(0x1D, 0, 5, 2, Transport.TIMER),
                ]
            )
        )
    )
    assert [(item.area, item.start, item.bit, item.size) for item in asked.items] == [
        (S7Area.DB, 10, 3, 1),
        (S7Area.TIMER, 5, None, 4),
    ]
    answer = answer_items(asked, [b"\1", bytes(4)])
    assert read_results(open_answer(answer[7:], 5, 0x04, 2), [1, 4]) == [b"\1", bytes(4)]


def test_a_malformed_job_is_a_protocol_error() -> None:
    """Fewer items than announced, fewer bytes than items."""
    specification = item_specification(0x84, 1, 0, 2, Transport.BYTE)
    pdu = job(5, read_parameters([specification]))
    frame = b"\x03\0\0\0\x02\xf0\x80" + pdu[:-1]
    with pytest.raises(ProtocolError):
        read_job(frame)
    for data in (b"", write_data([(Transport.VALUE_BYTES, b"\1")])):
        with pytest.raises(ProtocolError):
            write_values(_job_of(Job(write_parameters([specification]), data)))


def test_a_fault_of_another_protocol_is_refused() -> None:
    """An S7 frame has no CRC."""
    with pytest.raises(ConfigError, match="not of S7"):
        disturb_s7(Injection(Fault.CRC_ERROR), bytes(30))
