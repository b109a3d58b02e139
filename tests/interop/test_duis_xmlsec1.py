"""xmlsec1 verifies what we sign, and we verify what it signs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from respelling import oddly

from duis.errors import MalformedXml, SignatureInvalid
from duis.gate import parse
from duis.names import DS
from duis.signature import signature_reference, verify_document
from duis.xml import request_from_xml, request_to_xml, response_to_xml
from tests.unit.acb.documents import documents, xml_signer
from tests.unit.duis.documents import cos_request, put, signed, signer, unsigned
from tests.unit.duis.test_signature import (
    WITH_WHITE_SPACE,
    pretty_and_signed,
    wrapped_digest_signed,
)
from tests.unit.duis.test_xml import REQUESTS, RESPONSES

XMLSEC1 = shutil.which("xmlsec1")

pytestmark = [
    pytest.mark.check,
    pytest.mark.skipif(XMLSEC1 is None, reason="xmlsec1 is not installed"),
]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "signer.pem"
    loaded = x509.load_der_x509_certificate(signer().certificate)
    path.write_bytes(loaded.public_bytes(Encoding.PEM))
    return path


def xmlsec1(tmp_path: Path, document: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    path = tmp_path / "document.xml"
    path.write_bytes(document)
    return subprocess.run(
        [str(XMLSEC1), *arguments, str(path)], capture_output=True, check=False, timeout=60
    )


def verifies(tmp_path: Path, document: bytes, certificate: Path) -> bool:
    by_key = xmlsec1(tmp_path, document, "--verify", "--pubkey-cert-pem", str(certificate))
    return by_key.returncode == 0


@pytest.mark.parametrize("name", REQUESTS)
def test_xmlsec1_verifies_every_request_we_sign(tmp_path, certificate, name):
    assert verifies(tmp_path, signer().sign_xml(request_to_xml(REQUESTS[name])), certificate)


@pytest.mark.parametrize("name", REQUESTS)
def test_xmlsec1_verifies_requests_whose_values_are_written_oddly(tmp_path, certificate, name):
    """White space beside and within values is digested as it stands by both."""
    document = signer().sign_xml(oddly(request_to_xml(REQUESTS[name])))
    assert verifies(tmp_path, document, certificate)
    assert (
        request_from_xml(verify_document(document, signer().certificate).signed_xml)
        == (REQUESTS[name])
    )


def test_xmlsec1_reads_a_wrapped_digest_too(tmp_path, certificate):
    assert verifies(tmp_path, wrapped_digest_signed(), certificate)


@pytest.mark.parametrize("name", RESPONSES)
def test_xmlsec1_verifies_every_response_we_sign(tmp_path, certificate, name):
    assert verifies(tmp_path, signer().sign_xml(response_to_xml(RESPONSES[name])), certificate)


@pytest.mark.parametrize("name", documents())
def test_xmlsec1_verifies_every_document_the_broker_signs(tmp_path, name):
    path = tmp_path / "broker.pem"
    loaded = x509.load_der_x509_certificate(xml_signer().certificate.der)
    path.write_bytes(loaded.public_bytes(Encoding.PEM))
    assert verifies(tmp_path, documents()[name], path)


def test_xmlsec1_finds_the_certificate_by_issuer_and_serial(tmp_path, certificate):
    found = ("--verify", "--insecure", "--untrusted-pem", str(certificate))
    assert xmlsec1(tmp_path, signed(), *found).returncode == 0
    elsewhere = put("CN=SIM-Z1,OU=07", "CN=SIM-Z2,OU=07")(signed())
    assert xmlsec1(tmp_path, elsewhere, *found).returncode != 0


def test_both_refuse_a_changed_document(tmp_path, certificate):
    document = put(b">1000<", b">1001<")(signed())
    assert not verifies(tmp_path, document, certificate)
    with pytest.raises(SignatureInvalid):
        verify_document(document, signer().certificate)


def test_xmlsec1_accepts_white_space_that_was_signed_and_the_gate_does_not(tmp_path, certificate):
    document = pretty_and_signed(signer(), WITH_WHITE_SPACE(unsigned()))
    assert verifies(tmp_path, document, certificate)
    with pytest.raises(MalformedXml, match="inter_element_white_space"):
        parse(document)


def test_we_verify_what_xmlsec1_signs(tmp_path):
    key = tmp_path / "signer.key"
    key.write_bytes(signer().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    before, _, after = signed().partition(b"<ds:SignatureValue>")
    info = before[before.index(b"<ds:SignedInfo>") :]
    start, end = info.index(b"<ds:DigestValue>"), info.index(b"</ds:DigestValue>")
    template = (
        f'<ds:Signature xmlns:ds="{DS}">'.encode()
        + info[: start + len(b"<ds:DigestValue>")]
        + info[end:]
        + b"<ds:SignatureValue></ds:SignatureValue>"
        + after.partition(b"</ds:SignatureValue>")[2].partition(b"</sr:Request>")[0]
    )
    blank = put(b"</sr:Request>", template + b"</sr:Request>")(unsigned())
    done = xmlsec1(tmp_path, blank, "--sign", "--privkey-pem", str(key))
    assert done.returncode == 0, done.stderr
    verified = verify_document(done.stdout, signer().certificate)
    assert request_from_xml(verified.signed_xml) == cos_request()
    assert signature_reference(done.stdout) == signature_reference(signed())
