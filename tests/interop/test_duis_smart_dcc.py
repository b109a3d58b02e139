"""Smart DCC's own signer and verifier (npm package @smartdcc/duis-sign-wrap, a Java tool).

Installed by npm into the project's scratch folder on first use; nothing of it is kept here.
It carries a published test keystore and finds keys by RequestID and certificates by serial number.
"""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key
from lxml import etree
from respelling import leaves, oddly, written

from duis.errors import DuisError
from duis.gate import parse
from duis.model import CANCEL_DATE, ServiceRequest
from duis.request_id import RequestId
from duis.signature import verify_document
from duis.xml import request_from_xml, request_to_xml
from tests.unit.duis.documents import XmlSigner, cos_request, put
from tests.unit.duis.test_signature import pretty_and_signed

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "@smartdcc/duis-sign-wrap@0.1.2"
SCRATCH = ROOT / "var" / "interop" / "smart-dcc"
TOOL = SCRATCH / "node_modules" / "@smartdcc" / "duis-sign-wrap" / "dist" / "tool.jar"
SUPPLIER = "90b3d51f30010000"
SIGNERS_KEY = "xml-sign-90B3D51F30010000-ds.key"
SIGNERS_CERTIFICATE = "xml-sign-90B3D51F30010000-ds.pem"
DCC_CERTIFICATE = "dsp-xml-sign-90B3D51F30000002-ds-pre-1.4.1.pem"

# One worker: two that install the tool at once spoil each other's folder.
pytestmark = [pytest.mark.check, pytest.mark.xdist_group("smart-dcc")]


@pytest.fixture(scope="module")
def tool() -> Path:
    if shutil.which("java") is None:
        pytest.skip("Smart DCC's tool needs java, which is not installed")
    if not TOOL.is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip(f"{PACKAGE} is not installed, nor is npm")
        SCRATCH.mkdir(parents=True, exist_ok=True)
        options = ("--no-audit", "--no-fund", "--ignore-scripts")
        done = subprocess.run(
            [npm, "install", "--prefix", str(SCRATCH), *options, PACKAGE],
            capture_output=True,
            check=False,
            timeout=100,
        )
        if done.returncode != 0 or not TOOL.is_file():
            why = done.stderr.decode(errors="replace").strip()[-300:]
            pytest.skip(f"npm could not install {PACKAGE}: {why}")
    return TOOL


def run(tool: Path, mode: str, document: bytes) -> subprocess.CompletedProcess[bytes]:
    options = ("--preserveCounter",) if mode == "Sign" else ()
    return subprocess.run(
        ["java", "-cp", str(tool), f"uk.co.smartdcc.boxed.xmldsig.{mode}", "-", *options],
        input=document,
        capture_output=True,
        check=False,
        timeout=60,
    )


def theirs_accepts(tool: Path, document: bytes) -> bool:
    return run(tool, "Validate", document).returncode == 0


def in_the_tool(tool: Path, name: str) -> bytes:
    with zipfile.ZipFile(tool) as archive:
        return archive.read(name)


def certificate_in(tool: Path, name: str) -> bytes:
    lines = in_the_tool(tool, name).decode().splitlines()
    return b64decode("".join(line for line in lines if not line.startswith("-----")))


@pytest.fixture(scope="module")
def supplier(tool: Path) -> XmlSigner:
    """The supplier of the published test keystore."""
    der = certificate_in(tool, SIGNERS_CERTIFICATE)
    certificate = x509.load_der_x509_certificate(der)
    key = load_der_private_key(in_the_tool(tool, SIGNERS_KEY), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    issuer = certificate.issuer.rfc4514_string()
    return XmlSigner(key, der, issuer, certificate.serial_number)


def request(**changes: object) -> ServiceRequest:
    value = cos_request(**changes)
    return replace(
        value,
        header=replace(value.header, request_id=RequestId(SUPPLIER, "00db1234567890a0", 1006)),
    )


WITH_WHITE_SPACE = put(b"<sr:Body>", b"\n   <sr:Body>")
CASES = {
    "now": {},
    "cancel": {"execution_date_time": CANCEL_DATE},
    "least": {"prepayment_top_up_floor": None, "key_agreement": None, "key_agreement_top_up": None},
}


@pytest.mark.parametrize("case", CASES)
def test_what_smart_dcc_signs_verifies_here_and_says_the_same(tool, supplier, case):
    wanted = request(**CASES[case])
    done = run(tool, "Sign", request_to_xml(wanted))
    assert done.returncode == 0, done.stderr
    verified = verify_document(done.stdout, supplier.certificate)
    assert request_from_xml(verified.signed_xml) == wanted


@pytest.mark.parametrize("case", CASES)
def test_what_is_signed_here_verifies_at_smart_dcc(tool, supplier, case):
    wanted = request(**CASES[case])
    document = supplier.sign_xml(request_to_xml(wanted))
    done = run(tool, "Validate", document)
    assert done.returncode == 0, done.stderr
    # What it hands on is the document without its signature: the same request.
    assert request_from_xml(done.stdout) == wanted


def written_oddly(*, collapsed: bool) -> bytes:
    """Every value of a request in another way; its signer finds the key by the RequestID's text."""
    root = etree.fromstring(oddly(request_to_xml(request(execution_date_time=CANCEL_DATE))))
    for element in leaves(root):
        if collapsed:
            element.text = " ".join((element.text or "").split())
    leaves(root)[0].text = request().header.request_id.text
    return written(root)


def test_values_written_oddly_verify_both_ways_and_say_the_same(tool, supplier):
    odd = written_oddly(collapsed=True)
    wanted = request(execution_date_time=CANCEL_DATE)
    done = run(tool, "Validate", supplier.sign_xml(odd))
    assert done.returncode == 0, done.stderr
    assert request_from_xml(done.stdout) == wanted
    done = run(tool, "Sign", odd)
    assert done.returncode == 0, done.stderr
    assert request_from_xml(verify_document(done.stdout, supplier.certificate).signed_xml) == wanted


def test_the_tool_collapses_white_space_in_values_before_it_digests_them(tool, supplier):
    """It signs other text than it was given, which says the same; as given, it does not verify."""
    odd = written_oddly(collapsed=False)
    wanted = request(execution_date_time=CANCEL_DATE)
    done = run(tool, "Sign", odd)
    assert done.returncode == 0, done.stderr
    signed = verify_document(done.stdout, supplier.certificate).signed_xml
    assert [element.text for element in leaves(etree.fromstring(signed))] == [
        element.text for element in leaves(etree.fromstring(written_oddly(collapsed=True)))
    ]
    assert request_from_xml(signed) == wanted
    ours = supplier.sign_xml(odd)
    assert request_from_xml(verify_document(ours, supplier.certificate).signed_xml) == wanted
    assert not theirs_accepts(tool, ours)


def test_both_sign_the_same_digest(tool, supplier):
    theirs = run(tool, "Sign", request_to_xml(request())).stdout
    ours = supplier.sign_xml(request_to_xml(request()))
    digest = "{http://www.w3.org/2000/09/xmldsig#}DigestValue"
    assert etree.fromstring(theirs).findtext(f".//{digest}") == etree.fromstring(ours).findtext(
        f".//{digest}"
    )


def test_both_refuse_a_changed_document(tool, supplier):
    document = supplier.sign_xml(request_to_xml(request()))
    changed = put(b">1000<", b">1001<")(document)
    assert theirs_accepts(tool, document)
    assert not theirs_accepts(tool, changed)
    with pytest.raises(DuisError, match="digest_mismatch"):
        verify_document(changed, supplier.certificate)


def test_the_published_response_verifies_at_both_and_its_bad_twin_at_neither(tool, shared_dir):
    certificate = certificate_in(tool, DCC_CERTIFICATE)
    good = (shared_dir / "duis" / "readfw-response.xml").read_bytes()
    bad = (shared_dir / "duis" / "readfw-response-badsignature.xml").read_bytes()
    assert theirs_accepts(tool, good)
    verified = verify_document(good, certificate)
    assert parse(verified.signed_xml).kind == "Response"
    assert not theirs_accepts(tool, bad)
    with pytest.raises(DuisError, match="signature_mismatch"):
        verify_document(bad, certificate)


# Why white space between elements is refused: the two verifiers would say different things of it.


def test_white_space_added_after_signing_is_taken_there_and_refused_here(tool, supplier):
    document = WITH_WHITE_SPACE(supplier.sign_xml(request_to_xml(request())))
    assert theirs_accepts(tool, document)
    with pytest.raises(DuisError, match="inter_element_white_space"):
        verify_document(document, supplier.certificate)


def test_white_space_that_was_signed_is_refused_there_too(tool, supplier):
    document = pretty_and_signed(supplier, WITH_WHITE_SPACE(request_to_xml(request())))
    assert not theirs_accepts(tool, document)
    with pytest.raises(DuisError, match="inter_element_white_space"):
        verify_document(document, supplier.certificate)


def test_an_element_of_white_space_alone_counts_as_a_value_there_and_is_refused_here(
    tool, supplier
):
    spaces = put(b">1234567890123<", b"> <")(request_to_xml(request()))
    document = pretty_and_signed(supplier, spaces)
    assert theirs_accepts(tool, document)
    with pytest.raises(DuisError, match="inter_element_white_space"):
        verify_document(document, supplier.certificate)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put("CN=Z1,OU=07", "CN=Another,OU=07"), "issuer_mismatch"),
        (put(b"<sr:ServiceReference>6.", b"<sr:ServiceReference>6.<!-- -->"), "comment"),
        (
            put(b"</ds:Signature>", b"<ds:Object>anything</ds:Object></ds:Signature>"),
            "signature_object",
        ),
    ],
)
def test_what_smart_dcc_s_verifier_reads_over_is_refused_here(tool, supplier, change, reason):
    document = change(supplier.sign_xml(request_to_xml(request())))
    assert theirs_accepts(tool, document)
    with pytest.raises(DuisError) as refused:
        verify_document(document, supplier.certificate)
    assert refused.value.reason == reason


def test_the_tool_wraps_its_signature_values(tool):
    """Why the form lets white space into a SignatureValue, and nowhere else."""
    theirs = run(tool, "Sign", request_to_xml(request())).stdout
    value = etree.fromstring(theirs).findtext(
        ".//{http://www.w3.org/2000/09/xmldsig#}SignatureValue"
    )
    assert "\n" in value
    assert b64encode(b64decode(value)).decode() == "".join(value.split())
