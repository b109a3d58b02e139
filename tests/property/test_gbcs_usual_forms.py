"""What is read or written quickly is what is read or written octet by octet, good or bad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gbcs.codes import CellUsage, Cra, CredentialsReplacementMode, KeyUsage, RemotePartyRole
from gbcs.codes import StatusCode as Status
from gbcs.errors import GbcsError, ParseError
from gbcs.message import (
    GroupingHeader,
    Message,
    OtherInformation,
    decode,
    decode_strictly,
    encode,
    encode_content,
)
from gbcs.octets import Octets, length_octets
from gbcs.payloads import asn1, credentials, outcomes
from gbcs.payloads.device_ber import as_der, with_short_outer_lengths
from gbcs.usual_form import usual_parts

T = TypeVar("T")
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

counters = st.integers(0, 2**64 - 1)
entities = st.binary(min_size=8, max_size=8).map(bytes.hex)
cells = st.builds(
    credentials.CellId,
    st.sampled_from(RemotePartyRole),
    st.sampled_from(KeyUsage),
    st.sampled_from(CellUsage),
)
sequences = st.binary(max_size=300).map(lambda c: b"\x30" + length_octets(len(c)) + c)
headers = st.builds(
    GroupingHeader,
    st.sampled_from(Cra),
    counters,
    entities,
    entities,
    st.one_of(
        st.builds(OtherInformation, st.integers(0, 0xFFFF)),
        st.builds(OtherInformation, st.integers(0, 0xFFFF), entities, counters, counters),
        st.builds(
            OtherInformation,
            st.integers(0, 0xFFFF),
            entities,
            counters,
            st.none(),
            st.binary(min_size=7, max_size=300).map(lambda c: b"\x30" + length_octets(len(c)) + c),
        ),
    ),
    st.none() | st.binary(min_size=12, max_size=12),
)
payloads = (
    st.binary(max_size=20)
    | st.binary(min_size=120, max_size=140)
    | st.binary(min_size=250, max_size=260)
)
signatures = st.just(b"") | st.binary(min_size=64, max_size=64)
messages = st.builds(Message, headers, payloads, st.none() | signatures) | st.builds(
    Message, headers, payloads, signatures, st.binary(min_size=12, max_size=12)
)


@st.composite
def disturbed(draw: st.DrawFn, octets: bytes) -> bytes:
    """Octets with a few of them changed, put in or taken out, mostly where the frame is."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, min(len(octets), 60)) | st.integers(0, len(octets)))
        gone = draw(st.integers(0, 3))
        octets = octets[:at] + draw(st.binary(max_size=3)) + octets[at + gone :]
    return octets


def outcome(read: Callable[[bytes], T], octets: bytes) -> T | tuple[type[Exception], str]:
    """What is read, or who refuses and in which words."""
    try:
        return read(octets)
    except GbcsError as refusal:
        return type(refusal), str(refusal)


@unhurried
@given(message=messages, data=st.data())
def test_two_readers_agree_on_every_message(message: Message, data: Any) -> None:
    octets = data.draw(disturbed(encode(message)))
    assert outcome(decode, octets) == outcome(decode_strictly, octets)


@unhurried
@given(octets=st.binary(max_size=80))
@example(octets=b"")
@example(octets=bytes.fromhex("dd000000000000"))
def test_two_readers_agree_on_any_octets(octets: bytes) -> None:
    assert outcome(decode, octets) == outcome(decode_strictly, octets)


@unhurried
@given(message=messages)
def test_the_usual_form_is_what_is_written(message: Message) -> None:
    octets = encode(message)
    assert usual_parts(octets) is not None
    assert decode(octets) == message


@unhurried
@given(message=messages, data=st.data())
def test_what_was_received_is_written_again_as_from_its_values(message: Message, data: Any) -> None:
    octets = data.draw(disturbed(encode(message)))
    try:
        found = decode(octets)
    except ParseError:
        return
    assert encode(found) == octets
    assert encode(replace(found)) == octets  # a copy keeps nothing of what was received


@unhurried
@given(message=messages, counter=counters)
def test_a_changed_copy_is_written_anew(message: Message, counter: int) -> None:
    found = decode(encode(message))
    changed = replace(found, header=replace(found.header, counter=counter), payload=b"other")
    assert encode_content(changed) == encode_content(
        Message(changed.header, changed.payload, changed.signature)
    )
    assert decode(encode(changed)).header.counter == counter


updates = st.builds(
    credentials.UpdateCredentials,
    mode=st.sampled_from(CredentialsReplacementMode),
    authorising_counter=counters | st.just(2**64) | st.just(-1),
    authorising_cell=st.none() | cells,
    replacements=st.lists(
        st.builds(credentials.Replacement, sequences | st.binary(max_size=5), cells), max_size=3
    ).map(tuple),
    path_certificates=st.lists(sequences, max_size=2).map(tuple),
    apply_time_checks=st.booleans(),
    new_floor=st.none() | counters,
    other_changes=st.none()
    | st.lists(
        st.builds(
            credentials.SeqNumberChange, st.sampled_from(RemotePartyRole) | st.just(2), counters
        ),
        max_size=3,
    ).map(tuple),
    execution_date_time=st.none() | st.just("20300102000000Z"),
)


@unhurried
@given(update=updates)
def test_two_writers_of_the_command_agree(update: credentials.UpdateCredentials) -> None:
    assert outcome(lambda _: credentials.encode_update(update), b"") == outcome(
        lambda _: credentials.encode_by_library(update), b""
    )


def lengthened(data: bytes, draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """DER with lengths written in up to four octets, here and there."""
    octets, written = Octets(data), b""
    while octets.left:
        tag = octets.octet("tag")
        content = octets.take(octets.length("value"), "value")
        if tag & 0x20:
            content = lengthened(content, draw)
        digits = len(content).to_bytes(max(1, (len(content).bit_length() + 7) // 8), "big")
        more = draw(st.integers(0, 4 - len(digits)) | st.just(0))
        length = length_octets(len(content))
        if more:
            digits = bytes(more) + digits
            length = bytes((0x80 | len(digits),)) + digits
        written += bytes((tag,)) + length + content
    return written


responses = st.builds(
    credentials.CredentialsResponse,
    st.builds(
        credentials.CredentialsOutcome,
        counters,
        st.sampled_from(CredentialsReplacementMode),
        st.just(()),
        st.lists(
            st.builds(
                credentials.CellOutcome,
                cells,
                st.sampled_from(Status),
                *[st.binary(min_size=8, max_size=8)] * 4,
            ),
            max_size=5,
        ).map(tuple),
    ),
)


def slowly(payload: bytes) -> asn1.UpdateResponse:
    """The wire form of a response, every length rewritten first."""
    return asn1.read(asn1.UpdateResponse, as_der(payload), "response payload")


def quickly(payload: bytes) -> asn1.UpdateResponse:
    return asn1.read(asn1.UpdateResponse, payload, "response payload", as_devices_write=True)


@unhurried
@given(response=responses, data=st.data())
def test_two_ways_to_der_agree(response: credentials.CredentialsResponse, data: Any) -> None:
    payload = lengthened(credentials.encode_response(response), data.draw)
    assert credentials.decode_response(payload) == response
    assert credentials.encode_response(credentials.decode_response(payload)) == payload
    payload = data.draw(disturbed(payload))
    found, expected = outcome(quickly, payload), outcome(slowly, payload)
    assert isinstance(found, tuple) == isinstance(expected, tuple)
    if not isinstance(found, tuple):
        assert asn1.write(found, "one") == asn1.write(expected, "other")


@unhurried
@given(payload=st.binary(max_size=300).map(lambda c: b"\x30" + length_octets(len(c)) + c))
def test_shorter_outer_lengths_are_a_part_of_der(payload: bytes) -> None:
    shorter = with_short_outer_lengths(payload)
    if shorter is not None:
        assert outcome(as_der, shorter) == outcome(as_der, payload)


@pytest.mark.parametrize(
    "kept",
    [
        credentials._decode_update,
        outcomes._decode_response,
        outcomes._decode_alert,
    ],
)
def test_the_values_kept_are_bounded(kept: Any) -> None:
    assert kept.cache_info().maxsize == outcomes.KEPT


def test_a_changed_payload_is_read_anew() -> None:
    cell = credentials.CellId(RemotePartyRole.SUPPLIER, KeyUsage.DIGITAL_SIGNATURE)
    update = credentials.UpdateCredentials(
        CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS, 7, cell, (), ()
    )
    payload = credentials.encode_update(update)
    assert credentials.decode_update(payload) == update
    changed = payload.replace(b"\x83\x01\x07", b"\x83\x01\x08")
    assert credentials.decode_update(changed).authorising_counter == 8
    with pytest.raises(ParseError):
        credentials.decode_update(payload[:-1])


@pytest.fixture(scope="module")
def published(shared_dir: Path) -> list[bytes]:
    found = [
        bytes.fromhex(path.read_text().strip())
        for path in sorted((shared_dir / "rtds").glob("*_GBCS.HEX"))
    ]
    assert len(found) >= 27
    return found


def test_two_readers_agree_on_every_published_message(published: list[bytes]) -> None:
    for octets in published:
        assert usual_parts(octets) is not None
        assert decode(octets) == decode_strictly(octets)
        assert encode(decode(octets)) == octets


@unhurried
@given(data=st.data())
def test_two_readers_agree_on_disturbed_published_messages(
    published: list[bytes], data: Any
) -> None:
    octets = data.draw(disturbed(data.draw(st.sampled_from(published))))
    assert outcome(decode, octets) == outcome(decode_strictly, octets)
