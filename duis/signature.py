"""Signing documents, and verifying them strictly.

The signature: enveloped, over the whole document, SHA-256 of its canonical form (Canonical XML 1.0,
the default where a reference names no canonicalization), SignedInfo in exclusive canonical form,
ECDSA on P-256 with SHA-256, the value being r and s of 32 octets each; KeyInfo is issuer and serial
of the certificate and nothing else; the signature is the root's last child. Source:
docs/sources.md#service-requests, #devices-as-they-are.

How it is verified: first the gate (`duis.gate`) and the form (`duis.signature_form`), which leave
one way to sign and refuse by name what libraries let through; then the two octet strings of that
one way, SignedInfo and the document without its signature in canonical form, are hashed and the
ECDSA value checked. Nothing in the document chooses an algorithm, a transform or a key. Where a
document has the exact spelling (`duis.exact`) it is its own canonical form; any other is written
anew by libxml2. That signxml and xmlsec1 say the same of the same documents is for tests to show.
The caller names the certificate; that issuer and serial are that certificate's is checked here,
whether it is good, and when, is the caller's business (`keys.path`), on the caller's clock.

Signing takes a callable, so that no private key enters this package.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from lxml import etree

from duis.errors import SignatureForm, SignatureInvalid
from duis.gate import Parsed, parse
from duis.names import XML_DECLARATION, ds
from duis.signature_form import (
    ISSUER_PATTERN,
    SignatureParts,
    SignatureReference,
    read_signature,
    reference_of,
    signature_element,
    signed_info,
)
from duis.tally import COUNTS

__all__ = [
    "SignatureReference",
    "VerifiedDocument",
    "from_template",
    "sign_document",
    "signature_reference",
    "verify_document",
    "with_blank_signature",
]


_ECDSA: Final = ec.ECDSA(SHA256())
_PLAIN_ISSUER: Final = re.compile(ISSUER_PATTERN)


@dataclass(frozen=True, slots=True)
class VerifiedDocument:
    """What a valid signature covers.

    Attributes:
        signed_xml: the canonical octets that were signed: the document without its signature. Take
            every value from here.
        reference: issuer and serial of the signer's certificate, as the document names it.
        certificate: DER of the certificate it was verified with.
    """

    signed_xml: bytes
    reference: SignatureReference
    certificate: bytes


def from_template(xml: bytes) -> bytes:
    """A template written for people as a document that can be signed, in canonical form.

    Comments, white space between elements and a ds:Signature below the root, which in a template
    holds a place, are taken out; nothing else is changed.

    Raises:
        MalformedXml: the document does not pass the gate for another reason.
    """
    root = parse(xml, template=True).root
    for signature in root.findall(ds("Signature")):
        root.remove(signature)
    plain = XML_DECLARATION + _canonical(root)
    return parse(plain).data


def sign_document(
    xml: bytes,
    certificate_issuer: str,
    certificate_serial: int,
    sign: Callable[[bytes], bytes],
) -> bytes:
    """Sign a whole document.

    Args:
        xml: a document that passes the gate and has no signature.
        certificate_issuer: issuer of the signer's certificate, e.g. `CN=Z1,OU=07`.
        certificate_serial: its serial number.
        sign: ECDSA on P-256 with SHA-256 over the octets given; returns r and s, 64 octets.

    Returns:
        The signed document: canonical XML after an XML declaration.

    Raises:
        MalformedXml: the document does not pass the gate.
        SignatureForm: it is signed already (`already_signed`), the signer did not return 64 octets
            (`signature_value`), or issuer or serial have no such form (`issuer_form`,
            `serial_form`).
    """
    parsed = parse(xml)
    if parsed.signed:
        raise SignatureForm("already_signed", parsed.kind, "a document is signed once")
    reference_of(certificate_issuer, certificate_serial)
    document = _signable(parsed)
    info = signed_info(b64encode(hashlib.sha256(document).digest()).decode("ascii"))
    value = sign(info.encode("utf-8"))
    if len(value) != 64:
        raise SignatureForm("signature_value", f"{len(value)} octets", "wanted r and s, 64 octets")
    signature = signature_element(
        info, b64encode(value).decode("ascii"), certificate_issuer, str(certificate_serial)
    )
    signed = _with_last_child(document, signature)
    if parsed.exact is None or _PLAIN_ISSUER.fullmatch(certificate_issuer) is None:
        read_signature(parse(signed).root)
    return signed


def with_blank_signature(xml: bytes, certificate_issuer: str, certificate_serial: int) -> bytes:
    """An unsigned document with a signature for another tool to fill in: no digest, no value.

    Args and errors: as `sign_document`.
    """
    parsed = parse(xml)
    if parsed.signed:
        raise SignatureForm("already_signed", parsed.kind, "a document is signed once")
    reference_of(certificate_issuer, certificate_serial)
    signature = signature_element(signed_info(""), "", certificate_issuer, str(certificate_serial))
    return _with_last_child(_signable(parsed), signature)


def signature_reference(data: bytes | Parsed) -> SignatureReference:
    """Who is said to have signed, after the gate and the form, before any trust.

    Raises:
        MalformedXml: the document does not pass the gate.
        SignatureForm: the signature is missing or not of the one form.
    """
    parsed = data if isinstance(data, Parsed) else parse(data)
    return _parts(parsed).reference


def verify_document(data: bytes, certificate_der: bytes) -> VerifiedDocument:
    """Verify the signature of a received document with the signer's certificate.

    Whether that certificate is to be trusted (path, validity, revocation, role, whose it is) is not
    judged here, nor is the schema.

    Raises:
        MalformedXml: the document does not pass the gate.
        SignatureForm: the signature is missing or not of the one form; nothing was computed.
        SignatureInvalid: `certificate_unreadable`, `certificate_key` (not P-256),
            `issuer_mismatch`, `serial_mismatch`, `digest_mismatch` (the document was changed),
            `signature_mismatch` (SignedInfo was changed, or another key signed).
    """
    parsed = parse(data)
    parts = _parts(parsed)
    certificate, issuer, key = _certificate(certificate_der)
    if parts.reference.issuer != issuer:
        raise SignatureInvalid(
            "issuer_mismatch", parts.reference.issuer[:80], f"it is {issuer}"[:200]
        )
    if parts.reference.serial != certificate.serial_number:
        raise SignatureInvalid(
            "serial_mismatch", str(parts.reference.serial), f"it is {certificate.serial_number}"
        )
    _refuse_never_valid(certificate, parsed.kind)
    COUNTS["verify"] += 1
    r, s = int.from_bytes(parts.value[:32], "big"), int.from_bytes(parts.value[32:], "big")
    try:
        key.verify(encode_dss_signature(r, s), parts.signed_info, _ECDSA)
    except InvalidSignature:
        told = "Signature verification failed: "
        raise SignatureInvalid("signature_mismatch", parsed.kind, told) from None
    signed = _signable(parsed)
    if hashlib.sha256(signed).digest() != parts.digest:
        raise SignatureInvalid("digest_mismatch", parsed.kind, "the document was changed")
    return VerifiedDocument(signed, parts.reference, certificate_der)


def _parts(parsed: Parsed) -> SignatureParts:
    """The signature of a document, held against the form."""
    if parsed.signature is None and parsed.exact is not None:
        parsed.signature = parsed.exact.signature()
    if parsed.signature is None:
        parsed.signature = read_signature(parsed.root)
    return parsed.signature


def _signable(parsed: Parsed) -> bytes:
    """The document without its signature, in canonical form: what a signature covers."""
    if parsed.exact is not None:
        return parsed.exact.canonical
    if not parsed.signed:
        return _canonical(parsed.root)
    root = deepcopy(parsed.root)  # a tree is read, never changed
    root.remove(root[-1])
    return _canonical(root)


@lru_cache(maxsize=256)
def _certificate(der: bytes) -> tuple[x509.Certificate, str, ec.EllipticCurvePublicKey]:
    """The certificate, its issuer's name in RFC 2253 order, its key; kept by its octets."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        issuer = certificate.issuer.rfc4514_string()
        key = certificate.public_key()
        _ = certificate.not_valid_before_utc, certificate.serial_number
    except Exception as error:  # noqa: BLE001 - many kinds, all of them "not a certificate"
        raise SignatureInvalid("certificate_unreadable", "", type(error).__name__) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SignatureInvalid("certificate_key", "", "wanted a key on P-256")
    return certificate, issuer, key


def _refuse_never_valid(certificate: x509.Certificate, kind: str) -> None:
    """A certificate whose validity ends before it begins vouches for nothing at any time."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if end >= start:
        return
    try:
        subject = certificate.subject.rfc4514_string()
    except ValueError:
        subject = "<invalid subject>"
    told = (
        f"provided x509_cert (subject={subject}, serial={certificate.serial_number}): certificate "
        f"has expired at validation time {start.isoformat()}; certificate is not valid after "
        f"{end.isoformat()}. Use SignatureConfiguration(verification_time=...) if you must verify "
        "with an expired cert."
    )
    raise SignatureInvalid("signature_mismatch", kind, told[:200])


def _canonical(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=False, with_comments=False)


def _with_last_child(document: bytes, element: str) -> bytes:
    end = document.rindex(b"</")
    return XML_DECLARATION + document[:end] + element.encode("utf-8") + document[end:]
