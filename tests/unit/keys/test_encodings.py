"""Certificates and certification requests as files hold them: PEM, DER, base64."""

from __future__ import annotations

import base64
import textwrap

import pytest

from keys.certificate import Certificate
from keys.encodings import CERTIFICATE, REQUEST, certificate_of, der_of
from keys.errors import CertificateError
from keys.roles import Usage
from keys.stores.device_keys import DeviceKeys
from tests.unit.keys.workshop import Workshop

ASKED = DeviceKeys(bytes(range(32))).certification_request(
    "0253494dd0000001", Usage.DIGITAL_SIGNATURE, 1
)


def pem(der: bytes, label: str) -> str:
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def forms(der: bytes, label: str) -> dict[str, bytes]:
    text = pem(der, label)
    body = base64.b64encode(der)
    return {
        "der": der,
        "pem": text.encode(),
        "pem with text": f"Certificate:\n    Data: é\n{text}\ntrailer\n".encode(),
        "pem with crlf": text.replace("\n", "\r\n").encode(),
        "base64": body,
        "wrapped base64": b"\r\n".join(body[at : at + 64] for at in range(0, len(body), 64)),
    }


@pytest.mark.parametrize("form", forms(ASKED, REQUEST))
def test_a_request_is_read_in_every_form(form: str):
    assert der_of(forms(ASKED, REQUEST)[form], REQUEST) == ASKED


def test_the_older_label_of_a_request_is_read():
    assert der_of(pem(ASKED, "NEW CERTIFICATE REQUEST").encode(), REQUEST) == ASKED


@pytest.mark.parametrize("form", forms(b"", CERTIFICATE))
def test_a_certificate_is_read_in_every_form(workshop: Workshop, form: str):
    known = Certificate.from_der(workshop.leaf().der)
    assert certificate_of(forms(known.der, CERTIFICATE)[form]) == known


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (pem(ASKED, CERTIFICATE), "a PEM block of CERTIFICATE, not of CERTIFICATE REQUEST"),
        (pem(ASKED, "EC PRIVATE KEY"), "a PEM block of EC PRIVATE KEY"),
        (pem(ASKED, REQUEST) * 2, "2 whole PEM blocks where one was expected"),
        ("-----BEGIN nothing", "0 whole PEM blocks"),
        (pem(ASKED, REQUEST).replace("END", "FIN"), "0 whole PEM blocks"),
        ("", "neither PEM, DER nor base64 of DER"),
        ("a request", "neither PEM, DER nor base64 of DER"),
        ("AAAA", "neither PEM, DER nor base64 of DER"),
    ],
)
def test_what_is_something_else_is_called_what_it_is(given: str, says: str):
    with pytest.raises(CertificateError, match=says):
        der_of(given.encode(), REQUEST)
