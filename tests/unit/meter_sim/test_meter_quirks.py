"""Lengths as published Responses and Alerts write them, and everything else as before."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbcs.credentials import decode_alert, decode_response
from gbcs.errors import ParseError
from gbcs.message import decode
from gbcs.minimal_lengths import with_minimal_lengths
from gbcs.octets import length_octets
from gbcs.protect import verify_signature
from keys.roles import Usage
from meter_sim.quirks import with_long_lengths
from tests.unit.meter_sim.estate import DEVICE, Estate
from tests.unit.meter_sim.running import Running


def der(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + length_octets(len(content)) + content


VALUES = st.recursive(
    st.binary(max_size=140).map(lambda octets: der(0x04, octets)),
    lambda inner: st.lists(inner, max_size=4).map(lambda some: der(0x30, b"".join(some))),
    max_leaves=6,
)


@given(VALUES)
def test_only_lengths_change_and_they_can_be_changed_back(value: bytes) -> None:
    assert with_minimal_lengths(with_long_lengths(value)) == value


def test_which_lengths_change() -> None:
    assert with_long_lengths(der(0x30, der(0x04, bytes(100)))) == der(0x30, der(0x04, bytes(100)))
    assert with_long_lengths(der(0x30, der(0x04, bytes(200))))[:5] == b"\x30\x82\x00\xcb\x04"
    assert with_long_lengths(der(0x04, bytes(200))) == der(0x04, bytes(200))
    assert with_long_lengths(der(0x30, der(0x04, bytes(300)))) == der(0x30, der(0x04, bytes(300)))


def test_the_published_ones_are_written_to_the_octet(shared_dir: Path) -> None:
    found = 0
    for path in sorted((shared_dir / "rtds").glob("CS02*_GBCS.HEX")):
        payload = decode(bytes.fromhex(path.read_text().strip())).payload
        try:
            plain = with_minimal_lengths(payload)
        except ParseError:
            continue
        if plain != payload:
            found += 1
            assert with_long_lengths(plain) == payload, path.name
    assert found == 6


async def switch(meters: Running, *, on: bool) -> None:
    answer = await meters.lab.put("/lab/quirks/non-minimal-lengths", json={"on": on})
    assert answer.is_success
    assert ("quirk:non-minimal-lengths" in answer.headers.get("lab-weakened", "")) is on


@pytest.mark.parametrize("on", [True, False])
async def test_responses_and_alerts_are_written_and_signed_so(
    meters: Running, estate: Estate, on: bool
) -> None:
    await meters.install()
    await switch(meters, on=on)
    key = estate.fleet.public_key(DEVICE, Usage.DIGITAL_SIGNATURE)

    said = decode((await meters.send(estate.command().data)).content)
    assert (said.payload[1:3] == b"\x82\x00") is on
    assert (with_minimal_lengths(said.payload) != said.payload) is on
    verify_signature(said, key)
    assert decode_response(said.payload).outcome is not None

    later = estate.command(counter=6002).with_fields(execution_date_time="20261122120000Z")
    await meters.send(later.data)
    meters.service.base.clock.step(timedelta(days=2))
    await meters.settled()
    alert = decode(meters.alerts[-1])
    assert (alert.payload[1:3] == b"\x82\x00") is on
    verify_signature(alert, key)
    assert decode_alert(alert.payload).outcome is not None
