"""Making and sending requests on the signed link that no honest party would make.

Requests go out over a plain socket, header for header as forged: an HTTP library would repair or
refuse half of what must arrive. The signature is the link's own (`services.link`, its pure parts),
made with whichever system's link key the attacker holds.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from keys.stores.store import Signer
from probe.forge import Forged
from probe.result import Observed, Refusal
from probe.world import World
from services.chassis.time.clock import SystemClock
from services.link.wire import profile
from services.link.wire.base import signature_base
from services.link.wire.digest import content_digest
from services.link.wire.fields import BareItem, InnerList, Item, write_dictionary
from services.link.wire.message import HttpRequest, HttpResponse
from services.link.wire.signing import smaller_form

Change = Callable[[HttpRequest], HttpRequest]


def now() -> int:
    """The machine's time, seconds since 1970: the link always runs on it."""
    return int(SystemClock().now().timestamp())


def as_sent(request: HttpRequest) -> HttpRequest:
    """No change."""
    return request


M = TypeVar("M", HttpRequest, HttpResponse)


@dataclass(frozen=True, kw_only=True)
class LinkMessage(Forged):
    """A message on the link in the making; what is not changed is honest.

    Attributes:
        signer: whose link key signs: a system's name, or a key.
        sender: the sender named.
        body: other octets for a body.
        keyid: another key identifier than the signer's.
        lifetime, age: seconds from created to expires; seconds since created.
        components: what is covered, in order.
        headers: other values for headers before signing; None leaves a header out.
        params: other values for parameters; None leaves one out; new names are added.
    """

    signer: str | Signer | None = None
    sender: str | None = None
    body: bytes | None = None
    digest: str | None = None
    keyid: str | None = None
    nonce: str | None = None
    label: str = profile.LABEL
    tag: str
    age: int = 0
    lifetime: int = profile.MAX_LIFETIME
    components: tuple[Item, ...]
    headers: dict[str, str | None] = field(default_factory=dict)
    params: dict[str, BareItem | None] = field(default_factory=dict)

    def written(self, honest: dict[str, str]) -> tuple[tuple[str, str], ...]:
        """The headers before signing."""
        headers = {**honest, **self.headers}
        return tuple((name, value) for name, value in headers.items() if value is not None)

    def signed(self, world: World, plain: M, bound_to: HttpRequest | None, by: str) -> M:
        """The message signed; `by`: whose key, unless `signer` says."""
        signer = by if self.signer is None else self.signer
        key = world.keys(signer).signer("link") if isinstance(signer, str) else signer
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
        signature = smaller_form(key.sign(signature_base(covered, plain, bound_to)))
        return plain.with_headers((
            (profile.SIGNATURE_INPUT, write_dictionary(((self.label, covered),))),
            (profile.SIGNATURE, write_dictionary(((self.label, Item(signature)),))),
        ))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LinkForge(LinkMessage):
    """A request to `recipient` in the making.

    Attributes:
        to: the system it is sent to; `signer`, `sender`: the broker, unless named.
        message_id: `{}` in it becomes new in each request, so that a second run finds it unused.
        after: a change on the wire, after signing.
    """

    to: str = "ecos_party"
    sender: str = "acb"
    recipient: str | None = None
    path: str = "/link/cos-command"
    query: str = ""
    method: str = "POST"
    purpose: str = "cos-command"
    message_id: str | None = None
    tag: str = profile.REQUEST_TAG
    components: tuple[Item, ...] = profile.REQUEST.components
    after: Change = as_sent

    def request(self, world: World) -> HttpRequest:
        """The signed request."""
        body = self.body if self.body is not None else command_body(world, self.to)
        written = self.written({
            "content-type": profile.JSON,
            "content-digest": self.digest or content_digest(body),
            "cos-purpose": self.purpose,
            "cos-message-id": (self.message_id or "{}").replace("{}", str(uuid.uuid4())),
            "cos-sender": self.sender,
            "cos-recipient": self.recipient or self.to,
        })  # fmt: skip
        plain = HttpRequest(self.method, self.path, self.query, written, body)
        return self.after(self.signed(world, plain, None, "acb"))


def command_body(world: World, party: str, document: bytes | None = None) -> bytes:
    """An honest cos-command: a fresh request of supplier B for the party's own meter."""
    if document is None:
        meter = world.meter(party) if party in ("ecos_party", "tcos_party") else (
            world.meter("ecos_party")
        )  # fmt: skip
        document = world.supplier("B").change_of_supplier(
            meter, str(world.device(meter)["mpxn"]), counter=world.next_counter()
        )[1]
    return json.dumps(
        {
            "version": 1,
            "transaction": str(uuid.uuid4()),
            "service_request": base64.b64encode(document).decode(),
        },
        separators=(",", ":"),
    ).encode()


def send(world: World, party: str, request: HttpRequest) -> Observed:
    """Send it as it is; who refused it by which check, or nobody."""
    return answered(party, *deliver(world, party, request))


def answered(party: str, status: int, body: bytes) -> Observed:
    """What a party's answer says: who refused by which check, or nobody."""
    if status == 200:
        return Observed(None, "accepted and answered")
    try:
        problem = json.loads(body)
    except ValueError:
        return Observed(Refusal(party, f"http.{status}"), "no problem document")
    return Observed(
        Refusal(problem.get("party") or party, problem.get("check") or f"http.{status}"),
        str(problem.get("detail") or problem.get("title") or ""),
    )


def deliver(world: World, party: str, request: HttpRequest) -> tuple[int, bytes]:
    """Send a request over a socket of its own; status and body of the answer."""
    parts = urlsplit(world.connection.stack.services[party].interface)
    line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        target = request.path + (f"?{request.query}" if request.query else "")
        line.putrequest(request.method, target, skip_accept_encoding=True)
        for name, value in request.headers:
            line.putheader(name, value)
        if "content-length" not in {name for name, _ in request.headers}:
            line.putheader("content-length", str(len(request.body)))
        line.endheaders(request.body)
        answer = line.getresponse()
        return answer.status, answer.read()
    except (http.client.HTTPException, ConnectionError) as error:
        return 0, json.dumps({"check": "http.closed", "detail": type(error).__name__}).encode()
    finally:
        line.close()
