"""What devices send unasked: alerts, and responses that come late.

Alerts of future dating (8F66, 8F67) belong to a request; security alerts to none: they are heard
in `acb.steps.device_alerts`.

Such a message is heard once: the same octets again are taken without effect, because whoever
sends them (the WAN, after an answer that got lost) does so until they are taken. A message that
is refused leaves nothing behind but its trace, so that the true one may still follow.
"""

from __future__ import annotations

import hashlib

from sqlalchemy.ext.asyncio import AsyncConnection

from acb.checks import PARTY
from acb.model import ResponseEvidence, State, Tracked
from acb.rules.device_alert import is_device_alert
from acb.steps import gather
from acb.steps.context import Parts
from acb.steps.device_alerts import DeviceAlerts
from acb.steps.outcome import Outcomes, Unacceptable
from acb.steps.service_outcome import ServiceOutcomes
from acb.store import awaited
from acb.store import requests as store
from gbcs.message import Message
from services.chassis.data.inbox import first_time

WAITING = (State.SENT_TO_DEVICE, State.FAILED)
"""A late response may still be true of these: the command was sent, no answer was accepted."""

DATED = (State.SCHEDULED, State.SENT_TO_DEVICE, State.FAILED)
"""An alert may be true of these: the device may hold the command although we know no better."""


class DeviceMessages:
    """Hears devices that were not asked at this moment."""

    def __init__(self, parts: Parts, outcomes: Outcomes, services: ServiceOutcomes) -> None:
        self._parts = parts
        self._alerts = DeviceAlerts(parts, outcomes.notices)
        self._outcomes = outcomes
        self._services = services

    async def receive(self, body: bytes) -> None:
        """Hear one message.

        Raises:
            services.chassis.checks.Refused: a check of section "response" said no, or, of a
                security alert, one of section "device_alert".
        """
        base = self._parts.base
        evidence = gather.read_device_message(body)
        try:
            async with base.database.begin() as conn:
                key = hashlib.sha256(body).hexdigest()
                if not await first_time(conn, "wan", key):
                    return
                if evidence.message is not None and is_device_alert(evidence.message):
                    await self._alerts.hear(conn, evidence.message, body)
                    return
                if await self._services.unasked(conn, evidence):
                    return
                tracked = await self._about(conn, evidence)
                await base.traces.record(
                    tracked.request_id if tracked else gather.subject(evidence),
                    "received",
                    sender=evidence.message.header.originator if evidence.message else None,
                    receiver=PARTY,
                    name="cos-alert" if evidence.alert else "cos-response",
                    message=body,
                    gbcs_ref=evidence.message.reference if evidence.message else None,
                    conn=conn,
                )
                await self._outcomes.hear(conn, tracked, evidence)
        except Unacceptable as verdict:
            if not base.audit.strangers.afford(len(body)):
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

    async def _about(self, conn: AsyncConnection, evidence: ResponseEvidence) -> Tracked | None:
        """The request the message seems to be about, if that request can still be told of it."""
        message = evidence.message
        if message is None:
            return None
        alert = evidence.alert
        counter = message.header.counter if alert is None else alert.outcome.authorising_counter
        found = await self._command(conn, message, counter)
        if found is None:
            return None
        if alert is not None:
            told = found.state in DATED or await awaited.is_awaited(conn, found.sequence)
            return found if told else None
        # An acceptance that was heard in its time must not bring back what was withdrawn since.
        return found if found.state in WAITING and found.device_response is None else None

    async def _command(
        self, conn: AsyncConnection, message: Message, counter: int
    ) -> Tracked | None:
        for party in self._parts.settings.connected:
            if party.eui == message.header.recipient:
                return await store.find_command(
                    conn, message.header.originator, party.name, counter
                )
        return None
