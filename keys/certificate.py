"""A certificate as this project sees it: read once, strictly, into plain values.

Profile: GBCS 0.8.1 p141-145 and the RTDS test certificates (docs/sources.md#certificates). What is
read here is only what a certificate says. Whether it obeys a profile is decided in
`keys.profile_rules`, and whether it is to be believed in `keys.path`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from keys.errors import CertificateError, NotSimulated
from keys.hardware_module import HARDWARE_MODULE_NAME, read_hardware_module_name
from keys.kept import Kept
from keys.octets import READ_ERRORS, CertificateOctets, certificate_octets
from keys.roles import Usage
from keys.simulated import ISSUER_PREFIX, POLICIES, is_simulated
from keys.tally import COUNTS

if TYPE_CHECKING:
    from datetime import datetime

MAX_CERTIFICATE_OCTETS = 4096
"""Published certificates are 400 to 600 octets; nothing near this limit is genuine."""
NO_SUBJECT = bytes(8)
"""The subject unique identifier that root cells report: eight zero octets (RTDS vectors)."""

E = TypeVar("E", bound=x509.ExtensionType)

_ROLE = re.compile(r"[0-9A-F]{2}")


def key_identifier(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """Give the 8-octet key identifier of a public key.

    RFC 5280 4.2.1.2 method (2): the four bits 0100 and the low 60 bits of the SHA-1 of the
    uncompressed point (GBCS 0.8.1 p141; confirmed on every RTDS certificate).
    """
    point = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    tail = hashlib.sha1(point, usedforsecurity=False).digest()[-8:]
    return bytes([0x40 | (tail[0] & 0x0F)]) + tail[1:]


def eui_octets(eui: str) -> bytes:
    """Turn an entity identifier (16 lower-case hexadecimal digits) into its 8 octets.

    Raises:
        CertificateError: it is not written so.
    """
    if not re.fullmatch(r"[0-9a-f]{16}", eui):
        raise CertificateError(f"{eui!r} is not 16 lower-case hexadecimal digits", "subject")
    return bytes.fromhex(eui)


@dataclass(frozen=True, slots=True)
class Certificate:
    """One X.509 certificate on an elliptic curve key; equal to another when the bytes are.

    Attributes:
        der: the certificate exactly as received.
        fingerprint: SHA-256 of it, lower-case hexadecimal.
        serial: serial number.
        issuer: issuer name as DUIS writes it (RFC 2253 order), e.g. "CN=SIM-Z1,OU=07".
        subject: subject name in the same form ("" on a device certificate).
        issuer_name: issuer Name, DER (names are compared by these bytes).
        subject_name: subject Name, DER.
        subject_eui: EUI-64 of the subject, 16 lower-case hexadecimal digits; None if it has none.
        role: OU, if it is two upper-case hexadecimal digits; else None.
        common_name: CN of the subject, if any.
        usage: the key's usage if it is exactly one of those the profiles know, else None.
        key_identifier: subjectKeyIdentifier, 8 octets.
        authority_key_identifier: authorityKeyIdentifier, 8 octets, if present.
        not_before: start of validity (UTC).
        not_after: end of validity (UTC), inclusive.
        policies: certificate policy identifiers, dotted.
        is_authority: basicConstraints says CA.
        path_length: pathLenConstraint, if any.
        is_device: it names its subject by hardwareModuleName.
        critical: dotted identifiers of the critical extensions.
        extensions: dotted identifiers of all extensions, in order.
        dns_names: subjectAltName DNS names (link certificates).
        octets: how the parts are written whose form the profiles prescribe.
    """

    der: bytes = field(repr=False)
    fingerprint: str = field(compare=False, repr=False)
    serial: int = field(compare=False)
    issuer: str = field(compare=False)
    subject: str = field(compare=False)
    issuer_name: bytes = field(compare=False, repr=False)
    subject_name: bytes = field(compare=False, repr=False)
    subject_eui: str | None = field(compare=False)
    role: str | None = field(compare=False)
    common_name: str | None = field(compare=False)
    issuer_common_name: str | None = field(compare=False, repr=False)
    usage: Usage | None = field(compare=False)
    key_identifier: bytes = field(compare=False)
    authority_key_identifier: bytes | None = field(compare=False)
    not_before: datetime = field(compare=False)
    not_after: datetime = field(compare=False)
    policies: tuple[str, ...] = field(compare=False)
    is_authority: bool = field(compare=False)
    path_length: int | None = field(compare=False)
    is_device: bool = field(compare=False)
    critical: frozenset[str] = field(compare=False, repr=False)
    extensions: tuple[str, ...] = field(compare=False, repr=False)
    dns_names: tuple[str, ...] = field(compare=False, repr=False)
    octets: CertificateOctets = field(compare=False, repr=False)
    public_key: ec.EllipticCurvePublicKey = field(compare=False, repr=False)
    x509: x509.Certificate = field(compare=False, repr=False)

    @classmethod
    def from_der(cls, der: bytes) -> Certificate:
        """Read a certificate from DER, nothing before or after it.

        Raises:
            CertificateError: it is not a certificate, its key is not on an elliptic curve, it
                has no 8-octet subject key identifier, or one of its parts cannot be read.
        """
        if len(der) > MAX_CERTIFICATE_OCTETS:
            raise CertificateError(f"longer than {MAX_CERTIFICATE_OCTETS} octets")
        try:
            octets = bytes(der)
            return _CERTIFICATES.of(octets, partial(_read, octets))
        except READ_ERRORS as error:
            raise CertificateError(f"not readable: {error}") from error

    @classmethod
    def from_pem(cls, pem: bytes | str) -> Certificate:
        """Read the one certificate of a PEM text.

        Raises:
            CertificateError: there is not exactly one, or it is not readable.
        """
        data = pem.encode() if isinstance(pem, str) else pem
        try:
            found = x509.load_pem_x509_certificates(data)
        except READ_ERRORS as error:
            raise CertificateError(f"not readable: {error}") from error
        if len(found) != 1:
            raise CertificateError(f"{len(found)} certificates where one was expected")
        return cls.from_der(found[0].public_bytes(Encoding.DER))

    def to_pem(self) -> bytes:
        """Write the certificate as PEM."""
        return self.x509.public_bytes(Encoding.PEM)

    @property
    def simulated(self) -> bool:
        """Whether it carries this project's simulation marks (see `keys.simulated`)."""
        return is_simulated(self.issuer_common_name, self.policies)

    @property
    def subject_unique_id(self) -> bytes:
        """The subject's EUI-64 as 8 octets; eight zeros where it has none (authorities)."""
        return NO_SUBJECT if self.subject_eui is None else bytes.fromhex(self.subject_eui)

    @property
    def authority_id(self) -> str:
        """What names an authority, and so its revocation lists: its name (DER) and key, in hex."""
        return f"{self.subject_name.hex()}:{self.key_identifier.hex()}"

    @property
    def self_issued(self) -> bool:
        """Whether subject and issuer are the same name (only a root is)."""
        return self.subject_name == self.issuer_name


_CERTIFICATES: Kept[bytes, Certificate] = Kept(2048)
"""A system meets few certificates, each many times in one exchange."""


def _read(der: bytes) -> Certificate:
    COUNTS["certificate.parse"] += 1
    parsed = x509.load_der_x509_certificate(der)
    if parsed.version is not x509.Version.v3:
        raise CertificateError("not version 3", "version")
    public_key = parsed.public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        raise CertificateError("not an elliptic curve key", "subjectPublicKeyInfo")
    if parsed.serial_number <= 0:
        raise CertificateError("not positive", "serialNumber")
    extensions = parsed.extensions
    constraints = _value(extensions, x509.BasicConstraints)
    policies = _value(extensions, x509.CertificatePolicies)
    alternative = _value(extensions, x509.SubjectAlternativeName)
    unit = _one_text(parsed.subject, NameOID.ORGANIZATIONAL_UNIT_NAME)
    module = _hardware_serial(alternative)
    return Certificate(
        der=der,
        fingerprint=hashlib.sha256(der).hexdigest(),
        serial=parsed.serial_number,
        issuer=parsed.issuer.rfc4514_string(),
        subject=parsed.subject.rfc4514_string(),
        issuer_name=parsed.issuer.public_bytes(),
        subject_name=parsed.subject.public_bytes(),
        subject_eui=_unique_identifier(parsed.subject) if module is None else module.hex(),
        role=unit if unit is not None and _ROLE.fullmatch(unit) else None,
        common_name=_one_text(parsed.subject, NameOID.COMMON_NAME),
        issuer_common_name=_one_text(parsed.issuer, NameOID.COMMON_NAME),
        usage=_one_usage(_value(extensions, x509.KeyUsage)),
        key_identifier=_subject_key_identifier(extensions),
        authority_key_identifier=_authority_key_identifier(extensions),
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        policies=tuple(p.policy_identifier.dotted_string for p in policies or ()),
        is_authority=constraints is not None and constraints.ca,
        path_length=None if constraints is None else constraints.path_length,
        is_device=module is not None,
        critical=frozenset(e.oid.dotted_string for e in extensions if e.critical),
        extensions=tuple(e.oid.dotted_string for e in extensions),
        dns_names=()
        if alternative is None
        else tuple(alternative.get_values_for_type(x509.DNSName)),
        octets=certificate_octets(der),
        public_key=public_key,
        x509=parsed,
    )


_ONE_USAGE = {
    ("digital_signature",): Usage.DIGITAL_SIGNATURE,
    ("key_agreement",): Usage.KEY_AGREEMENT,
    ("key_cert_sign", "crl_sign"): Usage.KEY_CERT_SIGN,
    ("key_cert_sign",): Usage.KEY_CERT_SIGN,
}
_FLAGS = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


def _one_usage(flags: x509.KeyUsage | None) -> Usage | None:
    if flags is None:
        return None
    if flags.key_agreement and (flags.encipher_only or flags.decipher_only):
        return None
    return _ONE_USAGE.get(tuple(name for name in _FLAGS if getattr(flags, name)))


def _value(extensions: x509.Extensions, kind: type[E]) -> E | None:
    for extension in extensions:
        if isinstance(extension.value, kind):
            return extension.value
    return None


def _one_text(name: x509.Name, oid: x509.ObjectIdentifier) -> str | None:
    found = name.get_attributes_for_oid(oid)
    if len(found) > 1:
        raise CertificateError(f"{len(found)} attributes {oid.dotted_string}", "name")
    return str(found[0].value) if found else None


def _unique_identifier(subject: x509.Name) -> str | None:
    """EUI-64 from x500UniqueIdentifier: BIT STRING content 00 (no unused bits), 8 octets."""
    found = subject.get_attributes_for_oid(NameOID.X500_UNIQUE_IDENTIFIER)
    if not found:
        return None
    value = found[0].value
    if len(found) > 1 or not isinstance(value, bytes) or len(value) != 9 or value[0] != 0:
        raise CertificateError("not one BIT STRING of 64 bits", "x500UniqueIdentifier")
    return value[1:].hex()


def _hardware_serial(alternative: x509.SubjectAlternativeName | None) -> bytes | None:
    names = [] if alternative is None else alternative.get_values_for_type(x509.OtherName)
    modules = [name for name in names if name.type_id == HARDWARE_MODULE_NAME]
    if len(modules) > 1:
        raise CertificateError("more than one hardwareModuleName", "subjectAltName")
    return read_hardware_module_name(modules[0].value) if modules else None


def _subject_key_identifier(extensions: x509.Extensions) -> bytes:
    found = _value(extensions, x509.SubjectKeyIdentifier)
    if found is None or len(found.digest) != 8:
        raise CertificateError("not 8 octets", "subjectKeyIdentifier")
    return found.digest


def _authority_key_identifier(extensions: x509.Extensions) -> bytes | None:
    found = _value(extensions, x509.AuthorityKeyIdentifier)
    if found is None:
        return None
    if found.authority_cert_issuer is not None or found.key_identifier is None:
        raise CertificateError("not a bare key identifier", "authorityKeyIdentifier")
    if len(found.key_identifier) != 8:
        raise CertificateError("not 8 octets", "authorityKeyIdentifier")
    return found.key_identifier


def require_simulated(certificate: Certificate) -> None:
    """Refuse a certificate that is not marked as simulated.

    Raises:
        NotSimulated: the issuer's common name or the certificate policy is not ours.
    """
    if not certificate.simulated:
        raise NotSimulated(
            f"issued by {certificate.issuer!r} under policy {list(certificate.policies)}: "
            f"only material issued by a {ISSUER_PREFIX} authority under {sorted(POLICIES)} "
            "is accepted here",
            "certificatePolicies",
        )
