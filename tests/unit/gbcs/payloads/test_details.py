"""CS02a and CS02f: asking what cells hold, and the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gbcs.codes import CellUsage, KeyUsage, RemotePartyRole, StatusCode
from gbcs.errors import EncodeError, ParseError
from gbcs.payloads.credentials import CellId
from gbcs.payloads.details import (
    CredentialDetails,
    HeldCredential,
    ReadCredentials,
    RoleDetails,
    decode_details,
    decode_read,
    encode_details,
    encode_read,
)

SUBJECT, KEY = bytes.fromhex("0253494d10000000"), bytes.fromhex("4000000000000001")
ACB_CELL = CellId(RemotePartyRole.ACCESS_CONTROL_BROKER, KeyUsage.KEY_AGREEMENT)
READ = ReadCredentials(ACB_CELL, (RemotePartyRole.SUPPLIER, RemotePartyRole.NETWORK_OPERATOR))
HELD = HeldCredential(KeyUsage.DIGITAL_SIGNATURE, CellUsage.MANAGEMENT, SUBJECT, KEY)
TOP_UP = HeldCredential(KeyUsage.KEY_AGREEMENT, CellUsage.PREPAYMENT_TOP_UP, SUBJECT, KEY)
FOUND = RoleDetails(RemotePartyRole.SUPPLIER, StatusCode.SUCCESS, 7, (HELD, TOP_UP))
MISSING = RoleDetails(RemotePartyRole.LOAD_CONTROLLER, StatusCode.TRUST_ANCHOR_NOT_FOUND)
DETAILS = CredentialDetails((FOUND, MISSING))


def test_a_question_by_hand():
    octets = bytes.fromhex("3011300702010403020308300602010202" + "0103")
    assert encode_read(READ) == octets
    assert decode_read(octets) == READ


def test_an_answer_by_hand():
    identifiers = "0408" + SUBJECT.hex() + "0408" + KEY.hex()
    held = "3018" + "03020780" + identifiers + "301b" + "03020308" + "020101" + identifiers
    found = "3042" + "020102" + "0a0100" + "020107" + "3037" + held
    missing = "3006" + "020108" + "0a0119"
    assert encode_details(DETAILS).hex() == "304c" + found + missing


@pytest.mark.parametrize("roles", [(), (FOUND,), (MISSING,), (replace(FOUND, held=()), MISSING)])
def test_answers_come_back_as_they_were(roles: Any):
    value = CredentialDetails(tuple(roles))
    assert decode_details(encode_details(value)) == value


def test_long_answers():
    value = CredentialDetails((FOUND,) * 300)
    assert decode_details(encode_details(value)) == value


def test_published_lengths_are_kept():
    der = encode_details(DETAILS)
    published = b"\x30\x82\x00" + der[1:]
    read = decode_details(published)
    assert read == DETAILS
    assert encode_details(read) == published
    fewer = replace(read, roles=(MISSING,))
    assert encode_details(fewer) == bytes.fromhex("3008" + "3006020108" + "0a0119")


@pytest.mark.parametrize(
    "wrong", [replace(FOUND, current_counter=None), replace(MISSING, current_counter=7)]
)
def test_counter_and_cells_go_together(wrong: Any):
    with pytest.raises(EncodeError, match="go together"):
        encode_details(CredentialDetails((wrong,)))


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("", "tag"),
        ("0500", "DER"),
        ("30083006020108" + "0a0119" + "00", "left over"),
        ("300b3009020108" + "0a0119" + "020107", "go together"),
        ("300b3009020108" + "0a0119" + "040107", "DER"),
        ("30083006020109" + "0a0119", "role 9"),
        ("30083006020108" + "0a0101", "status code 1"),
    ],
)
def test_other_answers_are_refused(octets: bytes, reason: str):
    with pytest.raises(ParseError, match=reason):
        decode_details(bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("", "DER"),
        ("30820011300702010403020308300602010202" + "0103", "DER"),
        ("300e3007020104030203083003020109", "role 9"),
        ("3011300702010403020308300602010202" + "010300", "DER"),
    ],
)
def test_other_questions_are_refused(octets: bytes, reason: str):
    with pytest.raises(ParseError, match=reason):
        decode_read(bytes.fromhex(octets))
