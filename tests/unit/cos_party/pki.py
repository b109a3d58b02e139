"""The simulated authorities and identities of these tests, and some that no authority would make.

Keys are derived from names, so that every run makes the same certificates.
"""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from keys.certificate import Certificate, key_identifier
from keys.crl import make_crl
from keys.hardware_module import HARDWARE_MODULE_NAME, write_hardware_module_name
from keys.profile_rules import NO_EXPIRY
from keys.stores.private import sign_raw

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ORGANISATION = "2.999.1.1"
DEVICE = "2.999.1.2"
INFRASTRUCTURE = "2.999.1.3"
SOON = (NOW - timedelta(days=30), NOW + timedelta(days=3000))
LAPSED = (NOW - timedelta(days=300), NOW - timedelta(days=1))


def key(name: str) -> ec.EllipticCurvePrivateKey:
    """A private key that is the same in every run."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % (1 << 255) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def usages(*wanted: str) -> x509.KeyUsage:
    every = set(inspect.signature(x509.KeyUsage).parameters)
    return x509.KeyUsage(**{name: name in wanted for name in every})


@dataclass(frozen=True)
class Identity:
    """A private key and its certificate; a `keys.stores.store.Signer`."""

    private: ec.EllipticCurvePrivateKey
    certificate: Certificate

    def sign(self, data: bytes) -> bytes:
        return sign_raw(self.private, data)


@dataclass(frozen=True)
class Authority(Identity):
    """An authority: it issues certificates and revocation lists."""

    name: x509.Name
    policy: str

    def revocation_list(
        self, *serials: int, number: int = 1, at: datetime = NOW, days: int = 365
    ) -> bytes:
        return make_crl(
            self.certificate,
            self.sign,
            number=number,
            this_update=at - timedelta(days=1),
            next_update=at + timedelta(days=days),
            revoked={serial: at - timedelta(hours=2) for serial in serials},
        )


def authority(
    common_name: str, unit: str, above: Authority | None = None, policy: str = ORGANISATION
) -> Authority:
    private = key(f"authority {common_name}")
    printable = _ASN1Type.PrintableString
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit, printable),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name, printable),
        ]
    )
    issuer_name, issuer_key = (name, private) if above is None else (above.name, above.private)
    builder = _begin(name, issuer_name, private.public_key(), policy, f"{common_name}{unit}")
    builder = builder.add_extension(usages("key_cert_sign", "crl_sign"), critical=True)
    length = None if above is None else 0
    builder = builder.add_extension(x509.BasicConstraints(True, length), critical=True)
    if above is not None:
        builder = builder.add_extension(_above(issuer_key), critical=False)
    return Authority(private, _finish(builder, issuer_key), name, policy)


def organisation(
    above: Authority,
    eui: str,
    role: str,
    usage: str = "digital_signature",
    *,
    label: str = "",
    valid: tuple[datetime, datetime] = SOON,
    key_name: str | None = None,
    policy: str | None = None,
) -> Identity:
    """An organisation certificate: role in OU, entity identifier in x500UniqueIdentifier."""
    told = f"{eui} {role} {usage} {label}"
    private = key(key_name or told)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role),
            x509.NameAttribute(
                NameOID.X500_UNIQUE_IDENTIFIER, b"\x00" + bytes.fromhex(eui), _ASN1Type.BitString
            ),
        ]
    )
    seed = f"{told} {valid} {key_name} {policy} {above.certificate.fingerprint}"
    marked = policy or above.policy
    builder = _begin(subject, above.name, private.public_key(), marked, seed, valid)
    builder = builder.add_extension(usages(usage), critical=True)
    builder = builder.add_extension(_above(above.private), critical=False)
    return Identity(private, _finish(builder, above.private))


def reissued_with_serial(above: Authority, identity: Identity, eui: str) -> Identity:
    """Another certificate, with another key, under the serial number of `identity`'s."""
    other = organisation(above, eui, "87", label="twin")
    builder = (
        x509.CertificateBuilder()
        .subject_name(other.certificate.x509.subject)
        .issuer_name(above.name)
        .public_key(other.private.public_key())
        .serial_number(identity.certificate.serial)
        .not_valid_before(SOON[0])
        .not_valid_after(SOON[1])
    )
    for extension in other.certificate.x509.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return Identity(other.private, _finish(builder, above.private))


def device(above: Authority, eui: str, usage: str = "digital_signature") -> Identity:
    """A device certificate: empty subject, identifier in hardwareModuleName, no end."""
    private = key(f"device {eui} {usage} {above.certificate.fingerprint}")
    start = (NOW - timedelta(days=30), NO_EXPIRY)
    seed = f"device {eui} {usage}"
    builder = _begin(x509.Name([]), above.name, private.public_key(), above.policy, seed, start)
    builder = builder.add_extension(usages(usage), critical=True)
    builder = builder.add_extension(_above(above.private), critical=False)
    module = x509.OtherName(HARDWARE_MODULE_NAME, write_hardware_module_name(bytes.fromhex(eui)))
    builder = builder.add_extension(x509.SubjectAlternativeName([module]), critical=True)
    return Identity(private, _finish(builder, above.private))


def _begin(  # noqa: PLR0917 - the parts of every certificate
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    policy: str,
    seed: str,
    valid: tuple[datetime, datetime] = (NOW - timedelta(days=3650), NOW + timedelta(days=3650)),
) -> x509.CertificateBuilder:
    serial = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:15], "big") + 1
    information = x509.PolicyInformation(x509.ObjectIdentifier(policy), None)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.CertificatePolicies([information]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(key_identifier(public)), critical=False)
    )


def _above(private: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier(key_identifier(private.public_key()), None, None)


def _finish(builder: x509.CertificateBuilder, private: ec.EllipticCurvePrivateKey) -> Certificate:
    made = builder.sign(private, hashes.SHA256(), ecdsa_deterministic=True)
    return Certificate.from_der(made.public_bytes(Encoding.DER))
