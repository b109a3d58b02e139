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
from keys.hardware_module import HARDWARE_MODULE_NAME, write_hardware_module_name
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


def _name(*attributes: tuple[x509.ObjectIdentifier, str, _ASN1Type]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value, kind) for oid, value, kind in attributes])


def authority_name(common_name: str, role: OrganisationRole | None) -> x509.Name:
    """An authority's name: OU (where it has a role) and CN, both PrintableString."""
    unit = [] if role is None else [
        (NameOID.ORGANIZATIONAL_UNIT_NAME, str(role), _ASN1Type.PrintableString)
    ]  # fmt: skip
    return _name(*unit, (NameOID.COMMON_NAME, common_name, _ASN1Type.PrintableString))


def _builder(  # noqa: PLR0917 - the fields of every certificate, in their order
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    validity: Validity,
    usage: Usage,
    policy: str,
    serial: int | None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial or serial_number())
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
        .add_extension(key_usage_extension(usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(key_identifier(public_key)), critical=False)
        .add_extension(
            x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(policy), None)]),
            critical=True,
        )
    )


def _authority_key(
    builder: x509.CertificateBuilder, issuer: Certificate
) -> x509.CertificateBuilder:
    identifier = x509.AuthorityKeyIdentifier(issuer.key_identifier, None, None)
    return builder.add_extension(identifier, critical=False)


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
    name = authority_name(common_name, role)
    builder = _builder(
        name, name, public_key, validity, Usage.KEY_CERT_SIGN, policy, None
    ).add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return sign_certificate(builder, sign)


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
    builder = _builder(
        authority_name(common_name, role),
        issuer.certificate.x509.subject,
        public_key,
        validity,
        Usage.KEY_CERT_SIGN,
        policy,
        None,
    ).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return sign_certificate(_authority_key(builder, issuer.certificate), issuer.sign)


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
    attributes: list[x509.NameAttribute[str] | x509.NameAttribute[bytes]] = []
    if common_name is not None:
        attributes.append(
            x509.NameAttribute(NameOID.COMMON_NAME, common_name, _ASN1Type.UTF8String)
        )
    attributes.append(
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, str(role), _ASN1Type.UTF8String)
    )
    attributes.append(
        x509.NameAttribute(
            NameOID.X500_UNIQUE_IDENTIFIER, b"\x00" + eui_octets(eui), _ASN1Type.BitString
        )
    )
    builder = _builder(
        x509.Name(attributes),
        issuer.certificate.x509.subject,
        public_key,
        validity,
        usage,
        policy,
        serial,
    )
    return sign_certificate(_authority_key(builder, issuer.certificate), issuer.sign)


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
    name = x509.OtherName(HARDWARE_MODULE_NAME, write_hardware_module_name(eui_octets(eui)))
    builder = _builder(
        x509.Name([]),
        issuer.certificate.x509.subject,
        public_key,
        Validity(not_before, NO_EXPIRY),
        usage,
        policy,
        None,
    ).add_extension(x509.SubjectAlternativeName([name]), critical=True)
    return sign_certificate(_authority_key(builder, issuer.certificate), issuer.sign)


def link(
    issuer: Issuer,
    system: str,
    public_key: ec.EllipticCurvePublicKey,
    *,
    policy: str,
    validity: Validity,
) -> bytes:
    """A system's link certificate: CN and DNS name of the system, both ends of TLS."""
    names: list[x509.GeneralName] = [x509.DNSName(system), x509.DNSName("localhost")]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    builder = (
        _builder(
            _name(
                (NameOID.ORGANIZATIONAL_UNIT_NAME, LINK_UNIT, _ASN1Type.UTF8String),
                (NameOID.COMMON_NAME, system, _ASN1Type.UTF8String),
            ),
            issuer.certificate.x509.subject,
            public_key,
            validity,
            Usage.DIGITAL_SIGNATURE,
            policy,
            None,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
    )
    return sign_certificate(_authority_key(builder, issuer.certificate), issuer.sign)
