"""The exact signed bytes, kept by both ends, and how anyone can check them later.

Every request and response that is sent or taken becomes an entry of the party's hash-linked audit
log: the covered headers, the signature base, the body. `verify_evidence` takes such an entry and
the public trust material, nothing else, and says what the other system said; or which part of the
entry was changed. What the signature covers is rebuilt from the kept message: the kept signature
base serves only to name what was changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from services.chassis.checks import Check
from services.chassis.data.audit import AuditLog
from services.chassis.data.connection import StoreConnection
from services.chassis.data.quota import UnauthenticatedQuota
from services.chassis.data.store import Database
from services.link.checks import (
    AUTHENTICITY,
    FORM,
    INPUT,
    REQUEST_RULES,
    RESPONSE_RULES,
    TARGET,
    verify,
)
from services.link.envelope import Envelope
from services.link.errors import BaseError, EvidenceError, NotVerified, SignatureError
from services.link.rules import authenticity
from services.link.store.records import (
    VERSION,
    envelope_of,
    read_body,
    rebuild,
    request_record,
    response_record,
)
from services.link.trust import LinkTrust
from services.link.wire import profile
from services.link.wire.digest import read_content_digest
from services.link.wire.message import HttpRequest, HttpResponse
from services.link.wire.signing import verify_signature

REQUEST_SENT: Final = "link.request.sent"
REQUEST_RECEIVED: Final = "link.request.received"
REQUEST_REFUSED: Final = "link.request.refused"
RESPONSE_SENT: Final = "link.response.sent"
RESPONSE_RECEIVED: Final = "link.response.received"
RESPONSE_REFUSED: Final = "link.response.refused"

_UNTIMED = frozenset({"future", "stale"})
"""Checks about the moment of arrival: they were for the receiver, then."""
_REPEATABLE = frozenset(
    rule.id
    for rule in (*FORM, *INPUT, *AUTHENTICITY, *RESPONSE_RULES)
    if rule.id not in _UNTIMED | {"key", "certificate", "peer", "query"}
)
_ASKS_LISTS = frozenset({"purpose", "message_id"})
"""Checks that, of a request, ask what its receiver allows and remembers."""


class EvidenceLog:
    """Where one party keeps what was said on the link: its audit log."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self.database = database
        self._audit = audit

    @property
    def unauthenticated(self) -> UnauthenticatedQuota:
        """Who is asked before anything is kept that somebody on the wire could cause."""
        return self._audit.unauthenticated

    async def request(
        self,
        conn: StoreConnection,
        kind: str,
        request: HttpRequest,
        verdict: Mapping[str, Any] | None = None,
    ) -> int:
        """Keep a request that was sent, or received and authentic; its entry's number."""
        record = request_record(request)
        if verdict is not None:
            record["verdict"] = dict(verdict)
        subject = request.first(profile.MESSAGE_ID) or "-"
        return await self._audit.append(conn, kind, subject, record, request.body)

    async def response(
        self,
        conn: StoreConnection,
        kind: str,
        response: HttpResponse,
        request: HttpRequest,
        verdict: Mapping[str, Any] | None = None,
    ) -> int:
        """Keep a response that was sent, or received, with what binds it to its request."""
        record = response_record(response, request)
        if verdict is not None:
            record["verdict"] = dict(verdict)
        subject = request.first(profile.MESSAGE_ID) or "-"
        return await self._audit.append(conn, kind, subject, record, response.body)

    async def write_unauthenticated(
        self, conn: StoreConnection, request: HttpRequest, verdict: Mapping[str, Any]
    ) -> int:
        """Keep that a request of unknown origin was refused, without its content.

        Whoever can reach the port can cause such entries: they are small and of fixed size, and
        made only while the quota of the unauthenticated allows it.
        """
        record: dict[str, Any] = {
            "version": VERSION,
            "verdict": dict(verdict),
            "body_octets": len(request.body),
            "body_digest": request.body_digest.hex(),
        }
        if unrecorded := self.unauthenticated.unrecorded():
            record["unkept_before"] = unrecorded
        return await self._audit.append(conn, REQUEST_REFUSED, "unauthenticated", record)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a kept entry proves: this system said this, to that one."""

    kind: str
    signer: str
    recipient: str
    purpose: str
    message_id: str
    created: datetime
    expires: datetime
    status: int | None
    signature: str
    body: bytes = field(repr=False)


def verify_evidence(
    entry: Mapping[str, Any],
    trust: LinkTrust,
    *,
    withheld: bool = False,
    refused: bool = False,
) -> Proof:
    """Check an exported audit entry (`record`, and `body` in base64) offline.

    Args:
        entry: the entry.
        trust: the public trust material.
        withheld: the body was not exported: the signed digest must be the entry's `body_digest`.
        refused: the entry is of a message that was refused once its author was certain: whether
            it was in order otherwise is not asked.

    Raises:
        EvidenceError: naming the part that was changed: "body", a covered component such as
            '"cos-purpose"', "signature_base", "signature", "record", or the check of the link
            that the message does not pass.
    """
    body = read_body(entry.get("body"))
    record = entry.get("record")
    message, request, recorded = rebuild(record, body)
    envelope = envelope_of(message, request, trust, trust.systems)
    to_key, after_key = _rules(message)
    try:
        verify(envelope, to_key)
        base = envelope.base()
    except NotVerified as failed:
        raise EvidenceError(failed.check, failed.detail) from failed
    except BaseError as error:
        raise EvidenceError("record", str(error)) from error
    _compare(envelope, base, recorded)
    created, expires = _time(envelope, "created"), _time(envelope, "expires")
    envelope.now = created
    if refused:
        after_key = after_key[: after_key.index(authenticity.content_digest) + 1]
    if withheld:
        after_key.remove(authenticity.content_digest)
    try:
        verify(envelope, after_key)
        if withheld and _stated(envelope) != entry.get("body_digest"):
            raise EvidenceError("body", "that is withheld is not the one that was signed")
    except NotVerified as failed:
        part = "body" if failed.check == "content_digest" else failed.check
        raise EvidenceError(part, failed.detail) from failed
    return Proof(
        kind=envelope.shape.kind,
        signer=envelope.key.system,
        recipient=envelope.header(profile.RECIPIENT),
        purpose=envelope.header(profile.PURPOSE),
        message_id=envelope.header(profile.MESSAGE_ID),
        created=created,
        expires=expires,
        status=message.status if isinstance(message, HttpResponse) else None,
        signature=envelope.header(profile.SIGNATURE),
        body=body,
    )


def passes(entry: Mapping[str, Any], trust: LinkTrust, own: str, check: str) -> bool:
    """Whether a kept message passes a check by which its receiver says that it refused it.

    Only what the entry alone can answer: False for checks that ask a clock, a memory or the
    receiver's own lists, and for messages that cannot be read.

    Args:
        entry: the exported audit entry, with its body.
        trust: the public trust material.
        own: the system that refused it.
        check: the end of its identifier, for example ``signature``.
    """
    try:
        message, request, _ = rebuild(entry.get("record"), read_body(entry.get("body")))
    except EvidenceError:
        return False
    listed = REQUEST_RULES if isinstance(message, HttpRequest) else RESPONSE_RULES
    found = [rule for rule in listed if rule.id == check and check in _REPEATABLE]
    envelope = envelope_of(message, request, trust, trust.systems)
    envelope.own = own
    if not found or (isinstance(message, HttpRequest) and check in _ASKS_LISTS):
        return False
    try:
        verify(envelope, found)
    except (NotVerified, BaseError):
        return False
    return True


def _time(envelope: Envelope, name: str) -> datetime:
    try:
        return datetime.fromtimestamp(envelope.parameter(name, int) or 0, UTC)
    except (ValueError, OverflowError, OSError):
        raise EvidenceError(name, "a time outside the calendar") from None


def _stated(envelope: Envelope) -> str:
    return read_content_digest(envelope.header(profile.CONTENT_DIGEST)).hex()


def _rules(
    message: HttpRequest | HttpResponse,
) -> tuple[list[Check[Envelope]], list[Check[Envelope]]]:
    """What is asked of a kept message until its key is known, and what is asked then."""
    target = TARGET if isinstance(message, HttpRequest) else ()
    listed = [rule for rule in (*FORM, *target, *INPUT, *AUTHENTICITY) if rule.id not in _UNTIMED]
    at = listed.index(authenticity.key) + 1
    return listed[:at], listed[at:]


def _compare(envelope: Envelope, base: bytes, recorded: str) -> None:
    """Name what was changed where the kept signature base and the kept message differ."""
    kept = recorded.encode("ascii", "replace")
    if kept == base:
        return
    if _signed(envelope, base):
        raise EvidenceError("signature_base", "is not what was signed")
    if not _signed(envelope, kept):
        raise EvidenceError("signature", "is neither over the base that was kept nor the message")
    theirs, ours = recorded.split("\n"), base.decode("ascii").split("\n")
    # the components are the same in both, or the signature input would not have passed its checks
    changed = [now for was, now in zip(theirs, ours, strict=False) if was != now]
    raise EvidenceError((changed or ["record"])[0].split(": ", 1)[0], "is not what was signed")


def _signed(envelope: Envelope, base: bytes) -> bool:
    try:
        verify_signature(envelope.key.public_key, envelope.signature, base)
    except SignatureError:
        return False
    return True
