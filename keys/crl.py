"""Certificate revocation lists: made by an authority, read and verified by everyone else.

Profile: X.509 v2 list with CRL number and authority key identifier (RFC 5280 5). Devices do not
check revocation; the data company and the users do before they send (a reconstruction,
docs/sources.md #hierarchy).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from keys.certificate import Certificate
from keys.errors import RevocationListError
from keys.octets import READ_ERRORS, members, time_fault, whole_octets_fault
from keys.sign_with import SignRaw, sign_revocation_list
from keys.tally import COUNTS

MAX_LIST_OCTETS = 16 * 1024 * 1024
LIST_DAYS = 3650
"""Days until the next list is due. The simulated authorities are offline after the ceremony and
issue a list only when something is revoked, so a list lives as long as the certificates on it."""
MAX_NUMBER = (1 << 159) - 1
"""The greatest CRL number: at most 20 octets, and not negative (RFC 5280 5.2.3)."""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What a revocation list says; nothing is verified until `verify` has passed.

    Attributes:
        der: the list exactly as received.
        issuer: issuer name as DUIS writes it, e.g. "CN=SIM-Z1,OU=07".
        issuer_name: issuer Name, DER.
        number: CRL number.
        this_update: when it was issued (UTC).
        next_update: when the next one is due (UTC).
        serials: serial numbers of the revoked certificates.
        authority_key_identifier: 8-octet key identifier of the issuer.
    """

    der: bytes = field(repr=False)
    issuer: str = field(compare=False)
    issuer_name: bytes = field(compare=False, repr=False)
    number: int = field(compare=False)
    this_update: datetime = field(compare=False)
    next_update: datetime = field(compare=False)
    serials: frozenset[int] = field(compare=False)
    authority_key_identifier: bytes = field(compare=False)

    @property
    def authority_id(self) -> str:
        """Whose list it says it is: `Certificate.authority_id` of that authority."""
        return f"{self.issuer_name.hex()}:{self.authority_key_identifier.hex()}"

    def signed_by(self, issuer: Certificate) -> bool:
        """Say whether the issuer's key made the list's signature."""
        COUNTS["crl.verify"] += 1
        parsed = x509.load_der_x509_crl(self.der)
        try:
            return parsed.is_signature_valid(issuer.public_key)
        except (TypeError, ValueError, UnsupportedAlgorithm):
            return False

    def genuine(self, authorities: Iterable[Certificate]) -> bool:
        """Say whether one of these authorities issued and signed it."""
        return any(
            one.authority_id == self.authority_id and self.signed_by(one) for one in authorities
        )

    def to_pem(self) -> bytes:
        """Write the list as PEM."""
        return x509.load_der_x509_crl(self.der).public_bytes(Encoding.PEM)


def make_crl(
    issuer: Certificate,
    sign: SignRaw,
    *,
    number: int,
    this_update: datetime,
    next_update: datetime,
    revoked: Mapping[int, datetime],
) -> bytes:
    """Make a revocation list, DER.

    Args:
        issuer: the authority's certificate.
        sign: the authority's key: octets in, raw 64-octet r||s out.
        number: CRL number, greater than that of the list it replaces.
        this_update: when it is issued.
        next_update: when the next one is due.
        revoked: serial number to revocation time.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.x509.subject)
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(
            x509.AuthorityKeyIdentifier(issuer.key_identifier, None, None), critical=False
        )
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial, at in sorted(revoked.items()):
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
        )
    return sign_revocation_list(builder, sign)


def read_crl(der: bytes) -> RevocationList:
    """Read a revocation list from DER.

    Raises:
        RevocationListError: it is not a complete v2 list with number (of at most 20 octets), next
            update and an 8-octet authority key identifier, it has a critical extension, or a part
            of it is not written as RFC 5280 5.1.2.4 and DER demand.
    """
    if len(der) > MAX_LIST_OCTETS:
        raise RevocationListError(f"longer than {MAX_LIST_OCTETS} octets")
    try:
        found = _read(bytes(der))
    except READ_ERRORS as error:
        raise RevocationListError(f"not readable: {error}") from error
    _check_forms(found.der)
    return found


def _check_forms(der: bytes) -> None:
    """Hold times and signature to the one way they are written.

    Raises:
        RevocationListError: as `read_crl`.
    """
    content, _, signature = members(der)
    # version, algorithm and issuer come before thisUpdate and nextUpdate
    for fault in (*map(time_fault, members(content)[3:5]), whole_octets_fault(signature)):
        if fault is not None:
            raise RevocationListError(fault)


def read_crl_pem(pem: bytes) -> RevocationList:
    """Read a revocation list from PEM.

    Raises:
        RevocationListError: as `read_crl`.
    """
    try:
        der = x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)
    except READ_ERRORS as error:
        raise RevocationListError(f"not readable: {error}") from error
    return read_crl(der)


def revocation_times(crl: RevocationList) -> dict[int, datetime]:
    """Give the revocation time of every serial number on a list, for its successor."""
    parsed = x509.load_der_x509_crl(crl.der)
    return {entry.serial_number: entry.revocation_date_utc for entry in parsed}


def _read(der: bytes) -> RevocationList:
    COUNTS["crl.parse"] += 1
    parsed = x509.load_der_x509_crl(der)
    if parsed.next_update_utc is None:
        raise RevocationListError("no nextUpdate")
    entries = list(parsed)
    extensions = [*parsed.extensions, *(e for entry in entries for e in entry.extensions)]
    critical = [e.oid.dotted_string for e in extensions if e.critical]
    if critical:
        # A delta list or one of limited scope, read as a whole one, would un-revoke.
        raise RevocationListError(f"critical extension {critical[0]}")
    identifier = parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    if identifier.key_identifier is None or len(identifier.key_identifier) != 8:
        raise RevocationListError("authorityKeyIdentifier is not 8 octets")
    number = parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    if not 0 <= number <= MAX_NUMBER:
        raise RevocationListError("cRLNumber is not of 1 to 20 octets")
    return RevocationList(
        der=der,
        issuer=parsed.issuer.rfc4514_string(),
        issuer_name=parsed.issuer.public_bytes(),
        number=number,
        this_update=parsed.last_update_utc,
        next_update=parsed.next_update_utc,
        serials=frozenset(entry.serial_number for entry in entries),
        authority_key_identifier=identifier.key_identifier,
    )
