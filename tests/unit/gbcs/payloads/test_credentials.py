"""CS02b and CS02g command payloads: every field, every mode, and what is not DER."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gbcs.codes import CellUsage, CredentialsReplacementMode, KeyUsage, RemotePartyRole
from gbcs.errors import EncodeError, ParseError
from gbcs.payloads.cells import CellId
from gbcs.payloads.credentials import (
    CANCEL_EXECUTION,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
    decode_update,
    encode_update,
)

ACB_CELL = CellId(RemotePartyRole.ACCESS_CONTROL_BROKER, KeyUsage.KEY_AGREEMENT)
CERTIFICATE = b"\x30\x03\x02\x01\x05"
SMALLEST = UpdateCredentials(
    CredentialsReplacementMode.ACCESS_CONTROL_BROKER_BY_ACB, 5, None, (), ()
)


def test_a_change_of_supplier_comes_back_as_it_was(update: UpdateCredentials):
    assert decode_update(encode_update(update)) == update


def tlv(tag: int, *contents: bytes) -> bytes:
    """DER by hand, for contents of less than 128 octets."""
    content = b"".join(contents)
    return bytes((tag, len(content))) + content


def seq(*contents: bytes) -> bytes:
    return tlv(0x30, *contents)


def integer(value: int) -> bytes:
    return tlv(2, bytes((value,)))


def control(*middle: bytes, mode: bytes = b"\x04", counter: bytes = b"\x05") -> bytes:
    """Mode, what comes before the counter, and the counter."""
    return seq(tlv(2, mode), *middle, tlv(0x83, counter))


def payload(authority: bytes = control(), path: bytes = seq(), *end: bytes) -> bytes:
    return seq(authority, seq(), path, *end)


SIGNING, AGREEMENT = tlv(3, b"\x07\x80"), tlv(3, b"\x03\x08")


def test_the_smallest_payload_by_hand():
    assert encode_update(SMALLEST) == payload()
    assert payload().hex() == "300c30060201048301053000" + "3000"


def test_every_optional_field_by_hand():
    cell = CellId(RemotePartyRole.SUPPLIER, KeyUsage.KEY_AGREEMENT, CellUsage.PREPAYMENT_TOP_UP)
    full = UpdateCredentials(
        CredentialsReplacementMode.ANY_BY_CONTINGENCY,
        6001,
        ACB_CELL,
        (Replacement(CERTIFICATE, cell),),
        (CERTIFICATE,),
        apply_time_checks=False,
        new_floor=0,
        new_specialist_floors=(SpecialistSeqNumber(1),),
        other_changes=(
            SeqNumberChange(RemotePartyRole.SUPPLIER, 2, (SpecialistSeqNumber(3),)),
            SeqNumberChange(RemotePartyRole.NETWORK_OPERATOR, 4),
        ),
        execution_date_time="20300102000000Z",
        plaintext_symmetric_key=b"\xaa\xbb",
    )
    expected = seq(
        seq(
            integer(9),
            tlv(0x80, b"\xaa\xbb"),
            tlv(0x81, b"\x01"),
            tlv(0xA2, integer(4), AGREEMENT),
            tlv(0x83, b"\x17\x71"),
            tlv(0x84, b"\x00"),
            tlv(0xA5, seq(integer(0), integer(1))),
            tlv(
                0xA6,
                seq(integer(2), integer(2), seq(seq(integer(0), integer(3)))),
                seq(integer(3), integer(4)),
            ),
        ),
        seq(seq(CERTIFICATE, seq(integer(2), AGREEMENT, integer(1)))),
        seq(CERTIFICATE),
        tlv(0x18, b"20300102000000Z"),
    )
    assert encode_update(full) == expected
    assert decode_update(expected) == full


@pytest.mark.parametrize("mode", list(CredentialsReplacementMode))
def test_any_mode_can_be_written_with_any_fields(update: UpdateCredentials, mode: int):
    value = replace(
        update, mode=mode, new_floor=7, new_specialist_floors=(), plaintext_symmetric_key=bytes(16)
    )
    assert decode_update(encode_update(value)) == value


@pytest.mark.parametrize("cell", [
    CellId(role, key_usage, cell_usage)
    for role in RemotePartyRole for key_usage in KeyUsage for cell_usage in CellUsage
])  # fmt: skip
def test_any_cell_can_be_written_and_named(cell: Any):
    value = replace(SMALLEST, authorising_cell=cell)
    assert decode_update(encode_update(value)).authorising_cell == cell
    assert CellId.from_name(cell.name) == cell


@pytest.mark.parametrize(
    ("usage", "bits"),
    [("digitalSignature", "03020780"), ("keyAgreement", "03020308"), ("keyCertSign", "03020204")],
)
def test_key_usage_is_a_named_bit_string(usage: Any, bits: Any):
    cell = CellId.from_name(f"root/{usage}/management")
    assert bytes.fromhex(bits) in encode_update(replace(SMALLEST, authorising_cell=cell))


def test_cell_names():
    assert ACB_CELL.name == "accessControlBroker/keyAgreement/management"
    for wrong in (
        "",
        "supplier",
        "supplier/keyAgreement",
        "a/b/c",
        "supplier/keyAgreement/other",
        5,
    ):
        with pytest.raises(EncodeError, match="not the name of a trust anchor cell"):
            CellId.from_name(wrong)


def test_the_default_cell_usage_and_time_checks_are_not_written(update: UpdateCredentials):
    assert b"\x02\x01\x00" not in encode_update(replace(SMALLEST, authorising_cell=ACB_CELL))
    assert b"\x81\x01" not in encode_update(SMALLEST)
    assert b"\x81\x01\x01" in encode_update(replace(SMALLEST, apply_time_checks=False))


@pytest.mark.parametrize("number", [0, 127, 128, 2**63 - 1, 2**63, 2**64 - 1])
def test_sequence_numbers_of_the_whole_wire_counter(number: int):
    value = replace(
        SMALLEST,
        authorising_counter=number,
        new_floor=number,
        new_specialist_floors=(SpecialistSeqNumber(number),),
        other_changes=(SeqNumberChange(RemotePartyRole.SUPPLIER, number),),
    )
    assert decode_update(encode_update(value)) == value


def test_an_empty_list_is_not_an_absent_one():
    empty = replace(SMALLEST, new_specialist_floors=(), other_changes=())
    assert encode_update(empty).hex().endswith("a500a60030003000")
    assert decode_update(encode_update(empty)) == empty
    assert empty != SMALLEST


def test_cancelling():
    value = replace(SMALLEST, execution_date_time=CANCEL_EXECUTION)
    assert b"99991231235959Z" in encode_update(value)
    assert decode_update(encode_update(value)) == value


def test_certificates_are_carried_as_they_stand():
    odd = b"\x30\x04\x30\x80\x00\x00"  # an inner length no certificate has
    value = replace(SMALLEST, replacements=(Replacement(odd, ACB_CELL),), path_certificates=(odd,))
    assert decode_update(encode_update(value)) == value


def test_the_symmetric_key_is_not_shown():
    value = replace(SMALLEST, plaintext_symmetric_key=b"secret-key-16-oc")
    assert "secret" not in repr(value)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("authorising_counter", -1, "authorising counter"),
        ("authorising_counter", 2**64, "authorising counter"),
        ("authorising_counter", True, "authorising counter"),
        ("new_floor", "7", "floor"),
        ("new_specialist_floors", (SpecialistSeqNumber(-1),), "floor"),
        ("other_changes", (SeqNumberChange(RemotePartyRole.ROOT, -1),), "floor"),
        ("execution_date_time", "2030-01-02", "YYYYMMDDHHMMSSZ"),
        ("execution_date_time", "20300230000000Z", "YYYYMMDDHHMMSSZ"),
        ("execution_date_time", 20300102, "YYYYMMDDHHMMSSZ"),
        ("path_certificates", (b"",), "path certificate"),
        ("path_certificates", (b"\x02\x01\x05",), "not a SEQUENCE"),
        ("path_certificates", (CERTIFICATE + b"\x00",), "path certificate"),
        ("replacements", (Replacement(b"x", ACB_CELL),), "replacement certificate"),
        ("authorising_cell", "supplier", "CellId"),
        ("authorising_cell", replace(ACB_CELL, key_usage=9), "KeyUsage"),
        ("plaintext_symmetric_key", "text", "command payload"),
        ("mode", "seven", "command payload"),
        ("replacements", None, "command payload"),
    ],
)
def test_what_cannot_be_written_is_refused(field: Any, value: Any, reason: str):
    with pytest.raises(EncodeError, match=reason):
        encode_update(replace(SMALLEST, **{field: value}))


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "not the DER"),
        (payload() + b"\x00", "not the DER"),
        (payload()[:-1], "not the DER"),
        (b"\x30\x81" + payload()[1:], "not the DER"),
        (payload(control(mode=b"\x00\x04")), "not the DER"),
        (payload(control(tlv(0x81, b"\x00"))), "not the DER"),
        (payload(control(tlv(0x81, b"\x02"))), "CPVChecks 2"),
        (payload(control(mode=b"\x0c")), "mode 12"),
        (payload(control(mode=b"\xff")), "mode -1"),
        (payload(control(counter=b"\xff")), "negative"),
        (payload(control(counter=b"\x01" + bytes(8))), "64 bits"),
        (payload(seq(integer(4))), "DER"),
        (payload(control(), seq(), b"\x05\x00"), "DER"),
        (payload(control(tlv(0xA2, integer(9), SIGNING))), "role 9"),
        (payload(control(tlv(0xA2, integer(2), tlv(3, b"\x07\xc0")))), "not the DER"),
        (payload(control(tlv(0xA2, integer(2), tlv(3, b"\x06\xc0")))), "key usage"),
        (payload(control(tlv(0xA2, integer(2), tlv(3, b"\x06\x40")))), "key usage"),
        (payload(control(tlv(0xA2, integer(2), tlv(3, b"\x00\x80")))), "key usage"),
        (payload(control(tlv(0xA2, integer(2), SIGNING, integer(0)))), "not the DER"),
        (payload(control(tlv(0xA2, integer(2), SIGNING, integer(2)))), "cell usage 2"),
        (payload(control(), seq(integer(5))), "not a SEQUENCE"),
        (
            payload(seq(integer(4), tlv(0x83, b"\x05"), tlv(0xA5, seq(integer(1), integer(1))))),
            "usage 1",
        ),
        (payload(control(), seq(), tlv(0x18, b"20300230000000Z")), "not the DER"),
        (payload(control(), seq(), tlv(0x18, b"20300102000000.5Z")), "fractions"),
        (payload(control(), seq(), tlv(0x18, b"20300102000000")), "not the DER"),
        (payload(control(), seq(), tlv(0x17, b"300102000000Z")), "not the DER"),
    ],
)
def test_anything_else_is_refused(octets: bytes, reason: str):
    with pytest.raises(ParseError, match=reason):
        decode_update(octets)
