"""Forged answers on the signed link: what a caller must not believe.

At the broker, in the place of a CoS Party: the answer carries a good command, so that with the
check off the meter changes supplier by it. At each CoS Party, in the place of registration: the
answer says that supplier C is the incoming one, and C asks. Most were caught on the wire and
changed there; where another key signs, `holds` says whose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from keys.stores.software import SoftwareSigner
from probe.attacks.link import (
    add,
    always,
    both_fields,
    der,
    double,
    drop,
    larger_s,
    signature,
    swap,
)
from probe.attacks.lying_cos import as_asked, gives
from probe.attacks.making import attack_row
from probe.forge.answers import FORGED, HONEST, Answer, Content, answered, encoded, give, refusal
from probe.forge.gbcs import in_base64
from probe.forge.link import LinkForge, command_body, send
from probe.forge.xml import honest
from probe.model import BETWEEN, ORIGIN, PURPOSE, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import COS, World
from services.link.wire import profile
from services.link.wire.fields import Item
from services.link.wire.message import HttpRequest, HttpResponse
from tamper.exchange import Exchange

COMPONENTS = profile.RESPONSE.components
W, R, K = Rung.WIRE, Rung.RECORDING, Rung.ONE_PARTY
RECORDED = "an answer that the party signed, caught on the wire"
OWN = "the answering party's own link key"
ANYBODY = "a place on the wire, nothing else"


@dataclass(frozen=True)
class Case:
    """One forged answer, and which check of the caller's link must say no."""

    name: str
    title: str
    answer: Answer
    check: str
    rung: Rung = R
    holds: str = RECORDED
    requirement: str = ORIGIN
    everywhere: bool = False


def after(change: Callable[[Any], Any], **more: Any) -> Answer:
    """An honest answer changed on the wire."""
    return HONEST.but(after=change, **more)


def body_after(change: Callable[[bytes], bytes]) -> Answer:
    """Another body under the old digest."""
    return after(lambda r: replace(r, body=change(r.body)))


def another(asked: HttpRequest) -> HttpRequest:
    """Another request of the same words: its signature is not this one's."""
    return swap("signature", lambda _: f"cos=:{in_base64(bytes(range(64)))}:")(asked)


def other_path(asked: HttpRequest) -> HttpRequest:
    """The same request, at another route."""
    return replace(asked, path="/link/device-response")


def other_body(asked: HttpRequest) -> HttpRequest:
    """A request of another body."""
    digest = in_base64(hashlib.sha256(b"{}").digest())
    return swap("content-digest", lambda _: f"sha-256=:{digest}:")(asked)


def without(name: str, parameter: bool | None = None) -> tuple[Item, ...]:
    """The covered components but one."""
    return tuple(
        item
        for item in COMPONENTS
        if item.value != name or (parameter is not None and bool(item.params) != parameter)
    )


def unsigned_status(status: int) -> Callable[[HttpResponse], HttpResponse]:
    """Another status than was signed."""
    return lambda r: replace(r, status=status)


CASES: tuple[Case, ...] = (
    Case("unsigned", "an answer without a signature",
         after(drop("signature", "signature-input")), "header_present", W, ANYBODY,
         everywhere=True),
    Case("unsigned.purpose", "no purpose", after(drop("cos-purpose")), "header_present"),
    Case("doubled.signature", "two signature headers", after(double("signature")),
         "header_once"),
    Case("doubled.digest", "two digests", after(double("content-digest")), "header_once",
         everywhere=True),
    Case("encoding", "a content coding named on the wire",
         after(add("content-encoding", "identity")), "content_encoding", everywhere=True),
    Case("input.spaces", "Signature-Input with two spaces",
         after(swap("signature-input", lambda v: v.replace(" ", "  ", 1))),
         "signature_input_form", everywhere=True),
    Case("input.twice", "the same label twice", after(both_fields(lambda v: f"{v}, {v}")),
         "signature_input_form"),
    Case("signature.der", "the signature in DER", after(signature(der)), "signature_form"),
    Case("signature.larger-s", "the other signature that verifies alike",
         after(signature(larger_s)), "signature_form"),
    Case("signature.parameter", "a parameter smuggled in after the signature",
         after(swap("signature", lambda v: v + ";trusted")), "signature_form", everywhere=True),
    Case("signature.long", "a signature of 65 octets", after(signature(lambda s: s + b"\0")),
         "signature_form"),
    Case("signature.two", "a second signature beside the first",
         after(both_fields(lambda v: f"{v}, {v.replace('cos=', 'other=')}")), "one_signature",
         everywhere=True),
    Case("signature.label", "the signature under another label", HONEST.but(label="sig1"),
         "label", everywhere=True),
    Case("covered.status", "the status not covered",
         HONEST.but(components=without("@status")), "component_missing", K, OWN),
    Case("covered.request-signature", "the request's signature not covered: bound to nothing",
         HONEST.but(components=without("signature")), "component_missing", K, OWN,
         everywhere=True),
    Case("covered.request-digest", "the request's digest not covered",
         HONEST.but(components=without("content-digest", parameter=False)),
         "component_missing", K, OWN),
    Case("covered.extra", "a header of the sender's choice covered too",
         HONEST.but(components=(*COMPONENTS, Item("cos-more")), headers={"cos-more": "1"}),
         "component_extra", K, OWN, everywhere=True),
    Case("covered.doubled", "one component covered twice",
         HONEST.but(components=(*COMPONENTS, COMPONENTS[0])), "component_extra", K, OWN),
    Case("covered.order", "the components in reverse order",
         HONEST.but(components=COMPONENTS[::-1]), "component_order", K, OWN, everywhere=True),
    Case("param.no-nonce", "no nonce", HONEST.but(params={"nonce": None}), "parameter_missing",
         K, OWN, everywhere=True),
    Case("param.no-expiry", "no expiry", HONEST.but(params={"expires": None}),
         "parameter_missing", K, OWN),
    Case("param.unknown", "a parameter nobody knows", HONEST.but(params={"scope": "all"}),
         "parameter_unknown", K, OWN, everywhere=True),
    Case("param.alg", "an HMAC named as the algorithm",
         HONEST.but(params={"alg": "hmac-sha256"}), "algorithm", K, OWN, everywhere=True),
    Case("tag.request", "the tag of a request: the caller's own words sent back",
         HONEST.but(tag=profile.REQUEST_TAG), "tag", K, OWN),
    Case("tag.refusal", "the tag of a refusal that is bound to nothing",
         HONEST.but(tag=profile.REFUSAL_TAG), "tag", K, OWN, everywhere=True),
    Case("nonce.short", "a nonce of 32 bits", HONEST.but(nonce="AAAAAA"), "nonce_form", K, OWN,
         everywhere=True),
    Case("time.long", "a lifetime of a year", HONEST.but(lifetime=31_536_000), "lifetime", K, OWN,
         everywhere=True),
    Case("time.future", "an answer of five minutes from now", HONEST.but(age=-300), "future", K,
         OWN, everywhere=True),
    Case("time.stale", "an answer of five minutes ago", HONEST.but(age=300), "stale",
         everywhere=True),
    Case("key.unknown", "a key that nobody pinned", HONEST.but(keyid="0011223344556677"), "key",
         W, ANYBODY, everywhere=True),
    Case("signature.bit", "one bit of the signature changed",
         after(signature(lambda s: bytes((s[0] ^ 1,)) + s[1:])), "signature"),
    Case("moved.exchange", "the answer to another request of the same words",
         HONEST.but(bound_to=another), "signature", everywhere=True),
    Case("moved.route", "the answer to a request at another route",
         HONEST.but(bound_to=other_path), "signature"),
    Case("moved.body", "the answer to a request of another body",
         HONEST.but(bound_to=other_body), "signature"),
    Case("status.changed", "another status than was signed", after(unsigned_status(201)),
         "signature"),
    Case("header.recipient", "another recipient put in on the wire",
         after(swap("cos-recipient", always("registration"))), "signature"),
    Case("digest.unknown", "the digest by an unknown algorithm",
         HONEST.but(digest="md5=:AAAAAAAAAAAAAAAAAAAAAA==:"), "content_digest_form", K, OWN,
         everywhere=True),
    Case("body.swapped", "another body under the old digest",
         body_after(lambda b: b.replace(b'"version":1', b'"version":1 ')), "content_digest",
         everywhere=True),
    Case("sender.other", "another sender named, and so signed", HONEST.but(sender="registration2"),
         "sender", K, OWN, everywhere=True),
    Case("recipient.other", "another recipient named, and so signed",
         HONEST.but(headers={"cos-recipient": "meter_sim"}), "recipient", K, OWN,
         everywhere=True),
    Case("type.other", "another content type, and so signed",
         HONEST.but(headers={"content-type": "text/plain"}), "content_type", K, OWN,
         everywhere=True),
    Case("purpose.other", "another purpose than was asked, and so signed",
         HONEST.but(headers={"cos-purpose": "device-alert"}), "purpose", K, OWN, PURPOSE,
         everywhere=True),
    Case("message.other", "another message than was asked, and so signed",
         HONEST.but(headers={"cos-message-id": "another"}), "message_id", K, OWN,
         everywhere=True),
    Case("body.array", "a JSON array, signed", HONEST.but(body=b"[]"), "body", K, OWN,
         everywhere=True),
)  # fmt: skip


def made_up(world: World, party: str) -> Answer:
    """A key of the attacker's own under the party's identifier."""
    key = ec.generate_private_key(ec.SECP256R1())
    return HONEST.but(signer=SoftwareSigner(key, world.keys(party).certificate("link")))


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    party = COS["ecos"]
    good = gives(as_asked)
    for case in CASES:
        yield attack_row(
            f"answer.acb.{case.name}", f"To the broker, as from {party}: {case.title}", case.rung,
            case.requirement, case.holds.replace("answering party", party),
            answered(party, case.answer, good), Refusal("acb", f"link.response.{case.check}"),
            "acb", "lying", BETWEEN,
        )  # fmt: skip
    yield from other_keys(party, good)
    yield from refusals(party)
    for cos, caller in COS.items():
        for case in CASES:
            if case.everywhere:
                yield from_registration(cos, caller, case)
        yield from_other_system(cos, caller)


def other_keys(party: str, good: Content) -> Iterator[Attack]:
    """Answers that somebody else signs."""
    yield attack_row(
        "answer.acb.key.made-up", f"To the broker: a key of the attacker's own as {party}'s", W,
        ORIGIN, ANYBODY, lambda w: answered(party, made_up(w, party), good)(w),
        Refusal("acb", "link.response.signature"), "acb", "lying", BETWEEN,
    )  # fmt: skip
    for signer, sender in (("tcos_party", "tcos_party"), ("tcos_party", party),
                           ("registration", party), ("acb", party)):  # fmt: skip
        name = signer.replace("_", "-") + ("-openly" if signer == sender else "")
        yield attack_row(
            f"answer.acb.key.{name}",
            f"To the broker: {signer} answers in the place of {party}"
            + (", in its own name" if signer == sender else ""),
            K, ORIGIN, f"every key of {signer}; a signed command",
            answered(party, HONEST.but(signer=signer, sender=sender), good),
            Refusal("acb", "link.response.peer"), "acb", "lying", BETWEEN,
        )  # fmt: skip


def refusals(party: str) -> Iterator[Attack]:
    """Forged refusals: an error must be as authentic as a yes, or anybody ends a request."""
    table: tuple[tuple[str, str, Answer, str, Rung, str], ...] = (
        ("unsigned", "a refusal that nobody signed",
         after(drop("signature", "signature-input"), status=403), "header_present", W, ANYBODY),
        ("status", "a yes turned into a no by its status", after(unsigned_status(403)),
         "signature", R, RECORDED),
        ("moved", "a refusal of another request", HONEST.but(status=403, bound_to=another),
         "signature", R, "a refusal that the party signed, caught on the wire"),
        ("unbound", "a refusal with the tag that is bound to nothing",
         HONEST.but(status=403, tag=profile.REFUSAL_TAG), "tag", R,
         "a refusal that the party signed, caught on the wire"),
        ("other-cos", "a refusal by the other CoS Party",
         HONEST.but(status=403, signer="tcos_party"), "peer", K, "every key of tcos_party"),
        ("type", "a refusal with the content type of a yes",
         HONEST.but(status=403, headers={"content-type": profile.JSON}), "content_type", K,
         f"the link key of {party}"),
    )  # fmt: skip

    def forged(world: World, who: str, told: dict[str, Any]) -> dict[str, Any]:
        del world, told
        return refusal(who, FORGED)

    for name, title, answer, check, rung, holds in table:
        yield attack_row(
            f"answer.acb.refusal.{name}", f"To the broker, as from {party}: {title}", rung, ORIGIN,
            holds, answered(party, answer, forged), Refusal("acb", f"link.response.{check}"), "acb",
            "lying", BETWEEN,
        )  # fmt: skip


def from_registration(cos: str, caller: str, case: Case) -> Attack:
    """Registration's answer to a CoS Party, forged: C is said to be the incoming supplier."""
    return attack_row(
        f"answer.{cos}.{case.name}", f"To {caller}, as from registration: {case.title}", case.rung,
        case.requirement, case.holds.replace("answering party", "registration"),
        told_of_c(caller, case.answer), Refusal(caller, f"link.response.{case.check}"), "cos",
        "lying", BETWEEN,
    )  # fmt: skip


def from_other_system(cos: str, caller: str) -> Attack:
    """The SMKI repository answers for registration: its key is pinned here too."""
    answer = HONEST.but(signer="smki_repository", sender="smki_repository")
    return attack_row(
        f"answer.{cos}.key.smki-repository",
        f"To {caller}: smki_repository answers for registration",
        K, PURPOSE, "every key of smki_repository", told_of_c(caller, answer),
        Refusal(caller, "link.response.peer"), "cos", "lying", BETWEEN,
    )  # fmt: skip


def told_of_c(caller: str, answer: Answer) -> Callable[[World], Observed]:
    """Supplier C asks, while the CoS Party is told so by registration, or so it seems."""

    def act(world: World) -> Observed:
        extract = extract_of_c(world, caller)
        answers = []

        def request(exchange: Exchange) -> None:
            answers.append(exchange.received)
            give(exchange, answer.to(world, "registration", exchange.received, encoded(extract)))

        world.lab(caller, "POST", "/lab/sync")  # what registration said before no longer holds
        head = world.lab(caller, "GET", "/lab/audit?limit=1")["head"]["seq"]
        body = command_body(world, caller, honest(world, caller, "C"))
        with world.between.script(caller, "registration", request=request):
            seen = send(world, caller, LinkForge(to=caller, body=body).request(world))
        if not answers:
            raise ValueError(f"{caller} did not ask registration")
        rows = world.lab(caller, "GET", f"/lab/audit?after={head}&limit=1000")["rows"]
        for row in rows:
            if row["kind"] == "link.response.refused":
                if seen.refused_by is None:
                    raise ValueError("the answer was refused, yet C's request was signed")
                return Observed(
                    Refusal(caller, row["record"]["verdict"]["check"]), "and C got nothing"
                )
        world.undo_when_restored(lambda: forget(world, caller))
        return seen

    return act


def extract_of_c(world: World, caller: str) -> dict[str, Any]:
    """The register with one lie in it: who supplies the caller's home from now on."""
    told = world.lab("registration", "GET", "/lab/register")
    mpxn = world.device(world.meter(caller))["mpxn"]
    participant = world.supplier("C").participant
    points = [
        point
        if point["mpxn"] != mpxn
        else {
            **point,
            "registrations": [
                {"participant": participant, "effective_from": "2020-01-01T00:00:00Z",
                 "effective_to": None},
            ],
        }
        for point in told["meter_points"]
    ]  # fmt: skip
    return {
        "version": 1, "number": told["number"] + 1, "unchanged": False,
        "participants": told["participants"], "meter_points": points,
    }  # fmt: skip


def forget(world: World, caller: str) -> None:
    """Have the true register taken again: its number must pass the one of the lie."""
    for _ in range(2):
        world.lab("registration", "POST", "/lab/register/reload")
    world.lab(caller, "POST", "/lab/sync")
