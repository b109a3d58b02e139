"""What we write under the published schema; published templates and samples under our readers."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography import x509
from lxml import etree
from published_duis import published_folder, published_schema

import duis
from duis.codes import ALERT_MEANINGS, RESPONSE_CODES, RESPONSE_MEANINGS
from duis.errors import DuisError, MalformedXml, SchemaVersionRefused, UnsupportedService
from duis.gate import parse, validate
from duis.model import CANCEL_DATE, RemotePartyRole
from duis.names import DS, SR
from duis.request_id import RequestId
from duis.services import SERVICES
from duis.signature import SignatureReference, signature_reference
from duis.signature_form import read_signature
from duis.xml import request_from_xml, request_to_xml, response_to_xml
from tests.unit.acb.documents import documents
from tests.unit.duis.documents import cos_request, put, signed, signer
from tests.unit.duis.test_gate import INVALID
from tests.unit.duis.test_xml import REQUESTS, RESPONSES

XS = "{http://www.w3.org/2001/XMLSchema}"


@pytest.fixture(scope="session")
def duis_dir(shared_dir: Path) -> Path:
    return published_folder(shared_dir)


@pytest.fixture(scope="session")
def published(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> etree.XMLSchema:
    return published_schema(shared_dir, tmp_path_factory.mktemp("published"))


def templates(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*_DUIS.XML") if "signed" not in path.name)


def test_there_are_templates_for_every_service(duis_dir):
    asked = {
        request_from_xml(parse(path.read_bytes(), template=True)).header.service_reference_variant
        for path in templates(duis_dir)
    }
    assert asked == set(SERVICES)


def test_every_template_is_valid_here_and_says_the_same_after_writing(duis_dir, published):
    for path in templates(duis_dir):
        parsed = parse(path.read_bytes(), template=True)
        validate(parsed)
        value = request_from_xml(parsed)
        document = request_to_xml(value)
        assert request_from_xml(document) == value
        assert texts(etree.fromstring(document)) == texts(parsed.root)
        assert published.validate(etree.fromstring(document)), published.error_log


def texts(root: etree._Element) -> list[tuple[str, str]]:
    """Every element but the signature's, with its text."""
    return [(element.tag, (element.text or "").strip()) for element in root.iter(f"{{{SR}}}*")]


def test_templates_are_not_documents_to_be_received(duis_dir):
    for path in templates(duis_dir):
        with pytest.raises(MalformedXml) as refused:
            parse(path.read_bytes())
        assert refused.value.reason == "comment"


def test_the_change_of_supplier_templates_say_what_is_known_of_them(duis_dir):
    now, later = (
        request_from_xml(
            parse(
                (
                    duis_dir / f"CS02bSupplierByTransCoS_6.23_{kind}_SUCCESS_REQUEST_DUIS.XML"
                ).read_bytes(),
                template=True,
            )
        )
        for kind in ("IMMEDIATE", "FUTURE_DATED")
    )
    assert now.header.request_id.originator == "90b3d51f30010000"
    assert now.body.execution_date_time is None
    assert later.body.execution_date_time.year == 2030
    assert not later.body.cancels
    assert (now.body.supplier_floor, now.body.prepayment_top_up_floor) == (0, 0)
    assert now.body.digital_signing[:2] == b"\x30\x82"
    assert len(now.body.path_certificates) == 1


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_written_here_is_valid_as_published(published, name):
    document = request_to_xml(REQUESTS[name])
    assert published.validate(etree.fromstring(document)), published.error_log
    assert published.validate(etree.fromstring(signer().sign_xml(document))), published.error_log


@pytest.mark.parametrize("name", RESPONSES)
def test_every_response_written_here_is_valid_as_published(published, name):
    document = response_to_xml(RESPONSES[name])
    assert published.validate(etree.fromstring(document)), published.error_log
    assert published.validate(etree.fromstring(signer().sign_xml(document))), published.error_log


BODIES = {
    "security alert": "DeviceAlertMessage",
    "change refused by the CoS Party": "ChangeOfSupplierServiceRequestID",
    "device changed supplier": "DeviceChangeOfSupplier",
    "credentials updated": "SecurityCredentialsUpdated",
    "cos certificate": "CertificateSerialNumber",
    "no cos certificate known": "CoSCertificateAlert",
    "quarantined": "ADUserThresholdBreach",
    "quarantined by all": "ADDCCThresholdBreach",
}
"""The published schema's own element for what a document is about."""


@pytest.mark.parametrize("name", documents())
def test_every_document_the_broker_signs_is_valid_as_published(published, name):
    root = etree.fromstring(documents()[name])
    assert published.validate(root), published.error_log
    if name in BODIES:
        assert len(list(root.iter(f"{{{SR}}}{BODIES[name]}"))) == 1
    if name == "change refused by the CoS Party":
        assert root.findtext(f".//{{{SR}}}ECoSErrorCode") == "E00"


def test_the_cancel_date_is_the_one_published(published):
    document = request_to_xml(cos_request(execution_date_time=CANCEL_DATE))
    assert b">3000-12-31T00:00:00.00Z<" in document
    assert published.validate(etree.fromstring(document))


# Where our schema is the narrower one, on purpose (the forms of values are compared one by one in
# tests/property/test_duis_lexical_forms.py), and where libxml2 is wider than the published schema.
NARROWER = {"an MPxN with a letter", "no certificate at all", "command variant 9"}
LIBXML2_READS_OVER = {"base64 with another character in it", "base64 in the alphabet of URLs"}


@pytest.mark.parametrize("name", INVALID)
def test_what_the_published_schema_refuses_ours_refuses(published, name):
    document = INVALID[name](request_to_xml(cos_request()))
    assert published.validate(etree.fromstring(document)) == (name in NARROWER | LIBXML2_READS_OVER)


def test_codes_and_roles_are_published_ones(duis_dir):
    tree = etree.parse(duis_dir / "duis-5.4.xsd")

    def values(path: str) -> set[str]:
        return {found.get("value") for found in tree.iterfind(f"{path}//{XS}enumeration")}

    assert values(f".//{XS}simpleType[@name='ResponseCode']") >= RESPONSE_CODES
    assert set(RESPONSE_MEANINGS) <= RESPONSE_CODES
    assert {role.value for role in RemotePartyRole} == values(
        f".//{XS}simpleType[@name='RemotePartyRole']"
    )
    alerts = values(f".//{XS}element[@name='DCCAlertCode']")
    assert set(ALERT_MEANINGS) <= alerts
    pattern = etree.parse(Path(str(our_values()))).find(
        f".//{XS}simpleType[@name='dccAlertCode']//{XS}pattern"
    )
    ours = re.compile(pattern.get("value"))
    every = {f"N{number}" for number in range(1000)} | {"AD1", "AD2", "N999"}
    assert {code for code in every if ours.fullmatch(code)} == alerts


def our_values() -> Path:
    return Path(duis.__path__[0]) / "schema" / "values.xsd"


# Published samples


def test_a_published_response_has_the_form_and_the_digest_it_names(duis_dir):
    for name in ("readfw-response.xml", "readfw-response-badsignature.xml"):
        data = (duis_dir / name).read_bytes()
        parsed = parse(data)
        parts = read_signature(parsed.root)
        assert parts.reference == SignatureReference(
            "CN=Z1,OU=07", 50669612984035780968362471400449834504
        )
        root = parsed.root
        root.remove(root.find(f"{{{DS}}}Signature"))
        canonical = etree.tostring(root, method="c14n", with_comments=False)
        assert hashlib.sha256(canonical).digest() == parts.digest
        assert len(parts.value) == 64


def test_the_good_and_the_bad_response_differ_in_the_signature_value_alone(duis_dir):
    good = read_signature(parse((duis_dir / "readfw-response.xml").read_bytes()).root)
    bad = read_signature(parse((duis_dir / "readfw-response-badsignature.xml").read_bytes()).root)
    assert good.digest == bad.digest
    assert good.value != bad.value


def test_samples_of_another_version_are_refused_as_that(duis_dir):
    with pytest.raises(SchemaVersionRefused) as refused:
        validate(parse((duis_dir / "readfw-response.xml").read_bytes()))
    assert refused.value.where == "5.1"


def test_a_published_acknowledgement_is_of_the_form_taken_for_one(duis_dir):
    data = (duis_dir / "acknowledgement-error.xml").read_bytes()
    parsed = parse(data, template=True)
    assert not parsed.signed
    body = parsed.root[1][0]
    assert [etree.QName(element).localname for element in body] == [
        "ServiceReference",
        "ServiceReferenceVariant",
    ]
    assert parsed.root.find(f".//{{{SR}}}ResponseID") is None
    identifier = parsed.root.findtext(f".//{{{SR}}}RequestID")
    assert RequestId.from_text(identifier).text == identifier
    assert parsed.root.findtext(f".//{{{SR}}}ResponseCode") == "E65"


def test_a_template_with_placeholders_for_a_signature_is_not_signed(duis_dir):
    data = (duis_dir / "ECS17b_4.1.1_SINGLE_SUCCESS_REQUEST_DUIS-signed.XML").read_bytes()
    with pytest.raises(MalformedXml) as refused:
        signature_reference(data)
    assert refused.value.reason == "comment"
    parsed = parse(data, template=True)
    with pytest.raises(DuisError) as refused:
        read_signature(parsed.root)
    assert refused.value.reason == "digest_value"
    renamed = parse(put(b'schemaVersion="5.0"', b'schemaVersion="5.4"')(data), template=True)
    with pytest.raises(UnsupportedService) as refused:
        validate(renamed)
    assert refused.value.where == "4.1.1 ReadInstantaneousImportRegisters"


def test_the_published_schema_would_let_an_unsigned_request_through(published):
    """Why the form is held by code: the schema makes the signature optional and its parts free."""
    data = signed()
    assert published.validate(etree.fromstring(data))
    start, end = data.index(b"<ds:Signature "), data.index(b"</ds:Signature>") + 15
    assert published.validate(etree.fromstring(data[:start] + data[end:]))
    assert published.validate(
        etree.fromstring(put(b"</ds:Signature>", b"<ds:Object>x</ds:Object></ds:Signature>")(data))
    )


def test_published_keys_are_what_the_keystore_says(duis_dir):
    """The certificates name the issuer in the text form that signatures write."""
    for path in sorted((duis_dir / "keystore").glob("*-ds.pem")):
        body = "".join(
            line for line in path.read_text().splitlines() if not line.startswith("-----")
        )
        certificate = x509.load_der_x509_certificate(b64decode(body))
        assert certificate.issuer.rfc4514_string() == "CN=Z1,OU=07"
