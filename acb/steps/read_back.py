"""A request whose answer or alert is lost: its device is asked what the cells hold.

`completed` if every cell holds what was commanded. If not, the request has `failed`, and what is
not known is not claimed:

* to a command for at once there was silence: the check that a silent device fails;
* of a dated command no alert came: `acb.alert.missing` says that the device does not hold what it
  was to put there, `acb.outcome.unknown` that nobody can tell (it cannot be reached, keeps silent
  or says something that a check refuses; or a later request has set the same cells since).

The CoS Party that signed the command is given the device's octets. Their MAC is between device and
broker, so to it they are the broker's word, and it records them as that.

Should the true answer or alert come after all, it is heard: `acb.steps.device_messages`.
"""

from __future__ import annotations

from typing import Final

from acb.model import State, Tracked
from acb.peers.outbound import DEVICE_RESPONSE
from acb.rules import codes
from acb.rules.read_back import (
    READ_BACK_CHECKS,
    DetailsEvidence,
    cells_holding,
    question,
    read_details,
)
from acb.services.table import service_of
from acb.steps import pending
from acb.steps.context import OWN_COUNTER, Context
from acb.steps.deliver import UNREACHABLE, call_device
from acb.steps.outcome import Outcomes
from acb.store import records
from acb.store import requests as store
from gbcs.codes import RemotePartyRole
from gbcs.message import encode
from services.chassis.checks import Approved, Refused
from services.chassis.data.connection import StoreConnection
from services.chassis.data.counters import OriginatorCounter
from services.chassis.data.outbox import OutboxItem, TryLater

MISSING: Final = "acb.alert.missing"
"""The reason given for a dated command that the device, by its own word, has not executed."""

UNKNOWN: Final = "acb.outcome.unknown"
"""The reason given where nobody can tell what became of a dated command."""


class ReadBack:
    """Asks devices, and settles requests by what they say."""

    def __init__(self, context: Context, outcomes: Outcomes) -> None:
        self._context = context
        self._outcomes = outcomes
        self._counter = OriginatorCounter(OWN_COUNTER)

    async def ask(self, item: OutboxItem) -> None:
        """Ask the device what the cells hold, and settle the request by that.

        Every attempt is a new question with a new counter of the broker's own: asking changes
        nothing, so it may be asked again.
        """
        async with self._context.base.database.begin() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
            device = await records.find_device(conn, tracked.target)
            if tracked.state is not State.SENT_TO_DEVICE or device is None:
                return
            secret = self._context.secret_with(device)
            counter = await self._counter.next(conn)
            update = pending.sent(tracked)
            role = RemotePartyRole.SUPPLIER if update is None else update.replacements[0].cell.role
            asked = question(self._context.settings.eui, device.eui, counter, secret, role)
            await self._context.trace_sent(
                conn, tracked, encode(asked), to=device.eui, name="read-credentials"
            )
        answer = await call_device(self._context, item, device.eui, encode(asked))
        if not answer and item.attempts < self._context.settings.sends_into_silence:
            raise TryLater("the device said nothing")
        await self._judge(item, read_details(answer or b"", asked, secret))

    async def gave_up(self, conn: StoreConnection, item: OutboxItem, reason: str) -> None:
        """The device was not reached, time after time: the request ends as failed, visibly."""
        tracked = await self._outcomes.still_open(conn, item)
        if tracked is None:
            return
        if _dated(tracked):
            await self._unknown(conn, tracked, reason)
        else:
            code = codes.NOT_DELIVERABLE
            await self._outcomes.end_failed(conn, tracked, UNREACHABLE, reason, code)

    async def _judge(self, item: OutboxItem, evidence: DetailsEvidence) -> None:
        """Settle the request; a device that does not tell what it holds changes nothing.

        Nothing is known then, so nothing is recorded; a late response or alert may still be heard.
        """
        base = self._context.base
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
            if tracked.state is not State.SENT_TO_DEVICE:
                return
            run = base.book.start(tracked.request_id, READ_BACK_CHECKS[0].section)
            try:
                approved = run.judge(evidence)
            except Refused as refused:
                await self._outcomes.trace_refused(conn, tracked, run, refused)
                if _dated(tracked):
                    await self._unknown(conn, tracked, refused.detail)
                else:
                    why = "the device said nothing, and reading it back failed"
                    await self._failed(conn, tracked, _silence(tracked), f"{why}: {refused.detail}")
            else:
                await self._context.trace_received(
                    conn,
                    tracked,
                    approved.evidence.raw,
                    by=tracked.target,
                    name="credential-details",
                    verdicts=approved.verdicts,
                )
                await self._settle(conn, approved, tracked)
            await base.outbox.complete(conn, item)

    async def _settle(
        self, conn: StoreConnection, approved: Approved[DetailsEvidence], tracked: Tracked
    ) -> None:
        """Settle a request by what the device says its cells hold."""
        update, details = pending.sent(tracked), approved.evidence.payload
        if update is None or details is None:  # only with checks switched off
            return
        wanted = update.replacements
        found = cells_holding(details, wanted)
        missing = {item.cell.name for item in wanted} - found.keys()
        later = await records.cells_set_after(conn, tracked)
        summary = f"read back: {len(found)} of {len(wanted)} cells hold what was commanded"
        if tracked.cos_party is not None:
            await self._outcomes.notifier.enqueue_cos_party(
                conn, tracked, DEVICE_RESPONSE, approved.evidence.raw
            )
        if found:
            await self._outcomes.put_cells(conn, tracked, found, summary)
            await self._outcomes.announce(conn, tracked, update, found)
        if missing and not _dated(tracked):
            await self._failed(
                conn, tracked, _silence(tracked), f"the device said nothing; {summary}"
            )
        elif missing and missing <= later:
            why = f"the device's alert did not come; {summary}, and the others were set again since"
            await self._failed(conn, tracked, UNKNOWN, why)
        elif missing:
            await self._failed(
                conn, tracked, MISSING, f"the device's alert did not come; {summary}"
            )
        else:
            now = self._context.base.clock.now()
            document = self._context.replies.answer(tracked, codes.SUCCESS, None, now)
            await self._outcomes.complete(conn, tracked, document)
            await self._outcomes.release_device(conn, tracked.target)

    async def _unknown(self, conn: StoreConnection, tracked: Tracked, reason: str) -> None:
        why = f"the device's alert did not come, and reading the device back failed: {reason}"
        await self._failed(conn, tracked, UNKNOWN, why)

    async def _failed(self, conn: StoreConnection, tracked: Tracked, name: str, why: str) -> None:
        await self._outcomes.end_failed(conn, tracked, name, why, codes.NO_ANSWER_FROM_DEVICE)


def _silence(tracked: Tracked) -> str:
    """The check that a silent device fails, by the service that was asked for."""
    judgement = service_of(tracked.service_reference_variant).response
    return "" if judgement is None else judgement.checks[0].id


def _dated(tracked: Tracked) -> bool:
    """Whether the request's command was dated: then it is an alert that did not come."""
    update = pending.sent(tracked)
    return update is not None and update.execution_date_time is not None
