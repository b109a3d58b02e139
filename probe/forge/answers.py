"""Answers on the signed link that no honest party would give, and who gives them.

An `Answer` is a response in the making; what is not changed is honest. It is given in the place of
the party that was asked, by the bench standing between the two (`probe.between`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from probe.forge.link import LinkMessage
from probe.forge.xml import Document, honest
from probe.result import Observed, Refusal
from probe.world import World
from services.link.wire import profile
from services.link.wire.digest import content_digest
from services.link.wire.fields import Item
from services.link.wire.message import HttpRequest, HttpResponse
from services.link.wire.signing import content_type_for
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


@dataclass(frozen=True, kw_only=True)
class Answer(LinkMessage):
    """A response in the making.

    Attributes:
        signer, sender: the party that was asked, unless named.
        bound_to: the request that the signature binds it to, from the one that was asked.
        after: a change on the wire, after signing.
    """

    status: int = 200
    tag: str = profile.RESPONSE_TAG
    components: tuple[Item, ...] = profile.RESPONSE.components
    bound_to: Callable[[HttpRequest], HttpRequest] = same
    after: Change = as_made

    def to(self, world: World, party: str, asked: HttpRequest, body: bytes) -> HttpResponse:
        """The response to a request."""
        octets = body if self.body is None else self.body
        written = self.written({
            "content-type": content_type_for(self.status),
            "content-digest": self.digest or content_digest(octets),
            "cos-purpose": asked.first("cos-purpose") or "",
            "cos-message-id": asked.first("cos-message-id") or "",
            "cos-sender": self.sender or party,
            "cos-recipient": asked.first("cos-sender") or "",
        })  # fmt: skip
        plain = HttpResponse(self.status, written, octets)
        return self.after(self.signed(world, plain, self.bound_to(asked), party))


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
) -> Callable[[World], Observed]:
    """An honest request, and a CoS Party that answers so; what the broker makes of it."""

    def act(world: World) -> Observed:
        asked = document(world, party)
        liar = InPlaceOf(world, party, answer, content, asked)
        with world.between.script("acb", party, request=liar.request):
            seen = world.to_broker(asked)
        if not liar.lied:
            raise ValueError(f"{party} was never asked: {seen}")
        stop = seen.refused_by
        if stop is None or stop.check == FORGED:
            return Observed(None, "believed")
        if stop.check != ENDED:
            return seen
        request_id = asked.split(b"RequestID>")[1].split(b"<")[0].decode()
        return first_refusal(world, request_id) or seen

    return act


def first_refusal(world: World, request_id: str) -> Observed | None:
    """By which check of the link the broker refused an answer about this request, if it did."""
    for entry in world.lab("acb", "GET", f"/lab/trace/{request_id}")["entries"]:
        if entry["kind"] == "refused" and str(entry["name"]).startswith("link.response."):
            return Observed(Refusal("acb", entry["name"]), entry.get("summary") or "")
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
