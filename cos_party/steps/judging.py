"""Running a whole section of checks, and writing down what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeVar

from cos_party.checks import QUARANTINING, REQUEST_SECTION
from cos_party.model import ChangeRequest, Decided, RequestEvidence, ReturnEvidence
from cos_party.rules.registration import NOT_FINAL
from cos_party.store import decisions as store
from services.chassis.checks import Approved, CheckRun, Refused
from services.chassis.context import ServiceContext
from services.chassis.data.connection import StoreConnection
from services.chassis.log import note

E = TypeVar("E", bound=RequestEvidence | ReturnEvidence)

RECORDS: Final = 3
"""Records that one refusal leaves beside its audit row: a decision and two traces."""
DETAIL: Final = 200
"""Characters of a refusal's reason in the audit row when nothing else of it is kept."""


async def judge(
    base: ServiceContext,
    conn: StoreConnection,
    evidence: E,
    *,
    section: str,
    subject: str,
    final: bool = True,
) -> Approved[E] | Refused:
    """Run every check of a section; a refusal is written down, in the caller's transaction.

    A refusal is given back and not raised, so that the transaction that records it commits. One
    that is not `final` leaves no trace: it will be judged again by newer copies.
    """
    came = base.system_clock.now()
    run = base.book.start(subject, section=section)
    request = evidence.reading.request if isinstance(evidence, RequestEvidence) else None
    try:
        approved = run.judge(evidence)
    except Refused as refused:
        if not final:
            return refused
        kept = _keeps_refusal(base, evidence, run, request)
        if kept and section == REQUEST_SECTION:
            await _record_received(base, conn, evidence, subject, came)
        await _write_refusal(base, conn, evidence, run, refused, kept=kept, request=request)
        return refused
    if section == REQUEST_SECTION:
        await _record_received(base, conn, evidence, subject, came)
    return approved


def _keeps_refusal(
    base: ServiceContext,
    evidence: RequestEvidence | ReturnEvidence,
    run: CheckRun,
    request: ChangeRequest | None,
) -> bool:
    """Whether what was refused is kept, for operators and the trace; it is paid for if so.

    A supplier pays whose signature was verified, and else the system that brought it, each from a
    quota of its own (`services.chassis.data.quota`).
    """
    payer = evidence.incoming.opened.sender
    signed = f"{base.settings.check_prefix}.{REQUEST_SECTION}.signature"
    passed = {verdict.check for verdict in run.verdicts() if verdict.outcome == "passed"}
    if request is not None and signed in passed:
        payer = request.header.request_id.originator
    carried = len(evidence.incoming.content)
    kept = base.audit.unauthenticated.admit(carried, records=RECORDS, sender=payer)
    if not kept:
        note(unrecorded=True)
    return kept


async def _record_received(
    base: ServiceContext,
    conn: StoreConnection,
    evidence: RequestEvidence | ReturnEvidence,
    subject: str,
    came: datetime,
) -> None:
    incoming = evidence.incoming
    await base.traces.record(
        subject,
        "received",
        sender=incoming.opened.sender,
        receiver=base.settings.party,
        name="Service request",
        summary=f"transaction {incoming.transaction}",
        message=incoming.content,
        verdicts=incoming.opened.verdicts,
        at=came,
        conn=conn,
    )


async def _write_refusal(
    base: ServiceContext,
    conn: StoreConnection,
    evidence: RequestEvidence | ReturnEvidence,
    run: CheckRun,
    refused: Refused,
    *,
    kept: bool,
    request: ChangeRequest | None,
) -> None:
    """Write down a refusal: as evidence, and if `kept` for operators and for the trace.

    The audit row is written in any case: small, and it says what was refused by which check.
    """
    incoming = evidence.incoming
    quarantined = refused.check.endswith(f".{QUARANTINING}")
    outcome = Decided.QUARANTINED if quarantined else Decided.REFUSED
    if refused.status == NOT_FINAL:
        outcome = Decided.DEFERRED
    await base.audit.append(
        conn,
        f"cos.{outcome.value}",
        run.subject,
        {
            "transaction": incoming.transaction,
            "purpose": incoming.purpose,
            "check": refused.check,
            "detail": refused.detail if kept else refused.detail[:DETAIL],
            "digest": incoming.digest,
        },
    )
    if not kept:
        return
    request_id = None if request is None else request.header.request_id
    await store.record_decision(
        conn,
        incoming,
        base.clock.now(),
        outcome,
        request_id=None if request_id is None else request_id.text,
        requester=None if request_id is None else request_id.originator,
        device=None if request_id is None else request_id.target,
        check=refused.check,
        code=refused.code,
        detail=refused.detail,
    )
    await base.traces.record(
        run.subject,
        outcome.value,
        sender=incoming.opened.sender,
        receiver=base.settings.party,
        name=refused.check,
        summary=refused.detail,
        verdicts=run.verdicts(),
        conn=conn,
    )
