"""How a request ends: judging what the device says, and everything that follows from it.

The record of a device's cells changes here and nowhere else, cell by cell, and only for cells
whose replacement the device itself says, under its signature, has succeeded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from acb.checks import PARTY, RESPONSE_CHECKS
from acb.model import COS_CELL, SUPPLIER_CELL, Refusal, ResponseEvidence, State, Tracked
from acb.peers.outbound import DEVICE_ALERT, DEVICE_RESPONSE
from acb.rules import codes
from acb.services.table import ASK_COS_PARTY, SUPPORTED
from acb.steps import gather, lanes, pending
from acb.steps.context import Parts
from acb.steps.cos_certificates import CosCertificates
from acb.steps.notices import Notices
from acb.steps.overdue import Overdue
from acb.store import awaited, records
from acb.store import requests as store
from gbcs.codes import StatusCode
from gbcs.payloads.credentials import CANCEL_EXECUTION, CredentialsOutcome, UpdateCredentials
from keys.certificate import Certificate
from services.chassis.checks import Approved, CheckRun, Refused


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

    def __init__(self, parts: Parts, notices: Notices) -> None:
        self._parts = parts
        self._notices = notices
        self.cos_certificates = CosCertificates(notices)
        self.overdue = Overdue(parts)

    @property
    def notices(self) -> Notices:
        """What keeps the documents that are owed."""
        return self._notices

    async def end_refused(
        self, conn: AsyncConnection, tracked: Tracked, why: Refusal, state: State = State.REFUSED
    ) -> None:
        """End a request without the act, and owe the user an answer that says so."""
        await store.refuse(conn, tracked.sequence, state, why)
        await self._notices.owe_failure(conn, tracked, why.code or codes.INTERNAL_TO_DCC)
        await self.release_device(conn, tracked.target)
        self.tell(tracked.request_id)

    async def refused_by_check(
        self,
        conn: AsyncConnection,
        tracked: Tracked,
        run: CheckRun,
        refused: Refused,
        state: State = State.REFUSED,
    ) -> None:
        """End a request because one of the broker's own checks said no."""
        await self._parts.base.traces.record(
            tracked.request_id,
            "refused",
            name=refused.check,
            summary=refused.detail,
            verdicts=run.verdicts(),
            conn=conn,
        )
        why = Refusal(PARTY, refused.check, refused.detail, refused.code)
        await self.end_refused(conn, tracked, why, state)

    async def hear(
        self, conn: AsyncConnection, tracked: Tracked | None, evidence: ResponseEvidence
    ) -> None:
        """Judge a device's response or alert, and do all that follows if it is accepted.

        Args:
            conn: the transaction in which everything happens.
            tracked: the request it seems to be about, if there is one.
            evidence: the message, read.

        Raises:
            Unacceptable: a check said no. Nothing was written.
        """
        base = self._parts.base
        message = evidence.message
        sender = message.header.originator if message is not None else None
        device = tracked.target if tracked is not None else sender
        command = (
            None if tracked is None else gather.issued(tracked, self._parts.settings.connected)
        )
        evidence = replace(
            evidence,
            device=None if device is None else await records.find_device(conn, device),
            command=command,
            last_alert_counter=(
                None if device is None else await records.seen_counter(conn, device, device)
            ),
        )
        subject = tracked.request_id if tracked is not None else gather.subject(evidence)
        run = base.book.start(subject, "response")
        try:
            for check in RESPONSE_CHECKS:
                run.apply(check, evidence)
            approved = run.approve()
        except Refused as refused:
            raise Unacceptable(refused, run) from None
        await base.traces.record(
            subject, "checked", name="device's answer", verdicts=approved.verdicts, conn=conn
        )
        if tracked is not None:
            await self._settle(conn, approved, tracked, evidence)

    async def _settle(
        self,
        conn: AsyncConnection,
        approved: Approved[Any],
        tracked: Tracked,
        evidence: ResponseEvidence,
    ) -> None:
        """Record what an approved answer says, and owe everybody what they are owed."""
        del approved  # taken so that nothing is settled that was not approved
        command, message = evidence.command, evidence.message
        if command is None or message is None:  # only with checks switched off
            return
        now = self._parts.base.clock.now()
        alert, response = evidence.alert, evidence.response
        told = alert.outcome if alert is not None else response.outcome if response else None
        # What was read back since is the truth of a later moment than the alert's.
        if told is not None and tracked.state is not State.COMPLETED:
            await self.record_cells(conn, tracked, command.update, told, now_true=alert is not None)
        dated = command.update.execution_date_time
        if alert is not None:
            await records.raise_counter(
                conn, tracked.target, tracked.target, message.header.counter
            )
            document = self._parts.replies.executed(tracked, alert.alert_code, evidence.raw, now)
            purpose = DEVICE_ALERT
            await awaited.forget(conn, tracked.sequence)
        else:
            document = self._parts.replies.answer(tracked, codes.SUCCESS, evidence.raw, now)
            purpose = DEVICE_RESPONSE
        waits = alert is None and dated is not None and dated != CANCEL_EXECUTION
        await store.change(
            conn,
            tracked.sequence,
            state=(State.SCHEDULED if waits else State.COMPLETED).value,
            device_response=evidence.raw,
            response=document,
            response_code=codes.SUCCESS,
            refused_party=None,
            refused_check=None,
            refused_detail=None,
            refused_code=None,
        )
        if waits:
            await self.expect_alert(conn, tracked)
        await self._notices.owe_answer(conn, tracked, codes.SUCCESS, document)
        await self._notices.owe_cos_party(conn, tracked, purpose, evidence.raw)
        if alert is None and dated is not None:
            await pending.drop_replaced(self._notices, conn, tracked, command.update)
        await self.release_device(conn, tracked.target)
        self.tell(tracked.request_id)

    async def record_cells(
        self,
        conn: AsyncConnection,
        tracked: Tracked,
        update: UpdateCredentials,
        told: CredentialsOutcome,
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
            for item in told.outcomes
            if item.status == StatusCode.SUCCESS and item.cell.name in sent
            if item.cell.name not in past
        }
        failed = [item for item in told.outcomes if item.status != StatusCode.SUCCESS]
        summary = [f"{name}: replaced" for name in changed]
        summary += [f"{name}: replaced, and again since" for name in sorted(past & sent.keys())]
        summary += [f"{item.cell.name}: {item.status.label}" for item in failed]
        await self.put_cells(conn, tracked, changed, "; ".join(summary))
        return {name: held for name, held in changed.items() if name not in known}

    async def credentials_updated(
        self,
        conn: AsyncConnection,
        tracked: Tracked,
        update: UpdateCredentials,
        changed: dict[str, Certificate],
    ) -> None:
        """Owe the alert about changed cells to whom it concerns; not of a change of supplier."""
        device = await records.find_device(conn, tracked.target)
        if changed and device is not None and tracked.cos_party is None:
            await self._notices.owe_credentials_updated(conn, tracked, device, update, changed)

    async def complete(self, conn: AsyncConnection, tracked: Tracked, document: bytes) -> None:
        """End a request well, by the broker's own word: no device's message goes with it."""
        await store.change(
            conn,
            tracked.sequence,
            state=State.COMPLETED.value,
            response=document,
            response_code=codes.SUCCESS,
        )
        await self._notices.owe_answer(conn, tracked, codes.SUCCESS, document)
        self.tell(tracked.request_id)

    async def expect_alert(self, conn: AsyncConnection, tracked: Tracked) -> None:
        """A device keeps this request's command for its date: await its alert."""
        await awaited.expect(conn, tracked)
        self._parts.base.database.on_commit(self.overdue.watch.wake)

    async def put_cells(
        self,
        conn: AsyncConnection,
        tracked: Tracked,
        changed: dict[str, Certificate],
        summary: str,
    ) -> None:
        """Record what cells hold now, and owe a supplier that was replaced its notice."""
        before = await records.find_device(conn, tracked.target)
        await records.put_cells(conn, tracked.target, changed, tracked.request_id)
        await self._parts.base.traces.record(
            tracked.request_id,
            "recorded",
            name="trust anchor cells",
            summary=summary,
            conn=conn,
        )
        await pending.drop_orphans(self._notices, conn, tracked, before, changed)
        await self.cos_certificates.recorded(conn, tracked, before, changed)
        if before is None or SUPPLIER_CELL not in changed:
            return
        held = before.cells.get(SUPPLIER_CELL)
        old = None if held is None else held.subject_eui
        if old is not None and old != changed[SUPPLIER_CELL].subject_eui:
            await self._notices.owe_old_supplier(conn, tracked, before, old)

    async def release_device(self, conn: AsyncConnection, device: str) -> None:
        """Let the next request for a device begin, if nothing is on the way to it."""
        self._parts.base.database.on_commit(self.overdue.watch.wake)
        following = await store.take_turn(conn, device)
        if following is None:
            return
        step, lane = SUPPORTED[following.service_reference_variant].first_step, ""
        if step == ASK_COS_PARTY:
            record = await records.find_device(conn, device)
            connected = self._parts.settings.connected
            party = None if record is None else gather.party_of(record, connected, COS_CELL)
            lane = lanes.at_cos_party("" if party is None else party.name, following)
        await self._parts.base.outbox.put(
            conn,
            step,
            str(following.sequence),
            {"sequence": following.sequence},
            lane=lane or lanes.at_broker(following),
        )

    def tell(self, request_id: str) -> None:
        """Wake who waits for this request, once the transaction is committed."""
        base = self._parts.base
        base.database.on_commit(lambda: base.changes.notify(request_id))
