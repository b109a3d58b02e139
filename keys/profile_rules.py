"""The certificate profiles as rules, and which of them a certificate breaks.

Profiles: GBCS 0.8.1 p141-145, confirmed by the RTDS test certificates
(docs/sources.md#certificates). The link profile, for the certificates that authenticate systems to
one another, is our own. Nothing here depends on the simulation marks, so published certificates can
be measured too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from keys.certificate import Certificate, key_identifier
from keys.errors import ProfileError
from keys.kept import Kept
from keys.octets import (
    ECDSA_WITH_SHA256,
    named_bits_fault,
    public_key_fault,
    time_fault,
    whole_octets_fault,
)
from keys.roles import AUTHORITY_ROLES, XML_SIGNING_ROLES, OrganisationRole, Usage

LINK_UNIT = "SIM-LINK"
NO_EXPIRY = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""notAfter 99991231235959Z: a device certificate has no well-defined expiry (RFC 5280 4.1.2.5)."""


class Profile(StrEnum):
    """The kinds of certificate there are."""

    ROOT = "root"
    ISSUING = "issuing"
    ORGANISATION = "organisation"
    XML_SIGNING = "xml_signing"
    DEVICE = "device"
    LINK = "link"


class ProfileRule(StrEnum):
    """The rules a certificate can break, each found and reported by itself."""

    SERIAL = "serial"
    SIGNATURE_ALGORITHM = "signature_algorithm"
    CURVE = "curve"
    PUBLIC_KEY_FORM = "public_key_form"
    BIT_STRING = "bit_string"
    TIME_FORM = "time_form"
    KEY_IDENTIFIER = "key_identifier"
    ISSUER_NAME = "issuer_name"
    SUBJECT = "subject"
    ROLE = "role"
    USAGE = "usage"
    VALIDITY = "validity"
    POLICY = "policy"
    BASIC_CONSTRAINTS = "basic_constraints"
    AUTHORITY_KEY_IDENTIFIER = "authority_key_identifier"
    ALTERNATIVE_NAME = "alternative_name"
    EXTENDED_USAGE = "extended_usage"
    MISSING_EXTENSION = "missing_extension"
    CRITICALITY = "criticality"
    CRITICAL_EXTENSION = "critical_extension"
    UNEXPECTED_EXTENSION = "unexpected_extension"


@dataclass(frozen=True, slots=True)
class Broken:
    """One broken rule: what was expected and what was found."""

    rule: ProfileRule
    detail: str


_KEY_USAGE = ExtensionOID.KEY_USAGE.dotted_string
_POLICIES = ExtensionOID.CERTIFICATE_POLICIES.dotted_string
_CONSTRAINTS = ExtensionOID.BASIC_CONSTRAINTS.dotted_string
_SUBJECT_KEY = ExtensionOID.SUBJECT_KEY_IDENTIFIER.dotted_string
_AUTHORITY_KEY = ExtensionOID.AUTHORITY_KEY_IDENTIFIER.dotted_string
_ALTERNATIVE = ExtensionOID.SUBJECT_ALTERNATIVE_NAME.dotted_string
_EXTENDED = ExtensionOID.EXTENDED_KEY_USAGE.dotted_string

_END_ENTITY = {_KEY_USAGE: True, _POLICIES: True, _SUBJECT_KEY: False, _AUTHORITY_KEY: False}
_EXTENSIONS: dict[Profile, dict[str, bool]] = {
    Profile.ROOT: {_KEY_USAGE: True, _CONSTRAINTS: True, _POLICIES: True, _SUBJECT_KEY: False},
    Profile.ISSUING: {**_END_ENTITY, _CONSTRAINTS: True},
    Profile.ORGANISATION: _END_ENTITY,
    Profile.XML_SIGNING: _END_ENTITY,
    Profile.DEVICE: {**_END_ENTITY, _ALTERNATIVE: True},
    Profile.LINK: {**_END_ENTITY, _ALTERNATIVE: False, _EXTENDED: False},
}
"""Each profile's extensions and whether each is critical; nothing else may be there."""

_OWN_RULE = {
    _POLICIES: ProfileRule.POLICY,
    _KEY_USAGE: ProfileRule.USAGE,
    _CONSTRAINTS: ProfileRule.BASIC_CONSTRAINTS,
    _AUTHORITY_KEY: ProfileRule.AUTHORITY_KEY_IDENTIFIER,
    _ALTERNATIVE: ProfileRule.ALTERNATIVE_NAME,
}

_USAGES: dict[Profile, frozenset[Usage]] = {
    Profile.ROOT: frozenset({Usage.KEY_CERT_SIGN}),
    Profile.ISSUING: frozenset({Usage.KEY_CERT_SIGN}),
    Profile.ORGANISATION: frozenset({Usage.DIGITAL_SIGNATURE, Usage.KEY_AGREEMENT}),
    Profile.XML_SIGNING: frozenset({Usage.DIGITAL_SIGNATURE}),
    Profile.DEVICE: frozenset({Usage.DIGITAL_SIGNATURE, Usage.KEY_AGREEMENT}),
    Profile.LINK: frozenset({Usage.DIGITAL_SIGNATURE}),
}


def profile_of(certificate: Certificate) -> Profile:
    """Say which profile a certificate claims to follow (not whether it does)."""
    if certificate.is_authority:
        return Profile.ROOT if certificate.self_issued else Profile.ISSUING
    if certificate.is_device or not certificate.subject:
        return Profile.DEVICE
    if _EXTENDED in certificate.extensions:
        return Profile.LINK
    if certificate.role in XML_SIGNING_ROLES:
        return Profile.XML_SIGNING
    return Profile.ORGANISATION


def broken_rules(certificate: Certificate, profile: Profile) -> tuple[Broken, ...]:
    """List every rule of the profile that the certificate breaks (none: it obeys)."""
    return _BROKEN.of((certificate.der, profile), partial(_broken_rules, certificate, profile))


_BROKEN: Kept[tuple[bytes, Profile], tuple[Broken, ...]] = Kept(2048)
"""By certificate and profile; the rules look at nothing else."""


def _broken_rules(certificate: Certificate, profile: Profile) -> tuple[Broken, ...]:
    return tuple(
        Broken(rule, detail) for check in _CHECKS for rule, detail in check(certificate, profile)
    )


def check_profile(certificate: Certificate, profile: Profile) -> None:
    """Refuse a certificate that breaks a rule of the profile.

    Raises:
        ProfileError: naming the first broken rule, in the order of this module's list.
    """
    for broken in broken_rules(certificate, profile):
        raise ProfileError(broken.rule, broken.detail)


_Findings = Iterator[tuple[ProfileRule, str]]


def is_ecdsa_with_sha256(certificate: Certificate) -> bool:
    """Say whether the signature algorithm is ecdsa-with-SHA256 and nothing beside it."""
    signed = certificate.x509.tbs_certificate_bytes
    end = certificate.der.find(signed) + len(signed)
    return certificate.der[end : end + len(ECDSA_WITH_SHA256)] == ECDSA_WITH_SHA256


def _algorithms(certificate: Certificate, _: Profile) -> _Findings:
    if not is_ecdsa_with_sha256(certificate):
        found = certificate.x509.signature_algorithm_oid.dotted_string
        yield ProfileRule.SIGNATURE_ALGORITHM, f"not ecdsa-with-SHA256 alone but {found}"
    if not isinstance(certificate.public_key.curve, ec.SECP256R1):
        yield ProfileRule.CURVE, f"not P-256 but {certificate.public_key.curve.name}"


def public_key_form(certificate: Certificate) -> str | None:
    """Say what is wrong with how a P-256 key is written; None for nothing, or another curve."""
    if not isinstance(certificate.public_key.curve, ec.SECP256R1):
        return None
    return public_key_fault(certificate.octets.public_key)


def _forms(certificate: Certificate, _: Profile) -> _Findings:
    """How it is written: what the library reads in more ways than one."""
    octets = certificate.octets
    if fault := public_key_form(certificate):
        yield ProfileRule.PUBLIC_KEY_FORM, fault
    bits = [whole_octets_fault(octets.signature)]
    if octets.key_usage is not None:
        bits.append(named_bits_fault(octets.key_usage))
    for fault in bits:
        if fault is not None:
            yield ProfileRule.BIT_STRING, fault
    for fault in map(time_fault, octets.times):
        if fault is not None:
            yield ProfileRule.TIME_FORM, f"{fault} (RFC 5280 4.1.2.5)"


def _extensions(certificate: Certificate, profile: Profile) -> _Findings:
    expected = _EXTENSIONS[profile]
    for oid in certificate.extensions:
        critical = oid in certificate.critical
        if oid == _AUTHORITY_KEY and profile is Profile.ROOT and not critical:
            continue
        if oid == _CONSTRAINTS and oid not in expected:
            yield ProfileRule.BASIC_CONSTRAINTS, "basicConstraints on an end entity"
        elif oid not in expected and critical:
            yield ProfileRule.CRITICAL_EXTENSION, f"unknown critical extension {oid}"
        elif oid not in expected:
            yield ProfileRule.UNEXPECTED_EXTENSION, f"extension {oid} is not of this profile"
        elif critical is not expected[oid]:
            word = "critical" if expected[oid] else "non-critical"
            yield _OWN_RULE.get(oid, ProfileRule.CRITICALITY), f"extension {oid} must be {word}"
    for oid in expected:
        if oid not in certificate.extensions:
            yield _OWN_RULE.get(oid, ProfileRule.MISSING_EXTENSION), f"extension {oid} is missing"


def _key(certificate: Certificate, profile: Profile) -> _Findings:
    if certificate.usage not in _USAGES[profile] and _KEY_USAGE in certificate.extensions:
        allowed = " or ".join(sorted(_USAGES[profile]))
        yield ProfileRule.USAGE, f"exactly one of {allowed} expected, found {certificate.usage}"
    if certificate.key_identifier != key_identifier(certificate.public_key):
        yield ProfileRule.KEY_IDENTIFIER, "not RFC 5280 method (2) of the public key"


def _policy(certificate: Certificate, _: Profile) -> _Findings:
    if len(certificate.policies) != 1:
        yield ProfileRule.POLICY, f"exactly one policy expected, found {certificate.policies}"


def _constraints(certificate: Certificate, profile: Profile) -> _Findings:
    if profile in {Profile.ROOT, Profile.ISSUING}:
        if not certificate.is_authority:
            yield ProfileRule.BASIC_CONSTRAINTS, "not marked as an authority"
        if profile is Profile.ISSUING and certificate.path_length != 0:
            yield (
                ProfileRule.BASIC_CONSTRAINTS,
                f"pathLenConstraint 0 expected, found {certificate.path_length}",
            )


def _numbers(certificate: Certificate, profile: Profile) -> _Findings:
    if certificate.serial >= 1 << 127:
        yield ProfileRule.SERIAL, "longer than 16 octets"
    if certificate.not_after < certificate.not_before:
        yield ProfileRule.VALIDITY, "ends before it begins"
    if profile is Profile.DEVICE and certificate.not_after != NO_EXPIRY:
        yield ProfileRule.VALIDITY, "a device certificate ends 99991231235959Z"


def _names(certificate: Certificate, profile: Profile) -> _Findings:
    kinds = {attribute._type for attribute in certificate.x509.issuer}  # noqa: SLF001 - the
    # string type is what the profile prescribes and the library shows it nowhere else.
    if kinds != {_ASN1Type.PrintableString}:
        yield ProfileRule.ISSUER_NAME, "issuer names are PrintableString"
    if certificate.issuer_common_name is None:
        yield ProfileRule.ISSUER_NAME, "the issuer has no common name"
    yield from _SUBJECTS[profile](certificate)


def _authority_subject(certificate: Certificate) -> _Findings:
    if certificate.common_name is None or certificate.subject_eui is not None:
        yield ProfileRule.SUBJECT, "an authority has a common name and no EUI-64"
    expected = (
        OrganisationRole.ROOT if certificate.self_issued else OrganisationRole.ISSUING_AUTHORITY
    )
    unit = _unit(certificate)
    if unit is not None and unit.value != expected:
        yield ProfileRule.ROLE, f"OU {expected} or none expected, found {unit.value!r}"


def _organisation_subject(certificate: Certificate) -> _Findings:
    unit = _unit(certificate)
    if certificate.subject_eui is None:
        yield ProfileRule.SUBJECT, "no x500UniqueIdentifier"
    if any(attribute.oid not in _ORGANISATION_NAMES for attribute in certificate.x509.subject):
        yield ProfileRule.SUBJECT, "other than CN, OU and x500UniqueIdentifier"
    if unit is None or unit._type is not _ASN1Type.UTF8String:  # noqa: SLF001 - as above
        yield ProfileRule.ROLE, "OU is not one UTF8String"
    elif certificate.role is None or certificate.role not in _ORGANISATION_ROLES:
        yield ProfileRule.ROLE, f"OU {unit.value!r} is no organisation's role"


def _xml_signing_subject(certificate: Certificate) -> _Findings:
    yield from _organisation_subject(certificate)
    if certificate.role not in XML_SIGNING_ROLES:
        yield ProfileRule.ROLE, f"OU 87 or 89 expected, found {certificate.role}"


def _device_subject(certificate: Certificate) -> _Findings:
    if certificate.subject:
        yield ProfileRule.SUBJECT, "a device certificate has an empty subject"
    for extension in certificate.x509.extensions:
        value = extension.value
        names = list(value) if isinstance(value, x509.SubjectAlternativeName) else None
        if names is not None and (len(names) != 1 or not certificate.is_device):
            yield ProfileRule.ALTERNATIVE_NAME, "exactly one hardwareModuleName expected"


def _link_subject(certificate: Certificate) -> _Findings:
    unit = _unit(certificate)
    if certificate.common_name is None or certificate.subject_eui is not None:
        yield ProfileRule.SUBJECT, "a system has a common name and no EUI-64"
    elif certificate.common_name not in certificate.dns_names:
        yield ProfileRule.ALTERNATIVE_NAME, "the system's name is not among its DNS names"
    if unit is None or unit.value != LINK_UNIT:
        yield ProfileRule.ROLE, f"OU {LINK_UNIT} expected"
    for extension in certificate.x509.extensions:
        value = extension.value
        if isinstance(value, x509.ExtendedKeyUsage) and set(value) != _BOTH_ENDS:
            yield ProfileRule.EXTENDED_USAGE, "serverAuth and clientAuth expected"


def _unit(certificate: Certificate) -> x509.NameAttribute[str | bytes] | None:
    found = certificate.x509.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return found[0] if len(found) == 1 else None


_BOTH_ENDS = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
_ORGANISATION_ROLES = frozenset(OrganisationRole) - AUTHORITY_ROLES
_ORGANISATION_NAMES = {
    NameOID.COMMON_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.X500_UNIQUE_IDENTIFIER,
}
_SUBJECTS: dict[Profile, Callable[[Certificate], _Findings]] = {
    Profile.ROOT: _authority_subject,
    Profile.ISSUING: _authority_subject,
    Profile.ORGANISATION: _organisation_subject,
    Profile.XML_SIGNING: _xml_signing_subject,
    Profile.DEVICE: _device_subject,
    Profile.LINK: _link_subject,
}
_CHECKS: tuple[Callable[[Certificate, Profile], _Findings], ...] = (
    _algorithms,
    _forms,
    _constraints,
    _extensions,
    _key,
    _policy,
    _numbers,
    _names,
)
