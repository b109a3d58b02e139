"""Documents owed to users, and messages owed to CoS Parties: kept first, delivered afterwards."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from acb.checks import PARTY
from acb.model import DeviceRecord, Tracked
from acb.peers.outbound import Unreachable
from acb.rules import codes
from acb.steps import lanes
from acb.steps.context import Parts
from acb.store import records
from acb.store import requests as store
from duis.request_id import RequestId
from gbcs.message import Message
from gbcs.payloads.credentials import UpdateCredentials
from keys.certificate import Certificate
from services.chassis.data.counters import OriginatorCounter
from services.chassis.data.outbox import NOTICES, OutboxItem, TryLater
from services.chassis.foundation import Foundation
from services.link.errors import LinkCallError, PeerRefused

USER_DOCUMENT: Final = "user-document"
FORWARD: Final = "forward-to-cos-party"


class Notices:
    """Keeps what is owed, in the caller's transaction, and delivers it until it is taken."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._alerts = OriginatorCounter("dcc-alert")
        outbox = parts.base.outbox
        outbox.register(USER_DOCUMENT, self._deliver, pool=NOTICES)
        outbox.register(FORWARD, self._forward, pool=NOTICES)

    @property
    def base(self) -> Foundation:
        """The chassis parts."""
        return self._parts.base

    async def owe_answer(
        self, conn: AsyncConnection, tracked: Tracked, code: str, document: bytes
    ) -> None:
        """Owe a user the answer to its request."""
        await self._owe(conn, tracked.originator, code, document, tracked.sequence)

    async def owe_failure(self, conn: AsyncConnection, tracked: Tracked, code: str) -> None:
        """Owe a user the answer that its request came to nothing, and keep it as its last."""
        document = self._parts.replies.answer(tracked, code, None, self._parts.base.clock.now())
        await store.change(conn, tracked.sequence, response=document, response_code=code)
        await self.owe_answer(conn, tracked, code, document)

    async def owe_cos_rejection(self, conn: AsyncConnection, tracked: Tracked, error: str) -> None:
        """Owe the asker the alert that its CoS request was refused by the CoS Party."""
        document = self._parts.replies.cos_rejected(
            tracked,
            error,
            tracked.originator,
            await self._alerts.next(conn),
            self._parts.base.clock.now(),
        )
        await self._owe(
            conn, tracked.originator, codes.ALERT_COS_REJECTED, document, tracked.sequence
        )

    async def owe_quarantine(
        self, conn: AsyncConnection, tracked: Tracked, *, everyone: bool
    ) -> None:
        """Owe the asker the alert that its request is held back."""
        document = self._parts.replies.quarantined(
            RequestId.from_text(tracked.request_id),
            tracked.quarantine_ref or 0,
            everyone=everyone,
            number=await self._alerts.next(conn),
            at=self._parts.base.clock.now(),
        )
        await self._owe(
            conn, tracked.originator, codes.ALERT_QUARANTINED, document, tracked.sequence
        )

    async def owe_old_supplier(
        self, conn: AsyncConnection, tracked: Tracked, device: DeviceRecord, old: str
    ) -> None:
        """Owe the supplier that was replaced the alert that the device is no longer its own.

        A predecessor that is not a user here (the DCC's own certificates in a new device) is
        owed nothing.
        """
        if await records.find_user(conn, old) is None:
            return
        document = self._parts.replies.device_changed_supplier(
            device, old, await self._alerts.next(conn), self._parts.base.clock.now()
        )
        await self._owe(conn, old, codes.ALERT_DEVICE_CHANGED_SUPPLIER, document, tracked.sequence)
        await self._parts.base.traces.record(
            tracked.request_id,
            "notified",
            summary="the supplier that was replaced is owed a notice",
            conn=conn,
        )

    async def owe_credentials_updated(
        self,
        conn: AsyncConnection,
        tracked: Tracked,
        device: DeviceRecord,
        update: UpdateCredentials,
        changed: Mapping[str, Certificate],
    ) -> None:
        """Owe the asker, and every user with a signing cell on the device, the alert about it.

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
            document = self._parts.replies.credentials_updated(
                device.eui,
                update,
                changed,
                user,
                number=await self._alerts.next(conn),
                at=self._parts.base.clock.now(),
            )
            await self._owe(conn, user, codes.ALERT_CREDENTIALS_UPDATED, document, tracked.sequence)

    async def owe_cos_certificate(
        self, conn: AsyncConnection, tracked: Tracked, device: str, serial: int | None, user: str
    ) -> None:
        """Owe a user the alert which CoS certificate a device holds (see `cos_certificates`)."""
        document = self._parts.replies.cos_certificate(
            device, serial, user, await self._alerts.next(conn), self._parts.base.clock.now()
        )
        await self._owe(conn, user, codes.ALERT_COS_CERTIFICATE, document, tracked.sequence)
        await self._parts.base.traces.record(
            tracked.request_id,
            "notified",
            receiver=user,
            name=codes.ALERT_COS_CERTIFICATE,
            summary="owed an alert which CoS certificate the device holds",
            conn=conn,
        )

    async def owe_device_alert(
        self, conn: AsyncConnection, message: Message, alert_code: int, raw: bytes
    ) -> None:
        """Owe the recipient of a device's security alert the alert, as the device signed it."""
        user, now = message.header.recipient, self._parts.base.clock.now()
        document = self._parts.replies.device_alert(message, alert_code, raw, now)
        await self._owe(conn, user, f"{alert_code:04X}", document, message.reference)

    async def owe_cos_party(
        self, conn: AsyncConnection, tracked: Tracked, purpose: str, message: bytes
    ) -> None:
        """Owe the CoS Party what the device said to it."""
        digest = hashlib.sha256(message).hexdigest()[:16]
        await self._parts.base.outbox.put(
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

    async def _owe(
        self, conn: AsyncConnection, user: str, code: str, document: bytes, about: int | str
    ) -> None:
        """Owe a user a document about a request (its sequence), or else about what is named so."""
        sequence = about if isinstance(about, int) else None
        number = await store.add_notice(
            conn,
            user=user,
            code=code,
            document=document,
            at=self._parts.base.clock.now(),
            sequence=sequence,
        )
        subject = {"subject": about} if sequence is None else {"sequence": sequence}
        await self._parts.base.outbox.put(
            conn,
            USER_DOCUMENT,
            str(number),
            {"number": number, **subject},
            lane=lanes.told_user(user),
        )

    async def _deliver(self, item: OutboxItem) -> None:
        """Hand one document to its user. A user without a callback asks for it instead."""
        base = self._parts.base
        async with base.database.connect() as conn:
            notice = await store.get_notice(conn, item.payload["number"])
            subject = item.payload.get("subject")
            if subject is None:
                subject = (await store.get_request(conn, item.payload["sequence"])).request_id
            user = await records.find_user(conn, notice.user)
        if user is None or user.callback_url is None or notice.delivered_at is not None:
            return
        try:
            await self._parts.users.deliver(user.callback_url, notice.document)
        except Unreachable as error:
            raise TryLater(str(error)) from error
        async with base.database.begin() as conn:
            await store.notice_delivered(conn, notice.id, base.clock.now())
            await base.traces.record(
                subject,
                "sent",
                sender=PARTY,
                receiver=notice.user,
                name=f"duis-response {notice.code}",
                message=notice.document,
                conn=conn,
            )
            await base.outbox.complete(conn, item)

    async def _forward(self, item: OutboxItem) -> None:
        """Give a device's message to the CoS Party that commanded. A refusal there ends it."""
        base = self._parts.base
        message = base64.b64decode(item.payload["message"])
        purpose = item.payload["purpose"]
        async with base.database.connect() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
        party = tracked.cos_party or ""
        summary = "taken by the CoS Party"
        try:
            await self._parts.cos_parties[party].forward(purpose, tracked.transaction, message)
        except PeerRefused as refused:
            summary = f"refused by {refused.party or party}, {refused.check}: {refused.detail}"
        except LinkCallError as error:
            raise TryLater(str(error)) from error
        async with base.database.begin() as conn:
            await base.traces.record(
                tracked.request_id,
                "sent",
                sender=PARTY,
                receiver=party,
                name=purpose,
                summary=summary,
                message=message,
                conn=conn,
            )
            await base.outbox.complete(conn, item)
