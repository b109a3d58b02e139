"""A device's checks on a certificate before it goes into a cell, and the status each refusal gives.

Order and rules: docs/sources.md#device-checks step 10 (reconstruction); noTrustAnchor for a
path that cannot be built is confirmed by RTDS vectors, trustAnchorNotFound for a cell that is not
there by CS02a vectors; that an expired certificate is a badCertificate is a reconstruction. Devices
do not check revocation (docs/sources.md#hierarchy).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature

from gbcs.codes import RemotePartyRole, StatusCode
from keys.certificate import Certificate
from keys.errors import PathError, PathFailure
from keys.path import validate_path
from keys.profile_rules import Broken, Profile, broken_rules
from meter_sim.device.rules.evidence import Candidate
from services.chassis.checks import CheckFailed, check

SECTION: Final = "certificate"
VERDICTS_KEPT = 1024
_OF_PROFILE = frozenset(
    {
        PathFailure.CURVE,
        PathFailure.PUBLIC_KEY_FORM,
        PathFailure.ENCODING,
        PathFailure.SIGNATURE_ALGORITHM,
        PathFailure.KEY_USAGE,
        PathFailure.BASIC_CONSTRAINTS,
        PathFailure.POLICY,
        PathFailure.CRITICAL_EXTENSION,
        PathFailure.WRONG_PROFILE,
    }
)
_SOURCE = "docs/sources.md#device-checks step 10 (reconstruction)"


def expected_role(role: RemotePartyRole) -> str:
    """The OU that certificates of this role carry: two upper-case hexadecimal digits."""
    return f"{int(role):02X}"


@check("meter.certificate.cell", source="docs/sources.md#device-checks, #outcomes")
def cell(candidate: Candidate) -> None:
    """The device has the cell."""
    if candidate.held is None:
        raise CheckFailed("this device has no such cell", None, candidate.cell.name)


def _readable(candidate: Candidate) -> Certificate:
    if candidate.certificate is None:
        raise CheckFailed("not a certificate that can be read", "an X.509 certificate on P-256")
    return candidate.certificate


@check("meter.certificate.profile", source="GBCS 0.8.1 p141-145; docs/sources.md#certificates")
def profile(candidate: Candidate) -> None:
    """The certificate obeys the profile of GBCS 12."""
    certificate = _readable(candidate)
    wanted = Profile.ROOT if _is_root(candidate) else Profile.ORGANISATION
    for broken in _broken(certificate, wanted):
        raise CheckFailed(broken.detail, f"profile rule {broken.rule.value}")


@check("meter.certificate.role", source=_SOURCE)
def role(candidate: Candidate) -> None:
    """Its OU is the cell's role."""
    found = _readable(candidate).role
    expected = expected_role(candidate.cell.role)
    if found != expected:
        raise CheckFailed("the certificate is of another role", expected, found)


@check("meter.certificate.key_usage", source=_SOURCE)
def key_usage(candidate: Candidate) -> None:
    """Its key usage is the cell's."""
    usage = _readable(candidate).usage
    found = None if usage is None else usage.value
    if found != candidate.cell.key_usage.label:
        raise CheckFailed(
            "the key is for another use than the cell", candidate.cell.key_usage.label, found
        )


@check("meter.certificate.validity", source=_SOURCE)
def validity(candidate: Candidate) -> None:
    """It is valid now, unless the Command disapplies time."""
    if candidate.at is None:
        return
    for certificate in _chain(_readable(candidate), candidate.path):
        if not certificate.not_before <= candidate.at <= certificate.not_after:
            raise CheckFailed(
                f"certificate {certificate.serial} of {certificate.issuer} is not valid now",
                f"{certificate.not_before.isoformat()} to {certificate.not_after.isoformat()}",
                candidate.at.isoformat(),
            )


@check("meter.certificate.path", source="docs/sources.md#outcomes; confirmed by RTDS vectors")
def path(candidate: Candidate) -> None:
    """A path leads from it to the root that the device holds."""
    leaf = _readable(candidate)
    if candidate.root is None:
        raise CheckFailed("the device holds no root certificate")
    if _is_root(candidate) and candidate.by_contingency:
        _check_signed_by_itself(leaf)
        return
    if _is_root(candidate):
        _check_root_succession(leaf, candidate.path, candidate.root)
        return
    error = _path_error(leaf, candidate.path, candidate.root)
    if error is None:
        return
    if error.failure in _OF_PROFILE and _broken(leaf, Profile.ORGANISATION):
        return  # the certificate's own profile is for the check before, if that is on
    raise CheckFailed(str(error), f"a path to root {candidate.root.subject}")


@lru_cache(maxsize=VERDICTS_KEPT)
def _path_error(
    leaf: Certificate, path: tuple[Certificate, ...], root: Certificate
) -> PathError | None:
    """Why no path leads from leaf to root, time apart. Pure, so the verdict is kept by content."""
    try:
        validate_path(leaf, path, root, at=None)
    except PathError as error:
        return error.with_traceback(None)
    return None


@lru_cache(maxsize=VERDICTS_KEPT)
def _broken(certificate: Certificate, profile: Profile) -> tuple[Broken, ...]:
    """Which rules of a profile a certificate breaks. Pure, so the verdict is kept by content."""
    return broken_rules(certificate, profile)


def _check_root_succession(
    new: Certificate, path: tuple[Certificate, ...], old: Certificate
) -> None:
    """A new root is believed if a path certificate carries its key, signed by the old root.

    Reconstruction: the "new with old" certificate of RFC 4210 4.4; no vector replaces a root.
    """
    for link in path:
        same_key = link.subject_name == new.subject_name and link.public_key == new.public_key
        if same_key and link.issuer_name == old.subject_name and link.is_authority:
            try:
                link.x509.verify_directly_issued_by(old.x509)
            except (InvalidSignature, ValueError, TypeError):
                continue
            return
    raise CheckFailed("the root that is held did not sign the new root's key", old.subject)


def _check_signed_by_itself(new: Certificate) -> None:
    """A root that the contingency key vouches for: see meter_sim.device.contingency."""
    try:
        new.x509.verify_directly_issued_by(new.x509)
    except (InvalidSignature, ValueError, TypeError):
        raise CheckFailed("the new root is not signed by itself", new.subject) from None


def _is_root(candidate: Candidate) -> bool:
    return candidate.cell.role is RemotePartyRole.ROOT


def _chain(leaf: Certificate, path: tuple[Certificate, ...]) -> list[Certificate]:
    """The certificate and those of the supplied ones that stand above it."""
    chain, unused = [leaf], list(path)
    while above := next(
        (
            other
            for other in unused
            if other.subject_name == chain[-1].issuer_name
            and chain[-1].authority_key_identifier in (other.key_identifier, None)
        ),
        None,
    ):
        chain.append(above)
        unused.remove(above)
    return chain


STATUS_OF_CHECK: dict[str, StatusCode] = {
    cell.id: StatusCode.TRUST_ANCHOR_NOT_FOUND,
    profile.id: StatusCode.BAD_CERTIFICATE,
    role.id: StatusCode.BAD_CERTIFICATE,
    key_usage.id: StatusCode.BAD_CERTIFICATE,
    validity.id: StatusCode.BAD_CERTIFICATE,
    path.id: StatusCode.NO_TRUST_ANCHOR,
}
"""What a response says of a cell when this check refused its certificate."""
