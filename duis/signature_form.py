"""The one form an XML signature may have here, held before any cryptography is done.

Libraries accept far more than one form: a signature anywhere in the document, comments in values,
ds:Objects, several references, a KeyInfo that names another certificate. Each of those is a place
to put something that one party sees and another does not. So the signature is compared with a
description, element
by element and attribute by attribute, and each difference has its own reason:

`signature_missing`, `signature_count`, `signature_position` (not the root's last child),
`signature_attribute` (an Id, or any attribute the form lacks), `signature_object`,
`signature_structure` (another element, order or stray text), `canonicalization_method`,
`signature_method`, `reference_count`, `reference_uri`, `transform`, `digest_method`,
`digest_value`, `signature_value`, `key_info` (anything but one issuer and serial), `issuer_form`,
`serial_form`.

Values are read in every form of their types (xs:base64Binary in lines, zeros before a serial
number): their octets are compared, and only the digest's spelling is itself signed.

Source: docs/sources.md#service-requests, #devices-as-they-are (published templates, the signer of
DCC Boxed, a published response).
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree

from duis.errors import SignatureForm
from duis.names import DS, ECDSA_SHA256, ENVELOPED_SIGNATURE, EXCLUSIVE_C14N, SHA256, ds
from duis.text_forms import octets_of, whole_number

_LARGEST_SERIAL = 2**159 - 1  # a positive INTEGER of 20 octets: RFC 5280 4.1.2.2
_ISSUER_LIMIT = 256  # what the SMKI repository can be asked for

ISSUER_SPELLING = "issuers are named as CN=Z1,OU=07: the last part first, no blanks between parts"
"""What to say where no certificate of an issuer is found: names are compared as written."""


@dataclass(frozen=True, slots=True)
class SignatureReference:
    """Who is said to have signed: what to look the certificate up by. Not proof of anything.

    Attributes:
        issuer: the issuer's name in RFC 2253 order, e.g. `CN=Z1,OU=07`, exactly as written.
        serial: serial number of the certificate.
    """

    issuer: str
    serial: int


@dataclass(frozen=True, slots=True)
class SignatureParts:
    """What a well-formed signature holds.

    Attributes:
        digest: the 32 octets said to be the digest of the document.
        value: 64 octets, r then s.
        reference: issuer and serial.
        signed_info: SignedInfo in exclusive canonical form: the octets that were signed.
    """

    digest: bytes
    value: bytes
    reference: SignatureReference
    signed_info: bytes


def read_signature(root: etree._Element) -> SignatureParts:
    """Find the one signature of a gated document and hold it against the form.

    Raises:
        SignatureForm: with one of the reasons of this module's description.
    """
    signature = _find(root)
    _attributes(signature)
    for stray in signature.iter(ds("Object")):
        raise SignatureForm("signature_object", etree.QName(stray).localname, "not allowed")
    signed_info, value, key_info = _children(
        signature, ("SignedInfo", "SignatureValue", "KeyInfo"), "signature_structure"
    )
    digest = _read_signed_info(signed_info)
    return SignatureParts(
        digest,
        _octets(value, 64, "signature_value"),
        _read_key_info(key_info),
        etree.tostring(signed_info, method="c14n", exclusive=True, with_comments=False),
    )


def exact_parts(digest: bytes, value: bytes, issuer: bytes, serial: bytes) -> SignatureParts | None:
    """What a signature that `SIGNATURE_PATTERN` matches holds; None if it is not of the form.

    Args: its four groups.
    """
    try:
        return SignatureParts(
            _canonical_octets(digest),
            _canonical_octets(value),
            reference_of(issuer.decode("ascii"), serial.decode("ascii")),
            signed_info(digest.decode("ascii")).encode("ascii"),
        )
    except (SignatureForm, ValueError):
        return None


def signature_element(signed_info: str, value: str, issuer: str, serial: str) -> str:
    """A ds:Signature in canonical form.

    Args:
        signed_info: as `signed_info` makes it.
        value: base64 text of r and s.
        issuer: issuer of the signer's certificate.
        serial: its serial number.
    """
    # Below ds:Signature the namespace is declared once; canonical SignedInfo declares it for
    # itself.
    inside = signed_info.replace(f' xmlns:ds="{DS}"', "", 1)
    return (
        f'<ds:Signature xmlns:ds="{DS}">{inside}'
        f"<ds:SignatureValue>{value}</ds:SignatureValue>"
        "<ds:KeyInfo><ds:X509Data><ds:X509IssuerSerial>"
        f"<ds:X509IssuerName>{escape(issuer)}</ds:X509IssuerName>"
        f"<ds:X509SerialNumber>{serial}</ds:X509SerialNumber>"
        "</ds:X509IssuerSerial></ds:X509Data></ds:KeyInfo></ds:Signature>"
    )


def signed_info(digest: str) -> str:
    """SignedInfo in exclusive canonical form, as it stands below a ds:Signature."""
    return (
        f'<ds:SignedInfo xmlns:ds="{DS}">'
        f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE_C14N}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{ECDSA_SHA256}"></ds:SignatureMethod>'
        '<ds:Reference URI=""><ds:Transforms>'
        f'<ds:Transform Algorithm="{ENVELOPED_SIGNATURE}"></ds:Transform>'
        f'</ds:Transforms><ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod>'
        f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    )


ISSUER_PATTERN: Final = "[A-Za-z0-9=,.+_ -]++"
"""Issuers that are written the same in XML as out of it."""


def _pattern() -> str:
    """Pattern of what `signature_element` makes, of what it says a group each."""
    text = re.escape(signature_element(signed_info("DIGEST"), "VALUE", "ISSUER", "SERIAL"))
    for name, inside in (
        ("DIGEST", "[A-Za-z0-9+/]{43}="),
        ("VALUE", "[A-Za-z0-9+/]{86}=="),
        ("ISSUER", ISSUER_PATTERN),
        ("SERIAL", "[0-9]++"),
    ):
        text = text.replace(f">{name}<", f">({inside})<")
    return text


SIGNATURE_PATTERN: Final = _pattern()
"""A signature as it is written here: digest, value, issuer and serial are its groups."""


@lru_cache(maxsize=256)
def reference_of(issuer: str, serial: str | int) -> SignatureReference:
    """Issuer and serial number from their texts; those of who was met last are kept.

    Raises:
        SignatureForm: `issuer_form` or `serial_form`.
    """
    plain = issuer.isprintable() and issuer == issuer.strip() and 0 < len(issuer) <= _ISSUER_LIMIT
    if not plain:
        raise SignatureForm("issuer_form", issuer[:80], "wanted a name in RFC 2253 form")
    try:
        known = isinstance(serial, int) and 0 <= serial <= _LARGEST_SERIAL
        number = int(serial) if known else whole_number(str(serial))
    except ValueError as error:
        raise SignatureForm("serial_form", str(serial)[:60], str(error)) from None
    if not 0 <= number <= _LARGEST_SERIAL:
        told = "a serial number is not negative and has at most 20 octets"
        raise SignatureForm("serial_form", str(serial)[:60], told)
    return SignatureReference(issuer, number)


def _find(root: etree._Element) -> etree._Element:
    found = list(root.iter(ds("Signature")))
    if not found:
        raise SignatureForm("signature_missing", etree.QName(root).localname, "nothing is signed")
    if len(found) > 1:
        raise SignatureForm("signature_count", str(len(found)), "wanted one")
    if found[0].getparent() is not root or root[-1] is not found[0]:
        parent = found[0].getparent()
        where = "" if parent is None else etree.QName(parent).localname
        raise SignatureForm("signature_position", where[:80], "wanted the last child of the root")
    return found[0]


def _read_signed_info(signed_info: etree._Element) -> bytes:
    _attributes(signed_info)
    names = [child.tag for child in signed_info]
    if names.count(ds("Reference")) > 1:
        raise SignatureForm("reference_count", str(names.count(ds("Reference"))), "wanted one")
    canonicalization, method, reference = _children(
        signed_info,
        ("CanonicalizationMethod", "SignatureMethod", "Reference"),
        "signature_structure",
    )
    _algorithm(canonicalization, EXCLUSIVE_C14N, "canonicalization_method")
    _algorithm(method, ECDSA_SHA256, "signature_method")
    if reference.get("URI") != "":
        raise SignatureForm("reference_uri", (reference.get("URI") or "none")[:80], 'wanted URI=""')
    _attributes(reference, "URI")
    transforms, digest_method, digest_value = _children(
        reference, ("Transforms", "DigestMethod", "DigestValue"), "signature_structure"
    )
    _attributes(transforms)
    (transform,) = _children(transforms, ("Transform",), "transform")
    _algorithm(transform, ENVELOPED_SIGNATURE, "transform")
    _algorithm(digest_method, SHA256, "digest_method")
    return _octets(digest_value, 32, "digest_value")


def _read_key_info(key_info: etree._Element) -> SignatureReference:
    _attributes(key_info)
    (data,) = _children(key_info, ("X509Data",), "key_info")
    _attributes(data)
    (issuer_serial,) = _children(data, ("X509IssuerSerial",), "key_info")
    _attributes(issuer_serial)
    name, number = _children(issuer_serial, ("X509IssuerName", "X509SerialNumber"), "key_info")
    issuer = _leaf(name, "issuer_form")
    serial = _leaf(number, "serial_form")
    return reference_of(issuer, serial)


def _children(
    element: etree._Element, names: tuple[str, ...], reason: str
) -> tuple[etree._Element, ...]:
    children = tuple(element)
    wanted = tuple(ds(name) for name in names)
    if tuple(child.tag for child in children) != wanted:
        found = ", ".join(etree.QName(child).localname for child in children)
        where = etree.QName(element).localname
        raise SignatureForm(reason, where, f"wanted {', '.join(names)}, found {found}"[:300])
    if element.text:  # the gate has refused text beside elements in any other case
        raise SignatureForm("signature_structure", etree.QName(element).localname, "stray text")
    return children


def _attributes(element: etree._Element, *allowed: str) -> None:
    for name in element.attrib:
        if name not in allowed:
            where = f"{etree.QName(element).localname}/@{name!s}"
            raise SignatureForm("signature_attribute", where[:120], "not part of the form")


def _algorithm(element: etree._Element, wanted: str, reason: str) -> None:
    found = element.get("Algorithm")
    if found != wanted:
        raise SignatureForm(reason, (found or "none")[:120], f"wanted {wanted}")
    if len(element) or element.text:
        raise SignatureForm(reason, etree.QName(element).localname, "wanted nothing inside")
    _attributes(element, "Algorithm")


def _leaf(element: etree._Element, reason: str) -> str:
    if len(element):
        raise SignatureForm(reason, etree.QName(element).localname, "wanted text only")
    _attributes(element)
    return element.text or ""


def _canonical_octets(text: bytes) -> bytes:
    octets = binascii.a2b_base64(text)
    if binascii.b2a_base64(octets, newline=False) != text:
        raise ValueError("stray bits")
    return octets


def _octets(element: etree._Element, length: int, reason: str) -> bytes:
    """The octets of a base64 value; published signers write it in lines, so it may be."""
    try:
        octets = octets_of(_leaf(element, reason))
    except (binascii.Error, ValueError):
        raise SignatureForm(reason, "", "not the base64 text of any octets") from None
    if len(octets) != length:
        raise SignatureForm(reason, f"{len(octets)} octets", f"wanted {length} octets")
    return octets
