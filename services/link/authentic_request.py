"""One authentic request: taken once, handled once, answered with what was answered before.

The nonce, the last checks, the claim on the message identifier and the evidence are one
transaction, so that of two at the same moment one is taken, and a refusal leaves the nonce spent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel

from services.chassis.checks import Approved, CheckRun, Refused
from services.chassis.data.connection import StoreConnection
from services.chassis.log import note
from services.chassis.web.problems import Problem, as_problem, refused_to_problem
from services.link.checks import REQUEST_SECTION
from services.link.envelope import EarlierMessage, Envelope
from services.link.opened import Opened, encode_answer
from services.link.replies import Replies, verdict_of
from services.link.rules import authenticity
from services.link.store import evidence as kinds
from services.link.store.evidence import EvidenceLog
from services.link.store.nonces import KnownMessage, MessageKey, NonceWindow
from services.link.wire import profile
from services.link.wire.message import HttpRequest, HttpResponse

Handler = Callable[[Opened], Awaitable[Mapping[str, Any] | BaseModel]]

_BUSY = "The same message is being dealt with; ask again"


class AuthenticRequest:
    """One authentic request: taken once, handled once, answered with what was answered before."""

    def __init__(
        self,
        *,
        replies: Replies,
        nonces: NonceWindow,
        evidence: EvidenceLog,
        request: HttpRequest,
        envelope: Envelope,
        run: CheckRun,
        handler: Handler,
    ) -> None:
        self._replies = replies
        self._nonces = nonces
        self._evidence = evidence
        self._request = request
        self._envelope = envelope
        self._run = run
        self._handler = handler
        self._key = MessageKey(
            envelope.key.system,
            envelope.header(profile.PURPOSE),
            envelope.header(profile.MESSAGE_ID),
        )
        self._digest = request.body_digest
        self._attempt: str | None = None

    async def answer(self) -> HttpResponse:
        """Take the request, then answer it."""
        refused: Refused | None = None
        approved: Approved[Envelope] | None = None
        known: KnownMessage | None = None
        seq, kept = 0, True
        async with self._nonces.database.begin() as conn:
            try:
                known, approved = await self._take(conn)
            except Refused as said_no:
                # caught inside the transaction: the nonce stays spent
                refused = said_no
            if refused is not None:
                kept = await self._keep_refusal(conn, refused)
            else:
                seq = await self._evidence.request(conn, kinds.REQUEST_RECEIVED, self._request)
            if approved is not None and self._is_new(known):
                self._attempt = await self._nonces.begin(
                    conn, self._key, self._digest, self._envelope.now
                )
        if refused is not None:
            problem = refused_to_problem(refused)
            said = self._replies.document(problem, self._request)
            if not kept:
                return self._replies.signed(self._request, problem.status, said)
            return await self._finish(problem.status, said)
        assert approved is not None
        if known is not None and known.body_digest != self._digest:
            # let through because a check is off: handled, and nothing remembered of it
            return await self._handle(approved, seq)
        if known is not None and known.status is not None and known.answer is not None:
            return await self._finish(known.status, known.answer)
        if self._attempt is None:
            busy = Problem(503, "Busy", _BUSY)
            return await self._finish(503, self._replies.document(busy, self._request))
        return await self._handle(approved, seq)

    async def _keep_refusal(self, conn: StoreConnection, refused: Refused) -> bool:
        """Keep what was refused; of copies that anybody on the wire can make, not without end."""
        copy = refused.check == f"{REQUEST_SECTION}.{authenticity.nonce.id}"
        if copy and not self._evidence.unauthenticated.admit(len(self._request.body)):
            note(unrecorded=True)
            return False
        verdict = verdict_of(refused)
        await self._evidence.request(conn, kinds.REQUEST_REFUSED, self._request, verdict)
        return True

    async def _take(self, conn: StoreConnection) -> tuple[KnownMessage | None, Approved[Envelope]]:
        """Spend the nonce and ask the last checks.

        Raises:
            Refused: one of them said no.
        """
        envelope, nonces = self._envelope, self._nonces
        nonce = envelope.parameter("nonce", str)
        expires = envelope.parameter("expires", int)
        if nonce is not None:
            envelope.nonce_fresh = await nonces.spend(
                conn,
                envelope.parameter("keyid", str) or "",
                nonce,
                expires=int(envelope.now_seconds) if expires is None else expires,
                now=envelope.now,
            )
        self._run.apply(f"{REQUEST_SECTION}.{authenticity.nonce.id}", envelope)
        known = await nonces.known(conn, self._key, envelope.now)
        envelope.earlier = None if known is None else EarlierMessage(known.body_digest)
        return known, self._run.judge(envelope)

    def _is_new(self, known: KnownMessage | None) -> bool:
        """Whether this message is to be remembered: not one that contradicts what is."""
        if known is None:
            return True
        return known.status is None and known.body_digest == self._digest

    async def _handle(self, approved: Approved[Envelope], seq: int) -> HttpResponse:
        opened = Opened(approved, evidence=seq, remember=self._remember)
        try:
            said = await self._handler(opened)
            status, body = 200, opened.remembered or encode_answer(said)
        except Exception as error:  # noqa: BLE001 - every failure is answered, and signed
            problem = as_problem(error, party=self._replies.party, prefix="link")
            status, body = problem.status, self._replies.document(problem, self._request)
        return await self._finish(status, body)

    async def _remember(self, conn: StoreConnection, body: bytes) -> None:
        """Keep the answer in the handler's transaction.

        Raises:
            Problem: another attempt has taken the message over; the handler's transaction must
                not commit, or the effect would happen twice.
        """
        if self._attempt is None:
            return
        if not await self._nonces.answer(conn, self._key, self._attempt, 200, body):
            raise Problem(503, "Too late", "another attempt has taken this message over")

    async def _finish(self, status: int, body: bytes) -> HttpResponse:
        """Sign the answer; keep it, and its evidence, before it leaves."""
        response = self._replies.signed(self._request, status, body)
        async with self._evidence.database.begin() as conn:
            if self._attempt is not None and status < 500:
                await self._nonces.answer(conn, self._key, self._attempt, status, body)
            elif self._attempt is not None:
                await self._nonces.give_up(conn, self._key, self._attempt)
            await self._evidence.response(conn, kinds.RESPONSE_SENT, response, self._request)
        return response
