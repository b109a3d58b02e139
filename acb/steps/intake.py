"""Step 1: a service request arrives, is judged in full, and is kept or refused.

Three groups of checks, because evidence has to be fetched between them: form (the octets), identity
(who sent it), standing (may this user ask this of this device now). The last group is judged in
the same transaction that keeps the request, so that two copies racing each other cannot both pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from acb.checks import PARTY
from acb.model import Refusal, RequestEvidence, State, Tracked
from acb.peers.lookups import TooManyLookups
from acb.peers.smki import RepositoryUnavailable
from acb.rules import codes
from acb.rules.request import FORM_CHECKS, IDENTITY_CHECKS
from acb.rules.standing import STANDING_CHECKS, set_aside
from acb.services.table import variant_of
from acb.steps import gather
from acb.steps.context import Parts
from acb.steps.dates import Waiting
from acb.steps.outcome import Outcomes
from acb.steps.protect import answer_at_once, judge_service
from acb.steps.quarantine import ANOMALY, Quarantine
from acb.store import requests as store
from duis.model import ServiceRequest
from services.chassis.checks import Approved, CheckRun, Refused, Verdict
from services.chassis.log import about, note
from services.chassis.web.problems import Problem

LOOKUPS: Final = "acb.smki_repository.lookups"
"""The same, because strangers have asked for too many."""
REPOSITORY: Final = "acb.smki_repository.unavailable"
"""Why a request is neither taken nor refused: nobody can be asked who its sender is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the user at once: a signed DUIS document and headers for testers."""

    document: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Intake:
    """Takes service requests in."""

    def __init__(self, context: Parts, outcomes: Outcomes, waiting: Waiting) -> None:
        self._context = context
        self._outcomes = outcomes
        self._waiting = waiting
        self._quarantine = Quarantine(context, outcomes)

    async def receive(self, content_type: str | None, body: bytes) -> Answer:
        """Judge one request and keep it.

        Returns:
            The signed acknowledgement, or the signed refusal once the sender is known.

        Raises:
            Refused: before the sender is known (becomes a problem document).
            Problem: 503, the SMKI repository cannot be asked.
        """
        base = self._context.base
        evidence = gather.read_request(content_type, body, self._context.settings.body_limit)
        subject = _subject(evidence)
        if evidence.request is not None:
            about(subject)
        came = base.system_clock.now()
        run = base.book.start(subject, "request")
        try:
            evidence = await self._identify(run, evidence)
        except (Refused, Problem) as failed:
            if base.audit.strangers.afford(len(body)):
                await self._trace_stranger(evidence, came, run, failed)
            raise
        request = evidence.request
        if request is None:  # only with checks switched off
            raise Problem(400, "Unreadable request", "there is nothing to act on", party=PARTY)
        async with base.database.begin() as conn:
            evidence = await gather.look_up_state(conn, evidence, self._context.settings)
            runs = [run]
            try:
                approved = _judge_standing(run, evidence)
                answer = await self._judge_service(conn, runs, approved)
            except Refused as refused:
                user = request.header.request_id.originator
                if refused.check == ANOMALY and self._quarantine.affords(user, evidence.body):
                    await self._trace_received(conn, evidence, came)
                    return await self._hold(conn, run, evidence, request, refused)
                return await self._refuse(conn, runs, evidence, request, refused, came=came)
            await self._trace_received(conn, evidence, came)
            verdicts = [
                *approved.verdicts,
                *(said for more in runs[1:] for said in more.verdicts()),
            ]
            return await self._keep(conn, verdicts, approved.evidence, request, answer)

    async def release(self, reference: int) -> Tracked | None:
        """Judge a quarantined request again, the threshold apart, and let it go on.

        Returns:
            The request as it is then (accepted, or refused by another check by now); None if
            nothing is quarantined under this reference.

        Raises:
            Refused: before the sender is known.
            Problem: 503, the SMKI repository cannot be asked.
        """
        base = self._context.base
        async with base.database.connect() as conn:
            held = await store.find_quarantined(conn, reference)
        if held is None:
            return None
        evidence = gather.read_request(
            "application/xml", held.body, self._context.settings.body_limit
        )
        run = base.book.start(held.request_id, "request")
        evidence = await self._identify(run, evidence)
        async with base.database.begin() as conn:
            held = await store.find_quarantined(conn, reference)
            if held is None:
                return None
            evidence = await gather.look_up_state(conn, evidence, self._context.settings, held)
            runs = [run]
            try:
                approved = _judge_standing(run, evidence)
                await self._judge_service(conn, runs, approved)
            except Refused as refused:
                await self._outcomes.refused_by_check(conn, held, runs[-1], refused)
                return await store.get_request(conn, held.sequence)
            summary = "an operator released it from quarantine"
            await self._context.trace(
                conn, held, "released", summary=summary, verdicts=approved.verdicts
            )
            released = await store.change(conn, held.sequence, state=State.ACCEPTED.value)
            if approved.evidence.request is not None:
                await self._waiting.keep(conn, released, approved.evidence.request)
            await self._outcomes.release_device(conn, held.target)
            self._context.notify(held.request_id)
            return await store.get_request(conn, held.sequence)

    async def delete(self, reference: int) -> Tracked | None:
        """Drop a quarantined request for good; None if there is none of this reference."""
        return await self._quarantine.delete(reference)

    async def _trace_received(
        self, conn: AsyncConnection, evidence: RequestEvidence, came: datetime
    ) -> None:
        await self._context.trace(
            conn,
            _subject(evidence),
            "received",
            sender=_sender(evidence),
            receiver=PARTY,
            name="service-request",
            message=evidence.body,
            at=came,
        )

    async def _trace_stranger(
        self, evidence: RequestEvidence, came: datetime, run: CheckRun, failed: Exception
    ) -> None:
        """What came of somebody who is not known, and why it was refused if it was."""
        async with self._context.base.database.begin() as conn:
            await self._trace_received(conn, evidence, came)
            if isinstance(failed, Refused):
                await self._context.trace(
                    conn,
                    _subject(evidence),
                    "refused",
                    name=failed.check,
                    summary=failed.detail,
                    verdicts=run.verdicts(),
                )

    async def _identify(self, run: CheckRun, evidence: RequestEvidence) -> RequestEvidence:
        try:
            for check in FORM_CHECKS:
                run.apply(check, evidence)
            evidence = await gather.look_up_signer(evidence, self._context)
            for check in IDENTITY_CHECKS:
                run.apply(check, evidence)
        except RepositoryUnavailable as error:
            many = error if isinstance(error, TooManyLookups) else None
            raise Problem(
                503,
                "The certificate cannot be looked up now",
                "the SMKI repository cannot be asked; send the request again later",
                party=PARTY,
                check=REPOSITORY if many is None else LOOKUPS,
                headers=None if many is None else {"Retry-After": str(many.again)},
            ) from error
        return evidence

    async def _judge_service(
        self, conn: AsyncConnection, runs: list[CheckRun], standing: Approved[RequestEvidence]
    ) -> bytes | None:
        """The checks of the service itself, and its answer if it is one that is given at once."""
        request = standing.evidence.request
        variant = None if request is None else variant_of(request.header)
        if request is None or variant is None or not variant.checks:
            return None
        evidence = await gather.look_up_service(
            conn, self._context, request, standing.evidence.path
        )
        approved = judge_service(self._context, variant, evidence, runs)
        return answer_at_once(self._context, variant, approved)

    async def _keep(
        self,
        conn: AsyncConnection,
        verdicts: Sequence[Verdict],
        evidence: RequestEvidence,
        request: ServiceRequest,
        answer: bytes | None,
    ) -> Answer:
        """Keep an approved request; if the broker has answered it already, that ends it."""
        if answer is not None:
            tracked = await self._add(
                conn,
                evidence,
                request,
                State.COMPLETED,
                None,
                response=answer,
                response_code=codes.SUCCESS,
            )
            await self._checked(conn, tracked, verdicts)
            return Answer(answer)
        acknowledgement = self._context.replies.acknowledgement(
            request.header, self._context.base.clock.now()
        )
        tracked = await self._add(conn, evidence, request, State.ACCEPTED, acknowledgement)
        await self._checked(conn, tracked, verdicts)
        await self._waiting.keep(conn, tracked, request)
        await self._outcomes.release_device(conn, tracked.target)
        return Answer(acknowledgement)

    async def _checked(
        self, conn: AsyncConnection, tracked: Tracked, verdicts: Sequence[Verdict]
    ) -> None:
        await self._context.trace(
            conn, tracked, "checked", name="service request", verdicts=verdicts
        )
        self._context.notify(tracked.request_id)

    async def _refuse(
        self,
        conn: AsyncConnection,
        runs: list[CheckRun],
        evidence: RequestEvidence,
        request: ServiceRequest,
        refused: Refused,
        *,
        came: datetime,
    ) -> Answer:
        """Say no in the field's own way. Nothing is spent: the request may be sent again.

        What is kept of it the sender pays for, from a purse of its own.
        """
        now = self._context.base.clock.now()
        code = refused.code or codes.INTERNAL_TO_DCC
        document = self._context.replies.refusal(request.header, code, now)
        name = request.header.request_id.text
        answer = Answer(document, {"Cos-Check": refused.check, "Cos-Party": PARTY})
        carried = len(evidence.body) + len(document)
        sender = request.header.request_id.originator
        if not self._context.base.audit.strangers.afford(carried, records=3, sender=sender):
            note(unkept=True)
            return answer
        await self._trace_received(conn, evidence, came)
        why = Refusal(PARTY, refused.check, refused.detail, code)
        await store.note_refusal(conn, name, why, document, now)
        await self._context.trace(
            conn,
            name,
            "refused",
            name=refused.check,
            summary=refused.detail,
            verdicts=[said for run in runs for said in run.verdicts()],
        )
        self._context.notify(name)
        return answer

    async def _hold(
        self,
        conn: AsyncConnection,
        run: CheckRun,
        evidence: RequestEvidence,
        request: ServiceRequest,
        refused: Refused,
    ) -> Answer:
        """Hold the request back: taken and acknowledged, but nothing is done until released."""
        acknowledgement = self._context.replies.acknowledgement(
            request.header, self._context.base.clock.now()
        )
        tracked = await self._add(
            conn,
            evidence,
            request,
            State.QUARANTINED,
            acknowledgement,
            quarantine_ref=await store.next_quarantine_ref(conn),
            refused_party=PARTY,
            refused_check=refused.check,
            refused_detail=refused.detail,
            refused_code=refused.code,
        )
        await self._quarantine.hold(conn, tracked, evidence.tally, run)
        return Answer(acknowledgement, {"Cos-Check": refused.check, "Cos-Party": PARTY})

    async def _add(
        self,
        conn: AsyncConnection,
        evidence: RequestEvidence,
        request: ServiceRequest,
        state: State,
        acknowledgement: bytes | None,
        **more: object,
    ) -> Tracked:
        header = request.header
        return await store.add_request(
            conn,
            counter=header.request_id.counter,
            request_id=header.request_id.text,
            originator=header.request_id.originator,
            target=header.request_id.target,
            service_reference=header.service_reference,
            service_reference_variant=header.service_reference_variant,
            body=evidence.body,
            accepted_at=self._context.base.clock.now(),
            state=state.value,
            transaction_id=str(uuid4()),
            acknowledgement=acknowledgement,
            **more,
        )


def _judge_standing(run: CheckRun, evidence: RequestEvidence) -> Approved[RequestEvidence]:
    request = evidence.request
    variant = None if request is None else request.header.service_reference_variant
    rules = evidence.supported.get(variant or "")
    for check in STANDING_CHECKS:
        if why := set_aside(rules, check.id):
            run.skip(check, why)
    return run.judge(evidence)


def _subject(evidence: RequestEvidence) -> str:
    if evidence.request is not None:
        return evidence.request.header.request_id.text
    return f"unreadable:{hashlib.sha256(evidence.body).hexdigest()[:16]}"


def _sender(evidence: RequestEvidence) -> str:
    """Who says it sent it: a claim, until the identity checks have passed."""
    if evidence.request is not None:
        return evidence.request.header.request_id.originator
    return "unknown"
