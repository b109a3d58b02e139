"""What the library reads in more ways than one is judged by its octets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from keys.certificate import Certificate
from keys.certification_request import read_certification_request
from keys.crl import read_crl
from keys.errors import CertificateError, RevocationListError
from keys.issuing.odd_forms import OddForm, in_odd_form
from keys.octets import (
    PUBLIC_KEY_START,
    content,
    members,
    named_bits_fault,
    public_key_fault,
    value,
)
from keys.profile_rules import Profile, ProfileRule, broken_rules
from keys.roles import Usage
from keys.sign_with import assemble
from keys.stores.device_keys import DeviceKeys
from tests.unit.keys.workshop import Workshop, new_key


def test_the_certificate_that_was_accepted_is_refused_by_name(shared_dir: Path):
    pem = (shared_dir / "field" / "05-compressed-point-certificate.pem").read_bytes()
    broken = broken_rules(Certificate.from_pem(pem), Profile.ORGANISATION)
    assert [one.rule for one in broken] == [ProfileRule.PUBLIC_KEY_FORM]
    assert "compressed" in broken[0].detail


@pytest.mark.parametrize("form", OddForm)
def test_an_odd_form_says_what_the_honest_certificate_says(form: OddForm, workshop: Workshop):
    honest = workshop.leaf()
    odd = Certificate.from_der(in_odd_form(honest.der, form, workshop.issuing.issuer.sign))
    assert odd.der != honest.der
    assert odd.public_key == honest.public_key
    assert (odd.usage, odd.not_before, odd.not_after) == (
        honest.usage,
        honest.not_before,
        honest.not_after,
    )
    odd.x509.verify_directly_issued_by(workshop.issuing.certificate.x509)


def test_the_one_form_of_a_key():
    public = new_key().public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert der.startswith(PUBLIC_KEY_START)
    assert public_key_fault(der) is None
    hybrid = der.replace(PUBLIC_KEY_START, PUBLIC_KEY_START[:-1] + b"\x06")
    assert public_key_fault(hybrid) is not None


@given(st.binary(min_size=1, max_size=2))
def test_named_bits_have_one_form(bits: bytes):
    """Of all ways to write the same bits, the one that ends with a set bit."""
    written = [value(3, bytes((unused,)) + bits) for unused in range(8)]
    right = [one for one in written if named_bits_fault(one) is None]
    assert len(right) == (1 if bits[-1] else 0)


def test_a_revocation_list_is_held_to_its_form_too(workshop: Workshop):
    der = workshop.crl()
    assert read_crl(der).number == 1
    tbs, algorithm, signature = members(der)
    unused = value(0x03, b"\x01" + content(signature)[1:-1] + b"\x00")
    with pytest.raises(RevocationListError, match="unused bits"):
        read_crl(value(0x30, tbs + algorithm + unused))
    parts = members(tbs)
    at = datetime.strptime(content(parts[3]).decode(), "%y%m%d%H%M%SZ").replace(tzinfo=UTC)
    parts[3] = value(0x18, f"{at:%Y%m%d%H%M%S}Z".encode())
    changed = assemble(value(0x30, b"".join(parts)), workshop.issuing.issuer.sign)
    with pytest.raises(RevocationListError, match="GeneralizedTime"):
        read_crl(changed)


def test_a_certification_request_is_held_to_its_form_too():
    der = DeviceKeys(bytes(32)).certification_request(
        "0253494dd0000001", Usage.DIGITAL_SIGNATURE, 1
    )
    information, algorithm, signature = members(der)
    unused = value(0x03, b"\x01" + content(signature)[1:-1] + b"\x00")
    with pytest.raises(CertificateError):
        read_certification_request(value(0x30, information + algorithm + unused))
