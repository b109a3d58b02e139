"""The receiving end: verifies before parsing, answers once, signs every answer.

What it guarantees to a handler: it is called with an `Opened` only, once for each message, after
every check of section "link.request" said yes; the purpose is its route's. What it guarantees to
the caller: whatever comes back, refusals and failures too, is signed by this system, and bound to
the request wherever the request can be bound to.

What it leaves to others: the model of the body, the rules of the party, and the size of a request
(the chassis' edge).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request
from starlette.responses import Response

from services.chassis.checks import CheckBook, CheckFailed, CheckRun, Refused
from services.chassis.log import note
from services.chassis.time.clock import Clock
from services.chassis.web.problems import refused_to_problem
from services.link.authentic_request import AuthenticRequest, Handler
from services.link.checks import ENVELOPE_RULES, REQUEST_SECTION, request_checks
from services.link.envelope import Envelope
from services.link.errors import LinkSetupError
from services.link.identity import LinkIdentity
from services.link.replies import Replies, verdict_of
from services.link.store import evidence as kinds
from services.link.store.evidence import EvidenceLog
from services.link.store.nonces import NonceWindow
from services.link.trust import LinkTrust
from services.link.wire import profile
from services.link.wire.message import HttpRequest, HttpResponse, fold_headers

Endpoint = Callable[[Request], Awaitable[Response]]

_AUTHENTICATED_BY = {f"{REQUEST_SECTION}.signature", f"{REQUEST_SECTION}.content_digest"}
"""Once these have passed it is known who wrote what is being refused."""


class LinkServer:
    """The link of one party, as others call it.

    Args (keyword):
        identity: Who answers.
        trust: Whose keys are known.
        allowed: Purpose to the systems that may send it here; what is not listed is refused.
        nonces: The memory of what was taken, in the party's database.
        evidence: Where the exact signed bytes are kept, in the same database.
        clock: Transport time: always the machine's.
        book: The party's check book; must hold the link's request checks.

    Raises:
        LinkSetupError: The book lacks a check, or a system that may send has no pinned key.
    """

    def __init__(
        self,
        *,
        identity: LinkIdentity,
        trust: LinkTrust,
        allowed: Mapping[str, set[str] | frozenset[str]],
        nonces: NonceWindow,
        evidence: EvidenceLog,
        clock: Clock,
        book: CheckBook,
    ) -> None:
        missing = [check.id for check in request_checks() if check.id not in book]
        if missing:
            raise LinkSetupError(f"the check book lacks {missing[0]}: add link_checks() to it")
        if nonces.database is not evidence.database:
            raise LinkSetupError("nonces and evidence must be in one database")
        self._peers = frozenset(system for systems in allowed.values() for system in systems)
        unknown = self._peers - set(trust.systems)
        if unknown:
            raise LinkSetupError(f"no link certificate is pinned for {sorted(unknown)}")
        self._system = identity.system
        self._replies = Replies(identity, clock, book.party)
        self._trust = trust
        self._allowed = {purpose: frozenset(systems) for purpose, systems in allowed.items()}
        self._nonces = nonces
        self._evidence = evidence
        self._clock = clock
        self._book = book

    def route(self, purpose: str) -> Callable[[Handler], Endpoint]:
        """Make a route's endpoint of a handler: put it below `@router.post(...)`.

        Raises:
            LinkSetupError: Nobody may send this purpose here, so the route could never be used.
        """
        if not self._allowed.get(purpose):
            raise LinkSetupError(f"nobody may send {purpose!r}: no such line of authority")

        def wrap(handler: Handler) -> Endpoint:
            async def endpoint(request: Request) -> Response:
                answer = await self._serve(await _as_value(request), purpose, handler)
                return Response(
                    answer.body,
                    status_code=answer.status,
                    headers=dict(answer.headers),
                )

            endpoint.__name__ = getattr(handler, "__name__", purpose)
            endpoint.__qualname__ = endpoint.__name__
            endpoint.__doc__ = inspect.getdoc(handler)
            return endpoint

        return wrap

    async def _serve(self, request: HttpRequest, purpose: str, handler: Handler) -> HttpResponse:
        """One request, from bytes to a signed answer."""
        subject = request.first(profile.MESSAGE_ID) or "(none)"
        run = self._book.start(subject[:128], section=REQUEST_SECTION)
        envelope = Envelope(
            message=request,
            shape=profile.REQUEST,
            own=self._system,
            peers=self._peers,
            keys=self._trust,
            now=self._clock.now(),
            purposes=self._allowed,
            route=purpose,
        )
        try:
            # step 1: what can be asked without writing anything down
            for rule in ENVELOPE_RULES:
                run.apply(f"{REQUEST_SECTION}.{rule.id}", envelope)
            caller = self._caller(envelope)
        except Refused as refused:
            return await self._refuse_envelope(request, run, refused)
        # step 2: spend the nonce, ask the rest, keep the evidence: one transaction
        note(caller=caller, request_id=subject)
        return await AuthenticRequest(
            replies=self._replies,
            nonces=self._nonces,
            evidence=self._evidence,
            request=request,
            envelope=envelope,
            run=run,
            handler=handler,
        ).answer()

    def _caller(self, envelope: Envelope) -> str:
        """The system that asks. No check turned off makes up for a key that nobody knows.

        Raises:
            Refused: as the check "key" would.
        """
        try:
            return envelope.key.system
        except CheckFailed as failed:
            check = self._book.get(f"{REQUEST_SECTION}.key")
            raise Refused(
                party=self._book.party,
                check=check.id,
                title=check.title,
                detail=failed.detail,
                source=check.source,
                status=check.status,
            ) from None

    async def _refuse_envelope(
        self, request: HttpRequest, run: CheckRun, refused: Refused
    ) -> HttpResponse:
        """Refuse a request whose envelope was not in order. Nothing it asked for has happened."""
        problem = refused_to_problem(refused)
        passed = {verdict.check for verdict in run.verdicts() if verdict.outcome == "passed"}
        authenticated = passed >= _AUTHENTICATED_BY
        if not authenticated:
            problem.expected = problem.found = None
        response = self._replies.signed(
            request, problem.status, self._replies.document(problem, request)
        )
        # an authentic request can be caught on the wire and sent again, until it is stale
        if not self._evidence.unauthenticated.admit(len(request.body) if authenticated else 0):
            note(unrecorded=True)
            return response
        async with self._evidence.database.begin() as conn:
            if authenticated:
                await self._evidence.request(
                    conn, kinds.REQUEST_REFUSED, request, verdict_of(refused)
                )
            else:
                await self._evidence.write_unauthenticated(conn, request, verdict_of(refused))
        return response


async def _as_value(request: Request) -> HttpRequest:
    """The request as the pure core wants it: raw path, raw header pairs, raw body."""
    scope = request.scope
    raw_path = scope.get("raw_path")
    path = scope["path"].encode() if raw_path is None else bytes(raw_path)
    return HttpRequest(
        method=request.method,
        path=path.decode("latin-1"),
        query=bytes(scope.get("query_string", b"")).decode("latin-1"),
        headers=fold_headers(scope["headers"]),
        body=await request.body(),
    )
