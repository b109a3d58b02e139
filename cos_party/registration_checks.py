"""The checks on who supplies what: asked of the party's own copy of the registration data.

Sources: docs/domain facts 6.2 (CoS Party); ECoS separation consultation, paragraph 2: the CoS
Party warrants that the new security information is that of the incoming supplier.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cos_party.evidence import need
from cos_party.model import RequestEvidence
from services.chassis.checks import CheckFailed

NOT_FINAL: Final = 503
"""The status of a no that is none yet: the link remembers no such answer, and the broker, which
takes it for an absence, asks again."""


def fresh(evidence: RequestEvidence) -> None:
    """Registration was asked for this decision and said what is registered now.

    If it could not be, its older word is good for a yes or a no only within
    `Limits.registration_max_age`. Otherwise nothing is decided (503: the same request may be asked
    again), until that has lasted for longer than `Limits.registration_patience`.
    """
    copy, limits = evidence.registration, evidence.limits
    if copy is not None and evidence.registration_refreshed:
        return
    if copy is not None and limits.registration_max_age:
        age = evidence.at - copy.confirmed_at
        # below zero: the clock was turned back, and nobody knows how old it is
        if timedelta() <= age <= limits.registration_max_age:
            return
    since = evidence.registration_failing_since
    final = since is not None and evidence.at - since > limits.registration_patience
    held = "none is held"
    if copy is not None:
        held = f"extract {copy.number} confirmed {copy.confirmed_at.isoformat()}"
    raise CheckFailed(
        f"the registration data is not up to date: {evidence.registration_detail}",
        expected="registration's word of now",
        found=held,
        status=None if final else NOT_FINAL,
    )


def mpxn_known(evidence: RequestEvidence) -> None:
    """Registration knows the MPxN the request names."""
    copy = need(evidence.registration, "registration data")
    mpxn = need(evidence.reading.request, "service request").body.import_mpxn
    if mpxn not in copy.meter_points:
        raise CheckFailed("registration does not know this MPxN", found=mpxn)


def decisive_moment(evidence: RequestEvidence) -> datetime:
    """When the change is to happen: the execution date, or now if immediate or a cancellation."""
    body = need(evidence.reading.request, "service request").body
    if body.execution_date_time is None or body.cancels:
        return evidence.at
    return body.execution_date_time


def incoming_supplier(evidence: RequestEvidence) -> None:
    """The requester is the registered supplier of the MPxN when the change is to happen.

    For a cancellation there is no such moment: the requester must be registered now or from a
    later date, so a supplier may withdraw what it asked for and nobody else may [K].
    """
    copy = need(evidence.registration, "registration data")
    request = need(evidence.reading.request, "service request")
    body = request.body
    requester = request.header.request_id.originator
    participants = copy.participants_of(requester)
    moment = decisive_moment(evidence)
    if body.cancels:
        suppliers = copy.suppliers_from(body.import_mpxn, moment)
        entitled = bool(participants.intersection(suppliers))
    else:
        suppliers = copy.suppliers_at(body.import_mpxn, moment)
        entitled = len(suppliers) == 1 and suppliers[0] in participants
    if not entitled:
        raise CheckFailed(
            f"the requester is not the registered supplier of {body.import_mpxn} "
            f"at {moment.isoformat()}",
            expected=", ".join(suppliers) or "no supplier is registered",
            found=f"{requester} ({', '.join(sorted(participants)) or 'no participant'})",
        )


def device_mpxn(evidence: RequestEvidence) -> None:
    """The device the command is for belongs to the MPxN."""
    copy = need(evidence.registration, "registration data")
    request = need(evidence.reading.request, "service request")
    point = copy.meter_points.get(request.body.import_mpxn)
    target = request.header.request_id.target
    if point is None or target not in point.devices:
        raise CheckFailed(
            f"the device does not belong to {request.body.import_mpxn}",
            expected=", ".join(sorted(point.devices)) if point else None,
            found=target,
        )
