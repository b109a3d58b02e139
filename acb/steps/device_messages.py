"""What devices send unasked: alerts, and responses that come late.

Alerts of future dating (8F66, 8F67) belong to a request, and so do late responses: they enter at
step 6 (`acb.steps.outcome`).

Security alerts belong to none: they are judged, and passed on to the user responsible for the
device. A party that is no user here (the WAN provider of a Communications Hub; this broker, of a
device it still controls) is sent nothing: the alert ends here, with a trace. An alert may overtake
the answer, or the alert 8F66, by which the broker learns that the device has changed hands. It is
then for a party that is not responsible by the record, and will be: it is refused by the same
check, with status 503 instead of 403, and whoever carries it comes again (reconstruction). One
device's key must not flood a user: what is more than `acb.device_alert.rate` allows is taken,
counted, and passed on to nobody.

Such a message is heard once: the same octets again are taken without effect, because whoever
sends them (the WAN, after an answer that got lost) does so until they are taken. A message that
is refused leaves nothing behind but its trace, so that the true one may still follow.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from acb.checks import PARTY
from acb.model import SUPPLIER_CELL, ResponseEvidence, State, Tracked
from acb.rules.device_alert import (
    DEVICE_ALERT_CHECKS,
    DeviceAlertEvidence,
    is_device_alert,
    read_device_alert,
)
from acb.rules.response import read_device_message
from acb.services.table import UNCLAIMED, service_of
from acb.steps import gather
from acb.steps.context import Context
from acb.steps.notify import Notifier
from acb.steps.outcome import Outcomes, Unacceptable
from acb.store import alert_tally, awaited, records
from acb.store import requests as store
from acb.store.alert_tally import AlertTally
from acb.store.awaited import date_of
from gbcs.codes import MODE_OF_MESSAGE_CODE
from gbcs.message import Message, decode
from gbcs.payloads.credentials import decode_update
from keys.certificate import Certificate
from services.chassis.checks import Approved, Refused
from services.chassis.data.connection import StoreConnection
from services.chassis.data.inbox import first_time

NAME: Final = "device-alert"
RECIPIENT: Final = "acb.device_alert.recipient"
RATE: Final = "acb.device_alert.rate"

LATE: Final = (State.SENT_TO_DEVICE, State.FAILED)
"""A late response may still be true of these: the command was sent, no answer was accepted."""

DATED: Final = (State.SCHEDULED, *LATE)
"""An alert may be true of these: the device may hold the command although we know no better."""


class DeviceMessages:
    """Takes what devices say that were not asked at this moment."""

    def __init__(self, context: Context, outcomes: Outcomes) -> None:
        self._context = context
        self._alerts = DeviceAlerts(context, outcomes.notifier)
        self._outcomes = outcomes

    async def receive(self, body: bytes) -> None:
        """Take one message.

        Raises:
            services.chassis.checks.Refused: a check of the service it is about said no, or of
                section "response" if it is about none, or "device_alert" of a security alert.
        """
        base = self._context.base
        evidence = read_device_message(body)
        try:
            async with base.database.begin() as conn:
                key = hashlib.sha256(body).hexdigest()
                if not await first_time(conn, "wan", key):
                    return
                if evidence.message is not None and is_device_alert(evidence.message):
                    await self._alerts.handle(conn, evidence.message, body)
                else:
                    await self._handle(conn, evidence)
        except Unacceptable as verdict:
            if not base.audit.unauthenticated.admit(len(body)):
                raise verdict.refused from None
            await base.traces.record(
                verdict.run.subject,
                "refused",
                name=verdict.refused.check,
                summary=verdict.refused.detail,
                verdicts=verdict.run.verdicts(),
                message=body,
            )
            raise verdict.refused from None

    async def _handle(self, conn: StoreConnection, evidence: ResponseEvidence) -> None:
        """Have it judged as what it seems to be: about a request, or about none."""
        message, is_alert = evidence.message, evidence.alert is not None
        tracked = await _about(conn, evidence)
        service = service_of(tracked.service_reference_variant) if tracked else UNCLAIMED
        await self._context.trace(
            conn,
            tracked or gather.subject(evidence),
            "received",
            sender=message.header.originator if message else None,
            receiver=PARTY,
            name=service.named("alert" if is_alert else "late"),
            message=evidence.raw,
            gbcs_ref=message.reference if message else None,
        )
        if tracked is None:
            await self._outcomes.handle_unclaimed(conn, evidence)
        else:
            await self._outcomes.handle_response(conn, tracked, evidence.raw, alert=is_alert)


async def _about(conn: StoreConnection, evidence: ResponseEvidence) -> Tracked | None:
    """The request the message seems to be about, if it may still be true of it."""
    message, alert = evidence.message, evidence.alert
    if message is None:
        return None
    header = message.header
    counter = header.counter if alert is None else alert.outcome.authorising_counter
    for tracked in await store.with_command(conn, header.originator, counter):
        if decode(tracked.command or b"").header.originator != header.recipient:
            continue
        if alert is None:
            # An acceptance heard in its time must not bring back what was withdrawn since.
            return tracked if tracked.state in LATE and tracked.device_response is None else None
        if service_of(tracked.service_reference_variant).alert is None:
            return None
        dated = tracked.state in DATED or await awaited.is_awaited(conn, tracked.sequence)
        return tracked if dated else None
    return None


class DeviceAlerts:
    """Judges security alerts and passes them on, in the caller's transaction."""

    def __init__(self, context: Context, notifier: Notifier) -> None:
        self._context = context
        self._notifier = notifier

    async def handle(self, conn: StoreConnection, message: Message, raw: bytes) -> None:
        """Judge one alert and pass it on.

        Raises:
            Unacceptable: a check said no. Nothing is to be committed.
        """
        evidence, source = read_device_alert(message), message.header.originator
        counted = _counted(evidence)
        evidence = replace(
            evidence,
            device=await records.find_device(conn, source),
            last_counter=await records.seen_counter(conn, counted, source),
        )
        tally = await alert_tally.read(conn, source, self._context.base.clock.now())
        evidence = replace(evidence, passed=tally.passed)
        await self._trace(conn, message, "received", raw=raw)
        run = self._context.base.book.start(message.reference, DEVICE_ALERT_CHECKS[0].section)
        try:
            approved = run.judge(evidence)
        except Refused as refused:
            if refused.check == RATE:
                await self._drop(conn, counted, message, refused, tally)
                return
            if refused.check == RECIPIENT and message.header.recipient in await self._coming(
                conn, source
            ):
                refused = _come_again(refused)
            raise Unacceptable(refused, run) from None
        await self._context.trace(
            conn, message.reference, "checked", name=NAME, verdicts=approved.verdicts
        )
        await records.raise_counter(conn, counted, source, message.header.counter)
        await alert_tally.write(conn, source, replace(tally, passed=tally.passed + 1))
        await self._pass_on(conn, approved, raw)

    async def _drop(
        self,
        conn: StoreConnection,
        counted: str,
        message: Message,
        refused: Refused,
        tally: AlertTally,
    ) -> None:
        """Take an alert too many and pass it on to nobody: who carries it must not come again."""
        source = message.header.originator
        tally = replace(tally, dropped=tally.dropped + 1)
        await alert_tally.write(conn, source, tally)
        await records.raise_counter(conn, counted, source, message.header.counter)
        why = f"{refused.check}: {refused.detail}; {tally.dropped} dropped since then"
        await self._trace(conn, message, "dropped", summary=why)

    async def _coming(self, conn: StoreConnection, device: str) -> set[str]:
        """Suppliers that the device may have by now, though the record does not say so yet.

        Those of commands whose answer is awaited, and of dated ones whose day has come.
        """
        now, found = self._context.base.clock.now(), set[str]()
        for tracked in await store.commanded(conn, device, (State.SENT_TO_DEVICE, State.SCHEDULED)):
            command = decode(tracked.command or b"")
            if command.message_code not in MODE_OF_MESSAGE_CODE:
                continue
            at = date_of(tracked.command)
            if tracked.state is State.SCHEDULED and (at is None or at > now):
                continue
            found |= {
                Certificate.from_der(item.certificate).subject_eui or ""
                for item in decode_update(command.payload).replacements
                if item.cell.name == SUPPLIER_CELL
            }
        return found

    async def _pass_on(
        self, conn: StoreConnection, approved: Approved[DeviceAlertEvidence], raw: bytes
    ) -> None:
        message, alert = approved.evidence.message, approved.evidence.alert
        user = await records.find_user(conn, message.header.recipient)
        if user is None or alert is None:  # the latter only with checks switched off
            why = "its recipient is no user here" if user is None else "it cannot be read"
            await self._trace(conn, message, "dropped", summary=why)
            return
        await self._notifier.enqueue_device_alert(conn, message, alert.alert_code, raw)

    async def _trace(
        self,
        conn: StoreConnection,
        message: Message,
        kind: str,
        *,
        raw: bytes | None = None,
        summary: str = "",
    ) -> None:
        await self._context.trace(
            conn,
            message.reference,
            kind,
            sender=message.header.originator,
            receiver=PARTY,
            name=NAME,
            summary=summary,
            message=raw,
            gbcs_ref=message.reference,
        )


def _come_again(refused: Refused) -> Refused:
    """The same refusal, as one that may not last."""
    return Refused(
        party=refused.party,
        check=refused.check,
        title=refused.title,
        detail=f"{refused.detail} by the record, and a change of that is under way: come again",
        expected=refused.expected,
        found=refused.found,
        source=refused.source,
        code=refused.code,
        status=HTTPStatus.SERVICE_UNAVAILABLE,
    )


def _counted(evidence: DeviceAlertEvidence) -> str:
    """Under which name the counters of alerts of this code are kept: see the check `counter`."""
    return "alert" if evidence.alert is None else f"alert {evidence.alert.alert_code:04x}"
