"""Step 6: what a device says is judged by its service's checks, and all that follows from it.

It comes as the answer to what was just sent (`acb.steps.deliver`), or later by itself: a response
that was delayed, the alert of a dated command (`acb.steps.device_messages`). Whenever it comes it
settles its request, even one that had failed for silence.

The record of a device's cells changes here and nowhere else, cell by cell, and only for cells
whose replacement the device itself says, under its signature, has succeeded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from acb.checks import PARTY
from acb.model import FINAL, SUPPLIER_CELL, Refusal, ResponseEvidence, State, Tracked
from acb.peers.outbound import DEVICE_ALERT, DEVICE_RESPONSE
from acb.rules import codes
from acb.rules.answer import Learned
from acb.rules.response import RESPONSE_CHECKS
from acb.services.table import service_of
from acb.steps import gather, lanes, pending
from acb.steps.context import Context
from acb.steps.cos_certificates import CosCertificates
from acb.steps.notify import Notifier
from acb.store import awaited, records
from acb.store import requests as store
from gbcs.codes import StatusCode
from gbcs.payloads.credentials import CANCEL_EXECUTION, CredentialsOutcome, UpdateCredentials
from keys.certificate import Certificate
from services.chassis.checks import CheckRun, Refused
from services.chassis.data.connection import StoreConnection
from services.chassis.data.outbox import OutboxItem


class Unacceptable(Exception):  # noqa: N818 - a verdict on a device's message
    """A check refused what a device said.

    Attributes:
        refused: which check, and why.
        run: the verdicts of the whole list.
    """

    def __init__(self, refused: Refused, run: CheckRun) -> None:
        super().__init__(refused.check)
        self.refused = refused
        self.run = run


class Outcomes:
    """Ends requests, in the caller's transaction."""

    def __init__(
        self, context: Context, notifier: Notifier, look_at_dates: Callable[[], None]
    ) -> None:
        """`look_at_dates` wakes who watches for alerts that do not come."""
        self._context = context
        self._look_at_dates = look_at_dates
        self.notifier = notifier
        self.cos_certificates = CosCertificates(notifier)

    async def handle_response(
        self, conn: StoreConnection, tracked: Tracked, raw: bytes, *, alert: bool = False
    ) -> None:
        """Judge what a device says of a request (silence is b"") and settle the request by it.

        Raises:
            Unacceptable: a check said no. Nothing was written.
        """
        service = service_of(tracked.service_reference_variant)
        judgement = service.alert if alert else service.response
        if judgement is None:
            return
        sent = await gather.look_up_sent(conn, self._context, tracked)
        run = self._context.base.book.start(tracked.request_id, judgement.section)
        try:
            verdicts, learned = judgement.judge(run, raw, sent)
        except Refused as refused:
            raise Unacceptable(refused, run) from None
        await self._context.trace(
            conn, tracked, "checked", name="device's answer", verdicts=verdicts
        )
        if learned is not None:
            await self._settle(conn, tracked, learned, raw)

    async def handle_unclaimed(self, conn: StoreConnection, evidence: ResponseEvidence) -> None:
        """Judge a message that is about no command sent from here: it is refused, by name.

        Raises:
            Unacceptable: a check said no.
        """
        device = None if evidence.message is None else evidence.message.header.originator
        if device is not None:
            evidence = replace(
                evidence,
                device=await records.find_device(conn, device),
                last_alert_counter=await records.seen_counter(conn, device, device),
            )
        subject = gather.subject(evidence)
        run = self._context.base.book.start(subject, RESPONSE_CHECKS[0].section)
        try:
            approved = run.judge(evidence)  # only with checks switched off
        except Refused as refused:
            raise Unacceptable(refused, run) from None
        await self._context.trace(
            conn, subject, "checked", name="device's answer", verdicts=approved.verdicts
        )

    async def end_refused(
        self, conn: StoreConnection, tracked: Tracked, why: Refusal, state: State = State.REFUSED
    ) -> None:
        """End a request without the act, and have the user sent an answer that says so."""
        await store.refuse(conn, tracked.sequence, state, why)
        await self.notifier.enqueue_failure(conn, tracked, why.code or codes.INTERNAL_TO_DCC)
        await self.release_device(conn, tracked.target)
        self._context.notify(tracked.request_id)

    async def refused_by_check(
        self,
        conn: StoreConnection,
        tracked: Tracked,
        run: CheckRun,
        refused: Refused,
        state: State = State.REFUSED,
    ) -> None:
        """End a request because one of the broker's own checks said no."""
        await self.trace_refused(conn, tracked, run, refused)
        why = Refusal(PARTY, refused.check, refused.detail, refused.code)
        await self.end_refused(conn, tracked, why, state)

    async def trace_refused(
        self, conn: StoreConnection, tracked: Tracked, run: CheckRun, refused: Refused
    ) -> None:
        """Record which check said no."""
        await self._context.trace(
            conn,
            tracked,
            "refused",
            name=refused.check,
            summary=refused.detail,
            verdicts=run.verdicts(),
        )

    async def end_failed(
        self, conn: StoreConnection, tracked: Tracked, name: str, why: str, code: str
    ) -> None:
        """End a request as failed, for a reason that is no verdict of a check."""
        await self._context.trace(conn, tracked, "failed", name=name, summary=why)
        await self.end_refused(conn, tracked, Refusal(PARTY, name, why, code), State.FAILED)

    async def still_open(self, conn: StoreConnection, item: OutboxItem) -> Tracked | None:
        """The request of a step that is given up; None if a late answer has settled it."""
        tracked = await store.get_request(conn, item.payload["sequence"])
        return None if tracked.state in (*FINAL, State.SCHEDULED) else tracked

    async def complete(self, conn: StoreConnection, tracked: Tracked, document: bytes) -> None:
        """End a request well, by the broker's own word: no device's message goes with it."""
        await store.change(
            conn,
            tracked.sequence,
            state=State.COMPLETED.value,
            response=document,
            response_code=codes.SUCCESS,
        )
        await self.notifier.enqueue_answer(conn, tracked, codes.SUCCESS, document)
        self._context.notify(tracked.request_id)

    async def _settle(
        self, conn: StoreConnection, tracked: Tracked, learned: Learned, raw: bytes
    ) -> None:
        """Record what an approved message says, and have everybody told who is to know."""
        now, replies = self._context.base.clock.now(), self._context.replies
        await self._record(conn, tracked, learned)
        dated = None if learned.update is None else learned.update.execution_date_time
        if learned.alert is not None:
            code, counter = learned.alert
            await records.raise_counter(conn, tracked.target, tracked.target, counter)
            await awaited.forget(conn, tracked.sequence)
            document = replies.executed(tracked, code, raw, now)
        else:
            document = replies.answer(tracked, codes.SUCCESS, raw, now)
        waits = learned.alert is None and dated is not None and dated != CANCEL_EXECUTION
        await store.change(
            conn,
            tracked.sequence,
            state=(State.SCHEDULED if waits else State.COMPLETED).value,
            device_response=raw,
            response=document,
            response_code=codes.SUCCESS,
            refused_party=None,
            refused_check=None,
            refused_detail=None,
            refused_code=None,
        )
        if waits:
            await awaited.expect(conn, tracked)
        await self.notifier.enqueue_answer(conn, tracked, codes.SUCCESS, document)
        if tracked.cos_party is not None:
            purpose = DEVICE_RESPONSE if learned.alert is None else DEVICE_ALERT
            await self.notifier.enqueue_cos_party(conn, tracked, purpose, raw)
        if learned.update is not None and learned.alert is None and dated is not None:
            await pending.drop_replaced(self.notifier, conn, tracked, learned.update)
        await self.release_device(conn, tracked.target)
        self._context.notify(tracked.request_id)

    async def _record(self, conn: StoreConnection, tracked: Tracked, learned: Learned) -> None:
        """Record what the device holds and uses now."""
        # What was read back since is the truth of a later moment than an alert's.
        if learned.update and learned.outcome and tracked.state is not State.COMPLETED:
            now_true = learned.alert is not None
            changed = await self.record_cells(
                conn, tracked, learned.update, learned.outcome, now_true=now_true
            )
            await self.announce(conn, tracked, learned.update, changed)
        if learned.installed is not None:
            await records.put_own_certificate(conn, tracked.target, learned.installed)
            summary = f"it uses another key for {learned.installed.usage} now"
            await self._context.trace(
                conn, tracked, "recorded", name="device certificate", summary=summary
            )
        if learned.details is not None:
            await self.cos_certificates.read(conn, tracked, learned.details)

    async def record_cells(
        self,
        conn: StoreConnection,
        tracked: Tracked,
        update: UpdateCredentials,
        reported: CredentialsOutcome,
        *,
        now_true: bool = False,
    ) -> dict[str, Certificate]:
        """Record the cells whose replacement the device says succeeded; gives what is news.

        A response that comes late tells of the past: what a later request has put into a cell since
        stays on record, unless the device speaks of this very moment (`now_true`: an alert).
        """
        later = await records.cells_set_after(conn, tracked)
        past = frozenset[str]() if now_true else later
        known = await records.cells_set_by(conn, tracked.target, tracked.request_id)
        sent = {item.cell.name: item.certificate for item in update.replacements}
        changed = {
            item.cell.name: Certificate.from_der(sent[item.cell.name])
            for item in reported.outcomes
            if item.status == StatusCode.SUCCESS and item.cell.name in sent
            if item.cell.name not in past
        }
        failed = [item for item in reported.outcomes if item.status != StatusCode.SUCCESS]
        summary = [f"{name}: replaced" for name in changed]
        summary += [f"{name}: replaced, and again since" for name in sorted(past & sent.keys())]
        summary += [f"{item.cell.name}: {item.status.label}" for item in failed]
        await self.put_cells(conn, tracked, changed, "; ".join(summary))
        return {name: held for name, held in changed.items() if name not in known}

    async def announce(
        self,
        conn: StoreConnection,
        tracked: Tracked,
        update: UpdateCredentials,
        changed: dict[str, Certificate],
    ) -> None:
        """Have whom it concerns alerted that cells changed, if the service says so."""
        device = await records.find_device(conn, tracked.target)
        announced = service_of(tracked.service_reference_variant).announced
        if changed and device is not None and announced:
            await self.notifier.enqueue_credentials_updated(conn, tracked, device, update, changed)

    async def put_cells(
        self,
        conn: StoreConnection,
        tracked: Tracked,
        changed: dict[str, Certificate],
        summary: str,
    ) -> None:
        """Record what cells hold now, and have a supplier that was replaced told."""
        before = await records.find_device(conn, tracked.target)
        await records.put_cells(conn, tracked.target, changed, tracked.request_id)
        await self._context.trace(
            conn, tracked, "recorded", name="trust anchor cells", summary=summary
        )
        await pending.drop_orphans(self.notifier, conn, tracked, before, changed)
        await self.cos_certificates.recorded(conn, tracked, before, changed)
        if before is None or SUPPLIER_CELL not in changed:
            return
        held = before.cells.get(SUPPLIER_CELL)
        old = None if held is None else held.subject_eui
        if old is not None and old != changed[SUPPLIER_CELL].subject_eui:
            await self.notifier.enqueue_old_supplier(conn, tracked, before, old)

    async def release_device(self, conn: StoreConnection, device: str) -> None:
        """Let the next request for a device begin, if nothing is on the way to it."""
        self._context.base.database.on_commit(self._look_at_dates)
        following = await store.take_turn(conn, device)
        if following is None:
            return
        kind, lane = lanes.SERVE, lanes.at_broker(following)
        if service_of(following.service_reference_variant).returned:
            record = await records.find_device(conn, device)
            party = gather.party_of(record, self._context.settings.connected)
            kind = lanes.HAVE_SIGNED
            lane = lanes.at_cos_party("" if party is None else party.name, following)
        await self._context.enqueue(conn, kind, following, lane)
