"""Revocation lists, made and read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from keys.crl import MAX_LIST_OCTETS, MAX_NUMBER, make_crl, read_crl, read_crl_pem, revocation_times
from keys.errors import CertificateError, RevocationListError
from keys.octets import value as tlv
from keys.sign_with import assemble
from tests.unit.keys.workshop import NOW, Workshop, issuing


def test_what_is_made_is_read(workshop: Workshop):
    issuer = workshop.issuing.issuer
    times = {5: NOW - timedelta(days=2), 3: NOW - timedelta(days=1)}
    der = make_crl(
        issuer.certificate,
        issuer.sign,
        number=12,
        this_update=NOW,
        next_update=NOW + timedelta(days=30),
        revoked=times,
    )
    crl = read_crl(der)
    assert crl.der == der
    assert crl.issuer == "CN=SIM-Z1,OU=07"
    assert crl.issuer_name == issuer.certificate.subject_name
    assert crl.number == 12
    assert (crl.this_update, crl.next_update) == (NOW, NOW + timedelta(days=30))
    assert crl.serials == {3, 5}
    assert crl.authority_key_identifier == issuer.certificate.key_identifier
    assert revocation_times(crl) == times
    assert read_crl_pem(crl.to_pem()) == crl


def test_only_the_issuers_key_makes_its_list(workshop: Workshop):
    crl = read_crl(workshop.crl())
    assert crl.signed_by(workshop.issuing.certificate)
    assert not crl.signed_by(workshop.root.certificate)
    assert not crl.signed_by(issuing(workshop.root).certificate)


def odd(workshop: Workshop, *extensions: tuple[x509.ExtensionType, bool], entry: bool = False):
    """A list with the extensions given in place of ours."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(workshop.issuing.certificate.x509.subject)
        .last_update(NOW)
        .next_update(NOW + timedelta(days=1))
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    if entry:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(9)
            .revocation_date(NOW)
            .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=True)
            .build()
        )
    return builder.sign(workshop.issuing.key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_delta_list_is_not_read_as_a_whole_one(workshop: Workshop):
    identifier = x509.AuthorityKeyIdentifier(
        workshop.issuing.certificate.key_identifier, None, None
    )
    ours = [(identifier, False), (x509.CRLNumber(2), False)]
    assert read_crl(odd(workshop, *ours)).number == 2
    with pytest.raises(RevocationListError, match="critical extension"):
        read_crl(odd(workshop, *ours, (x509.DeltaCRLIndicator(1), True)))
    with pytest.raises(RevocationListError, match="critical extension"):
        read_crl(odd(workshop, *ours, entry=True))


def test_a_list_without_number_or_issuers_key_is_refused(workshop: Workshop):
    number = (x509.CRLNumber(2), False)
    long = x509.AuthorityKeyIdentifier(bytes(20), None, None)
    for extensions in ([number], [(long, False), number], [(long, False)]):
        with pytest.raises(RevocationListError):
            read_crl(odd(workshop, *extensions))


def test_a_number_has_at_most_twenty_octets(workshop: Workshop):
    identifier = x509.AuthorityKeyIdentifier(
        workshop.issuing.certificate.key_identifier, None, None
    )

    def numbered(number: int) -> bytes:
        return odd(workshop, (identifier, False), (x509.CRLNumber(number), False))

    assert read_crl(numbered(MAX_NUMBER)).number == MAX_NUMBER == 2**159 - 1
    for number in (MAX_NUMBER + 1, 2**160):
        with pytest.raises(RevocationListError, match="20 octets"):
            read_crl(numbered(number))


def test_a_list_must_say_when_the_next_is_due(workshop: Workshop):
    """The library makes none without, so its nextUpdate is cut out and the rest signed again."""
    whole = x509.load_der_x509_crl(workshop.crl()).tbs_certlist_bytes
    due = b"\x17\x0d" + (NOW + timedelta(days=30)).strftime("%y%m%d%H%M%SZ").encode()
    assert whole.count(due) == 1
    body = whole[3:] if whole[1] == 0x81 else whole[2:]
    cut = body.replace(due, b"")
    again = tlv(0x30, cut)
    assert read_crl(assemble(tlv(0x30, body), workshop.issuing.issuer.sign))
    with pytest.raises(RevocationListError, match="no nextUpdate"):
        read_crl(assemble(again, workshop.issuing.issuer.sign))


def test_a_monster_is_refused_by_its_length():
    with pytest.raises(RevocationListError, match="longer than"):
        read_crl(bytes(MAX_LIST_OCTETS + 1))


def test_what_is_no_list_is_refused(workshop: Workshop):
    der = workshop.crl()
    for bad in (b"", der[:-1], der + b"\x00", workshop.leaf().der):
        with pytest.raises(RevocationListError):
            read_crl(bad)
    for bad in (b"", der, workshop.leaf().to_pem()):
        with pytest.raises(RevocationListError):
            read_crl_pem(bad)


def test_a_signer_that_answers_something_else_makes_nothing(workshop: Workshop):
    with pytest.raises(CertificateError, match="64 octets"):
        make_crl(
            workshop.issuing.certificate,
            lambda _: bytes(63),
            number=1,
            this_update=NOW,
            next_update=NOW + timedelta(days=1),
            revoked={},
        )
