"""Each profile obeyed by what its builder makes, and each rule broken by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.certificate import Certificate
from keys.errors import CertificateError, ProfileError
from keys.issuing import profiles
from keys.issuing.odd_forms import OddForm, in_odd_form
from keys.issuing.profiles import Issuer
from keys.octets import content, members, value
from keys.path import validate_path
from keys.profile_rules import Profile, ProfileRule, broken_rules, check_profile, profile_of
from keys.roles import OrganisationRole, Usage
from keys.simulated import DEVICE_POLICY, INFRASTRUCTURE_POLICY, ORGANISATION_POLICY
from keys.stores.private import HeldSigner
from tests.unit.keys.workshop import (
    COMMON,
    NOW,
    PRINTABLE,
    SUPPLIER,
    TEN_YEARS,
    UNIT,
    UTF8,
    Workshop,
    constraints,
    hardware,
    issuing,
    make,
    new_key,
    organisation_subject,
    policies,
    policy,
    role,
    usage,
)

Case = Callable[[Workshop], Certificate]
DIGITAL = [usage(Usage.DIGITAL_SIGNATURE), policy()]


def authority(shop: Workshop, **changes: object) -> Certificate:
    wanted = {
        "subject": [(UNIT, "07", PRINTABLE), (COMMON, "SIM-Z1", PRINTABLE)],
        "extensions": [usage(Usage.KEY_CERT_SIGN), constraints(0), policy()],
    }
    return make(issuer=shop.root, **(wanted | changes))  # type: ignore[arg-type]


def utf8_issuer(shop: Workshop) -> Certificate:
    own = issuing(shop.root)
    own.name = [(UNIT, "07", UTF8), (COMMON, "SIM-Z1", UTF8)]
    return shop.leaf(issuer=own)


def nameless_issuer(shop: Workshop) -> Certificate:
    own = issuing(shop.root)
    own.name = [(UNIT, "07", PRINTABLE)]
    return shop.leaf(issuer=own)


def other_key_identifier(shop: Workshop) -> Certificate:
    return shop.leaf(replace=[(x509.SubjectKeyIdentifier(bytes(8)), False)])


def critical_key_identifier(shop: Workshop) -> Certificate:
    key = new_key().public_key()
    right = shop.leaf(key=key).key_identifier
    return shop.leaf(key=key, replace=[(x509.SubjectKeyIdentifier(right), True)])


def root_with_critical_authority_key(shop: Workshop) -> Certificate:
    identifier = x509.AuthorityKeyIdentifier(shop.root.certificate.key_identifier, None, None)
    return make(
        subject=shop.root.name,
        issuer=shop.root,
        key=shop.root.key.public_key(),
        extensions=[usage(Usage.KEY_CERT_SIGN), constraints(None), policy()],
        replace=[(identifier, True)],
    )


def ends_before_it_begins(shop: Workshop) -> Certificate:
    """Nobody's library makes one, so the year is changed in the octets (the signature breaks)."""
    der = shop.leaf().der
    old = TEN_YEARS.not_after.strftime("%y%m%d%H%M%SZ").encode()
    assert der.count(old) == 1
    return Certificate.from_der(der.replace(old, b"20" + old[2:]))


def unknown(*, critical: bool) -> tuple[x509.ExtensionType, bool]:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("2.999.7"), b"\x05\x00"), critical


def odd(form: OddForm) -> Case:
    """The right certificate in another form, signed so."""
    return lambda shop: Certificate.from_der(
        in_odd_form(shop.leaf().der, form, shop.issuing.issuer.sign)
    )


def unused_bits(shop: Workshop) -> Certificate:
    """The signature said to have an unused bit: whoever carries it can write it so.

    Nobody's key is needed: the signature is not part of what is signed.
    """
    while True:
        tbs, algorithm, signature = members(shop.leaf().der)
        bits = content(signature)
        if not bits[-1] & 1:
            changed = value(0x03, b"\x01" + bits[1:])
            return Certificate.from_der(value(0x30, tbs + algorithm + changed))


CASES: dict[ProfileRule, list[tuple[Profile, Case]]] = {
    ProfileRule.SERIAL: [(Profile.ORGANISATION, lambda s: s.leaf(serial=1 << 127))],
    ProfileRule.SIGNATURE_ALGORITHM: [
        (Profile.ORGANISATION, lambda s: s.leaf(digest=hashes.SHA512()))
    ],
    ProfileRule.CURVE: [
        (Profile.ORGANISATION, lambda s: s.leaf(key=new_key(ec.SECP256K1()).public_key()))
    ],
    ProfileRule.PUBLIC_KEY_FORM: [
        (Profile.ORGANISATION, odd(form))
        for form in OddForm
        if form not in (OddForm.GENERALIZED_TIME, OddForm.NAMED_BITS)
    ],
    ProfileRule.BIT_STRING: [
        (Profile.ORGANISATION, odd(OddForm.NAMED_BITS)),
        (Profile.ORGANISATION, unused_bits),
    ],
    ProfileRule.TIME_FORM: [(Profile.ORGANISATION, odd(OddForm.GENERALIZED_TIME))],
    ProfileRule.KEY_IDENTIFIER: [(Profile.ORGANISATION, other_key_identifier)],
    ProfileRule.ISSUER_NAME: [
        (Profile.ORGANISATION, utf8_issuer),
        (Profile.ORGANISATION, nameless_issuer),
    ],
    ProfileRule.SUBJECT: [
        (Profile.ORGANISATION, lambda s: s.leaf(subject=[(UNIT, "02", UTF8)])),
        (
            Profile.ORGANISATION,
            lambda s: s.leaf(
                subject=[*organisation_subject(), (NameOID.COUNTRY_NAME, "GB", PRINTABLE)]
            ),
        ),
        (Profile.DEVICE, lambda s: s.device(subject=[(COMMON, "meter", UTF8)])),
        (Profile.ISSUING, lambda s: authority(s, subject=[(UNIT, "07", PRINTABLE)])),
        (
            Profile.LINK,
            lambda s: s.leaf(
                subject=[(UNIT, "SIM-LINK", UTF8)], extensions=[*DIGITAL, *_LINK_EXTENSIONS]
            ),
        ),
    ],
    ProfileRule.ROLE: [
        (Profile.ORGANISATION, lambda s: s.leaf(subject=role("137"))),
        (Profile.ORGANISATION, lambda s: s.leaf(subject=role("7f"))),
        (Profile.ORGANISATION, lambda s: s.leaf(subject=role("07"))),
        (Profile.ORGANISATION, lambda s: s.leaf(subject=organisation_subject(kind=PRINTABLE))),
        (Profile.ORGANISATION, lambda s: s.leaf(subject=organisation_subject()[1:])),
        (Profile.XML_SIGNING, lambda s: s.leaf(subject=role("02"))),
        (
            Profile.ISSUING,
            lambda s: authority(s, subject=[(UNIT, "00", PRINTABLE), (COMMON, "X", PRINTABLE)]),
        ),
        (Profile.LINK, lambda s: s.link(unit="SIM-OTHER")),
    ],
    ProfileRule.USAGE: [
        (Profile.XML_SIGNING, lambda s: s.leaf(subject=role("87"), replace=_KA)),
        (Profile.ORGANISATION, lambda s: s.leaf(skip=[x509.KeyUsage])),
        (
            Profile.ORGANISATION,
            lambda s: s.leaf(replace=[(usage(Usage.DIGITAL_SIGNATURE)[0], False)]),
        ),
        (Profile.ORGANISATION, lambda s: s.leaf(replace=[usage(Usage.KEY_CERT_SIGN)])),
    ],
    ProfileRule.VALIDITY: [
        (Profile.DEVICE, lambda s: s.device(validity=TEN_YEARS)),
        (Profile.ORGANISATION, ends_before_it_begins),
    ],
    ProfileRule.POLICY: [
        (Profile.ORGANISATION, lambda s: s.leaf(skip=[x509.CertificatePolicies])),
        (
            Profile.ORGANISATION,
            lambda s: s.leaf(replace=[(policies(ORGANISATION_POLICY), False)]),
        ),
        (Profile.ORGANISATION, lambda s: s.leaf(replace=[(policies("2.999.1", "2.999.2"), True)])),
    ],
    ProfileRule.BASIC_CONSTRAINTS: [
        (
            Profile.ORGANISATION,
            lambda s: s.leaf(extensions=[*DIGITAL, constraints(None, ca=False)]),
        ),
        (Profile.ISSUING, lambda s: s.leaf()),
        (Profile.ISSUING, lambda s: authority(s, replace=[constraints(None, ca=False)])),
        (Profile.ISSUING, lambda s: authority(s, replace=[constraints(1)])),
        (Profile.ISSUING, lambda s: authority(s, replace=[constraints(None)])),
    ],
    ProfileRule.AUTHORITY_KEY_IDENTIFIER: [
        (Profile.ORGANISATION, lambda s: s.leaf(skip=[x509.AuthorityKeyIdentifier])),
    ],
    ProfileRule.ALTERNATIVE_NAME: [
        (Profile.DEVICE, lambda s: s.device(critical=False)),
        (Profile.DEVICE, lambda s: s.device(names=[x509.DNSName("meter")])),
        (Profile.DEVICE, lambda s: s.device(names=[hardware(), x509.DNSName("meter")])),
        (Profile.DEVICE, lambda s: s.leaf(subject=[])),
        (Profile.LINK, lambda s: s.link(names=["localhost"])),
    ],
    ProfileRule.EXTENDED_USAGE: [
        (Profile.LINK, lambda s: s.link(ends=[ExtendedKeyUsageOID.SERVER_AUTH])),
    ],
    ProfileRule.MISSING_EXTENSION: [(Profile.LINK, lambda s: s.leaf())],
    ProfileRule.CRITICALITY: [(Profile.ORGANISATION, critical_key_identifier)],
    ProfileRule.CRITICAL_EXTENSION: [
        (Profile.ROOT, root_with_critical_authority_key),
        (Profile.ORGANISATION, lambda s: s.leaf(extensions=[*DIGITAL, unknown(critical=True)])),
    ],
    ProfileRule.UNEXPECTED_EXTENSION: [
        (Profile.ORGANISATION, lambda s: s.leaf(extensions=[*DIGITAL, unknown(critical=False)]))
    ],
}
_KA = [usage(Usage.KEY_AGREEMENT)]
_LINK_EXTENSIONS = [
    (x509.SubjectAlternativeName([x509.DNSName("acb")]), False),
    (
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
        False,
    ),
]


def test_every_rule_has_its_case():
    assert set(CASES) == set(ProfileRule)


@pytest.mark.parametrize(
    ("rule", "profile", "case"),
    [(rule, profile, case) for rule, cases in CASES.items() for profile, case in cases],
)
def test_each_rule_is_told_from_every_other(
    rule: ProfileRule, profile: Profile, case: Case, workshop: Workshop
):
    certificate = case(workshop)
    found = [broken.rule for broken in broken_rules(certificate, profile)]
    assert rule in found
    with pytest.raises(ProfileError) as refused:
        check_profile(certificate, profile)
    assert refused.value.rule == found[0]


@pytest.mark.parametrize(
    ("profile", "case"),
    [
        (Profile.ROOT, lambda s: s.root.certificate),
        (Profile.ISSUING, lambda s: s.issuing.certificate),
        (Profile.ORGANISATION, lambda s: s.leaf()),
        (Profile.ORGANISATION, lambda s: s.leaf(subject=role("7F"))),
        (
            Profile.ORGANISATION,
            lambda s: s.leaf(subject=[(COMMON, "SIM-SUPPLIER-A", UTF8), *organisation_subject()]),
        ),
        (Profile.XML_SIGNING, lambda s: s.leaf(subject=role("87"))),
        (Profile.XML_SIGNING, lambda s: s.leaf(subject=role("89"))),
        (Profile.DEVICE, lambda s: s.device()),
        (Profile.LINK, lambda s: s.link()),
    ],
)
def test_what_is_right_breaks_nothing(profile: Profile, case: Case, workshop: Workshop):
    certificate = case(workshop)
    assert broken_rules(certificate, profile) == ()
    check_profile(certificate, profile)
    assert profile_of(certificate) is profile


def test_a_certificate_claims_the_profile_of_its_form(workshop: Workshop):
    with_subject = workshop.device(subject=[(COMMON, "meter", UTF8)])
    assert profile_of(with_subject) is Profile.DEVICE
    assert profile_of(workshop.leaf(subject=[])) is Profile.DEVICE


def organisation(shop: Workshop, **changes: object) -> Certificate:
    wanted = {"policy": ORGANISATION_POLICY, "validity": TEN_YEARS} | changes
    return Certificate.from_der(
        profiles.organisation(
            shop.issuing.issuer,
            SUPPLIER,
            OrganisationRole.SUPPLIER,
            Usage.KEY_AGREEMENT,
            new_key().public_key(),
            **wanted,  # type: ignore[arg-type]
        )
    )


def test_the_organisation_builder_writes_the_published_layout(workshop: Workshop):
    certificate = organisation(workshop)
    # RDNs in order: OU as UTF8String (0C), x500UniqueIdentifier as BIT STRING 00 | EUI-64.
    assert certificate.subject_name.hex() == (
        "3021310b3009060355040b0c02303231123010060355042d0309000253494d10000000"
    )
    # Issuer: OU then CN, PrintableString (13).
    assert certificate.issuer_name.hex() == (
        "301e310b3009060355040b13023037310f300d06035504031306" + b"SIM-Z1".hex()
    )
    assert certificate.issuer == "CN=SIM-Z1,OU=07"
    tbs = certificate.x509.tbs_certificate_bytes.hex()
    # keyUsage, subjectKeyIdentifier, certificatePolicies (2.999.1.1), authorityKeyIdentifier
    assert tbs.endswith(
        "300e0603551d0f0101ff040403020308"
        "30110603551d0e040a0408"
        + certificate.key_identifier.hex()
        + "30140603551d200101ff040a3008300606048837"
        + "0101"
        + "30130603551d23040c300a8008"
        + workshop.issuing.certificate.key_identifier.hex()
    )
    assert certificate.serial.bit_length() == 127
    assert len(certificate.key_identifier) == 8
    assert certificate.key_identifier[0] >> 4 == 0b0100


def test_the_device_builder_writes_the_published_layout(workshop: Workshop):
    der = profiles.device(
        workshop.issuing.issuer,
        "0253494dd0000001",
        Usage.DIGITAL_SIGNATURE,
        new_key().public_key(),
        policy=DEVICE_POLICY,
        not_before=NOW,
    )
    certificate = Certificate.from_der(der)
    assert certificate.subject_name == bytes.fromhex("3000")
    assert b"\x18\x0f99991231235959Z" in der
    assert certificate.not_after == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert certificate.is_device
    assert certificate.subject_eui == "0253494dd0000001"
    # subjectAltName critical: otherName [0] { id-on-hardwareModuleName, [0] { hwType, serial } }
    value = "3010" + "06048837022a" + "0408" + "0253494dd0000001"
    assert bytes.fromhex("0603551d110101ff04") in der
    assert bytes.fromhex("06082b06010505070804" + "a012" + value) in der


def test_the_authority_builders_make_a_hierarchy():
    top, below = new_key(), new_key()
    anchor = Certificate.from_der(
        profiles.root_authority(
            "SIM-E0",
            None,
            top.public_key(),
            HeldSigner(top).sign,
            policy=DEVICE_POLICY,
            validity=TEN_YEARS,
        )
    )
    middle = Certificate.from_der(
        profiles.issuing_authority(
            Issuer(anchor, HeldSigner(top).sign),
            "SIM-E1",
            None,
            below.public_key(),
            policy=DEVICE_POLICY,
            validity=TEN_YEARS,
        )
    )
    device = Certificate.from_der(
        profiles.device(
            Issuer(middle, HeldSigner(below).sign),
            "0253494dd0000009",
            Usage.KEY_AGREEMENT,
            new_key().public_key(),
            policy=DEVICE_POLICY,
            not_before=NOW,
        )
    )
    assert anchor.issuer == "CN=SIM-E0"
    assert (anchor.role, anchor.subject_unique_id) == (None, bytes(8))
    assert validate_path(device, [middle], anchor, at=NOW) == (device, middle, anchor)


def test_the_link_builder_names_the_system(workshop: Workshop):
    certificate = Certificate.from_der(
        profiles.link(
            workshop.issuing.issuer,
            "smki_repository",
            new_key().public_key(),
            policy=INFRASTRUCTURE_POLICY,
            validity=TEN_YEARS,
        )
    )
    assert certificate.dns_names == ("smki_repository", "localhost")
    assert certificate.common_name == "smki_repository"
    assert broken_rules(certificate, Profile.LINK) == ()


@pytest.mark.parametrize("eui", ["0253494D10000000", "0253494d1000000", "0253494d1000000g", ""])
def test_an_identifier_is_sixteen_lower_case_digits(eui: str, workshop: Workshop):
    with pytest.raises(CertificateError):
        profiles.organisation(
            workshop.issuing.issuer,
            eui,
            OrganisationRole.SUPPLIER,
            Usage.DIGITAL_SIGNATURE,
            new_key().public_key(),
            policy=ORGANISATION_POLICY,
            validity=TEN_YEARS,
        )


def test_serial_numbers_are_of_sixteen_octets_and_differ():
    serials = {profiles.serial_number() for _ in range(100)}
    assert len(serials) == 100
    assert {(serial.bit_length() + 7) // 8 for serial in serials} == {16}
