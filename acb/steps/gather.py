"""Gathering evidence: everything is fetched and read here, nothing is decided here.

Reading failures become part of the evidence (`fault`), for the check whose business they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from acb.model import (
    CosParty,
    DeviceRecord,
    IssuedCommand,
    PathEvidence,
    RequestEvidence,
    ResponseEvidence,
    ReturnEvidence,
    Tally,
    Tracked,
)
from acb.peers.lookups import Lookups
from acb.peers.smki import Smki
from acb.peers.trust import Trust
from acb.services.table import RULES
from acb.settings import AcbSettings
from acb.store import records
from acb.store import requests as store
from duis.errors import DuisError
from duis.gate import parse, validate
from duis.signature import signature_reference
from duis.xml import request_from_xml
from gbcs.codes import MessageCode
from gbcs.errors import GbcsError, ParseError
from gbcs.message import Message, decode
from gbcs.payloads.credentials import decode_alert, decode_response, decode_update
from services.chassis.time.clock import Clock


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


async def look_up_signer(
    evidence: RequestEvidence, lookups: Lookups, smki: Smki, trust: Trust, clock: Clock
) -> RequestEvidence:
    """The certificate the signature names, and what its path is judged by.

    Raises:
        acb.peers.smki.RepositoryUnavailable: the repository cannot be asked, or not for a stranger
        now.
    """
    named = evidence.signature
    if named is None:
        return replace(evidence, now=clock.now())
    claimed = "" if evidence.request is None else evidence.request.header.request_id.originator
    return replace(
        evidence,
        certificate=await lookups.signer(named.issuer, named.serial, claimed),
        path=await look_up_path(smki, trust, clock),
        now=clock.now(),
    )


async def look_up_path(smki: Smki, trust: Trust, clock: Clock) -> PathEvidence:
    """What paths of organisation certificates are judged by now."""
    lists = await smki.revocation_lists()
    return PathEvidence(
        intermediates=(trust.organisation_issuing,),
        anchor=trust.organisation_root,
        revocation_lists=lists,
        now=clock.now(),
        unrefreshed=smki.unrefreshed(),
    )


async def look_up_state(
    conn: AsyncConnection,
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


def read_device_message(raw: bytes) -> ResponseEvidence:
    """What a device sent, read as far as it can be: a response, or the future-dated alert."""
    evidence = ResponseEvidence(raw)
    try:
        message = decode(raw)
        evidence = replace(evidence, message=message)
        if message.message_code == MessageCode.UPDATE_SECURITY_CREDENTIALS_ALERT:
            return replace(evidence, alert=decode_alert(message.payload))
        if message.message_code == MessageCode.SUPPLIER_BY_TRANS_COS:
            return replace(evidence, response=decode_response(message.payload))
        return replace(
            evidence, fault=f"message code 0x{message.message_code:04X} is of another use case"
        )
    except ParseError as error:
        return replace(evidence, fault=str(error))


def issued(tracked: Tracked, parties: tuple[CosParty, ...]) -> IssuedCommand | None:
    """The command that was sent for a request, as a device's answer is held against it."""
    party = next((item for item in parties if item.name == tracked.cos_party), None)
    if tracked.command is None or party is None or tracked.command_counter is None:
        return None
    message: Message = decode(tracked.command)
    return IssuedCommand(
        request_id=tracked.request_id,
        device=tracked.target,
        cos_party=party,
        counter=tracked.command_counter,
        update=decode_update(message.payload),
    )


def reference(octets: bytes) -> str | None:
    """`originator:recipient:counter` of a GBCS message; None if it cannot be read."""
    try:
        return decode(octets).reference
    except ParseError:
        return None


def subject(evidence: ResponseEvidence) -> str:
    """What to call a message that belongs to no request."""
    if evidence.message is not None:
        return evidence.message.reference
    return f"unreadable:{hashlib.sha256(evidence.raw).hexdigest()[:16]}"


def party_of(device: DeviceRecord, parties: tuple[CosParty, ...], cell: str) -> CosParty | None:
    """The connected CoS Party whose certificate the record says the cell holds."""
    held = device.cells.get(cell)
    if held is None:
        return None
    return next((item for item in parties if item.eui == held.subject_eui), None)
