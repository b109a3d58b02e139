"""CS02c, CS02d and CS02e: a device's own keys and certificates."""

from __future__ import annotations

from typing import Any

import pytest

from gbcs.codes import (
    CertificateReadFailure,
    CertificateUpdateResult,
    CertificationRequestFailure,
    KeyUsage,
)
from gbcs.errors import EncodeError, ParseError
from gbcs.payloads import device_certificates as dc

SEQUENCE = b"\x30\x03\x02\x01\x05"


@pytest.mark.parametrize(
    ("usage", "octets"),
    [
        (KeyUsage.DIGITAL_SIGNATURE, "300403020780"),
        (KeyUsage.KEY_AGREEMENT, "300403020308"),
    ],
)
def test_asking_for_a_key(usage: Any, octets: bytes):
    request = dc.KeyUsageRequest(usage)
    assert dc.encode_key_usage_request(request).hex() == octets
    assert dc.decode_key_usage_request(bytes.fromhex(octets)) == request


@pytest.mark.parametrize(
    ("make", "encode", "decode", "failures"),
    [
        (
            dc.IssueResponse,
            dc.encode_issue_response,
            dc.decode_issue_response,
            CertificationRequestFailure,
        ),
        (
            dc.CertificateReadResponse,
            dc.encode_certificate_read_response,
            dc.decode_certificate_read_response,
            CertificateReadFailure,
        ),
    ],
)
def test_an_answer_is_octets_or_a_failure(make: Any, encode: Any, decode: Any, failures: Any):
    assert encode(make(SEQUENCE)) == SEQUENCE
    assert decode(SEQUENCE) == make(SEQUENCE)
    for failure in failures:
        octets = b"\x02\x01" + bytes((failure,))
        assert encode(make(failure)) == octets
        assert decode(octets) == make(failure)
    for wrong in (
        b"",
        b"\x02\x01\x00",
        b"\x02\x01\x04",
        b"\x02\x02\x00\x01",
        b"\x05\x00",
        SEQUENCE + b"\x00",
    ):
        with pytest.raises(ParseError):
            decode(wrong)
    for wrong in (b"", b"\x05\x00", SEQUENCE + b"\x00"):
        with pytest.raises(EncodeError):
            encode(make(wrong))


def test_a_new_certificate():
    update = dc.CertificateUpdate(SEQUENCE)
    assert dc.encode_certificate_update(update) == SEQUENCE
    assert dc.decode_certificate_update(SEQUENCE) == update
    with pytest.raises(ParseError, match="not a SEQUENCE"):
        dc.decode_certificate_update(b"\x02\x01\x00")
    with pytest.raises(EncodeError, match="not a SEQUENCE"):
        dc.encode_certificate_update(dc.CertificateUpdate(b"\x02\x01\x00"))


@pytest.mark.parametrize("result", list(CertificateUpdateResult))
def test_what_became_of_a_new_certificate(result: Any):
    octets = b"\x02\x01" + bytes((result,))
    response = dc.CertificateUpdateResponse(result)
    assert dc.encode_certificate_update_response(response) == octets
    assert dc.decode_certificate_update_response(octets) == response


@pytest.mark.parametrize("octets", [b"", b"\x02\x01\x08", b"\x02\x01\xff", b"\x0a\x01\x00"])
def test_other_results_are_refused(octets: bytes):
    with pytest.raises(ParseError):
        dc.decode_certificate_update_response(octets)
