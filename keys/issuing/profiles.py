"""Builders of each certificate profile.

Every builder takes the issuer (certificate and signer) and gives DER. They can be asked for
certificates that no honest authority would issue (another role, another usage, any dates): a
tester needs those, and validity is a separate step (`keys.profile_rules`, `keys.path`).

Source: GBCS 0.8.1 p141-145, confirmed by the RTDS test certificates (docs/sources.md#certificates).
The link profile is our own.
"""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.certificate import Certificate, eui_octets, key_identifier
from keys.hardware_module import hardware_module_name
from keys.key_usage import key_usage_extension
from keys.profile_rules import LINK_UNIT, NO_EXPIRY
from keys.roles import OrganisationRole, Usage
from keys.sign_with import SignRaw, sign_certificate


@dataclass(frozen=True)
class Issuer:
    """An authority that issues: its certificate and a signer for its key."""

    certificate: Certificate
    sign: SignRaw


@dataclass(frozen=True)
class Validity:
    """From when to when a certificate holds (UTC, whole seconds)."""

    not_before: datetime
    not_after: datetime


def serial_number() -> int:
    """A random serial of 16 octets, positive."""
    return secrets.randbits(126) | 1 << 126


_Attribute = tuple[x509.ObjectIdentifier, str | bytes, _ASN1Type]
_Extension = tuple[x509.ExtensionType, bool]
"""An extension, and whether it is critical."""
_UNIT, _COMMON_NAME = NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COMMON_NAME


def _name(*attributes: _Attribute) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value, kind) for oid, value, kind in attributes])


def authority_name(common_name: str, role: OrganisationRole | None) -> x509.Name:
    """An authority's name: OU (where it has a role) and CN, both PrintableString."""
    kind = _ASN1Type.PrintableString
    unit = [] if role is None else [(_UNIT, str(role), kind)]
    return _name(*unit, (_COMMON_NAME, common_name, kind))


def _issue(
    issuer: Issuer | SignRaw,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    *extensions: _Extension,
    validity: Validity,
    usage: Usage,
    policy: str,
    serial: int | None = None,
) -> bytes:
    """What every certificate has, the profile's own extensions, and the issuer's signature.

    A root is its own issuer: only its key is given.
    """
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.x509.subject if isinstance(issuer, Issuer) else subject)
        .public_key(public_key)
        .serial_number(serial or serial_number())
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
    )
    extensions = (
        (key_usage_extension(usage), True),
        (x509.SubjectKeyIdentifier(key_identifier(public_key)), False),
        (
            x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(policy), None)]),
            True,
        ),
        *extensions,
    )
    if isinstance(issuer, Issuer):
        identifier = issuer.certificate.key_identifier
        extensions += ((x509.AuthorityKeyIdentifier(identifier, None, None), False),)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return sign_certificate(builder, issuer.sign if isinstance(issuer, Issuer) else issuer)


def root_authority(
    common_name: str,
    role: OrganisationRole | None,
    public_key: ec.EllipticCurvePublicKey,
    sign: SignRaw,
    *,
    policy: str,
    validity: Validity,
    path_length: int | None = None,
) -> bytes:
    """A self-signed root."""
    return _issue(
        sign,
        authority_name(common_name, role),
        public_key,
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        validity=validity,
        usage=Usage.KEY_CERT_SIGN,
        policy=policy,
    )


def issuing_authority(
    issuer: Issuer,
    common_name: str,
    role: OrganisationRole | None,
    public_key: ec.EllipticCurvePublicKey,
    *,
    policy: str,
    validity: Validity,
) -> bytes:
    """An issuing authority below a root: pathLenConstraint 0."""
    return _issue(
        issuer,
        authority_name(common_name, role),
        public_key,
        (x509.BasicConstraints(ca=True, path_length=0), True),
        validity=validity,
        usage=Usage.KEY_CERT_SIGN,
        policy=policy,
    )


def organisation(
    issuer: Issuer,
    eui: str,
    role: OrganisationRole,
    usage: Usage,
    public_key: ec.EllipticCurvePublicKey,
    *,
    policy: str,
    validity: Validity,
    common_name: str | None = None,
    serial: int | None = None,
) -> bytes:
    """An organisation's certificate, GBCS or XML signing: [CN,] OU role, x500UniqueIdentifier."""
    text = _ASN1Type.UTF8String
    named = [] if common_name is None else [(_COMMON_NAME, common_name, text)]
    subject = _name(
        *named,
        (_UNIT, str(role), text),
        (NameOID.X500_UNIQUE_IDENTIFIER, b"\x00" + eui_octets(eui), _ASN1Type.BitString),
    )
    return _issue(
        issuer, subject, public_key, validity=validity, usage=usage, policy=policy, serial=serial
    )


def device(
    issuer: Issuer,
    eui: str,
    usage: Usage,
    public_key: ec.EllipticCurvePublicKey,
    *,
    policy: str,
    not_before: datetime,
) -> bytes:
    """A device's certificate: empty subject, critical hardwareModuleName, no expiry."""
    return _issue(
        issuer,
        x509.Name([]),
        public_key,
        (x509.SubjectAlternativeName([hardware_module_name(eui_octets(eui))]), True),
        validity=Validity(not_before, NO_EXPIRY),
        usage=usage,
        policy=policy,
    )


def link(
    issuer: Issuer,
    system: str,
    public_key: ec.EllipticCurvePublicKey,
    *,
    policy: str,
    validity: Validity,
) -> bytes:
    """A system's link certificate: CN and DNS name of the system, both ends of TLS."""
    text = _ASN1Type.UTF8String
    addresses = [
        x509.DNSName(system),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    both_ends = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return _issue(
        issuer,
        _name((_UNIT, LINK_UNIT, text), (_COMMON_NAME, system, text)),
        public_key,
        (x509.SubjectAlternativeName(addresses), False),
        (x509.ExtendedKeyUsage(both_ends), False),
        validity=validity,
        usage=Usage.DIGITAL_SIGNATURE,
        policy=policy,
    )
