"""The last checks on a service request: may this user ask this of this device, now.

They look at the broker's own records and are judged in the transaction that keeps the request.
Whoever they refuse is known by then, so each carries the response code of the field's own answer
(see `acb.rules.request`, and `acb.rules.codes` for what the codes are worth).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from acb.model import COS_CELL, RequestEvidence, ServiceRules
from acb.rules import codes
from duis.model import CANCEL_DATE, ServiceRequest
from keys.roles import OrganisationRole
from services.chassis.checks import Check, CheckFailed, check, need

SECTION: Final = "request"

RECEIPT: Final = "reconstruction of SEC Appendix AB: docs/sources.md#party-checks"
"""Source of most of the checks on a service request."""


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


@check("acb.user.known", source=RECEIPT, code=codes.USER_NOT_KNOWN, section=SECTION)
def user_known(evidence: RequestEvidence) -> None:
    """The originator is a user."""
    if evidence.user is None:
        raise CheckFailed("no such user", found=requested(evidence).header.request_id.originator)


@check(
    "acb.user.role",
    source="service request matrix: docs/sources.md#services",
    code=codes.USER_ROLE_NOT_ELIGIBLE,
    section=SECTION,
)
def user_role(evidence: RequestEvidence) -> None:
    """The user may ask for this service."""
    user = need(evidence.user, "user")
    allowed = rules_for(evidence).roles
    if not allowed & set(user.roles):
        raise CheckFailed(
            "the user's roles do not allow this service",
            expected=" or ".join(sorted(allowed)),
            found=", ".join(user.roles) or "none",
        )


@check(
    "acb.request.command_variant",
    source="docs/sources.md#service-requests, #services",
    code=codes.COMMAND_VARIANT,
)
def command_variant(evidence: RequestEvidence) -> None:
    """The service has this command variant.

    The command variant is one this service has, and the variant belongs to the service.
    """
    rules = rules_for(evidence)
    header = requested(evidence).header
    if header.command_variant not in rules.command_variants:
        raise CheckFailed(
            "the service does not have this command variant",
            expected=", ".join(map(str, sorted(rules.command_variants))),
            found=str(header.command_variant),
        )
    if header.service_reference != rules.reference:
        raise CheckFailed(
            "the service reference does not go with its variant",
            expected=rules.reference,
            found=header.service_reference,
        )


@check("acb.request.duplicate", source=RECEIPT, code=codes.DUPLICATE)
def duplicate(evidence: RequestEvidence) -> None:
    """It was not accepted before."""
    if need(evidence.already_accepted, "search for the same request"):
        raise CheckFailed(
            "a request with this identifier was accepted before",
            found=str(requested(evidence).header.request_id),
        )


@check("acb.request.counter", source=RECEIPT, code=codes.SEQUENCE)
def counter(evidence: RequestEvidence) -> None:
    """Its counter is above the last.

    The counter is above every counter accepted from this originator for this device.
    """
    last = evidence.last_counter
    found = requested(evidence).header.request_id.counter
    if last is not None and found <= last:
        raise CheckFailed(
            "the request's counter is not above the last", expected=f"> {last}", found=str(found)
        )


@check("acb.request.execution_date", source=RECEIPT, code=codes.EXECUTION_DATE)
def execution_date(evidence: RequestEvidence) -> None:
    """Its execution date can be kept.

    The execution date is absent, the cancellation value, or a whole second still to come.
    """
    at: datetime | None = getattr(requested(evidence).body, "execution_date_time", None)
    now = need(evidence.now, "time")
    if at is None or at == CANCEL_DATE:
        return
    if at.microsecond:
        raise CheckFailed("a device counts in whole seconds", found=at.isoformat())
    if at <= now:
        raise CheckFailed(
            "the execution date is past", expected=f"after {now.isoformat()}", found=at.isoformat()
        )


@check("acb.device.known", source=RECEIPT, code=codes.DEVICE_NOT_ELIGIBLE, section=SECTION)
def device_known(evidence: RequestEvidence) -> None:
    """The device is in the inventory."""
    if evidence.device is None:
        raise CheckFailed(
            "the device is not in the inventory",
            found=requested(evidence).header.request_id.target,
        )


@check("acb.device.status", source=RECEIPT, code=codes.DEVICE_NOT_ELIGIBLE, section=SECTION)
def device_status(evidence: RequestEvidence) -> None:
    """The device's status allows it."""
    device = need(evidence.device, "device record")
    allowed = rules_for(evidence).device_statuses
    if device.status not in allowed:
        raise CheckFailed(
            "the device's status does not allow this service",
            expected=" or ".join(sorted(allowed)),
            found=device.status,
        )


@check(
    "acb.device.cos_party",
    source="docs/sources.md#modes, #migration",
    code=codes.INCOMPATIBLE_DEVICE,
    section=SECTION,
)
def device_cos_party(evidence: RequestEvidence) -> None:
    """The device trusts a CoS Party connected here.

    The device's role-5 cell holds the certificate of a CoS Party that is connected here.
    """
    device = need(evidence.device, "device record")
    held = device.cells.get(COS_CELL)
    if held is None:
        raise CheckFailed("the record does not say which CoS Party the device trusts")
    if held.role != OrganisationRole.TRANSITIONAL_COS:
        raise CheckFailed(
            "the certificate on record is not a CoS Party's",
            expected=f"role {OrganisationRole.TRANSITIONAL_COS.value}",
            found=f"role {held.role}",
        )
    known = {party.eui: party for party in evidence.cos_parties}
    if held.subject_eui not in known:
        raise CheckFailed(
            "the CoS Party the device trusts is not connected here",
            expected=" or ".join(sorted(known)),
            found=held.subject_eui,
        )


@check(
    "acb.anomaly.threshold",
    source="SEC Appendix AA, reconstruction: docs/sources.md#anomaly-detection",
    code=codes.ANOMALY,
    section=SECTION,
)
def anomaly(evidence: RequestEvidence) -> None:
    """The anomaly detection thresholds are kept.

    The user stays within its threshold, and all users together within theirs. Where all together
    exceed theirs, whoever has sent no more than an even share of it is not held back for what
    others sent (reconstruction): one user must not be able to stop all. All together may so come to
    about twice the threshold.
    """
    tally = need(evidence.tally, "count of recent requests")
    if tally.released:
        return
    share = tally.share
    for who, count, limit in (
        ("user", tally.user, tally.user_limit),
        ("everyone", tally.everyone, tally.everyone_limit),
    ):
        if limit is None or count + 1 <= limit:
            continue
        if who == "everyone" and share is not None and tally.user + 1 <= share:
            continue
        raise CheckFailed(
            f"the anomaly detection threshold ({who}) is exceeded",
            expected=f"at most {limit} in {tally.window_seconds} s",
            found=str(count + 1),
        )


@check(
    "acb.user.open_requests",
    source="reconstruction: no number is published",
    code=codes.ANOMALY,
    section=SECTION,
)
def open_requests(evidence: RequestEvidence) -> None:
    """The user has not too many requests under way for the device."""
    tally = need(evidence.tally, "count of open requests")
    if tally.open_here >= tally.open_limit:
        raise CheckFailed(
            "too many requests of this user for this device are under way; send it when one ended",
            expected=f"at most {tally.open_limit}",
            found=str(tally.open_here + 1),
        )


def set_aside(rules: ServiceRules | None, name: str) -> str | None:
    """Why a check does not apply to a service; None if it does."""
    if rules is None:
        return None
    if name == device_cos_party.id and not rules.uses_cos_party:
        return "no CoS Party takes part in this service"
    of_devices = (device_known.id, device_status.id, open_requests.id)
    if name in of_devices and not rules.targets_device:
        return "no device is the target of this service"
    return None


STANDING_CHECKS: Final[tuple[Check[RequestEvidence], ...]] = (
    user_known,
    user_role,
    command_variant,
    duplicate,
    counter,
    execution_date,
    device_known,
    device_status,
    device_cos_party,
    open_requests,
    anomaly,
)
"""Whether this user may ask this of this device now, by the broker's own records."""
