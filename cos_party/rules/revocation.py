"""Whether a certificate is authentic, and whether it is revoked, by the party's own copies.

Devices check no revocation (docs/sources.md#hierarchy), so this is the last place that does. A list
counts only if its authority signed it, which is settled when it is pulled
(`services.link.revocation_lists`); whether it covers a certificate and is current is asked here,
for each decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from cos_party.model import Revocations
from keys.certificate import Certificate
from keys.crl import RevocationList
from keys.errors import PathError
from keys.path import validate_path
from services.chassis.checks import CheckFailed
from services.link.authorities import Authorities


def authentic(certificate: Certificate, trust: Authorities) -> bool:
    """Whether the certificate leads to one of the party's own anchors, whenever it holds."""
    paths = (
        (trust.organisation_authorities, trust.organisation_root),
        (trust.device_authorities, trust.device_root),
    )
    for intermediates, anchor in paths:
        try:
            validate_path(certificate, intermediates, anchor, at=None)
        except PathError:
            continue
        return True
    return False


def revoked_in(revocations: Revocations, certificates: Sequence[Certificate], at: datetime) -> None:
    """No certificate is revoked, and each is covered by a list that is current at `at`.

    Raises:
        CheckFailed: one is revoked, or nothing current says that it is not, or the lists could not
            be refreshed for too long.
    """
    for certificate in certificates:
        item = _list_for(revocations, certificate)
        if item is None:
            raise CheckFailed(
                f"no revocation list of {certificate.issuer} is held",
                expected="a current revocation list",
            )
        _current(item, at)
        _not_listed(item, certificate)
    if certificates and revocations.unrefreshed is not None:
        raise CheckFailed(
            f"the revocation lists are {revocations.unrefreshed}",
            expected="lists that the SMKI repository called current lately",
        )


def revoked_where_listed(
    revocations: Revocations, certificates: Iterable[Certificate], at: datetime
) -> None:
    """As `revoked_in`, but a certificate no list covers passes.

    Raises:
        CheckFailed: one is revoked, or the list that covers it is not current.
    """
    covered = [c for c in certificates if _list_for(revocations, c) is not None]
    revoked_in(revocations, covered, at)


def _list_for(revocations: Revocations, certificate: Certificate) -> RevocationList | None:
    """The list of the certificate's issuer, by name and key identifier."""
    found = [
        item
        for item in revocations.lists
        if item.issuer_name == certificate.issuer_name
        and item.authority_key_identifier == certificate.authority_key_identifier
    ]
    return max(found, key=lambda item: item.number, default=None)


def _current(item: RevocationList, at: datetime) -> None:
    if not item.this_update <= at <= item.next_update:
        raise CheckFailed(
            f"the revocation list of {item.issuer} is not current",
            expected=f"{item.this_update.isoformat()} to {item.next_update.isoformat()}",
            found=at.isoformat(),
        )


def _not_listed(item: RevocationList, certificate: Certificate) -> None:
    if certificate.serial in item.serials:
        raise CheckFailed(
            f"revoked by {item.issuer} (list {item.number})",
            expected="not revoked",
            found=f"serial {certificate.serial}",
        )
