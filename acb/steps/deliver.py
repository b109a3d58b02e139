"""Step 5: a finished command goes to its device, as often as needed, always the same octets.

A device acts on a command once and answers it once. So silence means one of three things, which
look alike from here: the command was lost on the way, the answer was lost on the way back, or the
device refused. The command is therefore sent again, which undoes the first; if the device is
silent again it is asked what its cells hold (`acb.rules.read_back`), which tells the other two
apart. A command dated for the future changes no cell yet: there the device's alert will tell, and
if that does not come the device is asked in the same way, after the date (`acb.steps.overdue`).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from acb.checks import PARTY
from acb.model import State, Tracked
from acb.peers.outbound import Unreachable
from acb.rules.read_back import READ_BACK, READ_BACK_CHECKS, DetailsEvidence, question, read_details
from acb.rules.read_back import SECTION as READ_BACK_SECTION
from acb.steps import gather, lanes, pending
from acb.steps.context import Parts
from acb.steps.outcome import Outcomes, Unacceptable
from acb.steps.read_back import ReadBacks
from acb.store import records
from acb.store import requests as store
from gbcs.codes import RemotePartyRole
from gbcs.message import encode
from services.chassis.checks import Refused
from services.chassis.data.counters import OriginatorCounter
from services.chassis.data.outbox import OutboxItem, TryLater, Undeliverable

DELIVER: Final = "deliver-command"
"""Outbox kind: send a finished command to its device."""


class Delivery:
    """Speaks to devices and hands what they answer to `acb.steps.outcome`."""

    def __init__(self, parts: Parts, outcomes: Outcomes) -> None:
        self._parts = parts
        self._outcomes = outcomes
        self._counter = OriginatorCounter("acb")
        self.read_backs = ReadBacks(parts, outcomes)

    async def deliver(self, item: OutboxItem) -> None:
        """Step 5: send the kept command to the device; what it answers goes to step 6."""
        base = self._parts.base
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
            if tracked.state not in (State.SIGNED, State.SENT_TO_DEVICE) or not tracked.command:
                return
            again = tracked.state is State.SENT_TO_DEVICE
            tracked = await store.change(
                conn,
                tracked.sequence,
                state=State.SENT_TO_DEVICE.value,
                attempts=tracked.attempts + 1,
            )
            await base.traces.record(
                tracked.request_id,
                "sent",
                sender=PARTY,
                receiver=tracked.target,
                name="cos-command",
                summary="sent again, the same octets" if again else "",
                message=tracked.command,
                gbcs_ref=gather.reference(tracked.command or b""),
                conn=conn,
            )
            self._outcomes.tell(tracked.request_id)
        try:
            answer = await self._parts.wan.deliver(tracked.target, tracked.command or b"")
        except Unreachable as error:
            if item.attempts >= self._parts.settings.delivery_attempts:
                raise Undeliverable(str(error)) from error
            raise TryLater(str(error)) from error
        evidence = gather.read_device_message(answer or b"")
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, tracked.sequence)
            if tracked.state is not State.SENT_TO_DEVICE:
                return
            if not answer and tracked.attempts < self._parts.settings.sends_into_silence:
                raise TryLater("the device said nothing")
            if not answer and self._acts_at_once(tracked):
                await self._ask_back(conn, tracked)
                await base.outbox.complete(conn, item)
                return
            if answer:
                await base.traces.record(
                    tracked.request_id,
                    "received",
                    sender=tracked.target,
                    receiver=PARTY,
                    name="cos-response",
                    message=answer,
                    gbcs_ref=gather.reference(answer),
                    conn=conn,
                )
            try:
                await self._outcomes.hear(conn, tracked, evidence)
            except Unacceptable as verdict:
                await self._outcomes.refused_by_check(
                    conn, tracked, verdict.run, verdict.refused, State.FAILED
                )
            await base.outbox.complete(conn, item)

    def _acts_at_once(self, tracked: Tracked) -> bool:
        """Whether the command changes cells as soon as it is accepted, so that they tell of it."""
        command = gather.issued(tracked, self._parts.settings.connected)
        return command is not None and command.update.execution_date_time is None

    async def _ask_back(self, conn: AsyncConnection, tracked: Tracked) -> None:
        base = self._parts.base
        await base.traces.record(
            tracked.request_id,
            "unanswered",
            summary="silent again: it refused, or it acted and its answer was lost",
            conn=conn,
        )
        await base.outbox.put(
            conn,
            READ_BACK,
            str(tracked.sequence),
            {"sequence": tracked.sequence},
            lane=lanes.for_device(tracked),
        )

    async def read_back(self, item: OutboxItem) -> None:
        """Ask the device what the cells hold, and settle the request by that.

        Every attempt is a new question with a new counter of the broker's own: asking changes
        nothing, so it may be asked again.
        """
        base = self._parts.base
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
            device = await records.find_device(conn, tracked.target)
            if tracked.state is not State.SENT_TO_DEVICE or device is None:
                return
            secret = self._parts.secret_with(device)
            counter = await self._counter.next(conn)
            update = pending.sent(tracked)
            role = RemotePartyRole.SUPPLIER if update is None else update.replacements[0].cell.role
            asked = question(self._parts.settings.eui, device.eui, counter, secret, role)
            await base.traces.record(
                tracked.request_id,
                "sent",
                sender=PARTY,
                receiver=device.eui,
                name="read-credentials",
                message=encode(asked),
                gbcs_ref=asked.reference,
                conn=conn,
            )
        try:
            answer = await self._parts.wan.deliver(device.eui, encode(asked))
        except Unreachable as error:
            if item.attempts >= self._parts.settings.delivery_attempts:
                raise Undeliverable(str(error)) from error
            raise TryLater(str(error)) from error
        if not answer and item.attempts < self._parts.settings.sends_into_silence:
            raise TryLater("the device said nothing")
        await self._settle(item, read_details(answer or b"", asked, secret))

    async def _settle(self, item: OutboxItem, evidence: DetailsEvidence) -> None:
        base = self._parts.base
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
            if tracked.state is not State.SENT_TO_DEVICE:
                return
            run = base.book.start(tracked.request_id, READ_BACK_SECTION)
            try:
                for check in READ_BACK_CHECKS:
                    run.apply(check, evidence)
                approved = run.approve()
            except Refused as refused:
                await self.read_backs.refused(conn, tracked, run, refused)
                await base.outbox.complete(conn, item)
                return
            await base.traces.record(
                tracked.request_id,
                "received",
                sender=tracked.target,
                receiver=PARTY,
                name="credential-details",
                message=evidence.raw,
                gbcs_ref=gather.reference(evidence.raw),
                verdicts=approved.verdicts,
                conn=conn,
            )
            await self.read_backs.settle(conn, approved, tracked, evidence)
            await base.outbox.complete(conn, item)
