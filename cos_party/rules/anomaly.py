"""The CoS Party's own threshold anomaly detection.

The party counts the commands it signs and stops where a threshold would be passed, whoever asks
and however well the request looks (docs/sources.md#party-checks, #anomaly-detection; SEC glossary,
Threshold Anomaly Detection, which counts the CoS Party too). What it refuses so is quarantined: it
may be asked again once an operator has raised the threshold or the window has moved on.

RECONSTRUCTION: a rolling window, and its numbers, are settings; none are published. So is this:
where the threshold of all together would be passed, whoever had no more than an even share of it
signed is served all the same, so that no requester can spend what belongs to the others. An even
share is the threshold by the number of requesters in the window, rounded up.
"""

from __future__ import annotations

from cos_party.model import RequestEvidence
from services.chassis.checks import CheckFailed, check


@check(
    "anomaly.threshold",
    source="docs/sources.md#anomaly-detection; SEC glossary, Threshold Anomaly Detection",
    code="A01",
)
def threshold(evidence: RequestEvidence) -> None:
    """No more commands than the anomaly thresholds allow."""
    limits = evidence.thresholds
    earlier = evidence.earlier
    share = -(-limits.total // earlier.requesters)
    for whose, signed, limit in (
        ("for this requester", earlier.signed_for_requester, limits.per_requester),
        ("in total", earlier.signed_in_total, limits.total),
    ):
        if whose == "in total" and earlier.signed_for_requester + 1 <= share:
            continue
        if signed + 1 > limit:
            raise CheckFailed(
                f"quarantined: {signed} commands were signed {whose} within {limits.window}",
                expected=f"at most {limit}",
                found=str(signed + 1),
            )
