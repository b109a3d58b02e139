"""How a CoS Party signs for a change of supplier, its steps numbered.

Bytes -> `Delivery` (authentic) -> evidence -> `Approved` -> `Signed`. The access control broker's
word counts for nothing here: everything is decided from the service request the supplier signed,
and from what this party fetched by itself.

Order of effects: the intent to sign, with its counter and its exact bytes, is committed first;
then the key is used; then the command is committed, together with the answer. A crash in between
leaves an intent; the same request, asked again, is judged again and that intent is signed: no
second counter, and no command leaves that was not recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from cos_party.checks import REQUEST_SECTION
from cos_party.model import (
    Decided,
    Decision,
    Delivery,
    Intent,
    Reading,
    RequestEvidence,
    Signed,
)
from cos_party.peers.wire import text
from cos_party.rules.build import pre_command
from cos_party.rules.reading import read_request
from cos_party.rules.registration import displaced
from cos_party.steps.gather import Gatherer
from cos_party.steps.grounds import Grounds
from cos_party.steps.judging import affords_refusal, run_all, write_refusal
from cos_party.steps.signing import sign_intent
from cos_party.store import decisions as store
from gbcs.errors import GbcsError
from gbcs.message import decode, encode
from keys.stores.store import Signer
from services.chassis.checks import Approved, Refused
from services.chassis.data.counters import OriginatorCounter
from services.chassis.foundation import Foundation
from services.chassis.log import about
from services.chassis.web.problems import Problem


@dataclass(frozen=True, slots=True)
class Judged:
    """How the checks ended: an approval and what was recorded under it, or a refusal."""

    approved: Approved[Any] | None
    intent: Intent | None
    refused: Refused | None


class CosWorkflow:
    """What one CoS Party does with a service request (purpose `cos-command`)."""

    def __init__(
        self, base: Foundation, gatherer: Gatherer, signer: Signer, counter: OriginatorCounter
    ) -> None:
        self._base = base
        self._gatherer = gatherer
        self._signer = signer
        self._counter = counter
        self._party = base.settings.party
        self._eui = signer.certificate.subject_eui or ""
        gatherer.puller.when_registered = Grounds(base).look

    async def command(self, delivery: Delivery) -> dict[str, Any]:
        """Decide on a service request and answer with the signed command.

        Raises:
            Refused: a check said no; nothing was counted, recorded as intent, or signed.
        """
        # 1. the very same bytes, answered before: the same command again
        repeated = await self._repeated(delivery)
        if repeated is not None:
            return repeated
        # 2. read it, as far as it can be read
        reading = read_request(delivery.content)
        if reading.request is not None:
            about(duis_request_id=reading.request.header.request_id.text)
        # 3. bring the party's own copies up to date
        pulled = await self._gatherer.puller.for_request(reading.reference)
        # 4. judge, and commit either the refusal or the intent
        async with self._base.database.begin() as conn:
            evidence = await self._gatherer.request_evidence(conn, delivery, reading, pulled)
            judged = await self._judge(conn, evidence)
        if judged.refused is not None:
            raise judged.refused
        if judged.approved is None or judged.intent is None:
            raise RuntimeError("neither approved nor refused")
        # 5. sign exactly what was intended
        signed = sign_intent(judged.approved, judged.intent, self._signer, section=REQUEST_SECTION)
        # 6. keep the command and the answer in one transaction, then let it go
        return await self._deliver(delivery, judged.intent, signed)

    async def _repeated(self, delivery: Delivery) -> dict[str, Any] | None:
        """The answer to bytes that were signed for before, unless the transaction says otherwise.

        A transaction that was begun with other bytes goes on to `request.duplicate`.
        """
        async with self._base.database.connect() as conn:
            intent = await store.intent_for(conn, delivery.digest)
        if intent is None or intent.command is None:
            return None
        async with self._base.database.begin() as conn:
            # asked here, where it is written: other bytes may have begun the transaction meanwhile
            begun_with = await store.transaction_digest(conn, delivery.transaction)
            if begun_with not in (None, delivery.digest):
                return None
            await store.note_transaction(conn, delivery.transaction, delivery.digest)
            await self._base.traces.record(
                intent.request_id,
                "repeated",
                sender=delivery.opened.sender,
                receiver=self._party,
                name="Service request",
                summary="the same bytes again: the command signed before is given again",
                conn=conn,
            )
        return self._answer(delivery, intent, intent.command)

    async def _judge(self, conn: AsyncConnection, evidence: RequestEvidence) -> Judged:
        """Run the whole list; on yes take a counter and record the intent, in `conn`."""
        delivery, reading = evidence.delivery, evidence.reading
        subject = _subject(delivery, reading)
        came = self._base.system_clock.now()
        run = self._base.book.start(subject, section=REQUEST_SECTION)
        try:
            approved = run_all(self._base, run, evidence)
        except Refused as refused:
            kept = affords_refusal(self._base, delivery, run, reading.request)
            if kept:
                await self._received(conn, delivery, subject, came)
            await write_refusal(
                self._base,
                conn,
                delivery,
                run=run,
                refused=refused,
                kept=kept,
                request=reading.request,
            )
            return Judged(None, None, refused)
        await self._received(conn, delivery, subject, came)
        intent = await self._intend(conn, evidence)
        await self._base.traces.record(
            subject,
            "checked",
            name="Approved",
            summary=f"every check said yes; counter {intent.counter} is taken",
            verdicts=approved.verdicts,
            conn=conn,
        )
        return Judged(approved, intent, None)

    async def _received(
        self, conn: AsyncConnection, delivery: Delivery, subject: str, came: datetime
    ) -> None:
        await self._base.traces.record(
            subject,
            "received",
            sender=delivery.opened.sender,
            receiver=self._party,
            name="Service request",
            summary=f"transaction {delivery.transaction}",
            message=delivery.content,
            verdicts=delivery.opened.verdicts,
            at=came,
            conn=conn,
        )

    async def _intend(self, conn: AsyncConnection, evidence: RequestEvidence) -> Intent:
        """The intent for an approved request: the one a crash left, or a new one."""
        delivery, request = evidence.delivery, evidence.reading.request
        if request is None:
            raise self._unbuildable("there is no request that could be read")
        request_id = request.header.request_id
        await store.note_transaction(conn, delivery.transaction, delivery.digest)
        left = await store.intent_for(conn, delivery.digest)
        if left is not None:
            return left
        counter = await self._counter.next(conn)
        try:
            unsigned = encode(pre_command(request, self._eui, counter))
        except GbcsError as error:
            raise self._unbuildable(error.reason) from error
        intent = Intent(
            request_id=request_id.text,
            digest=delivery.digest,
            requester=request_id.originator,
            device=request_id.target,
            counter=counter,
            intended_at=evidence.at,
            pre_command=unsigned,
            displaces=displaced(evidence),
        )
        await store.record_intent(conn, intent, request)
        await self._base.audit.append(
            conn,
            "cos.intent",
            intent.request_id,
            {"transaction": delivery.transaction, "counter": counter, "device": intent.device},
            intent.pre_command,
        )
        return intent

    def _unbuildable(self, reason: str) -> Problem:
        """With every check on this cannot be; a weakened party says so and keeps its counter."""
        return Problem(422, "No command can be built from this", reason, party=self._party)

    async def _deliver(self, delivery: Delivery, intent: Intent, signed: Signed) -> dict[str, Any]:
        now = self._base.clock.now()
        async with self._base.database.begin() as conn:
            command = await store.record_signed(conn, intent.digest, signed.command, now)
            answer = self._answer(delivery, intent, command)
            await self._base.audit.append(
                conn, "cos.signed", intent.request_id, {"counter": intent.counter}, command
            )
            await store.record_decision(
                conn,
                Decision(
                    at=now,
                    purpose=delivery.purpose,
                    transaction=delivery.transaction,
                    request_id=intent.request_id,
                    requester=intent.requester,
                    device=intent.device,
                    digest=delivery.digest,
                    outcome=Decided.SIGNED,
                    counter=intent.counter,
                ),
            )
            message = decode(command)
            await self._base.traces.record(
                intent.request_id,
                "signed",
                sender=self._party,
                receiver=delivery.opened.sender,
                name="Signed command",
                summary=f"counter {intent.counter}",
                message=command,
                gbcs_ref=message.reference,
                conn=conn,
            )
            await delivery.opened.remember(conn, answer)
        return answer

    def _answer(self, delivery: Delivery, intent: Intent, command: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "version": 1,
            "transaction": delivery.transaction,
            "signed_command": text(command),
            "originator": self._eui,
            "counter": intent.counter,
        }
        if intent.displaces:
            answer["displaces"] = list(intent.displaces)
        return answer


def _subject(delivery: Delivery, reading: Reading) -> str:
    """What the trace and the approval are about: the request, or what little is known of it."""
    if reading.request is None:
        return delivery.transaction
    return reading.request.header.request_id.text
