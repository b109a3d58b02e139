"""Security alerts of devices: judged, and passed on to the user responsible for the device.

A party that is no user here (the WAN provider of a Communications Hub; this broker, of a device it
still controls) is sent nothing: the alert ends here, with a trace.

An alert may overtake the answer, or the alert 8F66, by which the broker learns that the device has
changed hands. It is then for a party that is not responsible by the record, and will be: it is
refused by the same check, with status 503 instead of 403, and whoever carries it comes again.
(reconstruction)

One device's key must not flood a user: what is more than `acb.device_alert.rate` allows is taken,
counted, and passed on to nobody.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from acb.checks import PARTY
from acb.model import SUPPLIER_CELL, State
from acb.rules.device_alert import (
    DEVICE_ALERT_CHECKS,
    SECTION,
    DeviceAlertEvidence,
    read_device_alert,
)
from acb.steps.context import Parts
from acb.steps.notices import Notices
from acb.steps.outcome import Unacceptable
from acb.store import alert_tally, records
from acb.store import requests as store
from acb.store.alert_tally import AlertTally
from acb.store.awaited import date_of
from gbcs.codes import MODE_OF_MESSAGE_CODE
from gbcs.message import Message, decode
from gbcs.payloads.credentials import decode_update
from keys.certificate import Certificate
from services.chassis.checks import Approved, Refused

NAME: Final = "device-alert"
RECIPIENT: Final = f"acb.{SECTION}.recipient"
RATE: Final = f"acb.{SECTION}.rate"


class DeviceAlerts:
    """Hears security alerts, in the caller's transaction."""

    def __init__(self, parts: Parts, notices: Notices) -> None:
        self._parts = parts
        self._notices = notices

    async def hear(self, conn: AsyncConnection, message: Message, raw: bytes) -> None:
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
        tally = await alert_tally.read(conn, source, self._parts.base.clock.now())
        evidence = replace(evidence, passed=tally.passed)
        await self._trace(conn, message, "received", raw=raw)
        run = self._parts.base.book.start(message.reference, SECTION)
        try:
            for check in DEVICE_ALERT_CHECKS:
                run.apply(check, evidence)
            approved = run.approve()
        except Refused as refused:
            if refused.check == RATE:
                await self._drop(conn, counted, message, refused, tally)
                return
            if refused.check == RECIPIENT and message.header.recipient in await self._coming(
                conn, source
            ):
                refused = _come_again(refused)
            raise Unacceptable(refused, run) from None
        await self._parts.base.traces.record(
            message.reference, "checked", name=NAME, verdicts=approved.verdicts, conn=conn
        )
        await records.raise_counter(conn, counted, source, message.header.counter)
        await alert_tally.write(conn, source, replace(tally, passed=tally.passed + 1))
        await self._pass_on(conn, approved, evidence, raw)

    async def _drop(
        self,
        conn: AsyncConnection,
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

    async def _coming(self, conn: AsyncConnection, device: str) -> set[str]:
        """Suppliers that the device may have by now, though the record does not say so yet.

        Those of commands whose answer is awaited, and of dated ones whose day has come.
        """
        now, found = self._parts.base.clock.now(), set[str]()
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
        self,
        conn: AsyncConnection,
        approved: Approved[Any],
        evidence: DeviceAlertEvidence,
        raw: bytes,
    ) -> None:
        del approved  # taken so that nothing is passed on that was not approved
        message, alert = evidence.message, evidence.alert
        user = await records.find_user(conn, message.header.recipient)
        if user is None or alert is None:  # the latter only with checks switched off
            why = "its recipient is no user here" if user is None else "it cannot be read"
            await self._trace(conn, message, "dropped", summary=why)
            return
        await self._notices.owe_device_alert(conn, message, alert.alert_code, raw)

    async def _trace(
        self,
        conn: AsyncConnection,
        message: Message,
        kind: str,
        *,
        raw: bytes | None = None,
        summary: str = "",
    ) -> None:
        await self._parts.base.traces.record(
            message.reference,
            kind,
            sender=message.header.originator,
            receiver=PARTY,
            name=NAME,
            summary=summary,
            message=raw,
            gbcs_ref=message.reference,
            conn=conn,
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
