"""How the services other than a change of supplier end: what devices say, judged and recorded.

What a device says comes as the answer to what was just sent (`acb.steps.deliver_service`), or later
by itself: a response that was delayed, the alert of a dated command. Each is judged by the checks
of its use case, whenever it comes, and settles its request: even one that had failed for silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from acb.checks import PARTY
from acb.model import DeviceRecord, ResponseEvidence, State, Tracked
from acb.rules import codes
from acb.rules.answer import ANSWER_CHECKS, AnswerEvidence, read_answer
from acb.rules.executed import ALERT_CHECKS, AlertEvidence, alert_evidence
from acb.rules.own_key_answer import (
    DEVICE_ANSWER_CHECKS,
    OWN_KEYS,
    DeviceAnswerEvidence,
    read_device_answer,
)
from acb.rules.read_back import DetailsEvidence, read_details
from acb.services.details import DETAILS_ANSWER_CHECKS
from acb.steps import pending
from acb.steps.context import Parts
from acb.steps.notices import Notices
from acb.steps.outcome import Outcomes, Unacceptable
from acb.store import awaited, records
from acb.store import requests as store
from acb.store.requests import request_table
from acb.store.tables import digits
from gbcs.codes import MODE_OF_MESSAGE_CODE
from gbcs.message import Message, decode
from gbcs.payloads.credentials import CANCEL_EXECUTION
from services.chassis.checks import Approved, Check, Refused

LATE: Final = (State.SENT_TO_DEVICE, State.FAILED)
"""A late response may still be true of these: the command was sent, none was accepted."""

DATED: Final = (State.SCHEDULED, *LATE)
"""An alert may be true of these: the device may hold the command although we know no better."""

Evidence = AnswerEvidence | DetailsEvidence | DeviceAnswerEvidence


class ServiceOutcomes:
    """Judges and settles, in the caller's transaction."""

    def __init__(self, parts: Parts, notices: Notices, outcomes: Outcomes) -> None:
        self._parts = parts
        self._notices = notices
        self._outcomes = outcomes

    async def hear(
        self, conn: AsyncConnection, tracked: Tracked, device: DeviceRecord, answer: bytes
    ) -> None:
        """Judge a device's response and settle the request by it; silence is b"".

        Raises:
            Unacceptable: a check said no. Nothing was written.
        """
        command = decode(tracked.command or b"")
        checks: Sequence[Check[Any]] = DETAILS_ANSWER_CHECKS
        evidence: Evidence
        if command.message_code in OWN_KEYS:
            checks, evidence = DEVICE_ANSWER_CHECKS, read_device_answer(answer, command, device)
        elif command.signature:
            checks, evidence = ANSWER_CHECKS, read_answer(answer, command, device)
        else:
            evidence = read_details(answer, command, self._parts.secret_with(device))
        approved = await self._judge(conn, tracked, checks, evidence)
        now = self._parts.base.clock.now()
        document = self._parts.replies.answer(tracked, codes.SUCCESS, answer, now)
        if isinstance(evidence, AnswerEvidence):
            await self._record(conn, approved, tracked, evidence)
        elif isinstance(evidence, DeviceAnswerEvidence):
            await self._record_own(conn, approved, tracked, evidence)
        else:
            told = evidence.details
            await self._outcomes.cos_certificates.read(conn, tracked, device, told)
        state = _state(evidence)
        await self._settle(conn, tracked, state, answer, document)
        if state is State.SCHEDULED:
            await self._outcomes.expect_alert(conn, tracked)
        if isinstance(evidence, AnswerEvidence) and evidence.update.execution_date_time:
            await pending.drop_replaced(self._outcomes.notices, conn, tracked, evidence.update)

    async def unasked(self, conn: AsyncConnection, heard: ResponseEvidence) -> bool:
        """Hear a message that comes by itself, if it is about a command of these services.

        Returns:
            whether it was: if not, nothing was done.

        Raises:
            Unacceptable: a check said no. Nothing is to be committed.
        """
        message, alert = heard.message, heard.alert
        if message is None:
            return False
        counter = message.header.counter if alert is None else alert.outcome.authorising_counter
        tracked = await _about(conn, message, counter)
        device = await records.find_device(conn, message.header.originator)
        if (
            tracked is None
            or device is None
            or not await _may_be_told(conn, tracked, by_alert=alert is not None)
        ):
            return False
        await self._parts.base.traces.record(
            tracked.request_id,
            "received",
            sender=device.eui,
            receiver=PARTY,
            name="credentials-alert" if alert else "late response",
            message=heard.raw,
            gbcs_ref=message.reference,
            conn=conn,
        )
        if alert is None:
            await self.hear(conn, tracked, device, heard.raw)
            return True
        last = await records.seen_counter(conn, device.eui, device.eui)
        command = decode(tracked.command or b"")
        told = alert_evidence(message, alert, command, device, last)
        approved = await self._judge(conn, tracked, ALERT_CHECKS, told)
        await self._executed(conn, approved, tracked, told, heard.raw)
        return True

    async def _judge(
        self, conn: AsyncConnection, tracked: Tracked, checks: Sequence[Check[Any]], evidence: Any
    ) -> Approved[Any]:
        run = self._parts.base.book.start(tracked.request_id, checks[0].section)
        try:
            for check in checks:
                run.apply(check, evidence)
            approved = run.approve()
        except Refused as refused:
            raise Unacceptable(refused, run) from None
        await self._parts.base.traces.record(
            tracked.request_id,
            "checked",
            name="device's answer",
            verdicts=approved.verdicts,
            conn=conn,
        )
        return approved

    async def _executed(
        self,
        conn: AsyncConnection,
        approved: Approved[Any],
        tracked: Tracked,
        told: AlertEvidence,
        raw: bytes,
    ) -> None:
        """Record what a dated command came to, and owe everybody what they are owed."""
        del approved  # taken so that nothing is recorded that was not approved
        await records.raise_counter(
            conn, tracked.target, tracked.target, told.message.header.counter
        )
        await awaited.forget(conn, tracked.sequence)
        # What was read back since is the truth of a later moment than the alert's.
        if tracked.state is not State.COMPLETED:
            changed = await self._outcomes.record_cells(
                conn, tracked, told.update, told.alert.outcome, now_true=True
            )
            await self._outcomes.credentials_updated(conn, tracked, told.update, changed)
        now = self._parts.base.clock.now()
        document = self._parts.replies.executed(tracked, told.alert.alert_code, raw, now)
        await self._settle(conn, tracked, State.COMPLETED, raw, document)

    async def _record(
        self, conn: AsyncConnection, approved: Approved[Any], tracked: Tracked, told: AnswerEvidence
    ) -> None:
        """Record what the cells hold now, and owe everybody concerned the notice."""
        del approved
        if told.response is None or told.response.outcome is None:  # dated, or with checks off
            return
        changed = await self._outcomes.record_cells(
            conn, tracked, told.update, told.response.outcome
        )
        await self._outcomes.credentials_updated(conn, tracked, told.update, changed)

    async def _record_own(
        self,
        conn: AsyncConnection,
        approved: Approved[Any],
        tracked: Tracked,
        told: DeviceAnswerEvidence,
    ) -> None:
        """Record the certificate of its own that the device says it uses from now on."""
        del approved
        if told.installed is None:
            return
        await records.put_own_certificate(conn, tracked.target, told.installed)
        await self._parts.base.traces.record(
            tracked.request_id,
            "recorded",
            name="device certificate",
            summary=f"it uses another key for {told.installed.usage} now",
            conn=conn,
        )

    async def _settle(
        self, conn: AsyncConnection, tracked: Tracked, state: State, said: bytes, document: bytes
    ) -> None:
        """Owe the user the device's own words."""
        await store.change(
            conn,
            tracked.sequence,
            state=state.value,
            device_response=said,
            response=document,
            response_code=codes.SUCCESS,
            refused_party=None,
            refused_check=None,
            refused_detail=None,
            refused_code=None,
        )
        await self._notices.owe_answer(conn, tracked, codes.SUCCESS, document)
        await self._outcomes.release_device(conn, tracked.target)
        self._outcomes.tell(tracked.request_id)


def _state(evidence: Evidence) -> State:
    """Where a request stands once its device has answered: done, or waiting there for its date."""
    dated = isinstance(evidence, AnswerEvidence) and evidence.update.execution_date_time
    return State.SCHEDULED if dated and dated != CANCEL_EXECUTION else State.COMPLETED


async def _may_be_told(conn: AsyncConnection, tracked: Tracked, by_alert: bool) -> bool:
    """Whether such a message may still be true of this request."""
    if by_alert:
        command = decode(tracked.command or b"")
        if command.message_code not in MODE_OF_MESSAGE_CODE:
            return False
        return tracked.state in DATED or await awaited.is_awaited(conn, tracked.sequence)
    return tracked.state in LATE and tracked.device_response is None  # not answered in its time


async def _about(conn: AsyncConnection, message: Message, counter: int) -> Tracked | None:
    """The request whose command went to this device from this originator with this counter."""
    query = (
        select(request_table.c.sequence)
        .where(
            request_table.c.target == message.header.originator,
            request_table.c.command_counter == digits(counter),
            request_table.c.cos_party.is_(None),
            request_table.c.command.is_not(None),
        )
        .order_by(request_table.c.sequence.desc())
    )
    for sequence in (await conn.execute(query)).scalars().all():
        tracked = await store.get_request(conn, sequence)
        if decode(tracked.command or b"").header.originator == message.header.recipient:
            return tracked
    return None
