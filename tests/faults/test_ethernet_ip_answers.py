"""Answers of a Logix controller that do not fit what was asked, and every fault of the simulator on a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bifrost.core.quality import StatusCode
from bifrost.errors import BifrostError, CIPFault, NotConnected, WriteError
from bifrost.plc import PLCConnection, Tag
from bifrost.plc.sim.cip import CipFault, CipFaultPlan, CipInjection, LogixTarget
from tests.integration.ethernet_ip.logix import tag_store
from tests.integration.leftovers import nothing_left_behind
from tests.integration.waiting import until

_EXPECTED = {"Speed": 1.5, "Small": -3, "Text": "hello", "Flag": True}
_TAGS = [Tag(name, name, protocol="ethernet-ip") for name in _EXPECTED]
_COUNT = Tag("Count", "Count", protocol="ethernet-ip", access="rw")
_HARMLESS = {
    CipFault.SPLIT,
    CipFault.SLOW_BYTES,
    CipFault.COALESCE,
    CipFault.DUPLICATE,
    CipFault.WRONG_CONTEXT,
    CipFault.PARTIAL,
}
_REFUSED = {CipFault.STATUS, CipFault.EMBEDDED}


@asynccontextmanager
async def _connected() -> AsyncIterator[tuple[LogixTarget, PLCConnection]]:
    async with (
        nothing_left_behind(),
        LogixTarget(tag_store()) as target,
        PLCConnection(
            "ethernet-ip", host="127.0.0.1", port=target.port, timeout=0.3, backoff_min=0.05, backoff_max=0.1
        ) as plc,
    ):
        await plc.wait_connected()
        yield target, plc


def _injection(fault: CipFault) -> CipInjection:
    return CipInjection(fault, seconds=0.6 if fault is CipFault.DELAY else 0.0002, index=1, cut=40)


@pytest.mark.parametrize("fault", CipFault)
async def test_a_connection_gets_over_every_fault_by_itself(fault: CipFault) -> None:
    """Right values or none meanwhile, in time; and afterwards the next good reading comes without anybody's help."""
    async with _connected() as (target, plc):
        assert (await plc.read_tags(_TAGS)).values_dict() == _EXPECTED
        target.faults = CipFaultPlan.script(_injection(fault))
        loop = asyncio.get_running_loop()
        began = loop.time()
        readings = await plc.read_tags(_TAGS)
        assert loop.time() - began < 1.0
        for name, reading in readings.items():
            assert reading.value in (None, _EXPECTED[name])
            assert (reading.value is None) == (reading.status >= StatusCode.BAD)
        if fault in _HARMLESS:
            assert readings.ok

        async def good() -> bool:
            return (await plc.read_tags(_TAGS)).values_dict() == _EXPECTED

        await until(good, timeout=3.0)
        assert plc.stats.connects == 1 or fault not in _HARMLESS | _REFUSED


@pytest.mark.parametrize("fault", CipFault)
async def test_a_write_arrives_once_or_not_at_all_and_its_end_is_told(fault: CipFault) -> None:
    """No error: it arrived. Not connected, or refused: it did not. Else: nobody knows."""
    async with _connected() as (target, plc):
        await plc.write(_COUNT, 1)
        before = target.router.store.write_count
        target.faults = CipFaultPlan.script(_injection(fault))
        error: BifrostError | None = None
        try:
            await plc.write(_COUNT, 2)
        except BifrostError as caught:
            error = caught
        await asyncio.sleep(0.05)
        arrived = target.router.store.write_count - before
        if error is None:
            assert arrived == 1
        elif isinstance(error, NotConnected | CIPFault):
            assert arrived == 0
        else:
            assert isinstance(error, WriteError)
            assert error.unknown_outcome
            assert arrived <= 1


async def test_an_answer_to_another_service_ends_the_link() -> None:
    """It is not taken for a value, whatever is in it."""
    async with _connected() as (target, plc):
        target.faults = CipFaultPlan.script(CipFault.WRONG_SERVICE)
        readings = await plc.read_tags([_TAGS[0]])
        assert readings["Speed"].status == StatusCode.BAD_NOT_CONNECTED
        assert "expected an answer to service" in (readings["Speed"].error or "")


async def test_a_value_that_is_cut_short_is_no_value() -> None:
    """Neither alone nor at the end of several; those before it are whole, and the link stays."""
    async with _connected() as (target, plc):
        target.faults = CipFaultPlan.script(CipFault.SHORT_DATA)
        readings = await plc.read_tags([_TAGS[0]])
        assert (readings["Speed"].value, readings["Speed"].status) == (None, StatusCode.BAD_DECODING_ERROR)
        target.faults = CipFaultPlan.script(CipFault.SHORT_DATA)
        readings = await plc.read_tags(_TAGS)
        values = list(readings.values_dict().values())
        assert values == [*list(_EXPECTED.values())[:-1], None]
        assert plc.stats.connects == 1


@pytest.mark.parametrize("fault", [CipFault.WRONG_SERVICE, CipFault.SHORT_DATA])
@pytest.mark.parametrize("at", range(6))
async def test_answers_that_do_not_fit_while_the_link_comes_up_are_got_over(fault: CipFault, at: int) -> None:
    """Whichever request of the opening they meet: there is a link in the end, and its values are right."""
    async with nothing_left_behind(), LogixTarget(tag_store()) as target:
        target.opening_faults = CipFaultPlan.script(*([None] * at), fault)
        target.faults = CipFaultPlan.script(*([None] * at), fault)
        async with PLCConnection(
            "ethernet-ip", host="127.0.0.1", port=target.port, timeout=0.15, backoff_min=0.05, backoff_max=0.1
        ) as plc:

            async def good() -> bool:
                values = (await plc.read_tags(_TAGS)).values_dict()
                assert all(value in (None, _EXPECTED[name]) for name, value in values.items())
                return values == _EXPECTED

            await until(good, timeout=3.0)
