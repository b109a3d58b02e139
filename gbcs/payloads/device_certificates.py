"""CS02c, CS02d and CS02e: a device's own keys and certificates.

    CS02c  command SEQUENCE { KeyUsage }   response CertificationRequest (PKCS #10), or INTEGER
    CS02d  command Certificate             response INTEGER
    CS02e  command SEQUENCE { KeyUsage }   response Certificate, or INTEGER

Certificates and requests are carried as they stand. docs/sources.md#device-credentials; confirmed
by RTDS vectors (of the INTEGERs only success has a published vector).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from gbcs.codes import (
    CertificateReadFailure,
    CertificateUpdateResult,
    CertificationRequestFailure,
    KeyUsage,
)
from gbcs.payloads import asn1
from gbcs.payloads.cells import key_usage_from_wire, key_usage_to_wire, member

R = TypeVar("R", CertificationRequestFailure, CertificateUpdateResult, CertificateReadFailure)

_INTEGER_TAG = b"\x02"


@dataclass(frozen=True, slots=True)
class KeyUsageRequest:
    """The command of CS02c and CS02e: for which key."""

    key_usage: KeyUsage


@dataclass(frozen=True, slots=True)
class CertificateUpdate:
    """The command of CS02d: the certificate (DER) the device shall use from now on."""

    certificate: bytes


@dataclass(frozen=True, slots=True)
class IssueResponse:
    """The response of CS02c: a certification request (DER) or why there is none."""

    answer: bytes | CertificationRequestFailure


@dataclass(frozen=True, slots=True)
class CertificateUpdateResponse:
    """The response of CS02d."""

    result: CertificateUpdateResult


@dataclass(frozen=True, slots=True)
class CertificateReadResponse:
    """The response of CS02e: a certificate (DER) or why there is none."""

    answer: bytes | CertificateReadFailure


def encode_key_usage_request(request: KeyUsageRequest) -> bytes:
    """Write the command of CS02c or CS02e.

    Raises:
        EncodeError: not a KeyUsage.
    """
    wire = asn1.KeyUsageRequest(key_usage=key_usage_to_wire(request.key_usage))
    return asn1.write(wire, "key usage request")


def decode_key_usage_request(payload: bytes) -> KeyUsageRequest:
    """Read the command of CS02c or CS02e.

    Raises:
        ParseError: it is not that.
    """
    name = "key usage request"
    wire = asn1.read(asn1.KeyUsageRequest, payload, name)
    return KeyUsageRequest(key_usage_from_wire(wire.key_usage, name))


def encode_certificate_update(update: CertificateUpdate) -> bytes:
    """Write the command of CS02d.

    Raises:
        EncodeError: not one SEQUENCE.
    """
    return asn1.write(asn1.whole(update.certificate, "device certificate"), "device certificate")


def decode_certificate_update(payload: bytes) -> CertificateUpdate:
    """Read the command of CS02d.

    Raises:
        ParseError: not one SEQUENCE.
    """
    return CertificateUpdate(_sequence(payload, "device certificate"))


def encode_issue_response(response: IssueResponse) -> bytes:
    """Write the response of CS02c.

    Raises:
        EncodeError: not one SEQUENCE.
    """
    return _encode_answer(response.answer, "certification request")


def decode_issue_response(payload: bytes) -> IssueResponse:
    """Read the response of CS02c.

    Raises:
        ParseError: neither one SEQUENCE nor a known INTEGER.
    """
    name = "certification request"
    if payload[:1] == _INTEGER_TAG:
        return IssueResponse(_result(CertificationRequestFailure, payload, name))
    return IssueResponse(_sequence(payload, name))


def encode_certificate_update_response(response: CertificateUpdateResponse) -> bytes:
    """Write the response of CS02d."""
    return asn1.write(int(response.result), "device certificate response")


def decode_certificate_update_response(payload: bytes) -> CertificateUpdateResponse:
    """Read the response of CS02d.

    Raises:
        ParseError: not a known INTEGER.
    """
    name = "device certificate response"
    return CertificateUpdateResponse(_result(CertificateUpdateResult, payload, name))


def encode_certificate_read_response(response: CertificateReadResponse) -> bytes:
    """Write the response of CS02e.

    Raises:
        EncodeError: not one SEQUENCE.
    """
    return _encode_answer(response.answer, "device certificate")


def decode_certificate_read_response(payload: bytes) -> CertificateReadResponse:
    """Read the response of CS02e.

    Raises:
        ParseError: neither one SEQUENCE nor a known INTEGER.
    """
    name = "device certificate"
    if payload[:1] == _INTEGER_TAG:
        return CertificateReadResponse(_result(CertificateReadFailure, payload, name))
    return CertificateReadResponse(_sequence(payload, name))


def _encode_answer(answer: bytes | int, name: str) -> bytes:
    if isinstance(answer, bytes):
        return asn1.write(asn1.whole(answer, name), name)
    return asn1.write(int(answer), name)


def _sequence(payload: bytes, name: str) -> bytes:
    return asn1.octets_of(asn1.read(asn1.TLV, payload, name), name)


def _result(cls: type[R], payload: bytes, name: str) -> R:
    return member(cls, asn1.read(int, payload, name), f"{name}: result")
