"""How a CoS Party signs for a change of supplier, its steps numbered.

Bytes -> `Incoming` (authentic) -> evidence -> `Approved` -> `Signed`. The access control broker's
word counts for nothing here: everything is decided from the service request the supplier signed,
and from what this party fetched by itself.

Order of effects: the intent to sign, with its counter and its exact bytes, is committed first;
then the key is used; then the command is committed, together with the answer. A crash in between
leaves an intent; the same request, asked again, is judged again and that intent is signed: no
second counter, and no command leaves that was not recorded.
"""

from __future__ import annotations

from typing import Any

from cos_party.checks import REQUEST_SECTION
from cos_party.model import (
    Decided,
    Incoming,
    Intent,
    Reading,
    RequestEvidence,
    Signed,
)
from cos_party.rules.build import pre_command
from cos_party.rules.reading import read_request
from cos_party.rules.registration import displaced
from cos_party.steps.gather import Gatherer
from cos_party.steps.judging import judge
from cos_party.steps.signing import sign_intent
from cos_party.steps.waiting_changes import WaitingChanges
from cos_party.store import decisions as store
from gbcs.errors import GbcsError
from gbcs.message import decode, encode
from keys.stores.store import Signer
from services.chassis.checks import Approved, Refused
from services.chassis.context import ServiceContext
from services.chassis.data.connection import StoreConnection
from services.chassis.data.counters import OriginatorCounter
from services.chassis.log import about
from services.chassis.web.problems import Problem
from services.link.bodies import text


class CosWorkflow:
    """What one CoS Party does with a service request (purpose `cos-command`)."""

    def __init__(
        self, base: ServiceContext, gatherer: Gatherer, signer: Signer, counter: OriginatorCounter
    ) -> None:
        self._base = base
        self._gatherer = gatherer
        self._signer = signer
        self._counter = counter
        self._party = base.settings.party
        self._eui = signer.certificate.subject_eui or ""
        gatherer.puller.when_registered = WaitingChanges(base, gatherer.puller.registration).review

    async def command(self, incoming: Incoming) -> dict[str, Any]:
        """Decide on a service request and answer with the signed command.

        Raises:
            Refused: a check said no; nothing was counted, recorded as intent, or signed.
        """
        # 1. the very same bytes, answered before: the same command again
        repeated = await self._repeated(incoming)
        if repeated is not None:
            return repeated
        # 2. read it, as far as it can be read
        reading = read_request(incoming.content)
        if reading.request is not None:
            about(duis_request_id=reading.request.header.request_id.text)
        # 3. bring the party's own copies up to date
        pulled = await self._gatherer.puller.for_request(reading.reference)
        # 4. judge, and commit either the refusal or the intent
        async with self._base.database.begin() as conn:
            evidence = await self._gatherer.request_evidence(conn, incoming, reading, pulled)
            judged = await judge(
                self._base,
                conn,
                evidence,
                section=REQUEST_SECTION,
                subject=_subject(incoming, reading),
            )
            intent = None if isinstance(judged, Refused) else await self._intend(conn, judged)
        if isinstance(judged, Refused):
            raise judged
        assert intent is not None
        # 5. sign exactly what was intended
        signed = sign_intent(judged, intent, self._signer)
        # 6. keep the command and the answer in one transaction, then let it go
        return await self._deliver(judged, intent, signed)

    async def _repeated(self, incoming: Incoming) -> dict[str, Any] | None:
        """The answer to bytes that were signed for before, unless the transaction says otherwise.

        A transaction that was begun with other bytes goes on to `request.duplicate`.
        """
        async with self._base.database.connect() as conn:
            intent = await store.intent_for(conn, incoming.digest)
        if intent is None or intent.command is None:
            return None
        async with self._base.database.begin() as conn:
            # asked here, where it is written: other bytes may have begun the transaction meanwhile
            begun_with = await store.transaction_digest(conn, incoming.transaction)
            if begun_with not in (None, incoming.digest):
                return None
            await store.note_transaction(conn, incoming.transaction, incoming.digest)
            await self._base.traces.record(
                intent.request_id,
                "repeated",
                sender=incoming.opened.sender,
                receiver=self._party,
                name="Service request",
                summary="the same bytes again: the command signed before is given again",
                conn=conn,
            )
        return self._answer(incoming, intent, intent.command)

    async def _intend(self, conn: StoreConnection, approved: Approved[RequestEvidence]) -> Intent:
        """The intent for an approved request, recorded: the one a crash left, or a new one."""
        intent = await self._left_or_new(conn, approved.evidence)
        await self._base.traces.record(
            approved.subject,
            "checked",
            name="Approved",
            summary=f"every check said yes; counter {intent.counter} is taken",
            verdicts=approved.verdicts,
            conn=conn,
        )
        return intent

    async def _left_or_new(self, conn: StoreConnection, evidence: RequestEvidence) -> Intent:
        incoming, request = evidence.incoming, evidence.reading.request
        if request is None:
            raise self._unbuildable("there is no request that could be read")
        request_id = request.header.request_id
        await store.note_transaction(conn, incoming.transaction, incoming.digest)
        left = await store.intent_for(conn, incoming.digest)
        if left is not None:
            return left
        counter = await self._counter.next(conn)
        try:
            unsigned = encode(pre_command(request, self._eui, counter))
        except GbcsError as error:
            raise self._unbuildable(error.reason) from error
        intent = Intent(
            request_id=request_id.text,
            digest=incoming.digest,
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
            {"transaction": incoming.transaction, "counter": counter, "device": intent.device},
            intent.pre_command,
        )
        return intent

    def _unbuildable(self, reason: str) -> Problem:
        """With every check on this cannot be; a weakened party says so and keeps its counter."""
        return Problem(422, "No command can be built from this", reason, party=self._party)

    async def _deliver(
        self, approved: Approved[RequestEvidence], intent: Intent, signed: Signed
    ) -> dict[str, Any]:
        incoming = approved.evidence.incoming
        now = self._base.clock.now()
        async with self._base.database.begin() as conn:
            command = await store.record_signed(conn, intent.digest, signed.command, now)
            answer = self._answer(incoming, intent, command)
            await self._base.audit.append(
                conn, "cos.signed", intent.request_id, {"counter": intent.counter}, command
            )
            await store.record_decision(
                conn,
                incoming,
                now,
                Decided.SIGNED,
                request_id=intent.request_id,
                requester=intent.requester,
                device=intent.device,
                counter=intent.counter,
            )
            message = decode(command)
            await self._base.traces.record(
                intent.request_id,
                "signed",
                sender=self._party,
                receiver=incoming.opened.sender,
                name="Signed command",
                summary=f"counter {intent.counter}",
                message=command,
                gbcs_ref=message.reference,
                conn=conn,
            )
            await incoming.opened.remember(conn, answer)
        return answer

    def _answer(self, incoming: Incoming, intent: Intent, command: bytes) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "version": 1,
            "transaction": incoming.transaction,
            "signed_command": text(command),
            "originator": self._eui,
            "counter": intent.counter,
        }
        if intent.displaces:
            answer["displaces"] = list(intent.displaces)
        return answer


def _subject(incoming: Incoming, reading: Reading) -> str:
    """What the trace and the approval are about: the request, or what little is known of it."""
    if reading.request is None:
        return incoming.transaction
    return reading.request.header.request_id.text
