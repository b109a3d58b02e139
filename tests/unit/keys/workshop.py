"""A workshop of odd certificates: an authority chain of its own, and any deviation one asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.certificate import Certificate, key_identifier
from keys.crl import make_crl
from keys.hardware_module import HARDWARE_MODULE_NAME, write_hardware_module_name
from keys.issuing import profiles
from keys.issuing.profiles import Issuer, Validity
from keys.key_usage import key_usage_extension
from keys.roles import OrganisationRole, Usage
from keys.simulated import ORGANISATION_POLICY
from keys.stores.private import HeldSigner

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TEN_YEARS = Validity(NOW - timedelta(days=1), NOW + timedelta(days=3650))
SUPPLIER = "0253494d10000000"

Extension = tuple[x509.ExtensionType, bool]
Attribute = tuple[x509.ObjectIdentifier, str | bytes, _ASN1Type]

UNIT, COMMON = NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COMMON_NAME
UNIQUE = NameOID.X500_UNIQUE_IDENTIFIER
UTF8, PRINTABLE, BITS = _ASN1Type.UTF8String, _ASN1Type.PrintableString, _ASN1Type.BitString
BOTH_ENDS = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


def new_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def policies(*oids: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies(
        [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]
    )


def usage(kind: Usage) -> Extension:
    return key_usage_extension(kind), True


def policy(oid: str = ORGANISATION_POLICY) -> Extension:
    return policies(oid), True


def hardware(eui: str = "0253494dd0000001") -> x509.OtherName:
    return x509.OtherName(HARDWARE_MODULE_NAME, write_hardware_module_name(bytes.fromhex(eui)))


def constraints(path_length: int | None, *, ca: bool = True) -> Extension:
    return x509.BasicConstraints(ca=ca, path_length=path_length), True


def organisation_subject(
    role: str = "02", eui: str = SUPPLIER, kind: _ASN1Type = UTF8
) -> list[Attribute]:
    return [(UNIT, role, kind), (UNIQUE, b"\x00" + bytes.fromhex(eui), BITS)]


@dataclass
class Authority:
    """An authority whose key the workshop holds."""

    name: list[Attribute]
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    certificate: Certificate = None  # type: ignore[assignment]  # set as soon as it is made

    @property
    def issuer(self) -> Issuer:
        return Issuer(self.certificate, HeldSigner(self.key).sign)


def make(
    *,
    subject: Sequence[Attribute],
    issuer: Authority,
    extensions: Sequence[Extension],
    key: ec.EllipticCurvePublicKey | None = None,
    validity: Validity = TEN_YEARS,
    serial: int | None = None,
    digest: hashes.HashAlgorithm | None = None,
    signing_key: ec.EllipticCurvePrivateKey | None = None,
    skip: Sequence[type[x509.ExtensionType]] = (),
    replace: Sequence[Extension] = (),
) -> Certificate:
    """Any certificate: key identifiers are added, then `skip` leaves out, `replace` swaps."""
    public_key = key or new_key().public_key()
    signer = signing_key or issuer.key
    wanted: list[Extension] = [
        *extensions,
        (x509.SubjectKeyIdentifier(key_identifier(public_key)), False),
        (x509.AuthorityKeyIdentifier(key_identifier(issuer.key.public_key()), None, None), False),
    ]
    swapped = {type(value) for value, _ in replace}
    wanted = [(v, c) for v, c in wanted if type(v) not in {*skip, *swapped}] + list(replace)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(o, v, t) for o, v, t in subject]))
        .issuer_name(x509.Name([x509.NameAttribute(o, v, t) for o, v, t in issuer.name]))
        .public_key(public_key)
        .serial_number(serial or profiles.serial_number())
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
    )
    for value, critical in wanted:
        builder = builder.add_extension(value, critical=critical)
    return Certificate.from_der(
        builder.sign(signer, digest or hashes.SHA256()).public_bytes(Encoding.DER)
    )


def root(name: str = "SIM-ZA", path_length: int | None = None) -> Authority:
    authority = Authority([(UNIT, "00", PRINTABLE), (COMMON, name, PRINTABLE)])
    authority.certificate = make(
        subject=authority.name,
        issuer=authority,
        key=authority.key.public_key(),
        extensions=[usage(Usage.KEY_CERT_SIGN), constraints(path_length), policy()],
    )
    return authority


def issuing(
    parent: Authority,
    name: str = "SIM-Z1",
    *,
    extensions: Sequence[Extension] | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    validity: Validity = TEN_YEARS,
) -> Authority:
    authority = Authority(
        [(UNIT, "07", PRINTABLE), (COMMON, name, PRINTABLE)], key=key or new_key()
    )
    authority.certificate = make(
        subject=authority.name,
        issuer=parent,
        key=authority.key.public_key(),
        validity=validity,
        extensions=[usage(Usage.KEY_CERT_SIGN), constraints(0), policy()]
        if extensions is None
        else extensions,
    )
    return authority


@dataclass
class Workshop:
    """A root, an issuing authority, and leaves as right or as wrong as one likes."""

    root: Authority
    issuing: Authority

    @classmethod
    def open(cls) -> Workshop:
        top = root()
        return cls(top, issuing(top))

    def leaf(
        self,
        *,
        subject: Sequence[Attribute] | None = None,
        extensions: Sequence[Extension] | None = None,
        issuer: Authority | None = None,
        key: ec.EllipticCurvePublicKey | None = None,
        validity: Validity = TEN_YEARS,
        serial: int | None = None,
        digest: hashes.HashAlgorithm | None = None,
        signing_key: ec.EllipticCurvePrivateKey | None = None,
        skip: Sequence[type[x509.ExtensionType]] = (),
        replace: Sequence[Extension] = (),
    ) -> Certificate:
        """A supplier's digital signature certificate, changed as asked."""
        return make(
            subject=organisation_subject() if subject is None else subject,
            issuer=issuer or self.issuing,
            extensions=[usage(Usage.DIGITAL_SIGNATURE), policy()]
            if extensions is None
            else extensions,
            key=key,
            validity=validity,
            serial=serial,
            digest=digest,
            signing_key=signing_key,
            skip=skip,
            replace=replace,
        )

    def device(
        self,
        *,
        names: Sequence[x509.GeneralName] | None = None,
        critical: bool = True,
        validity: Validity | None = None,
        subject: Sequence[Attribute] = (),
    ) -> Certificate:
        end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
        return self.leaf(
            subject=subject,
            validity=validity or Validity(TEN_YEARS.not_before, end),
            extensions=[
                usage(Usage.DIGITAL_SIGNATURE),
                policy(),
                (x509.SubjectAlternativeName(names or [hardware()]), critical),
            ],
        )

    def link(
        self,
        *,
        unit: str = "SIM-LINK",
        names: Sequence[str] = ("acb", "localhost"),
        ends: Sequence[x509.ObjectIdentifier] = tuple(BOTH_ENDS),
    ) -> Certificate:
        return self.leaf(
            subject=[(UNIT, unit, UTF8), (COMMON, "acb", UTF8)],
            extensions=[
                usage(Usage.DIGITAL_SIGNATURE),
                policy(),
                (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
                (x509.ExtendedKeyUsage(list(ends)), False),
            ],
        )

    def crl(
        self,
        *revoked: Certificate,
        number: int = 1,
        issuer: Issuer | None = None,
        this_update: datetime = NOW - timedelta(hours=1),
        next_update: datetime = NOW + timedelta(days=30),
    ) -> bytes:
        by = issuer or self.issuing.issuer
        return make_crl(
            by.certificate,
            by.sign,
            number=number,
            this_update=this_update,
            next_update=next_update,
            revoked={c.serial: this_update for c in revoked},
        )


def role(value: OrganisationRole | str) -> list[Attribute]:
    return organisation_subject(role=str(value))
