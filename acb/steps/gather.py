"""Gathering evidence: everything is fetched and read here, nothing is decided here.

Reading failures become part of the evidence (`fault`), for the check whose business they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from acb.model import (
    COS_CELL,
    CosParty,
    DeviceRecord,
    PathEvidence,
    RequestEvidence,
    ResponseEvidence,
    ReturnEvidence,
    Tally,
    Tracked,
)
from acb.rules.answer import Sent
from acb.services.evidence import ServiceEvidence, read_signed
from acb.services.table import RULES, service_of, variant_of
from acb.settings import AcbSettings
from acb.steps.context import Context
from acb.store import records
from acb.store import requests as store
from duis.errors import DuisError
from duis.gate import parse, validate
from duis.model import ServiceRequest
from duis.signature import signature_reference
from duis.xml import request_from_xml
from gbcs.errors import GbcsError
from gbcs.message import decode
from gbcs.payloads.credentials import decode_update
from services.chassis.checks import CheckRun, Verdict
from services.chassis.data.connection import StoreConnection


@dataclass(slots=True)
class Arrival:
    """A request on its way through the checks.

    Attributes:
        evidence: what is known of it so far.
        came: when it came, by the machine's clock.
        runs: what was checked so far: section "request", then its service's own.
    """

    evidence: RequestEvidence
    came: datetime
    runs: list[CheckRun] = field(default_factory=list)

    @property
    def subject(self) -> str:
        """Its identifier, or what to call it if it cannot be read."""
        if self.evidence.request is not None:
            return self.evidence.request.header.request_id.text
        return f"unreadable:{hashlib.sha256(self.evidence.body).hexdigest()[:16]}"

    @property
    def verdicts(self) -> list[Verdict]:
        """What every check said."""
        return [said for run in self.runs for said in run.verdicts()]


def read_request(content_type: str | None, body: bytes, limit: int) -> RequestEvidence:
    """What the octets themselves say."""
    evidence = RequestEvidence(content_type, body, RULES)
    try:
        evidence = replace(evidence, parsed=parse(body, limit=limit))
        parsed = evidence.parsed
        assert parsed is not None
        validate(parsed)
        evidence = replace(evidence, request=request_from_xml(parsed))
        evidence = replace(evidence, signature=signature_reference(body))
    except DuisError as error:
        evidence = replace(evidence, fault=error)
    return evidence


async def look_up_signer(evidence: RequestEvidence, context: Context) -> RequestEvidence:
    """The certificate the signature names, and what its path is judged by.

    Raises:
        services.link.sources.SourceUnavailable: the repository cannot be asked, or not for a
            stranger now.
    """
    named, clock = evidence.signature, context.base.clock
    if named is None:
        return replace(evidence, now=clock.now())
    claimed = "" if evidence.request is None else evidence.request.header.request_id.originator
    return replace(
        evidence,
        certificate=await context.lookups.signer(named.issuer, named.serial, claimed),
        path=await look_up_path(context),
        now=clock.now(),
    )


async def look_up_path(context: Context) -> PathEvidence:
    """What paths of organisation certificates are judged by now."""
    lists = await context.smki.revocation_lists()
    return PathEvidence(
        intermediates=context.trust.organisation_authorities,
        anchor=context.trust.organisation_root,
        revocation_lists=lists,
        now=context.base.clock.now(),
        unrefreshed=context.smki.copies.unrefreshed(),
    )


async def look_up_state(
    conn: StoreConnection,
    evidence: RequestEvidence,
    settings: AcbSettings,
    released: Tracked | None = None,
) -> RequestEvidence:
    """What the broker's own records say about this request, its user and its device.

    Args:
        conn: the transaction in which the request will be accepted.
        evidence: so far.
        settings: thresholds and connected CoS Parties.
        released: the quarantined request that is judged again, which must not count against
            itself.
    """
    request = evidence.request
    now = evidence.now
    if request is None or now is None:
        return evidence
    name = request.header.request_id
    before = None if released is None else released.sequence
    same = await store.find_request(conn, name.text)
    window = timedelta(seconds=settings.anomaly.window_seconds)
    limits = await records.thresholds(conn, (name.originator, records.EVERYONE))
    return replace(
        evidence,
        user=await records.find_user(conn, name.originator),
        already_accepted=same is not None and same.sequence != before,
        last_counter=await store.last_counter(conn, name.originator, name.target, before=before),
        device=await records.find_device(conn, name.target),
        cos_parties=settings.connected,
        tally=Tally(
            user=await store.count_since(conn, now - window, name.originator),
            everyone=await store.count_since(conn, now - window),
            users=await records.count_users(conn),
            open_here=await store.count_open(conn, name.originator, name.target),
            open_limit=settings.open_requests,
            user_limit=limits.get(name.originator, settings.anomaly.per_user),
            everyone_limit=limits.get(records.EVERYONE, settings.anomaly.everyone),
            window_seconds=settings.anomaly.window_seconds,
            released=released is not None,
        ),
    )


async def look_up_service(
    conn: StoreConnection, context: Context, request: ServiceRequest, path: PathEvidence | None
) -> ServiceEvidence:
    """What the checks of a service look at, in the transaction in which they are made."""
    name, body, variant = request.header.request_id, request.body, variant_of(request.header)
    searches = service_of(request.header.service_reference_variant).searches
    devices = [] if searches is None else await records.list_devices(conn)
    return ServiceEvidence(
        request=request,
        broker=context.signer.certificate,
        user=await records.find_user(conn, name.originator),
        device=await records.find_device(conn, name.target),
        found=tuple(item for item in devices if searches and searches(item, body)),
        path=path,
        signed=read_signed(body, None if variant is None else variant.payload),
        last_counter=await records.seen_counter(conn, name.originator, name.target),
    )


async def look_up_sent(conn: StoreConnection, context: Context, tracked: Tracked) -> Sent:
    """The command that was sent for a request, as a device's words are held against it."""
    device = await records.find_device(conn, tracked.target)
    signed_by = (one for one in context.settings.connected if one.name == tracked.cos_party)
    return Sent(
        command=decode(tracked.command or b""),
        device=device,
        secret=b"" if device is None else context.secret_with(device),
        request_id=tracked.request_id,
        cos_party=next(signed_by, None),
        last_alert_counter=await records.seen_counter(conn, tracked.target, tracked.target),
    )


def accepted_request(tracked: Tracked) -> ServiceRequest:
    """The request as it was accepted: read again from the octets the supplier signed."""
    return request_from_xml(parse(tracked.body))


def read_returned(evidence: ReturnEvidence) -> ReturnEvidence:
    """What a CoS Party returned, read as far as it can be."""
    if evidence.fault is not None:
        return evidence
    try:
        message = decode(evidence.raw)
        evidence = replace(evidence, message=message)
        return replace(evidence, update=decode_update(message.payload))
    except GbcsError as error:
        return replace(evidence, fault=str(error))


def subject(evidence: ResponseEvidence) -> str:
    """What to call a message that belongs to no request."""
    if evidence.message is not None:
        return evidence.message.reference
    return f"unreadable:{hashlib.sha256(evidence.raw).hexdigest()[:16]}"


def party_of(device: DeviceRecord | None, parties: tuple[CosParty, ...]) -> CosParty | None:
    """The connected CoS Party whose certificate the record says the device's role-5 cell holds."""
    held = None if device is None else device.cells.get(COS_CELL)
    if held is None:
        return None
    return next((item for item in parties if item.eui == held.subject_eui), None)
