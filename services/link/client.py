"""The calling end: signs a request, sends it, and believes nothing but a bound, signed answer.

Four endings, which a caller can tell apart by type:

- `LinkAnswer`: the peer said yes, and we hold the proof.
- `PeerRefused`: the peer's own rules said no, and we hold the proof.
- `PeerUnavailable`: nothing settled: no answer, a failure of the peer (5xx), an answer that our
  checks refuse (`LinkRefused`), or a refusal of the envelope alone (`EnvelopeRefused`). Ask again
  with the same message identifier; the peer acts once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel

from services.chassis.checks import Approved, CheckBook, CheckFailed, Refused, Verdict
from services.chassis.time.clock import Clock
from services.chassis.web.http import Http, exchange
from services.link.checks import REQUEST_SECTION, RESPONSE_SECTION, SETTLED, response_checks
from services.link.envelope import Envelope
from services.link.errors import (
    EnvelopeRefused,
    LinkRefused,
    LinkSetupError,
    PeerRefused,
    PeerUnavailable,
)
from services.link.identity import LinkIdentity
from services.link.opened import encode_answer
from services.link.replies import verdict_of
from services.link.revocation_lists import trust_for
from services.link.rules import authenticity
from services.link.store import evidence as kinds
from services.link.store.evidence import EvidenceLog
from services.link.trust import LinkTrust
from services.link.wire import profile
from services.link.wire.message import HttpRequest, HttpResponse, fold_headers
from services.link.wire.signing import Address, sign_request

_BODY: Final = f"{RESPONSE_SECTION}.{authenticity.answered_body.id}"

MAX_ANSWER: Final = 8 * 1024 * 1024
"""Longest answer read, in octets."""
LONG_BODY: Final = 128 * 1024
"""Octets of an answer from which on it is read in a thread: others are served meanwhile."""
MAX_SECONDS: Final = 20.0
"""Longest time for a whole answer, from the first octet sent to the last received.

The HTTP client's own limits are for each piece: whoever sends an octet now and then passes them for
ever, and with them holds whatever waits for the answer. Less than
`services.link.store.nonces.LEASE`: an attempt has ended before another takes its message over."""


@dataclass(frozen=True, slots=True)
class LinkAnswer:
    """A verified answer: signed by the peer, bound to the request.

    Attributes:
        status: HTTP status, 2xx.
        body: the JSON object.
        raw: its exact octets.
        request_evidence: number of the audit entry with our request.
        evidence: number of the audit entry with this answer.
        verdicts: what each check of the link said of it, for the party's trace.
    """

    status: int
    body: dict[str, Any] = field(repr=False)
    raw: bytes = field(repr=False)
    request_evidence: int
    evidence: int
    verdicts: tuple[Verdict, ...] = field(default=(), repr=False)


class LinkClient:
    """The link of one party to one peer.

    Args (keyword):
        identity: Who asks.
        trust: Whose keys are known.
        peer: The system that is asked; no other may answer.
        base_url: Origin of the peer's interface, for example ``http://127.0.0.1:8001``.
        http: A client of `services.chassis.web.http`.
        evidence: Where the exact signed bytes are kept.
        clock: Transport time: always the machine's.
        book: The party's check book; must hold the link's response checks.

    Raises:
        LinkSetupError: The book lacks a check, the peer has no pinned key, or the address is not
            an origin.
    """

    def __init__(
        self,
        *,
        identity: LinkIdentity,
        trust: LinkTrust,
        peer: str,
        base_url: str,
        http: Http,
        evidence: EvidenceLog,
        clock: Clock,
        book: CheckBook,
    ) -> None:
        missing = [check.id for check in response_checks() if check.id not in book]
        if missing:
            raise LinkSetupError(f"the check book lacks {missing[0]}: add link_checks() to it")
        if peer not in trust.systems:
            raise LinkSetupError(f"no link certificate is pinned for {peer}")
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise LinkSetupError("the peer's address is not an http origin")
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
            raise LinkSetupError("the peer's address must be an origin alone, without a path")
        self._identity = identity
        self._trust = trust
        self._peer = peer
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._http = http
        self._evidence = evidence
        self._clock = clock
        self._book = book

    @property
    def peer(self) -> str:
        """The system that is asked."""
        return self._peer

    async def call(
        self, path: str, purpose: str, message_id: str, body: Mapping[str, Any] | BaseModel
    ) -> LinkAnswer:
        """Ask the peer, once.

        Not to be called inside a write transaction of this party's database: it makes its own,
        so that the evidence of what was sent is on the disk before it is sent.

        Raises:
            PeerRefused: The peer's rules said no, verifiably.
            PeerUnavailable: Nothing settled; see the module docstring for its kinds.
            LinkSetupError: The path, purpose or message identifier is not of the profile.
        """
        _check_call(path, purpose, message_id)
        request = sign_request(
            path,
            encode_answer(body),
            Address(purpose, message_id, self._identity.system, self._peer),
            self._identity.stamp(self._clock),
            self._identity.sign,
        )
        async with self._evidence.database.begin() as conn:
            sent = await self._evidence.request(conn, kinds.REQUEST_SENT, request)
        response = await self._send(request)
        approved = await self._verify(request, response)
        async with self._evidence.database.begin() as conn:
            seq = await self._evidence.response(conn, kinds.RESPONSE_RECEIVED, response, request)
        document = _document(approved.evidence)
        if 200 <= response.status < 300:
            return LinkAnswer(
                response.status, document, response.body, sent, seq, approved.verdicts
            )
        raise self._no(response.status, document, seq)

    async def _send(self, request: HttpRequest) -> HttpResponse:
        """Send the exact bytes that were signed.

        Raises:
            PeerUnavailable: No complete answer came back.
        """
        try:
            reply = await exchange(
                self._http,
                self._origin + request.path,
                request.headers,
                request.body,
                seconds=MAX_SECONDS,
                longest=MAX_ANSWER,
            )
        except Exception as error:  # whatever it is, nothing is settled
            raise PeerUnavailable(self._peer, f"no answer ({type(error).__name__})") from error
        if reply.body is None:
            raise PeerUnavailable(self._peer, f"an answer of more than {MAX_ANSWER} octets")
        return HttpResponse(reply.status, fold_headers(reply.headers), reply.body)

    async def _verify(self, request: HttpRequest, response: HttpResponse) -> Approved[Envelope]:
        """Run every check of section "link.response".

        Raises:
            LinkRefused: One of them said no.
        """
        envelope = Envelope(
            message=response,
            shape=profile.RESPONSE,
            own=self._identity.system,
            peers=(self._peer,),
            keys=trust_for(self._trust, request.first(profile.PURPOSE) or "", response.body),
            now=self._clock.now(),
            request=request,
        )
        run = self._book.start(
            request.first(profile.MESSAGE_ID) or "(none)", section=RESPONSE_SECTION
        )
        try:
            for check in self._book.section(RESPONSE_SECTION):
                if check.id == _BODY and len(response.body) >= LONG_BODY:
                    await asyncio.to_thread(_document, envelope)  # and it is read once
                run.apply(check, envelope)
            return run.judge(envelope)
        except Refused as refused:
            async with self._evidence.database.begin() as conn:
                await self._evidence.response(
                    conn,
                    kinds.RESPONSE_REFUSED,
                    response,
                    request,
                    verdict_of(refused),
                )
            raise LinkRefused(self._peer, refused.check, refused.detail) from None

    def _no(self, status: int, problem: dict[str, Any], seq: int) -> PeerRefused | PeerUnavailable:
        """What a verified answer that is not a yes amounts to."""
        check = problem.get("check")
        if not 400 <= status < 500:
            named = f" ({check})" if isinstance(check, str) else ""
            return PeerUnavailable(self._peer, f"answered {status}{named}")
        if (
            isinstance(check, str)
            and check.startswith(f"{REQUEST_SECTION}.")
            and check not in SETTLED
        ):
            return EnvelopeRefused(self._peer, status, problem)
        return PeerRefused(self._peer, status, problem, seq)


def _document(envelope: Envelope) -> dict[str, Any]:
    """The body; nothing where it is none, which only a check turned off lets pass."""
    try:
        return envelope.document
    except CheckFailed:
        return {}


def _check_call(path: str, purpose: str, message_id: str) -> None:
    if not profile.PATH_FORM.fullmatch(path):
        raise LinkSetupError(f"not a path of the link: {path!r}")
    if not profile.PURPOSE_FORM.fullmatch(purpose):
        raise LinkSetupError(f"not a purpose: {purpose!r}")
    if not profile.MESSAGE_ID_FORM.fullmatch(message_id):
        raise LinkSetupError("not a message identifier: 1 to 128 of A-Z a-z 0-9 . _ : -")
