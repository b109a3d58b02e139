"""The checks on who supplies what: asked of the party's own copy of the registration data.

Sources: docs/sources.md#party-checks (CoS Party); ECoS separation consultation, paragraph 2: the
CoS Party warrants that the new security information is that of the incoming supplier.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cos_party.model import DatedChange, RequestEvidence
from cos_party.registration_copy import RegistrationCopy
from cos_party.rules.sources import OBLIGATIONS, WARRANT
from services.chassis.checks import CheckFailed, check, need

NOT_FINAL: Final = 503
"""The status of a no that is none yet: the link remembers no such answer, and the broker, which
takes it for an absence, asks again."""


@check("registration.fresh", source=OBLIGATIONS, code="R01")
def fresh(evidence: RequestEvidence) -> None:
    """The registration data to judge by is recent.

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


@check("registration.mpxn_known", source=OBLIGATIONS, code="R02")
def mpxn_known(evidence: RequestEvidence) -> None:
    """Registration knows the MPxN."""
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


@check("registration.incoming_supplier", source=WARRANT, code="R03")
def incoming_supplier(evidence: RequestEvidence) -> None:
    """The requester supplies the MPxN when the change happens.

    For a cancellation there is no such moment: the requester must be registered now or from a
    later date. That it withdraws nobody else's change is for `pending_change` to see to.
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


@check("registration.device_mpxn", source=OBLIGATIONS, code="R04")
def device_mpxn(evidence: RequestEvidence) -> None:
    """The device belongs to the MPxN."""
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


@check(
    "registration.pending_change",
    source="reconstruction: docs/sources.md#future-dating, #party-checks",
    code="R05",
)
def pending_change(evidence: RequestEvidence) -> None:
    """Takes the place of no other supplier's waiting change.

    A device keeps one dated command of a CoS Party: a newer one replaces it and a cancellation
    drops it, whoever asked (docs/sources.md#future-dating). So whose it is must be held here: by
    this party's own record of what it signed for that device, and by registration. A change that
    waits belongs to who asked for it, with two exceptions (a reconstruction): registration no
    longer names that supplier for its date; or that supplier has the home already, so that it can
    have its change made at once, and gives way to the date of one that is yet to come. What is done
    at once takes nobody's place.
    """
    for change in _others(evidence):
        if _stands(evidence, change):
            raise CheckFailed(
                "a change that another supplier asked for waits in the device for its date",
                expected=f"nothing before {_text(change.at)}, or a request of {change.requester}",
                found=f"{change.request_id} for {_text(change.at)}",
            )


def displaced(evidence: RequestEvidence) -> tuple[str, ...]:
    """The requests of others whose waiting changes give way to this one.

    Of each participant whose last one does not stand, every dated change that is still to come: by
    this party's record its own newer ones took their place, but the broker may have seen less.
    """
    request = need(evidence.reading.request, "service request")
    copy = evidence.registration
    if copy is None or request.body.execution_date_time is None:
        return ()  # without registration: only with checks switched off
    kept = {_whose(copy, c.requester) for c in _others(evidence) if _stands(evidence, c)}
    kept.add(_whose(copy, request.header.request_id.originator))
    return tuple(
        change.request_id
        for change in evidence.earlier.dated
        if change.at is not None
        and change.at > evidence.at
        and _whose(copy, change.requester) not in kept
    )


def _others(evidence: RequestEvidence) -> list[DatedChange]:
    """Changes of other participants that wait by this party's record, if this one displaces them.

    What counts of a participant is the last that it had signed: its own newer change or withdrawal
    took the place of what it asked before.
    """
    request = need(evidence.reading.request, "service request")
    if request.body.execution_date_time is None:
        return []
    copy = need(evidence.registration, "registration data")
    last = {_whose(copy, change.requester): change for change in evidence.earlier.dated}
    last.pop(_whose(copy, request.header.request_id.originator), None)
    return [c for c in last.values() if c.at is not None and c.at > evidence.at]


def _stands(evidence: RequestEvidence, change: DatedChange) -> bool:
    """Whether a waiting change is still its requester's, and may not be taken away by this."""
    copy = need(evidence.registration, "registration data")
    request = need(evidence.reading.request, "service request")
    if not founded(copy, change):
        return False
    owner = copy.participants_of(change.requester)
    now = set(copy.suppliers_at(change.mpxn, evidence.at))
    to_come = not now & copy.participants_of(request.header.request_id.originator)
    return request.body.cancels or not (owner & now and to_come)


def founded(copy: RegistrationCopy, change: DatedChange) -> bool:
    """Whether registration names who asked for a dated change as the supplier for its date."""
    then = () if change.at is None else copy.suppliers_at(change.mpxn, change.at)
    return bool(then) and copy.participants_of(change.requester).issuperset(then)


def _whose(copy: RegistrationCopy, eui: str) -> frozenset[str]:
    """Every entity identifier of a requester's participant; its own alone, if it has none."""
    return copy.euis_with(eui) or frozenset({eui})


def _text(moment: datetime | None) -> str:
    return "no date" if moment is None else moment.isoformat()
