"""The checks on the floors: the counter values from which the new supplier will count.

A floor too high shuts the supplier out of its own meter: the device takes only higher counters.

RECONSTRUCTION: the schema bounds a floor by 2**63 - 1 (docs/sources.md#counters); that some room
must remain above it, and that a top-up floor needs a top-up certificate, are this project's reading
of GBCS 0.8.1 page 179 (a specialist floor only where the supplier runs a separate top-up sequence).
"""

from __future__ import annotations

from cos_party.model import RequestEvidence
from services.chassis.checks import CheckFailed, check, need

LARGEST_FLOOR = (1 << 63) - 1


@check("floors.headroom", source="reconstruction: docs/sources.md#counters", code="F01")
def headroom(evidence: RequestEvidence) -> None:
    """The floors leave counter values above them."""
    body = need(evidence.reading.request, "service request").body
    highest = LARGEST_FLOOR - evidence.limits.floor_headroom
    for name, floor in (
        ("supplier", body.supplier_floor),
        ("prepayment top-up", body.prepayment_top_up_floor),
    ):
        if floor is not None and not 0 <= floor <= highest:
            raise CheckFailed(
                f"the {name} floor leaves too few counter values",
                expected=f"0 to {highest}",
                found=str(floor),
            )


@check("floors.top_up", source="GBCS 0.8.1 p179; docs/sources.md#update-payload", code="F02")
def top_up(evidence: RequestEvidence) -> None:
    """A top-up floor comes with a top-up certificate."""
    body = need(evidence.reading.request, "service request").body
    if body.prepayment_top_up_floor is not None and body.key_agreement_top_up is None:
        raise CheckFailed(
            "a floor for top-ups is given, but no key agreement certificate for top-ups",
            expected="both or no floor",
            found=f"floor {body.prepayment_top_up_floor}",
        )
