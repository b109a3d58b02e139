"""The checks on the certificates the device is to trust from now on.

By signing, the CoS Party warrants that these are the incoming supplier's (ECoS separation
consultation, paragraph 2). Devices check paths themselves but no revocation, and know nothing of
participants; so a certificate wrongly let through here is not caught later.

Validity in time is always judged, by the party's own clock, for the moment the device will act:
the execution date, or now. ``ApplyTimeBasedCPVChecks`` false tells only the *device* to leave its
clock out of it, because a device's clock may not be reliable; the party's is a reconstruction.
"""

from __future__ import annotations

from collections.abc import Iterator

from cos_party.model import RequestEvidence
from cos_party.rules.registration import decisive_moment
from cos_party.rules.revocation import revoked_in, revoked_where_listed
from cos_party.rules.sources import OBLIGATIONS, PROFILES, WARRANT
from gbcs.codes import KeyUsage
from gbcs.payloads.credentials import CellId
from keys.certificate import Certificate
from keys.errors import PathError
from keys.path import validate_path
from keys.roles import OrganisationRole, Usage
from keys.simulated import ORGANISATION_POLICY
from services.chassis.checks import CheckFailed, check, need

USAGE_OF_CELL = {
    KeyUsage.DIGITAL_SIGNATURE: Usage.DIGITAL_SIGNATURE,
    KeyUsage.KEY_AGREEMENT: Usage.KEY_AGREEMENT,
}
"""What a certificate's key must be for, by what the key of its cell is for."""


@check("certificates.profile", source=PROFILES, code="K01")
def profile(evidence: RequestEvidence) -> None:
    """Every certificate is readable and of its profile."""
    need(evidence.reading.request, "service request")
    for index, path_certificate in enumerate(evidence.path_certificates, start=1):
        where = f"path certificate {index}"
        if path_certificate.certificate is None:
            raise CheckFailed(f"{where} cannot be read: {path_certificate.failure}")
        _of_organisation(path_certificate.certificate, where)
        if not path_certificate.certificate.is_authority:
            raise CheckFailed(f"{where} is not an authority's", expected="an authority")
    for replacement in evidence.replacements:
        where = replacement.cell.name
        if replacement.certificate is None:
            raise CheckFailed(f"the certificate for {where} cannot be read: {replacement.failure}")
        _of_organisation(replacement.certificate, where)
        if replacement.certificate.is_authority or replacement.certificate.is_device:
            raise CheckFailed(
                f"the certificate for {where} is not an organisation's",
                expected="an organisation certificate",
                found="a device's" if replacement.certificate.is_device else "an authority's",
            )


@check("certificates.role", source=OBLIGATIONS, code="K02")
def role(evidence: RequestEvidence) -> None:
    """Every replacement is a supplier's certificate (OU 02)."""
    for cell, certificate in _replacements(evidence):
        if certificate.role != OrganisationRole.SUPPLIER:
            raise CheckFailed(
                f"the certificate for {cell.name} is not a supplier's",
                expected=f"OU {OrganisationRole.SUPPLIER.value}",
                found=f"OU {certificate.role}",
            )


@check("certificates.owner", source=WARRANT, code="K03")
def owner(evidence: RequestEvidence) -> None:
    """Every replacement belongs to the requester's participant."""
    copy = need(evidence.registration, "registration data")
    request = need(evidence.reading.request, "service request")
    allowed = copy.euis_with(request.header.request_id.originator)
    for cell, certificate in _replacements(evidence):
        if certificate.subject_eui not in allowed:
            raise CheckFailed(
                f"the certificate for {cell.name} belongs to another participant",
                expected=", ".join(sorted(allowed)) or "an identifier of a known participant",
                found=str(certificate.subject_eui),
            )


@check("certificates.usage", source="docs/sources.md#update-payload, #device-checks", code="K04")
def usage(evidence: RequestEvidence) -> None:
    """Every replacement is for what its cell is for."""
    for cell, certificate in _replacements(evidence):
        wanted = USAGE_OF_CELL[cell.key_usage]
        if certificate.usage != wanted:
            raise CheckFailed(
                f"the certificate for {cell.name} is for another use",
                expected=wanted.value,
                found=str(certificate.usage),
            )


@check("certificates.path", source="docs/sources.md#device-checks, #outcomes", code="K05")
def path(evidence: RequestEvidence) -> None:
    """Every replacement leads to the root through the path supplied.

    The device will have nothing else: the party's own copies of the authorities do not count.
    """
    moment = decisive_moment(evidence)
    supplied = _supplied(evidence)
    for cell, certificate in _replacements(evidence):
        try:
            validate_path(certificate, supplied, evidence.trust.organisation_root, at=moment)
        except PathError as error:
            raise CheckFailed(
                f"the certificate for {cell.name}: {error.detail}",
                expected="a complete path to the organisation root",
                found=error.failure.value,
            ) from error


@check("certificates.revoked", source=OBLIGATIONS, code="K06")
def revoked(evidence: RequestEvidence) -> None:
    """No replacement is revoked.

    The list that covers a replacement must be held and current. A list that covers an authority
    is used where one is held: the estate's root issues none (reconstruction).
    """
    revoked_in(
        evidence.revocations,
        tuple(certificate for _, certificate in _replacements(evidence)),
        evidence.at,
    )
    revoked_where_listed(evidence.revocations, _supplied(evidence), evidence.at)


@check(
    "certificates.path_unused",
    source="reconstruction: nothing goes to a device that it does not need",
    code="K07",
)
def path_unused(evidence: RequestEvidence) -> None:
    """No path certificate is without use."""
    supplied = _supplied(evidence)
    if len({certificate.der for certificate in supplied}) != len(supplied):
        raise CheckFailed("a path certificate is supplied twice", expected="each once")
    needed: set[bytes] = set()
    for _, certificate in _replacements(evidence):
        needed.update(_issuers(certificate, supplied, evidence.trust.organisation_root))
    for index, certificate in enumerate(supplied, start=1):
        if certificate.der not in needed:
            raise CheckFailed(
                f"path certificate {index} leads to none of the replacements",
                expected="only certificates that a path needs",
                found=certificate.common_name or certificate.fingerprint,
            )


@check(
    "certificates.distinct",
    source="GBCS 0.8.1 p141: one certificate, one key usage",
    code="K08",
)
def distinct(evidence: RequestEvidence) -> None:
    """No key serves two cells."""
    seen: dict[bytes, CellId] = {}
    for cell, certificate in _replacements(evidence):
        first = seen.setdefault(certificate.key_identifier, cell)
        if first != cell:
            raise CheckFailed(
                f"{first.name} and {cell.name} would hold the same key",
                expected="a key of its own for each cell",
                found=f"key identifier {certificate.key_identifier.hex()}",
            )


def _of_organisation(certificate: Certificate, where: str) -> None:
    if not certificate.simulated or ORGANISATION_POLICY not in certificate.policies:
        raise CheckFailed(
            f"the certificate for {where} is not of the simulated organisation profile",
            expected=f"issued by a SIM- authority under policy {ORGANISATION_POLICY}",
            found=f"issued by {certificate.issuer} under {', '.join(certificate.policies)}",
        )


def _replacements(evidence: RequestEvidence) -> Iterator[tuple[CellId, Certificate]]:
    need(evidence.reading.request, "service request")
    for replacement in evidence.replacements:
        what = f"readable certificate for {replacement.cell.name}"
        yield replacement.cell, need(replacement.certificate, what)


def _supplied(evidence: RequestEvidence) -> tuple[Certificate, ...]:
    need(evidence.reading.request, "service request")
    return tuple(
        need(item.certificate, "readable path certificate") for item in evidence.path_certificates
    )


def _issuers(
    leaf: Certificate, supplied: tuple[Certificate, ...], anchor: Certificate
) -> set[bytes]:
    """The supplied certificates between `leaf` and the anchor, which the device has already."""
    found: set[bytes] = set()
    child = leaf
    while True:
        above = next(
            (
                certificate
                for certificate in supplied
                if certificate.der not in found
                and certificate.der != anchor.der
                and certificate.subject_name == child.issuer_name
                and certificate.key_identifier == child.authority_key_identifier
            ),
            None,
        )
        if above is None:
            return found
        found.add(above.der)
        child = above
