"""CS02b and CS02g responses and alerts: DER out, published lengths in, both kept as they came."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gbcs.codes import CredentialsReplacementMode, RemotePartyRole, StatusCode
from gbcs.errors import EncodeError, ParseError
from gbcs.payloads.credentials import (
    CellId,
    CellOutcome,
    CredentialsAlert,
    CredentialsOutcome,
    CredentialsResponse,
    SeqNumberChange,
    decode_alert,
    decode_response,
    encode_alert,
    encode_response,
)
from gbcs.payloads.device_ber import as_der

OLD, OLD_KEY = bytes.fromhex("0253494d10000000"), bytes.fromhex("4000000000000001")
NEW, NEW_KEY = bytes.fromhex("0253494d20000000"), bytes.fromhex("4000000000000002")
CELL = CellId.from_name("supplier/digitalSignature/management")
DONE = CellOutcome(CELL, StatusCode.SUCCESS, OLD, OLD_KEY, NEW, NEW_KEY)
FAILED = CellOutcome(CELL, StatusCode.NO_TRUST_ANCHOR, OLD, OLD_KEY, OLD, OLD_KEY)
OUTCOME = CredentialsOutcome(
    6001,
    CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS,
    (SeqNumberChange(RemotePartyRole.SUPPLIER, 0),),
    (DONE, FAILED, DONE),
)
RESPONSE = CredentialsResponse(OUTCOME)
ALERT = CredentialsAlert(0x8F67, "20300102000000Z", OUTCOME)


def with_cell(**changes: Any) -> CredentialsAlert:
    return replace(ALERT, outcome=replace(OUTCOME, outcomes=(replace(DONE, **changes),)))


def lengthened(der: bytes) -> bytes:
    """The outermost length, of 128 to 255 octets, written in two octets as published."""
    assert der[1] == 0x81
    return der[:1] + b"\x82\x00" + der[2:]


def test_accepted_only_is_four_octets():
    assert encode_response(CredentialsResponse(None)).hex() == "30020500"
    assert decode_response(bytes.fromhex("30020500")) == CredentialsResponse(None)


def tlv(tag: int, *contents: bytes) -> bytes:
    """DER by hand, for contents of less than 128 octets."""
    content = b"".join(contents)
    return bytes((tag, len(content))) + content


def by_hand(key_id: bytes = OLD_KEY) -> bytes:
    """The response of one failed cell."""
    cell = tlv(0x30, b"\x02\x01\x02", b"\x03\x02\x07\x80")
    identifiers = (tlv(4, i) for i in (OLD, key_id, OLD, OLD_KEY))
    outcomes = tlv(0x30, tlv(0x30, cell, b"\x0a\x01\x0a", *identifiers))
    outcome = tlv(0x30, b"\x02\x02\x17\x71", b"\x02\x01\x07", b"\x30\x00", outcomes)
    return tlv(0x30, b"\x05\x00", outcome)


def test_an_outcome_by_hand():
    response = CredentialsResponse(replace(OUTCOME, changes=(), outcomes=(FAILED,)))
    assert encode_response(response) == by_hand()
    assert decode_response(by_hand()) == response


@pytest.mark.parametrize("status", list(StatusCode))
def test_every_status(status: Any):
    value = CredentialsResponse(replace(OUTCOME, outcomes=(replace(DONE, status=status),)))
    assert decode_response(encode_response(value)) == value


def test_fresh_values_are_der_and_come_back():
    for value, encode, decode in (
        (RESPONSE, encode_response, decode_response),
        (ALERT, encode_alert, decode_alert),
    ):
        octets = encode(value)
        assert octets[1] == 0x81
        assert decode(octets) == value
        assert encode(decode(octets)) == octets


def test_published_lengths_are_read_and_written_again_as_they_came():
    for value, encode, decode in (
        (RESPONSE, encode_response, decode_response),
        (ALERT, encode_alert, decode_alert),
    ):
        published = lengthened(encode(value))
        read = decode(published)
        assert read == value
        assert encode(read) == published


def test_a_value_changed_after_reading_is_written_anew():
    read = decode_response(lengthened(encode_response(RESPONSE)))
    changed = replace(read, outcome=replace(OUTCOME, authorising_counter=6002))
    assert changed.raw == read.raw
    assert decode_response(encode_response(changed)).outcome.authorising_counter == 6002
    assert encode_response(changed)[1] == 0x81


def test_octets_that_are_nothing_are_not_written_again():
    assert encode_response(CredentialsResponse(None, raw=b"nonsense")).hex() == "30020500"


@pytest.mark.parametrize("code", [0, 0x8F66, 0xFFFFFFFF])
def test_alert_codes_of_32_bits(code: Any):
    value = replace(ALERT, alert_code=code)
    assert decode_alert(encode_alert(value)) == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (replace(ALERT, alert_code=-1), "alert code"),
        (replace(ALERT, alert_code=2**32), "alert code"),
        (replace(ALERT, execution_date_time="soon"), "execution time"),
        (replace(ALERT, outcome=replace(OUTCOME, authorising_counter=-1)), "counter"),
        (with_cell(existing_subject=b""), "existing subject"),
        (with_cell(replacing_key_id=bytes(9)), "replacing key"),
        (with_cell(status=200), "enumerated"),
    ],
)
def test_what_cannot_be_written_is_refused(value: Any, reason: str):
    with pytest.raises(EncodeError, match=reason):
        encode_alert(value)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "length|tag|octets"),
        (b"\x30\x02\x05\x00\x00", "left over"),
        (b"\x30\x80\x05\x00\x00\x00", "form 80"),
        (b"\x30\x03\x05\x00", "runs past the end"),
        (b"\x30\x03\x05\x01\x00", "DER"),
        (b"\x1f\x02\x05\x00", "several octets"),
        (b"\x30\x00", "DER"),
        (encode_response(RESPONSE).replace(b"\x0a\x01\x0a", b"\x0a\x01\x0b"), "status code 11"),
        (encode_response(RESPONSE).replace(b"\x0a\x01\x0a", b"\x02\x01\x0a"), "ENUMERATED"),
        (encode_response(RESPONSE).replace(b"\x0a\x01\x0a", b"\x0a\x01\xff"), "ENUMERATED"),
        (encode_response(RESPONSE).replace(b"\x02\x01\x07", b"\x02\x01\x0c"), "mode 12"),
        (encode_response(RESPONSE).replace(b"\x03\x02\x07\x80", b"\x03\x02\x07\x00"), "key usage"),
        (b"\x30\x82\x00" * 40, "too deep|runs past"),
    ],
)
def test_anything_else_is_refused(octets: bytes, reason: str):
    with pytest.raises(ParseError, match=reason):
        decode_response(octets)


@pytest.mark.parametrize("size", [0, 7, 9])
def test_an_identifier_of_another_length_is_refused(size: int):
    with pytest.raises(ParseError, match=f"existing key identifier has {size} octets"):
        decode_response(by_hand(bytes(size)))


def test_nesting_has_an_end():
    octets = b"\x05\x00"
    for _ in range(16):
        octets = b"\x30" + bytes((len(octets),)) + octets
    assert as_der(octets) == octets
    octets = b"\x30" + bytes((len(octets),)) + octets
    with pytest.raises(ParseError, match="nested too deep") as refused:
        as_der(octets)
    assert refused.value.offset == 34
    with pytest.raises(ParseError, match="nested too deep"):
        decode_response(octets)


def test_long_tags_are_refused_at_their_place():
    with pytest.raises(ParseError, match="several octets") as refused:
        as_der(b"\x30\x03\x1f\x01\x00")
    assert refused.value.offset == 2


def test_an_alert_code_beyond_32_bits_is_refused():
    octets = encode_alert(replace(ALERT, alert_code=0xFFFFFFFF))
    with pytest.raises(ParseError, match="32 bits"):
        decode_alert(
            octets.replace(b"\x02\x05\x00\xff\xff\xff\xff", b"\x02\x05\x01\x00\x00\x00\x00")
        )
