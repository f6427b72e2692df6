"""The read plan of S7: few jobs, each within the PDU, no value torn, and what the device refused left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.core.quality import StatusCode
from bifrost.core.value import Value
from bifrost.errors import ProtocolError, S7Fault
from bifrost.plc import Tag
from bifrost.plc.s7.blocks import Gathered
from bifrost.plc.s7.plan import ReadJob, S7ReadPlan
from bifrost.plc.sim.s7 import S7Memory


def _plan(*addresses: str, max_gap: int = 16) -> S7ReadPlan:
    tags = [Tag(f"t{at}", address, protocol="s7") for at, address in enumerate(addresses)]
    return S7ReadPlan(tags, max_gap=max_gap, encoding="latin-1")


def _stretches(jobs: list[ReadJob]) -> list[list[tuple[int, int]]]:
    return [[(block.start, block.stop) for block in job.blocks] for job in jobs]


def _read(plan: S7ReadPlan, memory: S7Memory, pdu: int) -> Gathered:
    """What the jobs bring from a memory; each answer is checked against the PDU."""
    gathered = Gathered(plan.total)
    for job in plan.jobs(pdu):
        assert len(job.blocks) <= 20
        assert 10 + len(job.parameters) <= pdu
        assert 14 + sum(4 + size for size in job.sizes) <= pdu
        for block in job.blocks:
            first = block.pieces[0]
            data = memory.areas[first.area, first.db]
            at = block.start * first.area.step
            block.take(bytes(data[at : at + block.size]), gathered)
    return gathered


def test_neighbours_are_read_with_one_item() -> None:
    """Up to `max_gap` unwanted bytes between them."""
    addresses = ("DB1.DBW0", "DB1.DBW2", "DB1.DBW20", "DB1.DBW39")
    assert _stretches(_plan(*addresses).jobs(480)) == [[(0, 22), (39, 41)]]
    assert _stretches(_plan(*addresses, max_gap=17).jobs(480)) == [[(0, 41)]]
    assert _stretches(_plan(*addresses, max_gap=0).jobs(480)) == [[(0, 4), (20, 22), (39, 41)]]


def test_areas_and_blocks_are_not_mixed_but_share_a_job() -> None:
    """One round trip for a data block, merkers, inputs, outputs, timers and counters."""
    plan = _plan("DB1.DBW0", "DB2.DBW2", "MW0", "IW0", "QW0", "T0", "T1", "C0")
    jobs = plan.jobs(240)
    assert len(jobs) == 1
    assert sorted(jobs[0].sizes) == [2, 2, 2, 2, 2, 2, 4]


def test_a_job_has_twenty_items_at_most() -> None:
    """And as many as its own length allows: 19 in a PDU of 240."""
    addresses = [f"DB{number}.DBW0" for number in range(1, 46)]
    assert [len(job.blocks) for job in _plan(*addresses).jobs(480)] == [20, 20, 5]
    assert [len(job.blocks) for job in _plan(*addresses).jobs(240)] == [19, 19, 7]


def test_a_block_is_as_long_as_the_pdu_less_eighteen() -> None:
    """The rest begins the next one, at the border between two values."""
    assert _stretches(_plan("DB1.DBB0[462]").jobs(480)) == [[(0, 462)]]
    assert _stretches(_plan("DB1.DBB0[463]").jobs(480)) == [[(0, 462)], [(462, 463)]]
    assert _stretches(_plan("DB1.DBD0:REAL[56]").jobs(240)) == [[(0, 220)], [(220, 224)]]


def test_a_value_that_is_longer_than_an_answer_is_uncertain() -> None:
    """It comes in parts between which the CPU may have changed it; others are good."""
    memory = S7Memory({1: 600})
    memory.put("DB1:0:STRING(250)", "x" * 250)
    memory.put("DB1.DBW300", 77)
    gathered = _read(_plan("DB1:0:STRING(250)", "DB1.DBW300"), memory, 240)
    assert gathered.values == ["x" * 250, 77]
    assert gathered.statuses == {0: StatusCode.UNCERTAIN_SUB_NORMAL}
    assert _read(_plan("DB1:0:STRING(250)"), memory, 480).statuses == {}


def test_jobs_are_made_once_for_each_length() -> None:
    """A plan serves links of different PDUs."""
    plan = _plan("DB1.DBB0[600]")
    assert plan.jobs(240) is plan.jobs(240)
    assert len(plan.jobs(240)) > len(plan.jobs(480))


def test_a_value_that_cannot_be_decoded_harms_no_other() -> None:
    """Its error names the tag."""
    memory = S7Memory({1: 64})
    memory.areas[next(iter(memory.areas))][0:2] = b"\x02\x09"
    memory.put("DB1.DBW20", 5)
    gathered = _read(_plan("DB1:0:STRING(10)", "DB1.DBW20", "DB1:30:DT"), memory, 480)
    assert gathered.values == [None, 5, None]
    assert isinstance(gathered.errors[0], ProtocolError)
    assert "'t0'" in str(gathered.errors[0])
    assert "'t2'" in str(gathered.errors[2])


def test_what_was_refused_is_left_out_until_it_is_time() -> None:
    """And no block reaches across it."""
    plan = _plan("DB1.DBW0", "DB1.DBW2", "DB1.DBW4")
    link = object()
    plan.begin(link, 100.0)
    (job,) = plan.jobs(480)
    refused = job.blocks[0].pieces[1]
    fault = S7Fault("no", code=0x03)
    plan.learn({refused.place: fault}, [], ask_again_at=400.0)
    assert _stretches(plan.jobs(480)) == [[(0, 2), (4, 6)]]
    assert plan.refused == {1: fault}
    plan.begin(link, 399.0)
    assert plan.refused == {1: fault}
    plan.begin(link, 400.0)
    assert _stretches(plan.jobs(480)) == [[(0, 6)]]
    assert plan.refused == {}


def test_another_link_forgets_what_was_refused() -> None:
    """It may be another CPU."""
    plan = _plan("DB1.DBW0", "DB1.DBW2")
    plan.begin(1, 0.0)
    plan.learn({plan.jobs(480)[0].blocks[0].pieces[0].place: S7Fault("no", code=0x05)}, [], ask_again_at=400.0)
    plan.begin(2, 1.0)
    assert _stretches(plan.jobs(480)) == [[(0, 4)]]


def test_a_part_that_is_refused_takes_the_value_with_it() -> None:
    """The rest of a text is of no use."""
    plan = _plan("DB1:0:STRING(250)", "DB1.DBW300")
    first = plan.jobs(240)[0].blocks[0].pieces[0]
    fault = S7Fault("no", code=0x05)
    plan.learn({first.place: fault}, [], ask_again_at=400.0)
    assert _stretches(plan.jobs(240)) == [[(300, 302)]]
    assert plan.refused == {0: fault}


_DRAWN: dict[str, Callable[[int], Value]] = {
    "DB1.DBX{0}.{1}": lambda seed: bool(seed % 2),
    "DB1.DBX{0}.{1}[5]": lambda seed: [bool(seed >> at & 1) for at in range(5)],
    "DB1:{0}:INT": lambda seed: seed - 128,
    "DB1:{0}:REAL": lambda seed: seed / 4,
    "DB1:{0}:DINT[7]": lambda seed: [seed * at for at in range(7)],
    "DB1:{0}:STRING(9)": lambda seed: chr(65 + seed % 26) * (seed % 10),
    "DB1:{0}:LREAL[30]": lambda seed: [seed * 1.5] * 30,
    "DB1:{0}:DTL": lambda seed: f"2024-01-01T00:00:{seed % 60:02d}.000000000",
    "DB1:{0}:BYTES(150)": lambda seed: bytes([seed]) * 150,
}


@given(
    st.lists(
        st.tuples(st.sampled_from(list(_DRAWN)), st.integers(0, 30), st.integers(0, 255)), min_size=1, max_size=30
    ),
    st.sampled_from([112, 113, 240, 480, 960]),
    st.integers(0, 40),
)
def test_every_value_arrives_whatever_the_pdu(drawn: list[tuple[str, int, int]], pdu: int, max_gap: int) -> None:
    """Tags anywhere in a block, in jobs of any length: each job fits, each value is its own."""
    memory = S7Memory({1: 20_000})
    addresses: list[str] = []
    expected: list[object] = []
    at = 0
    for form, gap, seed in drawn:
        at += gap
        address = form.format(at, seed % 8)
        value = _DRAWN[form](seed)
        memory.put(address, value)
        addresses.append(address)
        expected += value if isinstance(value, list) else [value]
        at += 260
    plan = _plan(*addresses, max_gap=max_gap)
    gathered = _read(plan, memory, pdu)
    assert gathered.values == expected
    assert gathered.errors == {}
    assert bool(gathered.statuses) == (pdu < 150 + 18 and any("BYTES" in form for form, _, _ in drawn))


@pytest.mark.parametrize("reverse", [False, True])
def test_tags_that_overlap_are_read_together(reverse: bool) -> None:
    """The same bytes as bits, as a word and as bytes."""
    memory = S7Memory({1: 8})
    memory.put("DB1.DBW0", 0x0180)
    addresses = ["DB1.DBW0", "DB1.DBX0.0", "DB1.DBX1.7", "DB1.DBB0", "DB1.DBB0:BYTES(4)"]
    values: list[Value] = [0x0180, True, True, 1, b"\x01\x80\0\0"]
    if reverse:
        addresses, values = addresses[::-1], values[::-1]
    plan = _plan(*addresses)
    assert _stretches(plan.jobs(480)) == [[(0, 4)]]
    assert _read(plan, memory, 480).values == values
