"""Step 1: a service request arrives, is judged in full, and is kept or refused.

Three groups of checks, because evidence has to be fetched between them: form (the octets), identity
(who sent it), standing (may this user ask this of this device now). The last group is judged in
the same transaction that keeps the request, so that two copies racing each other cannot both pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from acb.checks import PARTY
from acb.model import Refusal, RequestEvidence, State, Tracked
from acb.peers.lookups import TooManyLookups
from acb.rules import codes
from acb.rules.request import FORM_CHECKS, IDENTITY_CHECKS
from acb.rules.standing import STANDING_CHECKS, set_aside
from acb.services.table import variant_of
from acb.steps import gather
from acb.steps.context import Context
from acb.steps.dates import Waiting
from acb.steps.gather import Arrival
from acb.steps.outcome import Outcomes
from acb.steps.protect import answer_at_once, judge_service
from acb.steps.quarantine import ANOMALY, Quarantine
from acb.store import requests as store
from duis.model import ServiceRequest
from services.chassis.checks import Approved, Refused, need
from services.chassis.data.connection import StoreConnection
from services.chassis.log import about, note
from services.chassis.web.problems import Problem
from services.link.sources import SourceUnavailable

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

    def __init__(self, context: Context, outcomes: Outcomes, waiting: Waiting) -> None:
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
        arrival = self._arrival(content_type, body)
        if arrival.evidence.request is not None:
            about(duis_request_id=arrival.subject)
        try:
            await self._identify(arrival)
        except (Refused, Problem) as failed:
            if base.audit.unauthenticated.admit(len(body)):
                await self._trace_unauthenticated(arrival, failed)
            raise
        request = arrival.evidence.request
        if request is None:  # only with checks switched off
            raise Problem(400, "Unreadable request", "there is nothing to act on", party=PARTY)
        async with base.database.begin() as conn:
            try:
                approved, answer = await self._judge(conn, arrival)
            except Refused as refused:
                user = request.header.request_id.originator
                if refused.check == ANOMALY and self._quarantine.may_hold(user, body):
                    await self._trace_received(conn, arrival)
                    return await self._hold(conn, arrival, request, refused)
                return await self._refuse(conn, arrival, request, refused)
            await self._trace_received(conn, arrival)
            return await self._keep(conn, approved, arrival, answer)

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
        arrival = self._arrival("application/xml", held.body)
        await self._identify(arrival)
        async with base.database.begin() as conn:
            held = await store.find_quarantined(conn, reference)
            if held is None:
                return None
            try:
                approved, _ = await self._judge(conn, arrival, held)
            except Refused as refused:
                await self._outcomes.refused_by_check(conn, held, arrival.runs[-1], refused)
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

    def _arrival(self, content_type: str | None, body: bytes) -> Arrival:
        base = self._context.base
        evidence = gather.read_request(content_type, body, self._context.settings.body_limit)
        arrival = Arrival(evidence, base.system_clock.now())
        arrival.runs.append(base.book.start(arrival.subject, "request"))
        return arrival

    async def _identify(self, arrival: Arrival) -> None:
        """The checks of form, and of who sent it."""
        (run,) = arrival.runs
        try:
            for check in FORM_CHECKS:
                run.apply(check, arrival.evidence)
            arrival.evidence = await gather.look_up_signer(arrival.evidence, self._context)
            for check in IDENTITY_CHECKS:
                run.apply(check, arrival.evidence)
        except SourceUnavailable as error:
            many = error if isinstance(error, TooManyLookups) else None
            raise Problem(
                503,
                "The certificate cannot be looked up now",
                "the SMKI repository cannot be asked; send the request again later",
                party=PARTY,
                check=REPOSITORY if many is None else LOOKUPS,
                headers=None if many is None else {"Retry-After": str(many.again)},
            ) from error

    async def _judge(
        self, conn: StoreConnection, arrival: Arrival, released: Tracked | None = None
    ) -> tuple[Approved[RequestEvidence], bytes | None]:
        """The checks of standing, those of the service, and its answer if it is given at once."""
        context = self._context
        evidence = await gather.look_up_state(conn, arrival.evidence, context.settings, released)
        arrival.evidence = evidence
        request, run = evidence.request, arrival.runs[0]
        name = "" if request is None else request.header.service_reference_variant
        for check in STANDING_CHECKS:
            if why := set_aside(evidence.supported.get(name), check.id):
                run.skip(check, why)
        approved = run.judge(evidence)
        variant = None if request is None else variant_of(request.header)
        if request is None or variant is None or not variant.checks:
            return approved, None
        asked = await gather.look_up_service(conn, context, request, evidence.path)
        served = judge_service(context, variant, asked, arrival.runs)
        return approved, answer_at_once(context, variant, served)

    async def _trace_received(self, conn: StoreConnection, arrival: Arrival) -> None:
        """Record that it came, and from whom: a claim, until its sender is known."""
        request = arrival.evidence.request
        await self._context.trace(
            conn,
            arrival.subject,
            "received",
            sender="unknown" if request is None else request.header.request_id.originator,
            receiver=PARTY,
            name="service-request",
            message=arrival.evidence.body,
            at=arrival.came,
        )

    async def _trace_refused(
        self, conn: StoreConnection, arrival: Arrival, refused: Refused
    ) -> None:
        await self._context.trace(
            conn,
            arrival.subject,
            "refused",
            name=refused.check,
            summary=refused.detail,
            verdicts=arrival.verdicts,
        )

    async def _trace_unauthenticated(self, arrival: Arrival, failed: Exception) -> None:
        """What came of somebody who is not known, and why it was refused if it was."""
        async with self._context.base.database.begin() as conn:
            await self._trace_received(conn, arrival)
            if isinstance(failed, Refused):
                await self._trace_refused(conn, arrival, failed)

    async def _keep(
        self,
        conn: StoreConnection,
        approved: Approved[RequestEvidence],
        arrival: Arrival,
        answer: bytes | None,
    ) -> Answer:
        """Keep an approved request; if the broker has answered it already, that ends it."""
        if answer is not None:
            answered = {"response": answer, "response_code": codes.SUCCESS}
            tracked = await self._add(conn, approved.evidence, State.COMPLETED, **answered)
            await self._trace_checked(conn, tracked, arrival)
            return Answer(answer)
        request = need(approved.evidence.request, "service request")
        document = self._acknowledgement(request)
        tracked = await self._add(conn, approved.evidence, State.ACCEPTED, acknowledgement=document)
        await self._trace_checked(conn, tracked, arrival)
        await self._waiting.keep(conn, tracked, request)
        await self._outcomes.release_device(conn, tracked.target)
        return Answer(document)

    async def _trace_checked(
        self, conn: StoreConnection, tracked: Tracked, arrival: Arrival
    ) -> None:
        await self._context.trace(
            conn, tracked, "checked", name="service request", verdicts=arrival.verdicts
        )
        self._context.notify(tracked.request_id)

    async def _refuse(
        self, conn: StoreConnection, arrival: Arrival, request: ServiceRequest, refused: Refused
    ) -> Answer:
        """Say no in the field's own way. Nothing is spent: the request may be sent again.

        What is kept of it counts against a quota of the sender's own.
        """
        now = self._context.base.clock.now()
        code = refused.code or codes.INTERNAL_TO_DCC
        document = self._context.replies.refusal(request.header, code, now)
        answer = Answer(document, {"Cos-Check": refused.check, "Cos-Party": PARTY})
        carried = len(arrival.evidence.body) + len(document)
        sender = request.header.request_id.originator
        if not self._context.base.audit.unauthenticated.admit(carried, records=3, sender=sender):
            note(unrecorded=True)
            return answer
        await self._trace_received(conn, arrival)
        why = Refusal(PARTY, refused.check, refused.detail, code)
        await store.note_refusal(conn, arrival.subject, why, document, now)
        await self._trace_refused(conn, arrival, refused)
        self._context.notify(arrival.subject)
        return answer

    async def _hold(
        self, conn: StoreConnection, arrival: Arrival, request: ServiceRequest, refused: Refused
    ) -> Answer:
        """Hold the request back: taken and acknowledged, but nothing is done until released."""
        document = self._acknowledgement(request)
        tracked = await self._add(
            conn,
            arrival.evidence,
            State.QUARANTINED,
            acknowledgement=document,
            quarantine_ref=await store.next_quarantine_ref(conn),
            refused_party=PARTY,
            refused_check=refused.check,
            refused_detail=refused.detail,
            refused_code=refused.code,
        )
        await self._quarantine.hold(conn, tracked, arrival.evidence.tally, arrival.runs[0])
        return Answer(document, {"Cos-Check": refused.check, "Cos-Party": PARTY})

    def _acknowledgement(self, request: ServiceRequest) -> bytes:
        now = self._context.base.clock.now()
        return self._context.replies.acknowledgement(request.header, now)

    async def _add(
        self,
        conn: StoreConnection,
        evidence: RequestEvidence,
        state: State,
        **more: object,
    ) -> Tracked:
        """Keep a request: its identifier and its counter are spent."""
        header = need(evidence.request, "service request").header
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
            **more,
        )
