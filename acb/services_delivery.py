"""Commands of the services other than a change of supplier: protected, sent, their answers judged.

As in `acb.delivery`, the same octets are sent again into silence. If the device stays silent the
request fails by the check `received`, and the record stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from acb import codes, gather, records, store
from acb.checks import PARTY
from acb.model import DeviceRecord, Refusal, State, Tracked
from acb.notices import Notices
from acb.outbound import Unreachable
from acb.outcome import Outcomes
from acb.parts import Parts
from acb.read_back import DetailsEvidence, read_details
from acb.services_answer import ANSWER_CHECKS, AnswerEvidence, read_answer
from acb.services_details import DETAILS_ANSWER_CHECKS
from acb.services_device_answer import (
    DEVICE_ANSWER_CHECKS,
    OWN_KEYS,
    DeviceAnswerEvidence,
    read_device_answer,
)
from acb.services_evidence import ServiceEvidence, Variant
from gbcs.errors import GbcsError
from gbcs.message import decode, encode
from gbcs.protect import add_mac, sign
from services.chassis.checks import Approved, Check, Refused
from services.chassis.counters import OriginatorCounter
from services.chassis.outbox import OutboxItem, TryLater, Undeliverable

SEND: Final = "send-service-command"
"""Outbox kind: send the finished command of another service to its device."""


class ServiceDelivery:
    """Finishes commands, speaks to devices and settles what they answer."""

    def __init__(self, parts: Parts, notices: Notices, outcomes: Outcomes) -> None:
        self._parts = parts
        self._notices = notices
        self._outcomes = outcomes
        self._counter = OriginatorCounter("acb")
        parts.base.outbox.register(SEND, self.send, on_dead=self.gave_up)

    async def finish(
        self,
        conn: AsyncConnection,
        approved: Approved,
        variant: Variant,
        tracked: Tracked,
        evidence: ServiceEvidence,
    ) -> None:
        """Keep the finished command, with the MAC that only this broker can make.

        Args:
            conn: the transaction in which the checks were made.
            approved: that every check of the variant said yes.
            variant: the service and command variant.
            tracked: the request.
            evidence: what the checks looked at.

        Raises:
            Undeliverable: there is nothing that could be sent (only with checks switched off).
        """
        if approved.section != variant.section:
            raise TypeError("only an approved request is given a MAC")
        if variant.command is None or evidence.device is None:
            raise Undeliverable("there is nothing that could be sent")
        try:
            counter = await self._counter.next(conn) if variant.originates else tracked.counter
            message = variant.command(evidence, counter)
            if message.signature is None and variant.originates:
                message = sign(message, self._parts.signer.sign)
            command = encode(add_mac(message, self._parts.secret_with(evidence.device)))
        except GbcsError as error:
            raise Undeliverable(str(error)) from error
        header = message.header
        if not variant.originates:
            await records.raise_counter(conn, header.originator, tracked.target, header.counter)
        await store.change(
            conn,
            tracked.sequence,
            state=State.SIGNED.value,
            command=command,
            command_counter=header.counter,
        )
        await self._parts.base.outbox.put(
            conn, SEND, str(tracked.sequence), {"sequence": tracked.sequence}
        )
        self._outcomes.tell(tracked.request_id)

    async def send(self, item: OutboxItem) -> None:
        """Send the kept command; what the device answers is judged and settled."""
        base = self._parts.base
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
            if tracked.state not in (State.SIGNED, State.SENT_TO_DEVICE) or not tracked.command:
                return
            command = tracked.command
            tracked = await store.change(
                conn,
                tracked.sequence,
                state=State.SENT_TO_DEVICE.value,
                attempts=tracked.attempts + 1,
            )
            await self._trace(conn, tracked, "sent", command)
            self._outcomes.tell(tracked.request_id)
        try:
            answer = await self._parts.wan.deliver(tracked.target, command)
        except Unreachable as error:
            if item.attempts >= self._parts.settings.delivery_attempts:
                raise Undeliverable(str(error)) from error
            raise TryLater(str(error)) from error
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, tracked.sequence)
            device = await records.find_device(conn, tracked.target)
            if tracked.state is not State.SENT_TO_DEVICE or device is None:
                return
            if not answer and tracked.attempts < self._parts.settings.sends_into_silence:
                raise TryLater("the device said nothing")
            if answer:
                await self._trace(conn, tracked, "received", answer)
            await self._hear(conn, tracked, device, answer or b"")
            await base.outbox.complete(conn, item)

    async def _hear(
        self, conn: AsyncConnection, tracked: Tracked, device: DeviceRecord, answer: bytes
    ) -> None:
        """Judge the device's answer and settle the request by it."""
        command = decode(tracked.command or b"")
        checks: Sequence[Check[Any]] = DETAILS_ANSWER_CHECKS
        evidence: AnswerEvidence | DetailsEvidence | DeviceAnswerEvidence
        if command.message_code in OWN_KEYS:
            checks, evidence = DEVICE_ANSWER_CHECKS, read_device_answer(answer, command, device)
        elif command.signature:
            checks, evidence = ANSWER_CHECKS, read_answer(answer, command, device)
        else:
            evidence = read_details(answer, command, self._parts.secret_with(device))
        run = self._parts.base.book.start(tracked.request_id, checks[0].section)
        try:
            for check in checks:
                run.apply(check, evidence)
            approved = run.approve()
        except Refused as refused:
            await self._outcomes.refused_by_check(conn, tracked, run, refused, State.FAILED)
            return
        await self._settle(conn, approved, tracked, answer)
        if isinstance(evidence, AnswerEvidence):
            await self._record(conn, approved, tracked, evidence)
        elif isinstance(evidence, DeviceAnswerEvidence) and evidence.installed is not None:
            await records.put_own_certificate(conn, tracked.target, evidence.installed)
            await self._parts.base.traces.record(
                tracked.request_id,
                "recorded",
                name="device certificate",
                summary=f"it uses another key for {evidence.installed.usage} now",
                conn=conn,
            )

    async def _record(
        self, conn: AsyncConnection, approved: Approved, tracked: Tracked, told: AnswerEvidence
    ) -> None:
        """Record what the cells hold now, and owe everybody concerned the notice."""
        del approved  # taken so that nothing is recorded that was not approved
        if told.response is None or told.response.outcome is None:  # only with checks off
            return
        changed = await self._outcomes.record_cells(
            conn, tracked, told.update, told.response.outcome
        )
        device = await records.find_device(conn, tracked.target)
        if changed and device is not None:
            await self._notices.owe_credentials_updated(conn, tracked, device, told.update, changed)

    async def _settle(
        self, conn: AsyncConnection, approved: Approved, tracked: Tracked, answer: bytes
    ) -> None:
        """Owe the user the device's own answer."""
        base = self._parts.base
        await base.traces.record(
            tracked.request_id,
            "checked",
            name="device's answer",
            verdicts=approved.verdicts,
            conn=conn,
        )
        document = self._parts.replies.answer(tracked, codes.SUCCESS, answer, base.clock.now())
        await store.change(
            conn,
            tracked.sequence,
            state=State.COMPLETED.value,
            device_response=answer,
            response=document,
            response_code=codes.SUCCESS,
        )
        await self._notices.owe_answer(conn, tracked, codes.SUCCESS, document)
        await self._outcomes.release_device(conn, tracked.target)
        self._outcomes.tell(tracked.request_id)

    async def gave_up(self, conn: AsyncConnection, item: OutboxItem, reason: str) -> None:
        """A step was given up after many attempts: the request ends as failed, visibly."""
        tracked = await store.get_request(conn, item.payload["sequence"])
        if tracked.state in (State.COMPLETED, State.REFUSED, State.FAILED):
            return
        why = Refusal(PARTY, "acb.device.unreachable", reason, codes.NOT_DELIVERABLE)
        await self._parts.base.traces.record(
            tracked.request_id, "failed", name=why.check, summary=reason, conn=conn
        )
        await self._outcomes.end_refused(conn, tracked, why, State.FAILED)

    async def _trace(
        self, conn: AsyncConnection, tracked: Tracked, kind: str, octets: bytes
    ) -> None:
        sender, receiver = PARTY, tracked.target
        if kind == "received":
            sender, receiver = receiver, sender
        await self._parts.base.traces.record(
            tracked.request_id,
            kind,
            sender=sender,
            receiver=receiver,
            name=f"service {tracked.service_reference_variant}",
            message=octets,
            gbcs_ref=gather.reference(octets),
            conn=conn,
        )
