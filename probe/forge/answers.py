"""Answers on the signed link that no honest party would give, and who gives them.

An `Answer` is a response in the making; what is not changed is honest. It is given in the place of
the party that was asked, by the bench standing between the two (`probe.between`).
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from keys.stores.store import Signer
from probe.forge.link import now
from probe.forge.xml import Document, honest
from probe.result import Seen, Stop
from probe.world import World
from services.link.wire import profile
from services.link.wire.base import signature_base
from services.link.wire.digest import content_digest
from services.link.wire.fields import BareItem, InnerList, Item, write_dictionary
from services.link.wire.message import HttpRequest, HttpResponse
from services.link.wire.signing import content_type_for, smaller_form
from tamper.exchange import Exchange

ENDED = "probe.ended"
"""What the bench's CoS Party refuses a request by when its lie was not taken: the request ends."""
FORGED = "probe.forged"
"""What a forged refusal names: where it is believed, nobody stopped it."""

Change = Callable[[HttpResponse], HttpResponse]
Content = Callable[[World, str, dict[str, Any]], dict[str, Any]]
"""The body of an answer, by the party that was asked and the body of the question."""


def as_made(response: HttpResponse) -> HttpResponse:
    """No change."""
    return response


def same(asked: HttpRequest) -> HttpRequest:
    """Bound to the request that was asked."""
    return asked


@dataclass(frozen=True)
class Answer:
    """A response in the making.

    Attributes:
        signer: whose link key signs: the party that was asked, unless named; "" for none.
        sender: the sender named; the party that was asked, unless named.
        bound_to: the request that the signature binds it to, from the one that was asked.
        headers: other values for headers before signing; None leaves a header out.
        params: other values for parameters; None leaves one out; new names are added.
        after: a change on the wire, after signing.
        others: as in `probe.forge.link.LinkForge`.
    """

    signer: str | Signer | None = None
    sender: str | None = None
    status: int = 200
    body: bytes | None = None
    digest: str | None = None
    keyid: str | None = None
    nonce: str | None = None
    label: str = profile.LABEL
    tag: str = profile.RESPONSE_TAG
    age: int = 0
    lifetime: int = profile.MAX_LIFETIME
    components: tuple[Item, ...] = profile.RESPONSE.components
    headers: dict[str, str | None] = field(default_factory=dict)
    params: dict[str, BareItem | None] = field(default_factory=dict)
    bound_to: Callable[[HttpRequest], HttpRequest] = same
    after: Change = as_made

    def but(self, **changes: Any) -> Answer:
        """The same with changes."""
        return replace(self, **changes)

    def to(self, world: World, party: str, asked: HttpRequest, body: bytes) -> HttpResponse:
        """The response to a request."""
        signer = party if self.signer is None else self.signer
        key = world.keys(signer).signer("link") if isinstance(signer, str) else signer
        octets = body if self.body is None else self.body
        headers: dict[str, str | None] = {
            "content-type": content_type_for(self.status),
            "content-digest": self.digest or content_digest(octets),
            "cos-purpose": asked.first("cos-purpose"),
            "cos-message-id": asked.first("cos-message-id"),
            "cos-sender": self.sender or party,
            "cos-recipient": asked.first("cos-sender"),
            **self.headers,
        }
        written = tuple((name, value) for name, value in headers.items() if value is not None)
        plain = HttpResponse(self.status, written, octets)
        created = now() - self.age
        params: dict[str, BareItem | None] = {
            "created": created,
            "expires": created + self.lifetime,
            "nonce": self.nonce or secrets.token_urlsafe(profile.NONCE_OCTETS),
            "keyid": self.keyid or key.certificate.key_identifier.hex(),
            "tag": self.tag,
            **self.params,
        }
        kept = tuple((name, value) for name, value in params.items() if value is not None)
        covered = InnerList(self.components, kept)
        signature = smaller_form(key.sign(signature_base(covered, plain, self.bound_to(asked))))
        return self.after(
            plain.with_headers(
                (
                    (profile.SIGNATURE_INPUT, write_dictionary(((self.label, covered),))),
                    (profile.SIGNATURE, write_dictionary(((self.label, Item(signature)),))),
                )
            )
        )


HONEST = Answer()


def encoded(told: dict[str, Any]) -> bytes:
    """A body of the link."""
    return json.dumps(told, separators=(",", ":")).encode()


def refusal(party: str, check: str) -> dict[str, Any]:
    """A problem document of a CoS Party."""
    return {
        "type": "about:blank", "title": "Refused", "status": 403, "party": party, "check": check,
        "detail": "by the bench in its place",
    }  # fmt: skip


def give(exchange: Exchange, response: HttpResponse) -> None:
    """Answer in place of the party that was asked."""
    exchange.answer(response.status, response.body, response.headers)


class InPlaceOf:
    """The bench in the place of a CoS Party: lies once, then ends the request by a refusal.

    Args:
        world: the stack.
        party: in whose place.
        answer: how the lie is sent.
        content: what it says; signed, where it is, with the CoS Party's own key.
        document: the request it lies about; any other that is still about is ended at once.
    """

    def __init__(
        self, world: World, party: str, answer: Answer, content: Content, document: bytes
    ) -> None:
        self._document = base64.b64encode(document).decode()
        self._world = world
        self._party = party
        self._answer = answer
        self._content = content
        self.lied = False

    def request(self, exchange: Exchange) -> None:
        """One question of the broker."""
        asked = exchange.received
        if asked.first("cos-purpose") != "cos-command":
            told = {"version": 1, "transaction": exchange.request.json["transaction"],
                    "accepted": True, "outcome": {}}  # fmt: skip
            give(exchange, HONEST.to(self._world, self._party, asked, encoded(told)))
            return
        if self.lied or exchange.request.json["service_request"] != self._document:
            no = HONEST.but(status=403)
            told = refusal(self._party, ENDED)
            give(exchange, no.to(self._world, self._party, asked, encoded(told)))
            return
        self.lied = True
        told = self._content(self._world, self._party, exchange.request.json)
        give(exchange, self._answer.to(self._world, self._party, asked, encoded(told)))


def answered(
    party: str, answer: Answer, content: Content, document: Document = honest
) -> Callable[[World], Seen]:
    """An honest request, and a CoS Party that answers so; what the broker makes of it."""

    def act(world: World) -> Seen:
        asked = document(world, party)
        liar = InPlaceOf(world, party, answer, content, asked)
        with world.between.script("acb", party, request=liar.request):
            seen = world.to_broker(asked)
        if not liar.lied:
            raise ValueError(f"{party} was never asked: {seen}")
        stop = seen.stopped_by
        if stop is None or stop.check == FORGED:
            return Seen(None, "believed")
        if stop.check != ENDED:
            return seen
        request_id = asked.split(b"RequestID>")[1].split(b"<")[0].decode()
        return first_refusal(world, request_id) or seen

    return act


def first_refusal(world: World, request_id: str) -> Seen | None:
    """By which check of the link the broker refused an answer about this request, if it did."""
    for entry in world.lab("acb", "GET", f"/lab/trace/{request_id}")["entries"]:
        if entry["kind"] == "refused" and str(entry["name"]).startswith("link.response."):
            return Seen(Stop("acb", entry["name"]), entry.get("summary") or "")
    return None


def command_answer(octets: bytes, asked: dict[str, Any], **members: Any) -> dict[str, Any]:
    """The body of an answer that carries a signed command."""
    return {
        "version": 1,
        "transaction": asked["transaction"],
        "signed_command": base64.b64encode(octets).decode(),
        "originator": "",
        "counter": 0,
        **members,
    }
