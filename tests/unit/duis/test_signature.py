"""One form of signature, one certificate, every octet of the document.

In one file, though long: it is one table of forgeries, read from top to bottom.
"""

from __future__ import annotations

import hashlib
import string
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree
from signxml.verifier import SignatureConfiguration, XMLVerifier

from duis.errors import DuisError, MalformedXml, SignatureForm, SignatureInvalid
from duis.gate import parse, validate
from duis.names import DS
from duis.signature import sign_document, signature_reference, verify_document
from duis.signature_form import read_signature
from duis.xml import request_from_xml
from tests.unit.duis.documents import (
    XmlSigner,
    cos_request,
    make_signer,
    put,
    signed,
    signer,
    unsigned,
)

SIGNATURE = f'<ds:Signature xmlns:ds="{DS}">'


def split(data: bytes) -> tuple[bytes, bytes, bytes]:
    """What is before the signature, the signature, what is after."""
    start = data.index(SIGNATURE.encode())
    end = data.index(b"</ds:Signature>") + len(b"</ds:Signature>")
    return data[:start], data[start:end], data[end:]


def library_accepts(data: bytes) -> bool:
    """What signxml says with the certificate given and its defaults otherwise."""
    certificate = x509.load_der_x509_certificate(signer().certificate)
    profile = SignatureConfiguration(verification_time=certificate.not_valid_before_utc)
    try:
        XMLVerifier().verify(data, x509_cert=certificate, expect_config=profile)
    except Exception:  # noqa: BLE001 - whatever it is, it is a refusal
        return False
    return True


def test_what_is_signed_verifies_and_says_the_same():
    verified = verify_document(signed(), signer().certificate)
    assert request_from_xml(verified.signed_xml) == cos_request()
    assert verified.reference == signature_reference(signed())
    assert (verified.reference.issuer, verified.reference.serial) == (
        "CN=SIM-Z1,OU=07",
        signer().serial,
    )
    assert verified.certificate == signer().certificate


def test_the_form_that_is_written():
    before, signature, after = split(signed())
    assert before.startswith(b'<?xml version="1.0" encoding="UTF-8"?><sr:Request ')
    assert after == b"</sr:Request>"
    digest = hashlib.sha256(before[38:] + after).digest()
    value = etree.fromstring(signed()).findtext(f".//{{{DS}}}SignatureValue")
    assert len(b64decode(value)) == 64
    assert (
        signature
        == (
            SIGNATURE
            + '<ds:SignedInfo><ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#">'
            "</ds:CanonicalizationMethod>"
            '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"></ds:SignatureMethod>'
            '<ds:Reference URI=""><ds:Transforms>'
            '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform>'
            '</ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod>'
            f"<ds:DigestValue>{b64encode(digest).decode()}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
            f"<ds:SignatureValue>{value}</ds:SignatureValue>"
            "<ds:KeyInfo><ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>CN=SIM-Z1,OU=07</ds:X509IssuerName>"
            f"<ds:X509SerialNumber>{signer().serial}</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data>"
            "</ds:KeyInfo></ds:Signature>"
        ).encode()
    )


def test_the_signer_is_asked_once_over_canonical_signed_info():
    asked = []

    def sign(data: bytes) -> bytes:
        asked.append(data)
        return signer().sign(data)

    document = sign_document(unsigned(), signer().issuer, signer().serial, sign)
    info = etree.fromstring(document).find(f".//{{{DS}}}SignedInfo")
    assert asked == [etree.tostring(info, method="c14n", exclusive=True)]


def test_a_signed_document_is_valid_under_the_schema_too():
    validate(parse(signed()))


def test_the_certificate_s_time_is_not_this_room_s_business():
    certificate = x509.load_der_x509_certificate(signer().certificate)
    assert certificate.not_valid_after_utc.year == 2016
    verify_document(signed(), signer().certificate)


# What is not of the form. Twins: True where the library by itself lets it through.

DIGEST = b"<ds:DigestValue>"
VALUE = b"<ds:SignatureValue>"


def moved(data):
    before, signature, after = split(data)
    return put(b"<sr:Header>", signature + b"<sr:Header>")(before) + after


def inside_the_body(data):
    before, signature, after = split(data)
    declared = f' xmlns:ds="{DS}"'.encode()
    before = put(b"<sr:Request", b"<sr:Request" + declared)(before)
    return put(b"</sr:Body>", put(declared, b"")(signature) + b"</sr:Body>")(before) + after


def twice(data):
    before, signature, after = split(data)
    return before + signature + signature + after


def removed(data):
    before, _, after = split(data)
    return before + after


def nothing_after(data):
    before, signature, after = split(data)
    return before + signature + b"<sr:Extra></sr:Extra>" + after


def two_references(data):
    start, end = data.index(b"<ds:Reference "), data.index(b"</ds:Reference>") + 15
    return data[:end] + data[start:end] + data[end:]


def between(data: bytes, start: bytes, end: bytes) -> bytes:
    return data[data.index(start) : data.index(end) + len(end)]


VALUE_ELEMENT = between(signed(), VALUE, b"</ds:SignatureValue>")
KEY_INFO = between(signed(), b"<ds:KeyInfo>", b"</ds:KeyInfo>")
ISSUER_SERIAL = between(signed(), b"<ds:X509IssuerSerial>", b"</ds:X509IssuerSerial>")
ISSUER_NAME = between(signed(), b"<ds:X509IssuerName>", b"</ds:X509IssuerName>")
SERIAL = f"<ds:X509SerialNumber>{signer().serial}<".encode()
EXCLUSIVE = b"http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = b'"http://www.w3.org/2000/09/xmldsig#enveloped-signature"'
CERTIFICATE = b"<ds:X509Certificate>" + b64encode(signer().certificate) + b"</ds:X509Certificate>"

BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"


def stray_bits(data: bytes) -> bytes:
    """The digest with its last letter one higher: the same octets, and two bits that are not 0."""
    last = data.index(b"=</ds:DigestValue>") - 1
    letter = BASE64[BASE64.index(chr(data[last])) + 1]
    return data[:last] + letter.encode() + data[last + 1 :]


FORM = {
    "no signature": (removed, "signature_missing", False),
    "two signatures": (twice, "signature_count", False),
    "moved to the front": (moved, "signature_position", True),
    "moved into the body": (inside_the_body, "signature_position", False),
    "something after it": (nothing_after, "signature_position", False),
    "an Id on the signature": (
        put(b"<ds:Signature ", b'<ds:Signature Id="a" '),
        "signature_attribute",
        True,
    ),
    "an Id on SignedInfo": (
        put(b"<ds:SignedInfo>", b'<ds:SignedInfo Id="a">'),
        "signature_attribute",
        False,
    ),
    "an Id on the value": (put(VALUE, b'<ds:SignatureValue Id="a">'), "signature_attribute", True),
    "an Id on KeyInfo": (put(b"<ds:KeyInfo>", b'<ds:KeyInfo Id="a">'), "signature_attribute", True),
    "a type on the reference": (
        put(b'<ds:Reference URI="">', b'<ds:Reference Type="a" URI="">'),
        "signature_attribute",
        False,
    ),
    "an object": (
        put(b"</ds:Signature>", b"<ds:Object>anything</ds:Object></ds:Signature>"),
        "signature_object",
        True,
    ),
    "an object inside KeyInfo": (
        put(b"</ds:KeyInfo>", b"<ds:Object></ds:Object></ds:KeyInfo>"),
        "signature_object",
        False,
    ),
    "two references": (two_references, "reference_count", False),
    "a reference by Id": (put(b'URI=""', b'URI="#a"'), "reference_uri", False),
    "a reference elsewhere": (put(b'URI=""', b'URI="http://127.0.0.1/"'), "reference_uri", False),
    "a reference to nothing": (put(b' URI=""', b""), "reference_uri", False),
    "inclusive canonicalization": (
        put(EXCLUSIVE, b"http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
        "canonicalization_method",
        False,
    ),
    "with comments": (
        put(EXCLUSIVE, EXCLUSIVE + b"WithComments"),
        "canonicalization_method",
        False,
    ),
    "namespaces made inclusive": (
        put(b"</ds:CanonicalizationMethod>", b"<ds:X></ds:X></ds:CanonicalizationMethod>"),
        "canonicalization_method",
        False,
    ),
    "text in an algorithm": (
        put(b"</ds:SignatureMethod>", b"x</ds:SignatureMethod>"),
        "signature_method",
        False,
    ),
    "an HMAC": (put(b"more#ecdsa-sha256", b"more#hmac-sha256"), "signature_method", False),
    "ECDSA with SHA-1": (put(b"ecdsa-sha256", b"ecdsa-sha1"), "signature_method", False),
    "another transform": (
        put(ENVELOPED, b'"http://www.w3.org/TR/1999/REC-xpath-19991116"'),
        "transform",
        False,
    ),
    "two transforms": (
        put(
            b"</ds:Transforms>",
            b"<ds:Transform Algorithm=" + ENVELOPED + b"></ds:Transform></ds:Transforms>",
        ),
        "transform",
        False,
    ),
    "no transform": (
        put(b"<ds:Transform Algorithm=" + ENVELOPED + b"></ds:Transform>", b""),
        "transform",
        False,
    ),
    "SHA-1": (put(b"04/xmlenc#sha256", b"09/xmldsig#sha1"), "digest_method", False),
    "a digest of 31 octets": (put(DIGEST, DIGEST + b"AAAA"), "digest_value", False),
    "a digest that is not base64": (put(DIGEST, DIGEST + b"*"), "digest_value", False),
    "a digest with stray bits": (stray_bits, "digest_value", False),
    "a value of 67 octets": (put(VALUE, VALUE + b"AAAA"), "signature_value", False),
    "a value that is not base64": (put(VALUE, VALUE + b"*"), "signature_value", True),
    "an element for a value": (
        put(VALUE_ELEMENT, b"<ds:SignatureValue><ds:X></ds:X></ds:SignatureValue>"),
        "signature_value",
        False,
    ),
    "parts in another order": (
        lambda d: put(VALUE, KEY_INFO + VALUE)(put(KEY_INFO, b"")(d)),
        "signature_structure",
        False,
    ),
    "no KeyInfo": (put(KEY_INFO, b""), "signature_structure", True),
    "an empty KeyInfo": (put(KEY_INFO, b"<ds:KeyInfo></ds:KeyInfo>"), "key_info", False),
    "a certificate in KeyInfo": (
        put(b"</ds:X509IssuerSerial>", b"</ds:X509IssuerSerial>" + CERTIFICATE),
        "key_info",
        True,
    ),
    "a key name": (
        put(b"<ds:KeyInfo>", b"<ds:KeyInfo><ds:KeyName>x</ds:KeyName>"),
        "key_info",
        True,
    ),
    "two issuers and serials": (put(ISSUER_SERIAL, ISSUER_SERIAL * 2), "key_info", True),
    "serial before issuer": (
        lambda d: put(b"</ds:X509SerialNumber>", b"</ds:X509SerialNumber>" + ISSUER_NAME)(
            put(ISSUER_NAME, b"")(d)
        ),
        "key_info",
        False,
    ),
    "no issuer": (
        put(ISSUER_NAME, b"<ds:X509IssuerName></ds:X509IssuerName>"),
        "issuer_form",
        True,
    ),
    "an issuer with a space before it": (
        put(b"<ds:X509IssuerName>", b"<ds:X509IssuerName> "),
        "issuer_form",
        True,
    ),
    "an endless issuer": (
        put(b"<ds:X509IssuerName>", b"<ds:X509IssuerName>" + b"A" * 400),
        "issuer_form",
        True,
    ),
    "a serial below zero": (
        put(b"<ds:X509SerialNumber>", b"<ds:X509SerialNumber>-"),
        "serial_form",
        True,
    ),
    "a serial in hex": (
        put(SERIAL, f"<ds:X509SerialNumber>{signer().serial:#x}<".encode()),
        "serial_form",
        False,
    ),
    "a serial with white space in it": (
        put(b"<ds:X509SerialNumber>", b"<ds:X509SerialNumber>1\n"),
        "serial_form",
        False,
    ),
    "an issuer that the SMKI repository cannot be asked for": (
        put(b"<ds:X509IssuerName>", b"<ds:X509IssuerName>" + b"A" * 250),
        "issuer_form",
        True,
    ),
    "a serial of 49 digits": (
        put(SERIAL, b"<ds:X509SerialNumber>" + b"9" * 49 + b"<"),
        "serial_form",
        True,
    ),
    "a serial of 20 octets and a bit": (
        put(SERIAL, b"<ds:X509SerialNumber>%d<" % 2**159),
        "serial_form",
        True,
    ),
    "a serial of 50 digits": (
        put(SERIAL, b"<ds:X509SerialNumber>" + b"9" * 50 + b"<"),
        "serial_form",
        True,
    ),
}


def test_the_twin_the_largest_serial_there_is():
    largest = 2**159 - 1
    document = put(SERIAL, b"<ds:X509SerialNumber>%d<" % largest)(signed())
    assert signature_reference(document).serial == largest


@pytest.mark.parametrize(("change", "reason", "library_would"), FORM.values(), ids=FORM)
def test_another_form_is_refused_by_name_before_any_arithmetic(change, reason, library_would):
    document = change(signed())
    with pytest.raises(SignatureForm) as refused:
        verify_document(document, signer().certificate)
    assert refused.value.reason == reason
    with pytest.raises(SignatureForm) as refused:
        signature_reference(document)
    assert refused.value.reason == reason
    assert library_accepts(document) == library_would


# What has the form and does not hold


def test_a_changed_document():
    document = put(b">1000<", b">1001<")(signed())
    with pytest.raises(SignatureInvalid) as refused:
        verify_document(document, signer().certificate)
    assert refused.value.reason == "digest_mismatch"


@pytest.mark.parametrize("attribute", [b'schemaVersion="5.5"', b'schemaVersion="5.4" a="b"'])
def test_a_changed_attribute(attribute):
    document = put(b'schemaVersion="5.4"', attribute)(signed())
    with pytest.raises(SignatureInvalid, match="digest_mismatch"):
        verify_document(document, signer().certificate)


def test_a_namespace_added_to_the_root_changes_what_was_signed():
    document = put(b"<sr:Request ", f'<sr:Request xmlns:q="{DS}" '.encode())(signed())
    with pytest.raises(SignatureInvalid, match="digest_mismatch"):
        verify_document(document, signer().certificate)


def test_a_changed_document_with_its_digest_put_right():
    changed = put(b">1000<", b">1001<")(signed())
    before, _, after = split(changed)
    right = b64encode(hashlib.sha256(before[38:] + after).digest())
    start = changed.index(DIGEST) + len(DIGEST)
    document = changed[:start] + right + changed[start + len(right) :]
    with pytest.raises(SignatureInvalid) as refused:
        verify_document(document, signer().certificate)
    assert refused.value.reason == "signature_mismatch"


def test_a_signature_of_another_document():
    other = signer().sign_xml(put(b">1000<", b">1001<")(unsigned()))
    before, _, after = split(signed())
    with pytest.raises(SignatureInvalid, match="digest_mismatch"):
        verify_document(before + split(other)[1] + after, signer().certificate)


@pytest.mark.parametrize("value", [bytes(64), b"\xff" * 64, b"\x01" * 64])
def test_a_value_that_is_no_signature(value):
    old = between(signed(), VALUE, b"</ds:SignatureValue>")
    document = put(old, VALUE + b64encode(value) + b"</ds:SignatureValue>")(signed())
    with pytest.raises(SignatureInvalid, match="signature_mismatch"):
        verify_document(document, signer().certificate)


def test_another_key_under_the_same_issuer_and_serial():
    impostor = make_signer(signer().serial)
    with pytest.raises(SignatureInvalid) as refused:
        verify_document(impostor.sign_xml(unsigned()), signer().certificate)
    assert refused.value.reason == "signature_mismatch"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put("CN=SIM-Z1,OU=07", "CN=SIM-Z2,OU=07"), "issuer_mismatch"),
        (put("CN=SIM-Z1,OU=07", "CN=SIM-Z1, OU=07"), "issuer_mismatch"),
        (put("CN=SIM-Z1,OU=07", "OU=07,CN=SIM-Z1"), "issuer_mismatch"),
        (put("CN=SIM-Z1,OU=07", "cn=sim-z1,ou=07"), "issuer_mismatch"),
        (put(SERIAL, b"<ds:X509SerialNumber>1<"), "serial_mismatch"),
    ],
)
def test_issuer_and_serial_are_those_of_the_certificate_though_they_are_not_signed(change, reason):
    document = change(signed())
    with pytest.raises(SignatureInvalid) as refused:
        verify_document(document, signer().certificate)
    assert refused.value.reason == reason
    assert library_accepts(document)  # the twin: nobody else would have looked


def test_white_space_in_the_value_is_let_in_because_published_signers_wrap_it():
    middle = signed().index(VALUE) + len(VALUE) + 40
    document = signed()[:middle] + b"&#13;\n" + signed()[middle:]
    verify_document(document, signer().certificate)


@pytest.mark.parametrize("certificate", [b"", b"\x30\x00", b"not a certificate"])
def test_a_certificate_that_is_none(certificate):
    with pytest.raises(SignatureInvalid, match="certificate_unreadable"):
        verify_document(signed(), certificate)


def test_a_key_on_another_curve():
    other = make_signer(signer().serial, curve=ec.SECP384R1())
    with pytest.raises(SignatureInvalid, match="certificate_key"):
        verify_document(signed(), other.certificate)


# White space: what a strict verifier and Smart DCC's would disagree about


def test_white_space_added_after_signing_is_refused_by_the_gate_with_its_own_name():
    document = put(b"<sr:Body>", b"\n<sr:Body>")(signed())
    with pytest.raises(MalformedXml) as refused:
        verify_document(document, signer().certificate)
    assert refused.value.reason == "inter_element_white_space"


WITH_WHITE_SPACE = put(b"<sr:Body>", b"\n<sr:Body>")


def pretty_and_signed(by: XmlSigner, pretty: bytes) -> bytes:
    """A document signed over its white space, which `sign_document` would refuse to do."""
    digest = b64encode(
        hashlib.sha256(etree.tostring(etree.fromstring(pretty), method="c14n")).digest()
    )
    _, signature, _ = split(by.sign_xml(unsigned()))
    old = between(signature, DIGEST, b"</ds:DigestValue>")
    signature = put(old, DIGEST + digest + b"</ds:DigestValue>")(signature)
    info = etree.fromstring(signature)[0]
    value = b64encode(by.sign(etree.tostring(info, method="c14n", exclusive=True)))
    old = between(signature, VALUE, b"</ds:SignatureValue>")
    signature = put(old, VALUE + value + b"</ds:SignatureValue>")(signature)
    return put(b"</sr:Request>", signature + b"</sr:Request>")(pretty)


def test_white_space_that_was_signed_is_refused_too_though_the_signature_holds():
    document = pretty_and_signed(signer(), WITH_WHITE_SPACE(unsigned()))
    assert library_accepts(document)
    with pytest.raises(MalformedXml) as refused:
        verify_document(document, signer().certificate)
    assert refused.value.reason == "inter_element_white_space"


def test_a_comment_in_a_signed_value_is_refused_though_libraries_read_over_it():
    document = put(b"<sr:ServiceReference>6.", b"<sr:ServiceReference>6.<!-- -->")(signed())
    assert library_accepts(document)
    with pytest.raises(MalformedXml, match="comment"):
        verify_document(document, signer().certificate)


def test_values_come_from_what_was_signed():
    verified = verify_document(signed(), signer().certificate)
    assert b"ds:Signature" not in verified.signed_xml
    assert hashlib.sha256(verified.signed_xml).digest() == b64decode(
        between(signed(), DIGEST, b"</ds:DigestValue>")[len(DIGEST) : -len(b"</ds:DigestValue>")]
    )


# Signing


def test_a_document_is_signed_once():
    with pytest.raises(SignatureForm, match="already_signed"):
        signer().sign_xml(signed())


@pytest.mark.parametrize("value", [b"", b"\x00" * 63, b"\x30\x44" + b"\x00" * 68])
def test_a_signer_must_return_sixty_four_octets(value):
    with pytest.raises(SignatureForm, match="signature_value"):
        sign_document(unsigned(), "CN=SIM-Z1,OU=07", 1, lambda _: value)


@pytest.mark.parametrize(
    ("issuer", "serial", "reason"),
    [
        ("", 1, "issuer_form"),
        ("CN=a\nb", 1, "issuer_form"),
        ("CN=a", -1, "serial_form"),
        ("CN=a", 10**49, "serial_form"),
    ],
)
def test_nothing_is_signed_for_an_impossible_issuer_or_serial(issuer, serial, reason):
    asked = []
    with pytest.raises(SignatureForm, match=reason):
        sign_document(unsigned(), issuer, serial, lambda data: asked.append(data) or b"")
    assert not asked


def test_an_issuer_with_markup_in_its_name():
    other = make_signer(authority="SIM <&> Z1")
    document = other.sign_xml(unsigned())
    assert signature_reference(document).issuer == "CN=SIM <&> Z1,OU=07"
    assert b"SIM &lt;&amp;&gt; Z1" in document


def test_what_does_not_pass_the_gate_is_not_signed():
    with pytest.raises(DuisError):
        signer().sign_xml(b"<a/>")


SPELLED = {
    "zeros before the serial": put(b"<ds:X509SerialNumber>", b"<ds:X509SerialNumber>000"),
    "a plus before the serial": put(b"<ds:X509SerialNumber>", b"<ds:X509SerialNumber>+"),
    "white space round the serial": lambda d: put(
        b"</ds:X509SerialNumber>", b"&#13;\n</ds:X509SerialNumber>"
    )(put(b"<ds:X509SerialNumber>", b"<ds:X509SerialNumber>\n ")(d)),
}


@pytest.mark.parametrize("change", SPELLED.values(), ids=SPELLED)
def test_a_serial_is_a_number_however_it_is_written(change):
    assert (
        verify_document(change(signed()), signer().certificate).reference.serial == signer().serial
    )


def wrapped_digest_signed() -> bytes:
    """The document with its digest on lines of its own, and so signed."""
    asked: list[bytes] = []

    def wrapped(signed_info: bytes) -> bytes:
        asked.append(
            put(DIGEST, DIGEST + b"\n")(put(b"</ds:DigestV", b"\n</ds:DigestV")(signed_info))
        )
        return signer().sign(asked[0])

    document = sign_document(unsigned(), signer().issuer, signer().serial, wrapped)
    return put(DIGEST, DIGEST + b"\n")(put(b"</ds:DigestV", b"\n</ds:DigestV")(document))


def test_a_digest_may_be_wrapped_if_that_is_what_was_signed():
    verified = verify_document(wrapped_digest_signed(), signer().certificate)
    assert verified.signed_xml == verify_document(signed(), signer().certificate).signed_xml
    with pytest.raises(SignatureInvalid, match="signature_mismatch"):
        verify_document(put(DIGEST, DIGEST + b"\n")(signed()), signer().certificate)


def test_the_digest_that_was_called_not_base64(shared_dir: Path):
    document = (shared_dir / "field" / "10-digest-value-with-newline.xml").read_bytes()
    parts = read_signature(parse(document).root)
    assert len(parts.digest) == 32
    assert signature_reference(document) == parts.reference
