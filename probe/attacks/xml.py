"""Attacks on the form and signature of a service request.

Each document is posted to the broker (the front door) and handed to each CoS Party by a dishonest
broker (the back door), because both must refuse it alone: neither may lean on the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from duis.names import ECDSA_SHA256, ENVELOPED_SIGNATURE, EXCLUSIVE_C14N, SHA256, SR
from probe.attacks.making import attack_row
from probe.forge.xml import (
    DECLARATION,
    SIGNATURE,
    Document,
    at_broker,
    at_cos_party,
    honest,
    signed,
    signed_again,
    unsigned,
)
from probe.model import BOTH_CHECK, BROKER_CHECKS, Attack, Rung
from probe.result import Refusal
from probe.world import COS

Change = Callable[[bytes], bytes]
RECORDED = "a request that supplier B signed, recorded on the wire"
SUPPLIER_B = "every key of supplier B"
BROKER = "the broker's link key, and what supplier B signed"


@dataclass(frozen=True)
class Case:
    """One forged document and the check that must refuse it, without the party's prefix."""

    name: str
    title: str
    make: Document
    check: str
    rung: Rung = Rung.RECORDING
    holds: str = RECORDED


def on_wire(change: Change) -> Document:
    """An honest document changed after signing."""
    return lambda world, party: change(honest(world, party))


def by_supplier(change: Change) -> Document:
    """A document whose SignedInfo is changed and signed again by the supplier itself."""
    return lambda world, party: signed_again(world.supplier("B"), honest(world, party), change)


def written_by_supplier(change: Change) -> Document:
    """A document that the supplier itself wrote otherwise, and signed."""
    return lambda world, party: signed(
        change(unsigned(honest(world, party))), world.supplier("B").keys.signer("xml-signing")
    )


def put(old: bytes, new: bytes) -> Change:
    """Replace the first occurrence; it must be there."""

    def change(document: bytes) -> bytes:
        if old not in document:
            raise ValueError(f"nothing to replace: {old[:40]!r}")
        return document.replace(old, new, 1)

    return change


def signature_of(document: bytes) -> bytes:
    """The signature element."""
    found = SIGNATURE.search(document)
    if found is None:
        raise ValueError("not signed")
    return found[0]


def signature_moved(to: bytes) -> Change:
    """Take the signature from its place and put it before `to`."""
    return lambda d: put(to, signature_of(d) + to)(unsigned(d))


def wrapped(d: bytes) -> bytes:
    """The signed request inside ds:Object of its own signature, another request around it."""
    root = unsigned(d).removeprefix(DECLARATION)
    inside = b"<ds:Object>" + root + b"</ds:Object></ds:Signature>"
    return evil(d).replace(b"</ds:Signature>", inside)


def wrapped_in_body(d: bytes) -> bytes:
    """The signed request as a child of the body of another."""
    return put(b"</sr:Body>", d.removeprefix(DECLARATION) + b"</sr:Body>")(unsigned(evil(d)))


def wrapped_around(d: bytes) -> bytes:
    """Another request before the signed one, under one root."""
    first, second = (x.removeprefix(DECLARATION) for x in (unsigned(evil(d)), d))
    return DECLARATION + b"<sr:Requests>" + first + second + b"</sr:Requests>"


def evil(d: bytes) -> bytes:
    """What the attacker would rather have asked for: another meter point."""
    return put(b"<sr:ImportMPxN>1", b"<sr:ImportMPxN>9")(d)


def next_identifier(d: bytes) -> bytes:
    """The request identifier with its counter one higher."""
    start, end = d.index(b"<sr:RequestID>"), d.index(b"</sr:RequestID>")
    head, _, counter = d[start:end].rpartition(b":")
    return d[:start] + head + b":%d" % (int(counter) + 1) + d[end:]


def second_body(d: bytes) -> bytes:
    """Two bodies."""
    start, end = d.index(b"<sr:Body>"), d.index(b"</sr:Body>") + len(b"</sr:Body>")
    return d[:end] + d[start:end] + d[end:]


def second_header(d: bytes) -> bytes:
    """Two headers."""
    start, end = d.index(b"<sr:Header>"), d.index(b"</sr:Header>") + len(b"</sr:Header>")
    return d[:end] + d[start:end] + d[end:]


MPXN = b"<sr:ImportMPxN>"
ZONELESS = b"<sr:ExecutionDateTime>2035-01-01T00:00:00</sr:ExecutionDateTime><sr:SupplierFloorSeq"
S, W = Rung.SUPPLIER, Rung.WIRE
ENTITY = b'<!DOCTYPE sr:Request [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
LAUGHS = b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'

FORM: tuple[tuple[str, str, Change, str], ...] = (
    ("doctype", "a document type", put(b"?>", b"?><!DOCTYPE sr:Request>"), "wellformed"),
    ("external-entity", "an external entity", lambda d: put(MPXN, MPXN + b"&x;")(
        put(b"?>", b"?>" + ENTITY)(d)), "wellformed"),
    ("entity-expansion", "entities that expand", lambda d: put(MPXN, MPXN + b"&b;")(
        put(b"?>", b"?>" + LAUGHS)(d)), "wellformed"),
    ("parameter-entity", "a parameter entity", put(
        b"?>", b'?><!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1:9/">%p;]>'), "wellformed"),
    ("undefined-entity", "an entity nobody defined", put(MPXN, MPXN + b"&nbsp;"), "wellformed"),
    ("pi", "a processing instruction", put(b"?>", b'?><?xml-stylesheet href="x"?>'), "wellformed"),
    ("pi-inside", "a processing instruction inside a value", put(MPXN, MPXN + b"<?x y?>"),
     "wellformed"),
    ("cdata", "a value in CDATA", lambda d: d.replace(
        b"<sr:ServiceReference>6.23", b"<sr:ServiceReference><![CDATA[6.23]]>"), "wellformed"),
    ("comment-in-value", "a comment inside the request identifier", put(
        b"<sr:RequestID>02", b"<sr:RequestID>02<!-- -->"), "wellformed"),
    ("comment-in-mpxn", "a comment inside the MPxN", put(MPXN + b"12", MPXN + b"12<!---->"),
     "wellformed"),
    ("comment-before", "a comment before the root", put(b"?>", b"?><!-- x -->"), "wellformed"),
    ("comment-after", "a comment after the root", lambda d: d + b"<!-- x -->", "wellformed"),
    ("comment-in-serial", "a comment inside the serial number", put(
        b"<ds:X509SerialNumber>", b"<ds:X509SerialNumber><!-- -->"), "wellformed"),
    ("bom", "a byte order mark", lambda d: b"\xef\xbb\xbf" + d, "wellformed"),
    ("utf-16", "the document in UTF-16", lambda d: d.decode().encode("utf-16"), "wellformed"),
    ("utf-16-claimed", "UTF-8 that says it is UTF-16", put(b"UTF-8", b"UTF-16"), "wellformed"),
    ("latin-1-claimed", "UTF-8 that says it is ISO-8859-1", put(b"UTF-8", b"ISO-8859-1"),
     "wellformed"),
    ("utf-7-claimed", "UTF-8 that says it is UTF-7", put(b"UTF-8", b"UTF-7"), "wellformed"),
    ("bad-utf-8", "an octet that is no UTF-8", put(MPXN, MPXN + b"\xff"), "wellformed"),
    ("overlong-utf-8", "an overlong UTF-8 sequence", put(MPXN, MPXN + b"\xc0\xb1"), "wellformed"),
    ("nul", "a NUL octet", put(MPXN, MPXN + b"\0"), "wellformed"),
    ("xml-1.1", "XML 1.1", put(b'version="1.0"', b'version="1.1"'), "wellformed"),
    ("white-space", "white space between elements", put(b"<sr:Body>", b"\n  <sr:Body>"),
     "wellformed"),
    ("white-space-in-signature", "white space between elements of the signature",
     put(b"<ds:SignatureValue>", b"\n<ds:SignatureValue>"), "wellformed"),
    ("trailing", "a second document after the first", lambda d: d + d.removeprefix(DECLARATION),
     "wellformed"),
    ("truncated", "the first half", lambda d: d[: len(d) // 2], "wellformed"),
    ("empty", "nothing", lambda _: b"", "wellformed"),
    ("foreign-namespace", "an element of another namespace",
     put(b"<sr:Body>", b'<sr:Body><x:y xmlns:x="urn:x"/>'), "wellformed"),
    ("rebound-prefix", "the prefix sr bound again inside",
     put(b"<sr:Body>", b'<sr:Body xmlns:sr="http://www.w3.org/2000/09/xmldsig#">'), "wellformed"),
    ("xsi-type", "an xsi:type", put(
        b"<sr:Body>", b'<sr:Body xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
                      b'xsi:type="x">'), "wellformed"),
    ("mixed", "text beside elements", put(b"<sr:Body>", b"<sr:Body>x"), "wellformed"),
    ("wrapped-around", "another request before the signed one under one root", wrapped_around,
     "wellformed"),
    ("declarations", "2,700 declarations of one namespace", put(b"<sr:Request ",
        b"<sr:Request " + b"".join(b'xmlns:a%d="%s" ' % (n, SR.encode()) for n in range(2700))),
     "wellformed"),
    ("attributes", "20,000 attributes", put(
        b"<sr:Request ", b"<sr:Request " + b"".join(b'a%d="" ' % n for n in range(20_000))),
     "wellformed"),
    ("elements", "20,000 elements", put(b"<sr:Body>", b"<sr:a/>" * 20_000 + b"<sr:Body>"),
     "wellformed"),
    ("deep", "elements 200 deep", put(b"<sr:Body>", b"<sr:a>" * 200 + b"</sr:a>" * 200
                                      + b"<sr:Body>"), "wellformed"),
    ("version-5.3", "schema version 5.3", put(b'"5.4"', b'"5.3"'), "schema_version"),
    ("version-none", "no schema version", put(b' schemaVersion="5.4"', b""), "schema_version"),
    ("version-5.41", "schema version 5.41", put(b'"5.4"', b'"5.41"'), "schema_version"),
    ("two-headers", "two headers", second_header, "schema"),
    ("element-missing", "no ApplyTimeBasedCPVChecks", put(
        b"<sr:ApplyTimeBasedCPVChecks>true</sr:ApplyTimeBasedCPVChecks>", b""), "schema"),
    ("attribute", "an attribute the schema lacks", put(b"<sr:Body>", b'<sr:Body id="a">'),
     "schema"),
    ("floor-negative", "a negative floor", put(
        b"<sr:SupplierFloorSeqNumber>", b"<sr:SupplierFloorSeqNumber>-"), "schema"),
)  # fmt: skip

SIGNED: tuple[tuple[str, str, Change, str], ...] = (
    ("stripped", "the signature taken out", unsigned, "signature_form"),
    ("moved-first", "the signature as first child", signature_moved(b"<sr:Header>"), "schema"),
    ("moved-middle", "the signature before the body", signature_moved(b"<sr:Body>"), "schema"),
    ("doubled", "the signature twice", lambda d: put(
        b"</sr:Request>", signature_of(d) + b"</sr:Request>")(d), "schema"),
    ("wrapped-object", "the signed request inside ds:Object, another around it", wrapped,
     "wellformed"),
    ("object", "an empty ds:Object",
     put(b"</ds:Signature>", b"<ds:Object></ds:Object></ds:Signature>"),
     "signature_form"),
    ("key-value", "the attacker's own certificate in KeyInfo", put(
        b"</ds:X509Data>", b"<ds:X509Certificate>AAAA</ds:X509Certificate></ds:X509Data>"),
     "signature_form"),
    ("key-name", "a KeyName in KeyInfo", put(
        b"<ds:KeyInfo>", b"<ds:KeyInfo><ds:KeyName>acb</ds:KeyName>"), "signature_form"),
    ("no-key-info", "no KeyInfo", lambda d: d[: d.index(b"<ds:KeyInfo>")]
     + d[d.index(b"</ds:KeyInfo>") + 13 :], "signature_form"),
    ("serial-minus", "a minus before the serial number", put(
        b"<ds:X509SerialNumber>", b"<ds:X509SerialNumber>-"), "signature_form"),
    ("serial-long", "a serial number of 49 digits", lambda d: re.sub(
        rb"(?<=<ds:X509SerialNumber>)\d+", b"9" * 49, d), "signature_form"),
    ("serial-octets", "a serial number one too large for 20 octets", lambda d: re.sub(
        rb"(?<=<ds:X509SerialNumber>)\d+", b"%d" % 2**159, d), "signature_form"),
    ("issuer-long", "an issuer longer than any", put(b"CN=SIM-Z1", b"CN=" + b"A" * 260),
     "signature_form"),
    ("serial-other", "a serial number nobody has", lambda d: re.sub(
        rb"(\d)(?=</ds:X509SerialNumber>)", lambda m: b"%d" % ((int(m[1]) + 1) % 10), d),
     "certificate_known"),
    ("issuer-other", "another issuer", put(b"CN=SIM-Z1,OU=07", b"CN=SIM-ZA,OU=00"),
     "certificate_known"),
    ("issuer-order", "the issuer's name in the other order", put(
        b"CN=SIM-Z1,OU=07", b"OU=07,CN=SIM-Z1"), "certificate_known"),
    ("signature-id", "an Id on the signature", put(b"<ds:Signature ", b'<ds:Signature Id="s" '),
     "signature_form"),
    ("value-bit", "another signature value", put(
        b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA"), "signature_form"),
    ("value-empty", "an empty signature value", lambda d: d[: d.index(b"<ds:SignatureValue>") + 19]
     + d[d.index(b"</ds:SignatureValue>") :], "signature_form"),
    ("digest-other", "another digest", lambda d: d[: d.index(b"<ds:DigestValue>") + 16] + b"A" * 43
     + b"=" + d[d.index(b"</ds:DigestValue>") :], "signature"),
    ("mpxn", "another MPxN", evil, "signature"),
    ("floor", "another floor", put(
        b"<sr:SupplierFloorSeqNumber>", b"<sr:SupplierFloorSeqNumber>1"), "signature"),
    ("time-checks", "time checks turned off", put(b"Checks>true<", b"Checks>false<"), "signature"),
    ("time-checks-respelled", "time checks written as 1 in place of true", put(
        b"Checks>true<", b"Checks>1<"), "signature"),
    ("certificate-wrapped", "a line break put into a certificate", put(
        b"<sr:DigitalSigningCertificate>MIIB", b"<sr:DigitalSigningCertificate>MIIB\n"),
     "signature"),
    ("counter", "another request counter", next_identifier, "signature"),
    ("date", "an execution date put in", put(
        b"<sr:SupplierFloorSeqNumber>", b"<sr:ExecutionDateTime>2027-01-01T00:00:00.00Z"
        b"</sr:ExecutionDateTime><sr:SupplierFloorSeqNumber>"), "signature"),
    ("top-up-dropped", "the top-up certificate taken out", lambda d: d[
        : d.index(b"<sr:KeyAgreementTopUpCertificate>")] + d[d.index(
            b"</sr:KeyAgreementTopUpCertificate>") + 34 :], "signature"),
)  # fmt: skip

HMAC_OF_NOTHING = (
    b'Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"><ds:HMACOutputLength>0'
    b"</ds:HMACOutputLength></ds:SignatureMethod>"
)
SECOND_TRANSFORM = (
    b'<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:Transform>'
    b"</ds:Transforms>"
)
ONE_TRANSFORM = (
    f'<ds:Transforms><ds:Transform Algorithm="{ENVELOPED_SIGNATURE}"></ds:Transform>'
    "</ds:Transforms>"
).encode()

ALGORITHMS: tuple[tuple[str, str, bytes, bytes], ...] = (
    ("c14n-1.0", "SignedInfo in Canonical XML 1.0", EXCLUSIVE_C14N.encode(),
     b"http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
    ("c14n-comments", "exclusive canonicalization with comments", EXCLUSIVE_C14N.encode(),
     b"http://www.w3.org/2001/10/xml-exc-c14n#WithComments"),
    ("c14n-none", "an unknown canonicalization", EXCLUSIVE_C14N.encode(), b"urn:none"),
    ("method-sha1", "ECDSA with SHA-1", ECDSA_SHA256.encode(),
     b"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1"),
    ("method-sha512", "ECDSA with SHA-512", ECDSA_SHA256.encode(),
     b"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"),
    ("method-rsa", "RSA with SHA-256", ECDSA_SHA256.encode(),
     b"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"),
    ("method-hmac", "an HMAC", ECDSA_SHA256.encode(),
     b"http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
    ("method-hmac-truncated", "an HMAC of no length",
     b'Algorithm="' + ECDSA_SHA256.encode() + b'"></ds:SignatureMethod>',
     HMAC_OF_NOTHING),
    ("digest-sha1", "the digest by SHA-1", SHA256.encode(),
     b"http://www.w3.org/2000/09/xmldsig#sha1"),
    ("digest-md5", "the digest by MD5", SHA256.encode(),
     b"http://www.w3.org/2001/04/xmldsig-more#md5"),
    ("uri-body", "a reference to a part by Id", b'URI=""', b'URI="#body"'),
    ("uri-xpointer", "a reference by XPointer", b'URI=""', b'URI="#xpointer(/)"'),
    ("uri-external", "a reference to a file", b'URI=""', b'URI="file:///etc/hostname"'),
    ("uri-none", "a reference without a URI", b' URI=""', b""),
    ("transform-xpath", "an XPath transform", ENVELOPED_SIGNATURE.encode(),
     b"http://www.w3.org/TR/1999/REC-xpath-19991116"),
    ("transform-xslt", "an XSLT transform", ENVELOPED_SIGNATURE.encode(),
     b"http://www.w3.org/TR/1999/REC-xslt-19991116"),
    ("transform-base64", "a base64 transform", ENVELOPED_SIGNATURE.encode(),
     b"http://www.w3.org/2000/09/xmldsig#base64"),
    ("transform-two", "a second transform", b"</ds:Transforms>",
     SECOND_TRANSFORM),
    ("transform-none", "no transforms", ONE_TRANSFORM, b""),
)  # fmt: skip


def two_references(d: bytes) -> bytes:
    """A second reference, to nothing."""
    start = d.index(b"<ds:Reference")
    end = d.index(b"</ds:Reference>") + len(b"</ds:Reference>")
    return d[:end] + d[start:end].replace(b'URI=""', b'URI="#x"') + d[end:]


def cases() -> Iterator[Case]:
    """Every document of this module."""
    for name, title, change, check in FORM:
        yield Case(f"form.{name}", title, on_wire(change), check)
    for name, title, change, check in SIGNED:
        yield Case(f"signature.{name}", title, on_wire(change), check)
    for name, title, old, new in ALGORITHMS:
        yield Case(f"algorithm.{name}", f"{title}, and so signed by the supplier",
                   by_supplier(put(old, new)), "signature_form", S, SUPPLIER_B)  # fmt: skip
    yield Case("algorithm.two-references", "two references, and so signed by the supplier",
               by_supplier(two_references), "signature_form", S, SUPPLIER_B)  # fmt: skip
    yield Case("form.zone-none", "a date without its zone, and so signed by the supplier",
               written_by_supplier(put(b"<sr:SupplierFloorSeq", ZONELESS)), "schema",
               S, SUPPLIER_B)  # fmt: skip
    yield Case("form.two-bodies", "two bodies", on_wire(second_body), "schema")
    yield Case("form.wrapped-in-body", "the signed request inside the body of another",
               on_wire(wrapped_in_body), "wellformed")  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Every document at the front door, and at each CoS Party's back door."""
    for case in cases():
        yield attack_row(
            f"xml.acb.{case.name}", f"To the broker: {case.title}", case.rung, BROKER_CHECKS,
            case.holds, at_broker(case.make, "ecos_party"),
            Refusal("acb", f"acb.request.{case.check}"), "acb",
        )  # fmt: skip
        for cos, party in COS.items():
            check = "schema" if case.check == "schema_version" else case.check
            yield attack_row(
                f"xml.{cos}.{case.name}", f"To {party}, by a dishonest broker: {case.title}",
                Rung.ONE_PARTY, BOTH_CHECK, BROKER, at_cos_party(case.make, party),
                Refusal(party, f"{cos}.request.{check}"), "cos", "back-door",
            )  # fmt: skip
    for name, kind in (("json", "application/json"), ("octets", "application/octet-stream"),
                       ("soap", "application/soap+xml")):  # fmt: skip
        yield attack_row(
            f"xml.acb.content-type.{name}", f"To the broker: a request sent as {kind}", W,
            BROKER_CHECKS, RECORDED, at_broker(honest, "ecos_party", kind),
            Refusal("acb", "acb.request.content_type"), "acb",
        )  # fmt: skip
    yield attack_row(
        "xml.acb.size", "To the broker: a document of 300 kilobytes", W, BROKER_CHECKS,
        "a connection to the interface, nothing else",
        lambda world: world.to_broker(b"<" * 300 * 1024), Refusal("acb", "acb.request.size"), "acb",
    )  # fmt: skip
