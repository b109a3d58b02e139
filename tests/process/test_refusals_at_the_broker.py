"""What the broker refuses at its interface: by which check, and that nothing changes.

Each attack has a twin: with that one check off the request gets past it, and either succeeds or is
stopped by another named check, which the twin names.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from stack_bench import Bench

from duis.signature import sign_document
from keys.certificate import Certificate
from keys.issuing.issue import Flaw, flawed_certificate
from keys.roles import OrganisationRole, Usage
from services.chassis.time.clock import SystemClock
from stack.supplier import Supplier
from stack.switching import FINAL_STATES

pytestmark = pytest.mark.xdist_group("stack")


@dataclass
class Attack:
    """A request to post, and what the broker must say to it."""

    name: str
    make: Callable[[Bench, str], tuple[bytes, str]]  # document, content type
    check: str
    status: int
    off: str | None  # what the same request meets with the check off: a check, or None: success


def honest(bench: Bench, meter: str, **changes: Any) -> bytes:
    return bench.supplier("B").change_of_supplier(meter, bench.mpxn(meter), **changes)[1]


def signed_with(bench: Bench, meter: str, certificate: Certificate) -> bytes:
    """An honest request whose signature names another certificate of the same key."""
    supplier = bench.supplier("B")
    unsigned = strip_signature(honest(bench, meter))
    key = supplier.keys.signer("xml-signing")
    return sign_document(unsigned, certificate.issuer, certificate.serial, key.sign)


def strip_signature(document: bytes) -> bytes:
    start = document.index(b"<ds:Signature")
    return document[:start] + b"</sr:Request>"


def flawed(bench: Bench, meter: str, flaw: Flaw) -> bytes:
    """A request signed under a published but flawed certificate of supplier B's own key."""
    supplier = bench.supplier("B")
    certificate = flawed_certificate(
        bench.data,
        flaw,
        eui=supplier.eui,
        role=OrganisationRole.XML_SIGNING,
        usage=Usage.DIGITAL_SIGNATURE,
        public_key=supplier.keys.certificate("xml-signing").public_key,
        now=SystemClock().now(),
    )
    if flaw is not Flaw.UNKNOWN_ISSUER:  # the repository refuses to publish such a one
        publish(bench, certificate)
    if flaw is Flaw.REVOKED:
        crl = bench.data / "smki_repository" / "repository" / "crl" / "organisation.crl"
        bench.connection.lab(
            "smki_repository", "PUT", "/lab/crl/organisation", {"pem": crl.read_text()}
        )
    return signed_with(bench, meter, certificate)


def publish(bench: Bench, certificate: Certificate) -> None:
    told = {"certificate": base64.b64encode(certificate.der).decode()}
    bench.connection.lab("smki_repository", "POST", "/lab/certificates", told)


def as_xml(make: Callable[[Bench, str], bytes]) -> Callable[[Bench, str], tuple[bytes, str]]:
    return lambda bench, meter: (make(bench, meter), "application/xml")


def other_digital_signing(bench: Bench, meter: str) -> bytes:
    """Signed with the key that signs GBCS payloads: OU 02 instead of 87."""
    supplier = bench.supplier("B")
    key = supplier.keys.signer("digital-signing")
    certificate = key.certificate
    unsigned = strip_signature(honest(bench, meter))
    return sign_document(unsigned, certificate.issuer, certificate.serial, key.sign)


def someone_elses(bench: Bench, meter: str) -> bytes:
    """Supplier B's request, signed by supplier A."""
    other = Supplier.open(bench.data, "A").keys.signer("xml-signing")
    certificate = other.certificate
    unsigned = strip_signature(honest(bench, meter))
    return sign_document(unsigned, certificate.issuer, certificate.serial, other.sign)


def unknown_device(bench: Bench, meter: str) -> bytes:
    del meter
    return bench.supplier("B").change_of_supplier("0253494ddddddddd", "1200000000001")[1]


ATTACKS = [
    Attack(
        "not XML", lambda b, m: (b"hello", "application/xml"), "acb.request.wellformed", 400, ""
    ),
    Attack(
        "wrong content type",
        lambda b, m: (honest(b, m), "application/json"),
        "acb.request.content_type",
        415,
        None,
    ),
    Attack(
        "a document type",
        as_xml(lambda b, m: honest(b, m).replace(b"?>", b"?><!DOCTYPE sr:Request>", 1)),
        "acb.request.wellformed",
        400,
        "",
    ),
    Attack(
        "another schema version",
        as_xml(lambda b, m: honest(b, m).replace(b'"5.4"', b'"5.3"', 1)),
        "acb.request.schema_version",
        422,
        "",
    ),
    Attack(
        "an element the schema does not have",
        as_xml(lambda b, m: honest(b, m).replace(b"<sr:Body>", b"<sr:Body><sr:More/>", 1)),
        "acb.request.supported",
        422,
        "",
    ),
    Attack(
        "not signed",
        as_xml(lambda b, m: strip_signature(honest(b, m))),
        "acb.request.signature_form",
        403,
        "",
    ),
    Attack(
        "changed after signing",
        as_xml(lambda b, m: honest(b, m).replace(b"1200000000001", b"1200000000002")),
        "acb.request.signature",
        403,
        "tcos.request.signature",
    ),
    Attack(
        "signed by another user",
        as_xml(someone_elses),
        "acb.request.originator",
        403,
        "tcos.request.originator",
    ),
    Attack(
        "signed with the GBCS signing key",
        as_xml(other_digital_signing),
        "acb.request.signing_role",
        403,
        "tcos.request.signing_role",
    ),
    Attack(
        "signed under an expired certificate",
        as_xml(lambda b, m: flawed(b, m, Flaw.EXPIRED)),
        "acb.request.certificate_path",
        403,
        "tcos.request.certificate_path",
    ),
    Attack(
        "signed under a certificate nobody published",
        as_xml(lambda b, m: flawed(b, m, Flaw.UNKNOWN_ISSUER)),
        "acb.request.certificate_known",
        403,
        "",
    ),
    Attack("unknown device", as_xml(unknown_device), "acb.device.known", 200, ""),
]


def refused(answer: httpx.Response) -> tuple[str | None, int]:
    """Which check the answer names, and its HTTP status."""
    if answer.headers["content-type"].startswith("application/problem+json"):
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert {"type", "title", "detail", "party", "check"} <= problem.keys()
        return problem["check"], answer.status_code
    return answer.headers.get("Cos-Check"), answer.status_code


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name.replace(" ", "-"))
def test_it_is_refused_by_name_and_nothing_changes(bench: Bench, attack: Attack) -> None:
    meter = bench.meter("tcos_party")
    document, content_type = attack.make(bench, meter)
    before = bench.state(meter)
    answer = bench.post(document, content_type)
    assert refused(answer) == (attack.check, attack.status), answer.text
    assert bench.state(meter) == before


@pytest.mark.parametrize(
    "attack", [a for a in ATTACKS if a.off != ""], ids=lambda a: a.name.replace(" ", "-")
)
def test_with_that_check_off_it_gets_further(bench: Bench, attack: Attack) -> None:
    meter = bench.meter("tcos_party")
    document, content_type = attack.make(bench, meter)
    bench.check("acb", attack.check, enabled=False)
    answer = bench.post(document, content_type)
    assert answer.is_success, answer.text
    assert refused(answer)[0] is None
    request_id = document.split(b"<sr:RequestID>")[1].split(b"<")[0].decode()
    told = bench.connection.request_state(request_id, wait=20)
    while told["state"] not in FINAL_STATES:
        told = bench.connection.request_state(request_id, wait=20)
    stopped_by = told["refused"]["check"] if told["refused"] else None
    assert stopped_by == attack.off, told


def test_an_oversize_body_is_not_read(bench: Bench) -> None:
    answer = bench.post(b"<" * (300 * 1024))
    assert refused(answer) == ("acb.request.size", 413)


def test_the_same_request_again_is_a_duplicate(bench: Bench) -> None:
    meter = bench.meter("ecos_party")
    document = honest(bench, meter)
    request_id = document.split(b"<sr:RequestID>")[1].split(b"<")[0].decode()
    assert bench.submit(document, request_id).ok
    before = bench.state(meter)
    assert refused(bench.post(document)) == ("acb.request.duplicate", 200)
    assert bench.state(meter) == before


def test_an_older_counter_is_refused(bench: Bench) -> None:
    meter = bench.meter("ecos_party")
    newer, older = honest(bench, meter), honest(bench, meter, counter=5)
    request_id = newer.split(b"<sr:RequestID>")[1].split(b"<")[0].decode()
    assert bench.submit(newer, request_id).ok
    assert refused(bench.post(older)) == ("acb.request.counter", 200)


def test_a_revoked_signer_is_refused_by_both_sides(bench: Bench) -> None:
    meter = bench.meter("ecos_party")
    document = flawed(bench, meter, Flaw.REVOKED)
    before = bench.state(meter)
    assert refused(bench.post(document)) == ("acb.request.certificate_revoked", 403)
    assert bench.state(meter) == before
    bench.check("acb", "acb.request.certificate_revoked", enabled=False)
    assert bench.post(document).is_success
    request_id = document.split(b"<sr:RequestID>")[1].split(b"<")[0].decode()
    told = bench.connection.request_state(request_id, wait=20)
    while told["state"] not in FINAL_STATES:
        told = bench.connection.request_state(request_id, wait=20)
    assert told["refused"]["check"] == "ecos.request.certificate_revoked"


def test_an_unsigned_request_text_is_what_a_supplier_signs(bench: Bench) -> None:
    """The attack material above is honest but for its flaw: re-signed, it goes through."""
    meter = bench.meter("tcos_party")
    supplier = bench.supplier("B")
    again = supplier.sign(strip_signature(honest(bench, meter)))
    request_id = again.split(b"<sr:RequestID>")[1].split(b"<")[0].decode()
    assert bench.submit(again, request_id).ok
