"""Certificates and certification requests that are given to commands as files."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from cli.app import app
from cli.keys_commands import hold_ceremony
from keys.certificate import Certificate
from keys.issuing.authorities import ORGANISATION_ISSUING, Authorities
from keys.issuing.odd_forms import OddForm, in_odd_form
from keys.roles import Usage
from keys.stores.device_keys import DeviceKeys
from stack.supplier import Supplier

METER = "0253494dd0000001"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack") / "data"
    hold_ceremony(folder)
    return folder


def asked(generation: int) -> dict[str, bytes]:
    """A device's request as people keep it."""
    keys = DeviceKeys(bytes(range(32)))
    der = keys.certification_request(METER, Usage.KEY_AGREEMENT, generation)
    pem = x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)
    return {
        "PEM": pem,
        "text and PEM": b"Certificate Request:\n    Data:\n" + pem,
        "DER": der,
        "base64": base64.encodebytes(der),
    }


@pytest.mark.parametrize("form", asked(0))
def test_a_request_is_certified_in_every_form(data: Path, tmp_path: Path, form: str) -> None:
    request, out = tmp_path / "asked", tmp_path / "given.pem"
    request.write_bytes(asked(list(asked(0)).index(form))[form])
    words = ["keys", "certify", "--request", str(request), "--out", str(out), "--data", str(data)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert Certificate.from_pem(out.read_bytes()).subject_eui == METER


def test_what_is_no_request_is_called_what_it_is(data: Path, tmp_path: Path) -> None:
    request, out = tmp_path / "asked", tmp_path / "given.pem"
    words = ["keys", "certify", "--request", str(request), "--out", str(out), "--data", str(data)]
    authority = data / "acb" / "trust" / "device-root.pem"
    for given, says in (
        (authority.read_bytes(), "a PEM block of CERTIFICATE, not of CERTIFICATE REQUEST"),
        (b"hello", "neither PEM, DER nor base64"),
    ):
        request.write_bytes(given)
        done = CliRunner().invoke(app, [*words, "--json"])
        assert done.exit_code == 2, done.output
        assert says in json.loads(done.stdout)["error"]
    request.write_bytes(asked(9)["DER"])
    nowhere = tmp_path / "no-folder" / "given.pem"
    done = CliRunner().invoke(app, [*words[:5], str(nowhere), *words[6:], "--json"])
    assert done.exit_code == 2, done.output
    assert json.loads(done.stdout)["error"].startswith(str(nowhere))


def test_a_signers_key_is_judged_as_it_is_written(data: Path, tmp_path: Path) -> None:
    supplier = Supplier.open(data, "B")
    _, document = supplier.change_of_supplier(METER, "1000000000001")
    signed, given = tmp_path / "signed.xml", tmp_path / "signer"
    signed.write_bytes(document)
    known = supplier.keys.certificate("xml-signing")
    authority = Authorities.open(data).issuer(ORGANISATION_ISSUING)
    words = ["duis", "verify", str(signed), "--certificate", str(given), "--json"]
    for octets in (known.der, known.to_pem(), base64.b64encode(known.der)):
        given.write_bytes(octets)
        assert CliRunner().invoke(app, words).exit_code == 0
    for form in (OddForm.COMPRESSED_POINT, OddForm.EXPLICIT_CURVE):
        given.write_bytes(in_odd_form(known.der, form, authority.sign))
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 1, done.output
        told = json.loads(done.stdout)
        assert told["valid"] is False
        assert told["error"].startswith("the signer's certificate: ")
