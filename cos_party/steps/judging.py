"""Running a whole section of checks, and writing down what came of it."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from cos_party.checks import QUARANTINING, REQUEST_SECTION
from cos_party.model import (
    ChangeRequest,
    Decided,
    Decision,
    Delivery,
    RequestEvidence,
    ReturnEvidence,
)
from cos_party.rules.registration import NOT_FINAL
from cos_party.store import decisions as store
from services.chassis.checks import Approved, CheckRun, Refused
from services.chassis.foundation import Foundation
from services.chassis.log import note

RECORDS: Final = 3
"""Records that one refusal leaves beside its audit row: a decision and two traces."""
DETAIL: Final = 200
"""Characters of a refusal's reason in the audit row when nothing else of it is kept."""


def run_all(
    base: Foundation, run: CheckRun, evidence: RequestEvidence | ReturnEvidence
) -> Approved[Any]:
    """Apply every check of the run's section in the order of the book.

    Raises:
        Refused: by the first check that says no.
    """
    for check in base.book.section(run.section):
        run.apply(check, evidence)
    return run.approve()


def affords_refusal(
    base: Foundation, delivery: Delivery, run: CheckRun, request: ChangeRequest | None = None
) -> bool:
    """Whether what was refused is kept, for operators and the trace; it is paid for if so.

    A supplier pays whose signature was verified, and else the system that brought it, each from a
    purse of its own (`services.chassis.data.strangers`).
    """
    payer = delivery.opened.sender
    signed = f"{base.settings.check_prefix}.{REQUEST_SECTION}.signature"
    passed = {verdict.check for verdict in run.verdicts() if verdict.outcome == "passed"}
    if request is not None and signed in passed:
        payer = request.header.request_id.originator
    carried = len(delivery.content)
    kept = base.audit.strangers.afford(carried, records=RECORDS, sender=payer)
    if not kept:
        note(unkept=True)
    return kept


async def write_refusal(
    base: Foundation,
    conn: AsyncConnection,
    delivery: Delivery,
    *,
    run: CheckRun,
    refused: Refused,
    kept: bool,
    request: ChangeRequest | None = None,
) -> None:
    """Write down a refusal: as evidence, and if `kept` for operators and for the trace.

    The audit row is written in any case: small, and it says what was refused by which check.
    """
    quarantined = refused.check.endswith(f".{QUARANTINING}")
    outcome = Decided.QUARANTINED if quarantined else Decided.REFUSED
    if refused.status == NOT_FINAL:
        outcome = Decided.DEFERRED
    await base.audit.append(
        conn,
        f"cos.{outcome.value}",
        run.subject,
        {
            "transaction": delivery.transaction,
            "purpose": delivery.purpose,
            "check": refused.check,
            "detail": refused.detail if kept else refused.detail[:DETAIL],
            "digest": delivery.digest,
        },
    )
    if not kept:
        return
    request_id = None if request is None else request.header.request_id
    await store.record_decision(
        conn,
        Decision(
            at=base.clock.now(),
            purpose=delivery.purpose,
            transaction=delivery.transaction,
            request_id=None if request_id is None else request_id.text,
            requester=None if request_id is None else request_id.originator,
            device=None if request_id is None else request_id.target,
            digest=delivery.digest,
            outcome=outcome,
            check=refused.check,
            code=refused.code,
            detail=refused.detail,
        ),
    )
    await base.traces.record(
        run.subject,
        outcome.value,
        sender=delivery.opened.sender,
        receiver=base.settings.party,
        name=refused.check,
        summary=refused.detail,
        verdicts=run.verdicts(),
        conn=conn,
    )
