"""Certification path validation, written out so that every failure can be told from every other.

A subset of RFC 5280 6.1, made stricter by the profiles of GBCS 12 (docs/sources.md#certificates):
one policy all the way down, one usage per key, names compared octet by octet, issuers chosen by
name and key identifier. The functions are pure: the same octets and time give the same verdict, so
a verdict may be cached by content.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from keys.certificate import Certificate
from keys.crl import RevocationList, read_crl
from keys.errors import PathError, PathFailure, RevocationListError
from keys.profile_rules import (
    Broken,
    ProfileRule,
    broken_rules,
    is_ecdsa_with_sha256,
    profile_of,
    public_key_form,
)
from keys.roles import Usage
from keys.tally import COUNTS

MAX_INTERMEDIATES = 8
"""A service request carries at most 3 path certificates (DUIS 5.4 schema)."""

_FAILURE_OF_RULE = {
    ProfileRule.CURVE: PathFailure.CURVE,
    ProfileRule.PUBLIC_KEY_FORM: PathFailure.PUBLIC_KEY_FORM,
    ProfileRule.BIT_STRING: PathFailure.ENCODING,
    ProfileRule.TIME_FORM: PathFailure.ENCODING,
    ProfileRule.USAGE: PathFailure.KEY_USAGE,
    ProfileRule.BASIC_CONSTRAINTS: PathFailure.BASIC_CONSTRAINTS,
    ProfileRule.POLICY: PathFailure.POLICY,
    ProfileRule.CRITICAL_EXTENSION: PathFailure.CRITICAL_EXTENSION,
}


def validate_path(
    leaf: Certificate,
    intermediates: Sequence[Certificate],
    anchor: Certificate,
    *,
    at: datetime | None,
    crls: Sequence[bytes] | None = None,
) -> tuple[Certificate, ...]:
    """Find and check the path from a certificate to a trust anchor.

    The checks run in this order: the anchor itself; issuer and signature of each certificate,
    from the leaf up; path length; the profile of each certificate below the anchor; policy;
    validity at the time; revocation. As in RFC 5280 the anchor's own validity and signature are
    not checked: it is trusted because it is held.

    Args:
        leaf: the certificate in question.
        intermediates: authorities that may stand between; those not needed are ignored.
        anchor: the trusted authority.
        at: the time asked about (aware); None disapplies all time checks, as
            `applyTimeBasedCPVChecks` disapply does (GBCS CS02b).
        crls: revocation lists, DER; None: revocation is not checked (devices do not). When
            given, the list of the leaf's issuer must be among them; the lists of issuers
            further up are used where they are.

    Returns:
        The path, leaf first and anchor last.

    Raises:
        PathError: with the failure that was found first.
    """
    COUNTS["path"] += 1
    _check_anchor(leaf, anchor)
    if len(intermediates) > MAX_INTERMEDIATES:
        raise PathError(
            PathFailure.TOO_MANY_CERTIFICATES,
            f"at most {MAX_INTERMEDIATES} expected, found {len(intermediates)}",
        )
    path = _build(leaf, intermediates, anchor)
    _check_path_lengths(path)
    for certificate in path[:-1]:
        for broken in broken_rules(certificate, profile_of(certificate)):
            raise _refused(certificate, broken)
    _check_policy(path)
    if at is not None:
        for certificate in path[:-1]:
            _check_time(certificate, at)
    if crls is not None:
        _check_revocation(path, crls, at)
    return path


def _name(certificate: Certificate) -> str:
    subject = certificate.subject_eui or certificate.subject or "(no subject)"
    return f"{subject} issued by {certificate.issuer}, serial {certificate.serial}"


def _refused(certificate: Certificate, broken: Broken) -> PathError:
    failure = _FAILURE_OF_RULE.get(broken.rule, PathFailure.WRONG_PROFILE)
    return PathError(failure, f"{_name(certificate)}: {broken.rule.value}: {broken.detail}")


def _check_anchor(leaf: Certificate, anchor: Certificate) -> None:
    if not anchor.is_authority or anchor.usage is not Usage.KEY_CERT_SIGN:
        raise PathError(PathFailure.ANCHOR, f"{_name(anchor)} is not an authority")
    if leaf.der == anchor.der:
        raise PathError(PathFailure.ANCHOR, f"{_name(leaf)} is the trust anchor itself")


def _build(
    leaf: Certificate, intermediates: Sequence[Certificate], anchor: Certificate
) -> tuple[Certificate, ...]:
    path = [leaf]
    unused = [c for c in dict.fromkeys(intermediates) if c not in (leaf, anchor)]
    while path[-1] != anchor:
        issuer = _issuer(path[-1], [anchor, *unused])
        path.append(issuer)
        if issuer != anchor:
            unused.remove(issuer)
    return tuple(path)


def _issuer(child: Certificate, candidates: Sequence[Certificate]) -> Certificate:
    """Choose the first candidate that can have issued the child, or give the first reason."""
    refusals: list[PathError] = []
    for candidate in candidates:
        if candidate.subject_name != child.issuer_name or child.authority_key_identifier not in (
            candidate.key_identifier,
            None,
        ):
            continue
        try:
            _check_issued(child, candidate)
        except PathError as refusal:
            refusals.append(refusal)
        else:
            return candidate
    if refusals:
        raise refusals[0]
    wanted = (
        "none" if child.authority_key_identifier is None else child.authority_key_identifier.hex()
    )
    raise PathError(
        PathFailure.UNKNOWN_ISSUER,
        f"{_name(child)}: nobody supplied has that name and key identifier {wanted}",
    )


def _check_issued(child: Certificate, issuer: Certificate) -> None:
    if not issuer.is_authority:
        raise PathError(PathFailure.BASIC_CONSTRAINTS, f"{_name(issuer)} is not an authority")
    if issuer.usage is not Usage.KEY_CERT_SIGN:
        raise PathError(PathFailure.KEY_USAGE, f"{_name(issuer)} may not sign certificates")
    if not isinstance(issuer.public_key.curve, ec.SECP256R1):
        raise PathError(PathFailure.CURVE, f"{_name(issuer)} has a key that is not on P-256")
    if fault := public_key_form(issuer):
        raise PathError(PathFailure.PUBLIC_KEY_FORM, f"{_name(issuer)}: {fault}")
    if not is_ecdsa_with_sha256(child):
        raise PathError(
            PathFailure.SIGNATURE_ALGORITHM,
            f"{_name(child)}: ecdsa-with-SHA256 expected, found "
            f"{child.x509.signature_algorithm_oid.dotted_string}",
        )
    COUNTS["certificate.verify"] += 1
    try:
        child.x509.verify_directly_issued_by(issuer.x509)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise PathError(
            PathFailure.SIGNATURE, f"{_name(child)}: not signed by the key of {_name(issuer)}"
        ) from error


def _check_path_lengths(path: Sequence[Certificate]) -> None:
    for below, authority in enumerate(path[1:]):
        # Authorities between this one and the leaf; self-issued ones are not counted twice
        # because none but the root is self-issued here.
        if authority.path_length is not None and below > authority.path_length:
            raise PathError(
                PathFailure.PATH_LENGTH,
                f"{_name(authority)} allows {authority.path_length} authorities below it, "
                f"found {below}",
            )


def _check_policy(path: Sequence[Certificate]) -> None:
    for child, issuer in pairwise(path):
        if child.policies != issuer.policies:
            raise PathError(
                PathFailure.POLICY,
                f"{_name(child)}: policy {list(child.policies)} is not its issuer's "
                f"{list(issuer.policies)}",
            )


def _check_time(certificate: Certificate, at: datetime) -> None:
    if at < certificate.not_before:
        raise PathError(
            PathFailure.NOT_YET_VALID,
            f"{_name(certificate)}: valid from {certificate.not_before.isoformat()}, "
            f"asked at {at.isoformat()}",
        )
    if at > certificate.not_after:
        raise PathError(
            PathFailure.EXPIRED,
            f"{_name(certificate)}: valid until {certificate.not_after.isoformat()}, "
            f"asked at {at.isoformat()}",
        )


def _check_revocation(
    path: Sequence[Certificate], crls: Sequence[bytes], at: datetime | None
) -> None:
    lists: list[RevocationList] = []
    for der in crls:
        try:
            lists.append(read_crl(der))
        except RevocationListError as error:
            raise PathError(PathFailure.CRL_MALFORMED, str(error)) from error
    for child, issuer in pairwise(path):
        own = [item for item in lists if item.authority_id == issuer.authority_id]
        if not own and child is path[0]:
            raise PathError(PathFailure.CRL_MISSING, f"no revocation list of {_name(issuer)}")
        genuine = [item for item in own if item.signed_by(issuer)]
        if own and not genuine:
            raise PathError(
                PathFailure.CRL_SIGNATURE,
                f"revocation list {own[0].number} of {own[0].issuer} was not signed by it",
            )
        if genuine:
            # Of several genuine lists the one with the highest number counts; one that is not
            # genuine says nothing, of itself or of the others.
            newest = max(genuine, key=lambda item: item.number)
            _check_list_time(newest, at)
            if child.serial in newest.serials:
                raise PathError(
                    PathFailure.REVOKED, f"{_name(child)}: on revocation list {newest.number}"
                )


def _check_list_time(item: RevocationList, at: datetime | None) -> None:
    if at is not None and at < item.this_update:
        raise PathError(
            PathFailure.CRL_NOT_YET_VALID,
            f"revocation list {item.number} of {item.issuer} is from "
            f"{item.this_update.isoformat()}, asked at {at.isoformat()}",
        )
    if at is not None and at > item.next_update:
        raise PathError(
            PathFailure.CRL_STALE,
            f"revocation list {item.number} of {item.issuer} was due for renewal "
            f"{item.next_update.isoformat()}, asked at {at.isoformat()}",
        )
