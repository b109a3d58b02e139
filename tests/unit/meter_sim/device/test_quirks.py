"""Lengths as published Responses and Alerts write them, and everything else as before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbcs.errors import ParseError
from gbcs.message import decode
from gbcs.octets import length_octets
from gbcs.payloads.credentials import decode_alert, decode_response, encode_response
from gbcs.payloads.device_ber import DEFAULT_WRITTEN, NON_MINIMAL_LENGTH, as_der, departures
from gbcs.protect import verify_signature
from keys.roles import Usage
from meter_sim.device.quirks import DEFAULT_WRITTEN_OUT, NON_MINIMAL_LENGTHS, as_written
from tests.unit.meter_sim.estate import DEVICE, Estate
from tests.unit.meter_sim.running import Running


def der(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + length_octets(len(content)) + content


def with_long_lengths(payload: bytes) -> bytes:
    return as_written(payload, long_lengths=True)


VALUES = st.recursive(
    st.binary(max_size=140).map(lambda octets: der(0x04, octets)),
    lambda inner: st.lists(inner, max_size=4).map(lambda some: der(0x30, b"".join(some))),
    max_leaves=6,
)


@given(VALUES)
def test_only_lengths_change_and_they_can_be_changed_back(value: bytes) -> None:
    assert as_der(with_long_lengths(value)) == value


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
            plain = as_der(payload)
        except ParseError:
            continue
        if plain != payload:
            found += 1
            assert with_long_lengths(plain) == payload, path.name
    assert found == 6


async def switch(meters: Running, *, on: bool, name: str = NON_MINIMAL_LENGTHS) -> None:
    answer = await meters.lab.put(f"/lab/quirks/{name}", json={"on": on})
    assert answer.is_success
    assert (f"quirk:{name}" in answer.headers.get("lab-weakened", "")) is on


def test_the_default_is_written_where_a_real_device_wrote_it(shared_dir: Path) -> None:
    path = shared_dir / "field" / "01-cs02a-response-cell-usage-explicit.hex"
    payload = decode(bytes.fromhex(path.read_text().strip())).payload
    assert as_der(payload) != payload
    assert as_written(as_der(payload), default=True) == payload


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("on", [True, False])
async def test_a_default_is_written_out_and_read(
    meters: Running, estate: Estate, on: bool, lengths: bool
) -> None:
    await meters.install()
    await switch(meters, on=on, name=DEFAULT_WRITTEN_OUT)
    await switch(meters, on=lengths)

    said = decode((await meters.send(estate.command().data)).content)
    wanted = {DEFAULT_WRITTEN} if on else set()
    assert set(departures(said.payload)) == wanted | ({NON_MINIMAL_LENGTH} if lengths else set())
    verify_signature(said, estate.fleet.public_key(DEVICE, Usage.DIGITAL_SIGNATURE))
    response = decode_response(said.payload)
    assert response.outcome is not None
    assert encode_response(response) == said.payload
    assert encode_response(replace(response, raw=None)) == as_der(said.payload)


@pytest.mark.parametrize("on", [True, False])
async def test_responses_and_alerts_are_written_and_signed_so(
    meters: Running, estate: Estate, on: bool
) -> None:
    await meters.install()
    await switch(meters, on=on)
    key = estate.fleet.public_key(DEVICE, Usage.DIGITAL_SIGNATURE)

    said = decode((await meters.send(estate.command().data)).content)
    assert (said.payload[1:3] == b"\x82\x00") is on
    assert (as_der(said.payload) != said.payload) is on
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
