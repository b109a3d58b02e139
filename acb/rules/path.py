"""How a check judges a certificate's path."""

from __future__ import annotations

from typing import Final

from acb.model import PathEvidence
from keys.certificate import Certificate
from keys.errors import PathError, PathFailure
from keys.path import validate_path
from services.chassis.checks import CheckFailed

UNREFRESHED: Final = "crl_unrefreshed"
"""The lists are genuine and current by their dates, but nobody could say so for too long."""

_REVOCATION = frozenset(
    {
        UNREFRESHED,
        PathFailure.REVOKED,
        PathFailure.CRL_MISSING,
        PathFailure.CRL_MALFORMED,
        PathFailure.CRL_SIGNATURE,
        PathFailure.CRL_NOT_YET_VALID,
        PathFailure.CRL_STALE,
    }
)


def require_unrevoked(certificate: Certificate, path: PathEvidence) -> None:
    """Be satisfied that nothing on the path is revoked, by lists that are themselves good.

    Everything else about the path is another check's business: two checks that refuse for the
    same reason cannot be told apart, and neither can be shown to matter.

    Raises:
        CheckFailed: naming the failure (`keys.errors.PathFailure`).
    """
    try:
        require_path(certificate, path, revocation=True)
    except CheckFailed as failed:
        if failed.found in _REVOCATION:
            raise


def require_path(certificate: Certificate, path: PathEvidence, *, revocation: bool) -> None:
    """Be satisfied that the certificate leads to the anchor at that time.

    Args:
        certificate: the one in question.
        path: what it is judged by.
        revocation: whether revocation lists are looked at too. They must then be there, signed
            and current.

    Raises:
        CheckFailed: naming the failure (`keys.errors.PathFailure`, or `UNREFRESHED`).
    """
    try:
        validate_path(
            certificate,
            path.intermediates,
            path.anchor,
            at=path.now,
            crls=path.revocation_lists if revocation else None,
        )
    except PathError as error:
        raise CheckFailed(str(error), found=error.failure.value) from error
    if revocation and path.unrefreshed is not None:
        raise CheckFailed(f"the revocation lists are {path.unrefreshed}", found=UNREFRESHED)
