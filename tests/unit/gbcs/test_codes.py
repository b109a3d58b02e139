"""The numbers of the standard and what they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gbcs.codes import (
    MESSAGE_CODE_OF_MODE,
    MODE_OF_MESSAGE_CODE,
    USE_CASES,
    CellUsage,
    Cra,
    CredentialsReplacementMode,
    KeyUsage,
    MessageCode,
    RemotePartyRole,
    StatusCode,
)
from gbcs.errors import EncodeError, GbcsError, MacInvalid, ParseError, SignatureInvalid
from gbcs.use_case_names import NAMES


@pytest.mark.parametrize(
    ("member", "number", "label"),
    [
        (Cra.COMMAND, 1, "command"),
        (Cra.ALERT, 3, "alert"),
        (CredentialsReplacementMode.TRANS_COS_BY_TRANS_COS, 6, "transCoSByTransCoS"),
        (CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS, 7, "supplierByTransCoS"),
        (CredentialsReplacementMode.LOAD_CONTROLLER_BY_SUPPLIER, 11, "loadControllerBySupplier"),
        (RemotePartyRole.ROOT, 0, "root"),
        (RemotePartyRole.TRANSITIONAL_COS, 5, "transitionalCoS"),
        (RemotePartyRole.OTHER, 127, "other"),
        (KeyUsage.DIGITAL_SIGNATURE, 0, "digitalSignature"),
        (CellUsage.PREPAYMENT_TOP_UP, 1, "prePaymentTopUp"),
        (StatusCode.NO_TRUST_ANCHOR, 10, "noTrustAnchor"),
    ],
)
def test_members_have_the_standards_number_and_identifier(member: Any, number: int, label: str):
    assert member == number
    assert member.label == label
    assert type(member)(number) is member
    assert type(member).from_label(label) is member


def test_an_unknown_label_is_a_key_error():
    with pytest.raises(KeyError):
        RemotePartyRole.from_label("nobody")


@pytest.mark.parametrize("mode", range(10))
def test_message_codes_of_modes_0_to_9_are_0x0100_plus_the_mode(mode: int):
    assert MODE_OF_MESSAGE_CODE[0x0100 + mode] == mode


def test_modes_10_and_11_have_codes_of_their_own():
    assert MODE_OF_MESSAGE_CODE[0x0125] == 10
    assert MODE_OF_MESSAGE_CODE[0x0126] == 11
    assert len(MESSAGE_CODE_OF_MODE) == len(CredentialsReplacementMode)


def test_use_cases_name_the_mode():
    assert USE_CASES[0x0107] == "CS02b Update Security Credentials (supplierByTransCoS)"
    for mode, code in MESSAGE_CODE_OF_MODE.items():
        assert f"({mode.label})" in USE_CASES[code]
    assert all(USE_CASES[code] == code.label for code in MessageCode)


def test_every_published_message_code_has_its_name(shared_dir: Path):
    """Facts to compare with: message code, use cases, service references."""
    lines = (shared_dir / "field" / "use-cases.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if line.startswith("0x")]
    assert len(rows) >= 233
    for code, use_case, references, _ in rows:
        known = int(code, 16)
        wanted = f"{use_case} ({', '.join(references.split())})" if references else use_case
        assert NAMES[known] == wanted
        assert known in USE_CASES


def test_errors_say_where_and_why():
    error = ParseError("cut short", 12)
    assert (error.reason, error.offset, str(error)) == ("cut short", 12, "cut short (at octet 12)")
    assert str(EncodeError("too big")) == "too big"
    for cls in (ParseError, EncodeError, SignatureInvalid, MacInvalid):
        assert issubclass(cls, GbcsError)
