"""Step 7: documents for users and messages for CoS Parties, kept first and delivered afterwards."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from acb.checks import PARTY
from acb.model import DeviceRecord, Tracked
from acb.peers.outbound import Unreachable
from acb.rules import codes
from acb.steps import lanes
from acb.steps.context import Context
from acb.store import records
from acb.store import requests as store
from duis.request_id import RequestId
from gbcs.message import Message
from gbcs.payloads.credentials import UpdateCredentials
from keys.certificate import Certificate
from services.chassis.data.connection import StoreConnection
from services.chassis.data.counters import OriginatorCounter
from services.chassis.data.outbox import NOTICES, OutboxItem, TryLater
from services.link.errors import LinkCallError, PeerRefused

USER_DOCUMENT: Final = "user-document"
FORWARD: Final = "forward-to-cos-party"


class Notifier:
    """Keeps what others are to be told, in the caller's transaction, and delivers it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._replies = context.replies
        self._alerts = OriginatorCounter("dcc-alert")
        outbox = context.base.outbox
        outbox.register(USER_DOCUMENT, self._deliver, pool=NOTICES)
        outbox.register(FORWARD, self._forward, pool=NOTICES)

    async def enqueue_answer(
        self, conn: StoreConnection, tracked: Tracked, code: str, document: bytes
    ) -> None:
        """Have a user sent the answer to its request."""
        await self._enqueue(conn, tracked.originator, code, document, tracked.sequence)

    async def enqueue_failure(self, conn: StoreConnection, tracked: Tracked, code: str) -> None:
        """Have a user told that its request came to nothing, and keep that as its last answer."""
        document = self._replies.answer(tracked, code, None, self._now())
        await store.change(conn, tracked.sequence, response=document, response_code=code)
        await self.enqueue_answer(conn, tracked, code, document)

    async def enqueue_cos_rejection(
        self, conn: StoreConnection, tracked: Tracked, error: str
    ) -> None:
        """Have the requester alerted that its CoS request was refused by the CoS Party."""
        user = tracked.originator
        await self._alert(
            conn,
            tracked,
            user,
            codes.ALERT_COS_REJECTED,
            lambda number, at: self._replies.cos_rejected(tracked, error, user, number, at),
        )

    async def enqueue_quarantine(
        self, conn: StoreConnection, tracked: Tracked, *, everyone: bool
    ) -> None:
        """Have the requester alerted that its request is held back."""
        name, held = RequestId.from_text(tracked.request_id), tracked.quarantine_ref or 0
        await self._alert(
            conn,
            tracked,
            tracked.originator,
            codes.ALERT_QUARANTINED,
            lambda number, at: self._replies.quarantined(
                name, held, everyone=everyone, number=number, at=at
            ),
        )

    async def enqueue_old_supplier(
        self, conn: StoreConnection, tracked: Tracked, device: DeviceRecord, old: str
    ) -> None:
        """Have the supplier that was replaced alerted that the device is no longer its own.

        A predecessor that is not a user here (the DCC's own certificates in a new device) is
        sent nothing.
        """
        if await records.find_user(conn, old) is None:
            return
        await self._alert(
            conn,
            tracked,
            old,
            codes.ALERT_DEVICE_CHANGED_SUPPLIER,
            lambda number, at: self._replies.device_changed_supplier(device, old, number, at),
        )
        summary = "the supplier that was replaced is owed a notice"
        await self.context.trace(conn, tracked, "notified", summary=summary)

    async def enqueue_credentials_updated(
        self,
        conn: StoreConnection,
        tracked: Tracked,
        device: DeviceRecord,
        update: UpdateCredentials,
        changed: Mapping[str, Certificate],
    ) -> None:
        """Have the requester, and every user with a signing cell on the device, alerted about it.

        Args:
            conn: the transaction in which the record changed.
            tracked: the request that changed it.
            device: the device's record, after the change.
            update: what was commanded.
            changed: what the cells that changed hold now.
        """
        concerned = {tracked.originator} | {
            held.subject_eui
            for name, held in device.cells.items()
            if "/digitalSignature/" in name and held.subject_eui
        }
        for user in sorted(concerned):
            if await records.find_user(conn, user) is None:
                continue
            number, at = await self._alerts.next(conn), self._now()
            document = self._replies.credentials_updated(
                device.eui, update, changed, user, number=number, at=at
            )
            code = codes.ALERT_CREDENTIALS_UPDATED
            await self._enqueue(conn, user, code, document, tracked.sequence)

    async def enqueue_cos_certificate(
        self, conn: StoreConnection, tracked: Tracked, device: str, serial: int | None, user: str
    ) -> None:
        """Have a user alerted which CoS certificate a device holds (see `cos_certificates`)."""
        code = codes.ALERT_COS_CERTIFICATE
        await self._alert(
            conn,
            tracked,
            user,
            code,
            lambda number, at: self._replies.cos_certificate(device, serial, user, number, at),
        )
        summary = "owed an alert which CoS certificate the device holds"
        await self.context.trace(
            conn, tracked, "notified", receiver=user, name=code, summary=summary
        )

    async def enqueue_device_alert(
        self, conn: StoreConnection, message: Message, alert_code: int, raw: bytes
    ) -> None:
        """Have the recipient of a device's security alert sent it, as the device signed it."""
        document = self._replies.device_alert(message, alert_code, raw, self._now())
        user, code = message.header.recipient, f"{alert_code:04X}"
        await self._enqueue(conn, user, code, document, message.reference)

    async def enqueue_cos_party(
        self, conn: StoreConnection, tracked: Tracked, purpose: str, message: bytes
    ) -> None:
        """Have the CoS Party given what the device said to it."""
        digest = hashlib.sha256(message).hexdigest()[:16]
        await self.context.base.outbox.put(
            conn,
            FORWARD,
            f"{tracked.sequence}:{purpose}:{digest}",
            {
                "sequence": tracked.sequence,
                "purpose": purpose,
                "message": base64.b64encode(message).decode("ascii"),
            },
            lane=lanes.told_cos_party(tracked.cos_party or "", tracked),
        )

    def _now(self) -> datetime:
        return self.context.base.clock.now()

    async def _alert(
        self,
        conn: StoreConnection,
        tracked: Tracked,
        user: str,
        code: str,
        write: Callable[[int, datetime], bytes],
    ) -> None:
        """Have a user sent a DCC alert, written with its number and time."""
        document = write(await self._alerts.next(conn), self._now())
        await self._enqueue(conn, user, code, document, tracked.sequence)

    async def _enqueue(
        self, conn: StoreConnection, user: str, code: str, document: bytes, about: int | str
    ) -> None:
        """Keep a document for a user, about a request (its sequence) or what is named so."""
        sequence = about if isinstance(about, int) else None
        number = await store.add_notice(
            conn, user=user, code=code, document=document, at=self._now(), sequence=sequence
        )
        subject = {"subject": about} if sequence is None else {"sequence": sequence}
        await self.context.base.outbox.put(
            conn,
            USER_DOCUMENT,
            str(number),
            {"number": number, **subject},
            lane=lanes.told_user(user),
        )

    async def _deliver(self, item: OutboxItem) -> None:
        """Hand one document to its user. A user without a callback asks for it instead."""
        base = self.context.base
        async with base.database.connect() as conn:
            notice = await store.get_notice(conn, item.payload["number"])
            subject = item.payload.get("subject")
            if subject is None:
                subject = (await store.get_request(conn, item.payload["sequence"])).request_id
            user = await records.find_user(conn, notice.user)
        if user is None or user.callback_url is None or notice.delivered_at is not None:
            return
        try:
            await self.context.users.deliver(user.callback_url, notice.document)
        except Unreachable as error:
            raise TryLater(str(error)) from error
        async with base.database.begin() as conn:
            await store.notice_delivered(conn, notice.id, base.clock.now())
            await self.context.trace(
                conn,
                subject,
                "sent",
                sender=PARTY,
                receiver=notice.user,
                name=f"duis-response {notice.code}",
                message=notice.document,
            )
            await base.outbox.complete(conn, item)

    async def _forward(self, item: OutboxItem) -> None:
        """Give a device's message to the CoS Party that commanded. A refusal there ends it."""
        base = self.context.base
        message = base64.b64decode(item.payload["message"])
        purpose = item.payload["purpose"]
        async with base.database.connect() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
        party = tracked.cos_party or ""
        summary = "taken by the CoS Party"
        try:
            await self.context.cos_parties[party].forward(purpose, tracked.transaction, message)
        except PeerRefused as refused:
            summary = f"refused by {refused.party or party}, {refused.check}: {refused.detail}"
        except LinkCallError as error:
            raise TryLater(str(error)) from error
        async with base.database.begin() as conn:
            await self.context.trace(
                conn,
                tracked,
                "sent",
                sender=PARTY,
                receiver=party,
                name=purpose,
                summary=summary,
                message=message,
            )
            await base.outbox.complete(conn, item)
