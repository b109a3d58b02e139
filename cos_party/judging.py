"""Running a whole section of checks, and writing down what came of it."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from cos_party import store
from cos_party.checks import QUARANTINING
from cos_party.model import (
    ChangeRequest,
    Decided,
    Decision,
    Delivery,
    RequestEvidence,
    ReturnEvidence,
)
from cos_party.registration_checks import NOT_FINAL
from services.chassis.checks import Approved, CheckRun, Refused
from services.chassis.foundation import Foundation


def run_all(
    base: Foundation, run: CheckRun, evidence: RequestEvidence | ReturnEvidence
) -> Approved:
    """Apply every check of the run's section in the order of the book.

    Raises:
        Refused: by the first check that says no.
    """
    for check in base.book.section(run.section):
        run.apply(check, evidence)
    return run.approve()


async def write_refusal(
    base: Foundation,
    conn: AsyncConnection,
    delivery: Delivery,
    *,
    run: CheckRun,
    refused: Refused,
    request: ChangeRequest | None = None,
) -> None:
    """Write down a refusal: for operators, for the trace, and as evidence."""
    quarantined = refused.check.endswith(f".{QUARANTINING}")
    outcome = Decided.QUARANTINED if quarantined else Decided.REFUSED
    if refused.status == NOT_FINAL:
        outcome = Decided.DEFERRED
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
    await base.audit.append(
        conn,
        f"cos.{outcome.value}",
        run.subject,
        {
            "transaction": delivery.transaction,
            "purpose": delivery.purpose,
            "check": refused.check,
            "detail": refused.detail,
            "digest": delivery.digest,
        },
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
