"""Framing: what is written, and everything else that is refused, with the place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gbcs.codes import Cra
from gbcs.errors import EncodeError, ParseError
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.octets import Octets, length_octets

HEADER = GroupingHeader(
    Cra.COMMAND, 0x1771, "90b3d51f30000004", "00db1234567890a0", OtherInformation(0x0107)
)
GROUPING = bytes.fromhex(
    "df 09 01 0000000000001771 08 90b3d51f30000004 08 00db1234567890a0 00 02 0107"
)
PAYLOAD = b"payload"
SIGNATURE = bytes(range(64))
MAC = bytes(range(12))
SIGNED = GROUPING + b"\x07payload" + b"\x40" + SIGNATURE
COMPLETE = bytes.fromhex("dd000000000000") + b"\x7b" + bytes.fromhex("1100000000") + SIGNED + MAC


def message(**changes: object) -> Message:
    return replace(Message(HEADER, PAYLOAD, SIGNATURE, MAC), **changes)  # type: ignore[arg-type]


def with_header(**changes: object) -> Message:
    return message(header=replace(HEADER, **changes))  # type: ignore[arg-type]


def with_other(**fields: object) -> Message:
    return with_header(other=OtherInformation(0x0107, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        (message(), COMPLETE),
        (message(mac=None), SIGNED),
        (message(mac=None, signature=b""), GROUPING + b"\x07payload\x00"),
        (message(mac=None, signature=None), GROUPING + b"\x07payload"),
    ],
)
def test_the_four_forms(value: Any, octets: bytes):
    assert encode(value) == octets
    assert decode(octets) == value


def test_names_and_kinds():
    assert message().reference == "90b3d51f30000004:00db1234567890a0:6001"
    assert message().message_code == 0x0107
    assert message(mac=None, signature=None).is_pre_command
    assert not message(mac=None, signature=b"").is_pre_command
    assert not message().is_pre_command


def test_the_inner_octets_of_a_command_up_to_the_payload_are_the_pre_command():
    pre_command = encode(message(mac=None, signature=None))
    assert COMPLETE[13 : 13 + len(pre_command)] == pre_command


@pytest.mark.parametrize("counter", [0, 1, 2**63, 2**64 - 1])
def test_counters_of_64_bits(counter: int):
    assert decode(encode(with_header(counter=counter))).header.counter == counter


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_payload_lengths(size: int):
    value = message(payload=b"\x00" * size)
    assert decode(encode(value)) == value


def test_date_time_is_carried():
    value = with_header(date_time=bytes.fromhex("07df0101ff000000008000ff"))
    assert b"\x0c\x07\xdf" in encode(value)
    assert decode(encode(value)) == value


PARTY = {"supplementary_remote_party_id": "0011223344556677"}
COUNTER = {**PARTY, "supplementary_remote_party_counter": 5}
OWN = {**COUNTER, "supplementary_originator_counter": 2**64 - 1}
CERTIFICATE = b"\x30\x82\x01\x00" + bytes(256)


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, 2),
        (PARTY, 10),
        (COUNTER, 18),
        (OWN, 26),
        ({**OWN, "key_agreement_certificate": CERTIFICATE}, 286),
        ({**COUNTER, "key_agreement_certificate": CERTIFICATE}, 278),
    ],
)
def test_other_information_of_every_length(fields: Any, size: int):
    value = with_other(**fields)
    octets = encode(value)
    assert decode(octets) == value
    length = bytes((size,)) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    assert b"\x00" + length + b"\x01\x07" in octets


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (with_header(counter=-1), "counter"),
        (with_header(counter=2**64), "counter"),
        (with_header(originator="90B3D51F30000004"), "originator"),
        (with_header(recipient="short"), "target"),
        (with_header(recipient=b"bytes"), "target"),
        (with_header(cra=1), "CRA"),
        (with_header(date_time=b"short"), "date-time"),
        (with_header(date_time=b""), "date-time"),
        (with_header(other=OtherInformation(0x10000)), "message code"),
        (with_other(supplementary_remote_party_counter=5), "remote party identifier"),
        (with_other(**PARTY, supplementary_originator_counter=5), "remote party counter"),
        (with_other(**COUNTER, key_agreement_certificate=b"\x30\x00"), "SEQUENCE"),
        (message(signature=b"short"), "signature"),
        (message(mac=b"short"), "MAC"),
        (message(signature=None), "signature"),
    ],
)
def test_what_cannot_be_written_is_refused(value: Any, reason: str):
    with pytest.raises(EncodeError, match=reason):
        encode(value)


def test_eight_octets_are_a_counter_whatever_they_look_like_and_nine_a_certificate():
    counter = int.from_bytes(b"\x30\x06" + bytes(6), "big")
    value = with_other(**{**COUNTER, "supplementary_originator_counter": counter})
    assert decode(encode(value)) == value
    value = with_other(**COUNTER, key_agreement_certificate=b"\x30\x07" + bytes(7))
    assert decode(encode(value)) == value


def test_other_information_that_ends_in_neither_counter_nor_certificate_is_refused():
    octets = encode(with_other(**OWN, key_agreement_certificate=CERTIFICATE))
    at_fault = octets.replace(CERTIFICATE, b"\x31" + CERTIFICATE[1:])
    with pytest.raises(ParseError, match="not one DER SEQUENCE"):
        decode(at_fault)


def test_lengths_have_an_end():
    assert length_octets(2**32 - 1) == b"\x84\xff\xff\xff\xff"
    with pytest.raises(EncodeError, match="too long"):
        length_octets(2**32)
    assert Octets(b"\x84\x01\x00\x00\x00").length("it") == 2**24
    with pytest.raises(ParseError, match="form 85"):
        Octets(b"\x85\x01\x00\x00\x00\x00").length("it")


def test_a_counter_that_would_be_read_as_a_certificate_is_refused():
    counter = int.from_bytes(bytes.fromhex("3082010800000000"), "big")
    fields = {**OWN, "supplementary_originator_counter": counter}
    with pytest.raises(EncodeError, match="read as a certificate"):
        encode(with_other(**fields, key_agreement_certificate=CERTIFICATE))
    assert decode(encode(with_other(**fields))) == with_other(**fields)


def at(octets: bytes, offset: int, new: bytes) -> bytes:
    return octets[:offset] + new + octets[offset + len(new) :]


@pytest.mark.parametrize(
    ("octets", "offset", "reason"),
    [
        (b"", 0, "grouping header"),
        (b"\x00", 0, "grouping header"),
        (at(COMPLETE, 1, b"\x01"), 0, "MAC header"),
        (at(COMPLETE, 6, b"\x01"), 0, "MAC header"),
        (at(COMPLETE, 7, b"\x7a"), 7, "says 122 octets follow, 123 do"),
        (at(COMPLETE, 7, b"\x7c"), 7, "says 124 octets follow, 123 do"),
        (at(COMPLETE, 7, b"\x80"), 7, "form 80"),
        (COMPLETE[:7] + b"\x81" + COMPLETE[7:], 7, "not minimal"),
        (COMPLETE[:7] + b"\x82\x00" + COMPLETE[7:], 7, "not minimal"),
        (COMPLETE[:7] + b"\x85" + COMPLETE[7:], 7, "form 85"),
        (at(COMPLETE, 8, b"\x31"), 8, "security header"),
        (at(COMPLETE, 12, b"\x01"), 8, "security header"),
        (at(COMPLETE, 13, b"\xdd"), 13, "grouping header"),
        (at(COMPLETE, 14, b"\x08"), 14, "transaction identifier"),
        (at(COMPLETE, 15, b"\x00"), 15, "CRA flag 00"),
        (at(COMPLETE, 15, b"\x04"), 15, "CRA flag 04"),
        (at(COMPLETE, 24, b"\x09"), 24, "business originator"),
        (at(COMPLETE, 33, b"\x07"), 33, "business target"),
        (at(COMPLETE, 42, b"\x01"), 42, "date-time"),
        (at(COMPLETE, 43, b"\x01"), 44, "message code"),
        (at(COMPLETE, 43, b"\x03"), 46, "supplementary remote party identifier"),
        (at(COMPLETE, 43, b"\x7f"), 44, "other information runs past the end"),
        (at(COMPLETE, 46, b"\x08"), 56, "63 octets left over"),
        (at(COMPLETE, 46, b"\x7f"), 47, "payload"),
        (at(COMPLETE, 54, b"\x00"), 55, "left over"),
        (at(COMPLETE, 54, b"\x3f"), 54, "signature has 0 or 64"),
        (COMPLETE[:-1], 7, "says 123 octets follow, 122 do"),
        (COMPLETE + b"\x00", 7, "says 123 octets follow, 124 do"),
        (SIGNED + b"\x00", len(SIGNED), "left over"),
        (SIGNED[:-1], 42, "signature"),
        (bytes.fromhex("dd00000000000005 1100000000"), 13, "no room"),
        (bytes.fromhex("dd00000000000011 1100000000") + bytes(12), 13, "grouping header"),
    ],
)
def test_anything_else_is_refused_at_its_place(octets: bytes, offset: int, reason: str):
    with pytest.raises(ParseError, match=reason) as refused:
        decode(octets)
    assert refused.value.offset == offset


def test_a_message_with_a_mac_and_no_signature_octet_is_refused():
    inner = GROUPING + b"\x07payload"
    octets = bytes.fromhex("dd000000000000") + bytes((17 + len(inner),))
    with pytest.raises(ParseError, match="signature length"):
        decode(octets + bytes.fromhex("1100000000") + inner + MAC)


def test_every_shorter_piece_is_refused_or_is_the_pre_command():
    readable = [size for size in range(len(COMPLETE)) if _reads(COMPLETE[:size])]
    assert readable == []
    readable = [size for size in range(len(SIGNED)) if _reads(SIGNED[:size])]
    assert readable == [len(GROUPING) + 8]


def _reads(octets: bytes) -> bool:
    try:
        decode(octets)
    except ParseError:
        return False
    return True
