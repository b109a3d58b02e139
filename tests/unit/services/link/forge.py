"""A forge: requests and responses that no honest code would make.

Any covered set, any parameter, any header, any key. It lives here because the honest modules hold
no attack code.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx

from services.link.wire import profile
from services.link.wire.base import signature_base
from services.link.wire.digest import content_digest
from services.link.wire.fields import InnerList, Item, Parameters, write_dictionary
from services.link.wire.message import HttpRequest, HttpResponse
from services.link.wire.signing import smaller_form
from tests.unit.services.link.estate import NOW, Held

PATH = "/link/cos-command"
PURPOSE = "cos-command"
BODY = b'{"version":1,"transaction":"t-1"}'
NONCE = "AAAAAAAAAAAAAAAAAAAAAA"


@dataclass(frozen=True)
class Forge:
    """A request in the making. Every field may be changed; `request()` signs it."""

    signer: Held
    path: str = PATH
    query: str = ""
    body: bytes = BODY
    purpose: str = PURPOSE
    message_id: str = "m-1"
    sender: str = "acb"
    recipient: str = "ecos_party"
    content_type: str = profile.JSON
    digest: str | None = None
    extra_headers: tuple[tuple[str, str], ...] = ()
    drop_headers: tuple[str, ...] = ()
    components: tuple[Item, ...] = profile.REQUEST.components
    params: Parameters | None = None
    changed_params: tuple[tuple[str, Any], ...] = ()
    dropped_params: tuple[str, ...] = ()
    added_params: Parameters = ()
    created: int = int(NOW.timestamp())
    nonce: str = NONCE
    label: str = profile.LABEL
    after: Callable[[HttpRequest], HttpRequest] = lambda request: request

    def but(self, **changed: Any) -> Forge:
        return replace(self, **changed)

    def covered(self) -> InnerList:
        changed = dict(self.changed_params)
        params: Parameters = (
            ("created", self.created),
            ("expires", self.created + profile.MAX_LIFETIME),
            ("nonce", self.nonce),
            ("keyid", self.signer.key_id),
            ("tag", profile.REQUEST_TAG),
        )
        kept = [
            (name, changed.get(name, value))
            for name, value in params
            if name not in self.dropped_params
        ]
        return InnerList(self.components, (*kept, *self.added_params))

    def unsigned(self) -> HttpRequest:
        headers = (
            ("content-type", self.content_type),
            ("content-digest", self.digest or content_digest(self.body)),
            ("cos-purpose", self.purpose),
            ("cos-message-id", self.message_id),
            ("cos-sender", self.sender),
            ("cos-recipient", self.recipient),
            *self.extra_headers,
        )
        kept = tuple(pair for pair in headers if pair[0] not in self.drop_headers)
        return HttpRequest("POST", self.path, self.query, kept, self.body)

    def request(self) -> HttpRequest:
        plain, covered = self.unsigned(), self.covered()
        signature = smaller_form(self.signer.sign(signature_base(covered, plain, None)))
        return self.after(plain.with_headers(fields(self.label, covered, signature)))


def fields(label: str, covered: InnerList, signature: bytes) -> tuple[tuple[str, str], ...]:
    return (
        ("signature-input", write_dictionary(((label, covered),))),
        ("signature", write_dictionary(((label, Item(signature)),))),
    )


def larger_form(request: Any) -> Any:
    """The other signature that verifies alike, which anybody can write."""

    def change(value: str) -> str:
        octets = b64decode(value.partition(":")[2].rstrip(":"))
        s = profile.ORDER - int.from_bytes(octets[32:], "big")
        return f"cos=:{b64encode(octets[:32] + s.to_bytes(32, 'big')).decode()}:"

    return swap_header("signature", change)(request)


def swap_header(name: str, change: Callable[[str], str]) -> Callable[[Any], Any]:
    """Change a header of a signed message on the wire."""

    def act(message: Any) -> Any:
        pairs = tuple((n, change(v) if n == name else v) for n, v in message.headers)
        return replace(message, headers=pairs)

    return act


def swap_body(body: bytes) -> Callable[[Any], Any]:
    return lambda message: replace(message, body=body)


def problem_of(response: HttpResponse) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(response.body)
    return document


@dataclass(frozen=True)
class AnswerForge:
    """A response in the making, to the request given to `response()`."""

    signer: Held
    status: int = 200
    body: bytes = b'{"version":1}'
    purpose: str = PURPOSE
    message_id: str = "m-1"
    sender: str = "ecos_party"
    recipient: str = "acb"
    content_type: str | None = None
    digest: str | None = None
    extra_headers: tuple[tuple[str, str], ...] = ()
    drop_headers: tuple[str, ...] = ()
    components: tuple[Item, ...] = profile.RESPONSE.components
    changed_params: tuple[tuple[str, Any], ...] = ()
    dropped_params: tuple[str, ...] = ()
    added_params: Parameters = ()
    created: int = int(NOW.timestamp())
    nonce: str = NONCE
    label: str = profile.LABEL
    answers: HttpRequest | None = None
    after: Callable[[HttpResponse], HttpResponse] = lambda response: response

    def but(self, **changed: Any) -> AnswerForge:
        return replace(self, **changed)

    def response(self, request: HttpRequest) -> HttpResponse:
        changed = dict(self.changed_params)
        params: Parameters = (
            ("created", self.created),
            ("expires", self.created + profile.MAX_LIFETIME),
            ("nonce", self.nonce),
            ("keyid", self.signer.key_id),
            ("tag", profile.RESPONSE_TAG),
        )
        kept = [
            (name, changed.get(name, value))
            for name, value in params
            if name not in self.dropped_params
        ]
        covered = InnerList(self.components, (*kept, *self.added_params))
        headers = (
            ("content-type", self.content_type or _type_for(self.status)),
            ("content-digest", self.digest or content_digest(self.body)),
            ("cos-purpose", self.purpose),
            ("cos-message-id", self.message_id),
            ("cos-sender", self.sender),
            ("cos-recipient", self.recipient),
            *self.extra_headers,
        )
        plain = HttpResponse(
            self.status,
            tuple(pair for pair in headers if pair[0] not in self.drop_headers),
            self.body,
        )
        signature = smaller_form(
            self.signer.sign(signature_base(covered, plain, self.answers or request))
        )
        return self.after(plain.with_headers(fields(self.label, covered, signature)))


def _type_for(status: int) -> str:
    return profile.JSON if status < 400 else profile.PROBLEM_JSON


class Wire(httpx.AsyncBaseTransport):
    """Stands where the peer is: shows each request to a test, which says what comes back."""

    def __init__(self, answer: Callable[[HttpRequest], HttpResponse]) -> None:
        self.answer = answer
        self.seen: list[HttpRequest] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        pairs = tuple((n.decode().lower(), v.decode("latin-1")) for n, v in request.headers.raw)
        asked = HttpRequest(request.method, request.url.raw_path.decode(), "", pairs, body)
        self.seen.append(asked)
        said = self.answer(asked)
        headers = [(n.encode(), v.encode("latin-1")) for n, v in said.headers]
        return httpx.Response(said.status, headers=headers, stream=httpx.ByteStream(said.body))
