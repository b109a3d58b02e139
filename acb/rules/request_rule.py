"""What every check on a service request is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from acb.model import RequestEvidence, ServiceRules
from acb.rules.need import need
from duis.model import ServiceRequest
from services.chassis.checks import Check, CheckFailed

SECTION: Final = "request"

RECEIPT: Final = "reconstruction of SEC Appendix AB: docs/sources.md#party-checks"
"""Source of most of these checks."""


def requested(evidence: RequestEvidence) -> ServiceRequest:
    """The request, if it could be read.

    Raises:
        CheckFailed: it could not.
    """
    return need(evidence.request, "service request")


def rules_for(evidence: RequestEvidence) -> ServiceRules:
    """The rules of the service that is asked for.

    Raises:
        CheckFailed: it is not offered here, or the request could not be read.
    """
    variant = requested(evidence).header.service_reference_variant
    rules = evidence.supported.get(variant)
    if rules is None:
        raise CheckFailed(
            "this service is not offered here",
            expected=", ".join(sorted(evidence.supported)),
            found=variant,
        )
    return rules


def request_check(
    name: str,
    title: str,
    run: Callable[[RequestEvidence], None],
    source: str,
    code: str | None = None,
    *,
    status: int = 403,
) -> Check[RequestEvidence]:
    """One check of this section; `code` only where the sender is known by then."""
    return Check(f"acb.{name}", title, source, run, code=code, status=status, section=SECTION)
