"""However a device is flooded, it raises a code once in a period, and counts all it keeps back."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from gbcs.codes import AlertCode
from gbcs.message import decode
from gbcs.payloads.alerts import decode_generic_alert
from meter_sim.device.alerts import NUMBER, PERIOD, Tally, count_refusal
from tests.unit.meter_sim.estate import NOW, Estate
from tests.unit.meter_sim.running import Running

CODES = [
    AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE,
    AlertCode.UNAUTHORISED_COMMUNICATION_ACCESS,
    AlertCode.AUTHENTICATION_FAILURE,
    AlertCode.UNUSUAL_COMMANDS,
]
pauses = st.one_of(
    st.timedeltas(timedelta(0), timedelta(minutes=20)),
    st.timedeltas(timedelta(0), 2 * PERIOD),
    st.sampled_from([timedelta(0), PERIOD, PERIOD - timedelta(microseconds=1)]),
)
floods = st.lists(st.tuples(pauses, st.sampled_from(CODES)), max_size=120)


@given(floods)
def test_once_in_a_period_and_nothing_is_lost_count_of(flood):
    tallies: dict[int, Tally] = {}
    raised: dict[int, list] = {code: [] for code in CODES}
    kept_back = dict.fromkeys(CODES, 0)
    told = dict.fromkeys(CODES, 0)
    at = NOW
    for pause, code in flood:
        at += pause
        before = tallies.get(code)
        counted = count_refusal(before, code, at)
        tallies[code] = counted.tally
        if counted.unsaid is None:
            kept_back[code] += before is not None and before.alerted and before.lasts(at)
            continue
        raised[code].append(at)
        told[code] += counted.unsaid
    for code in CODES:
        times = raised[code]
        assert all(later - earlier >= PERIOD for earlier, later in pairwise(times))
        waiting = tallies[code].unsaid if code in tallies else 0
        assert told[code] + waiting == kept_back[code]


@given(floods)
def test_a_code_that_one_refusal_raises_is_never_late(flood):
    """Whatever was kept back, the first refusal after a period raises the code again."""
    tally, last, at = None, None, NOW
    for pause, _ in flood:
        at += pause
        counted = count_refusal(tally, CODES[0], at)
        assert (counted.unsaid is not None) == (last is None or at - last >= PERIOD)
        last = at if counted.unsaid is not None else last
        tally = counted.tally


@pytest.mark.check
@settings(max_examples=examples(10), deadline=None)
@given(st.lists(st.tuples(pauses, st.sampled_from(["mac", "stranger", "noise"])), max_size=25))
def test_the_service_raises_what_the_rule_says(flood):
    """What is counted in the store, in one statement where it can be, is counted by the rule."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_compared(Path(folder), flood))


ESTATE = Estate()


async def _compared(folder: Path, flood: list[tuple[timedelta, str]]) -> None:
    forged = bytearray(ESTATE.command().data)
    forged[-1] ^= 1
    stranger = ESTATE.command(originator="0253494d20000000").data
    kinds = {
        "mac": (bytes(forged), CODES[0]),
        "stranger": (stranger, CODES[1]),
        "noise": (b"noise", CODES[3]),
    }
    meters = await Running.start(ESTATE, folder)
    try:
        await meters.install()
        tallies: dict[int, Tally] = {}
        expected, at = [], NOW
        for pause, kind in flood:
            at += pause
            meters.service.base.clock.set(at)
            message, code = kinds[kind]
            await meters.send(message)
            counted = count_refusal(tallies.get(code), code, at)
            tallies[code] = counted.tally
            if counted.unsaid is not None:
                expected.append((int(code), len(expected) + 1))
        await meters.settled()
        said = [decode(alert) for alert in meters.alerts]
        found = [(decode_generic_alert(m.payload).alert_code, m.header.counter) for m in said]
        assert sorted(found, key=lambda one: one[1]) == expected
        assert len(expected) <= len(flood) // min(NUMBER.values()) + sum(
            kind != "noise" for _, kind in flood
        )
    finally:
        await meters.stop()
