"""Attacks on the signed link, at the CoS Parties' own routes.

Each is one request that the real service receives over a socket. Where an attack has a valid
signature, the attacker got it by recording what the broker signed (the broker's key makes the
recording here); where it holds another key, its `holds` says whose.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from keys.stores.software import SoftwareSigner
from probe.attacks.making import ANY, attack, attack_row
from probe.forge.certificates import new_key
from probe.forge.gbcs import in_base64
from probe.forge.link import LinkForge, command_body, deliver, send
from probe.model import ORIGIN, PURPOSE, Act, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import COS, World
from services.link.wire import profile
from services.link.wire.fields import Item
from services.link.wire.message import HttpRequest

COMPONENTS = profile.REQUEST.components
HEADERS = ("content-type", "content-digest", "cos-purpose", "cos-message-id", "cos-sender",
           "cos-recipient", "signature-input", "signature")  # fmt: skip
RECORDED = "a request that the broker signed, recorded on the wire"
BROKERS = "the broker's link key"


@dataclass(frozen=True)
class Case:
    """One forged request: what is changed, and which check of the link must say no."""

    name: str
    title: str
    change: dict[str, object]
    check: str
    rung: Rung = Rung.RECORDING
    holds: str = RECORDED
    requirement: str = ORIGIN


def swap(name: str, change: Callable[[str], str]) -> Callable[[HttpRequest], HttpRequest]:
    """Change a header on the wire."""
    return lambda r: replace(
        r, headers=tuple((n, change(v) if n == name else v) for n, v in r.headers)
    )


def drop(*names: str) -> Callable[[HttpRequest], HttpRequest]:
    """Take headers out on the wire."""
    return lambda r: replace(r, headers=tuple((n, v) for n, v in r.headers if n not in names))


def add(name: str, value: str) -> Callable[[HttpRequest], HttpRequest]:
    """Put a header in on the wire."""
    return lambda r: r.with_headers(((name, value),))


def double(name: str) -> Callable[[HttpRequest], HttpRequest]:
    """Send a header twice."""
    return lambda r: r.with_headers(tuple((n, v) for n, v in r.headers if n == name))


def signature(change: Callable[[bytes], bytes]) -> Callable[[HttpRequest], HttpRequest]:
    """Change the octets of the signature."""

    def act(value: str) -> str:
        octets = change(b64decode(value.partition(":")[2].rstrip(":")))
        return f"cos=:{b64encode(octets).decode()}:"

    return swap("signature", act)


def always(value: str) -> Callable[[str], str]:
    """This value, whatever it was; `{}` in it becomes new each time."""
    return lambda _: value.replace("{}", str(uuid.uuid4()))


def both_fields(more: Callable[[str], str]) -> Callable[[HttpRequest], HttpRequest]:
    """Change Signature-Input and Signature alike."""
    return lambda r: swap("signature", more)(swap("signature-input", more)(r))


def der(octets: bytes) -> bytes:
    """The signature as the DER that most libraries make."""
    return encode_dss_signature(*(int.from_bytes(octets[i : i + 32], "big") for i in (0, 32)))


def larger_s(octets: bytes) -> bytes:
    """The other signature that verifies alike, with n - s for s, which anybody can write."""
    s = profile.ORDER - int.from_bytes(octets[32:], "big")
    return octets[:32] + s.to_bytes(32, "big")


def other_digest(algorithm: str) -> Callable[[HttpRequest], str]:
    """Content-Digest by another algorithm."""
    return lambda r: (
        f"{algorithm}=:{in_base64(hashlib.new(algorithm.replace('-', ''), r.body).digest())}:"
    )


def without(name: str) -> tuple[Item, ...]:
    """The covered components but one."""
    return tuple(item for item in COMPONENTS if item.value != name)


W, R = Rung.WIRE, Rung.RECORDING

CASES: tuple[Case, ...] = (
    Case("unsigned.both", "no signature headers", {"after": drop("signature", "signature-input")},
         "header_present", W, ANY),
    Case("unsigned.signature", "no Signature", {"after": drop("signature")}, "header_present", W,
         ANY),
    Case("unsigned.input", "no Signature-Input", {"after": drop("signature-input")},
         "header_present", W, ANY),
    Case("unsigned.empty", "an empty signature", {"after": signature(lambda _: b"")},
         "signature_form", W, ANY),
    Case("signature.bit", "one bit of the signature changed",
         {"after": signature(lambda s: bytes((s[0] ^ 1,)) + s[1:])}, "signature"),
    Case("signature.zero", "r and s zero", {"after": signature(lambda _: bytes(64))},
         "signature", W, ANY),
    Case("signature.r-zero", "r zero", {"after": signature(lambda s: bytes(32) + s[32:])},
         "signature"),
    Case("signature.s-zero", "s zero", {"after": signature(lambda s: s[:32] + bytes(32))},
         "signature"),
    Case("signature.der", "the signature in DER", {"after": signature(der)}, "signature_form"),
    Case("signature.larger-s", "the other signature that verifies alike",
         {"after": signature(larger_s)}, "signature_form"),
    Case("signature.long", "a signature of 65 octets", {"after": signature(lambda s: s + b"\0")},
         "signature_form"),
    Case("signature.short", "a signature of 63 octets", {"after": signature(lambda s: s[:-1])},
         "signature_form"),
    Case("signature.two", "a second signature beside the first",
         {"after": both_fields(lambda v: f"{v}, {v.replace('cos=', 'other=')}")}, "one_signature"),
    Case("signature.second-unsigned-input", "a second input without a signature",
         {"after": swap("signature-input", lambda v: f"{v}, {v.replace('cos=', 'other=')}")},
         "one_signature"),
    Case("signature.label", "the signature under another label", {"label": "sig1"}, "label"),
    Case("signature.label-one", "input and signature under two labels",
         {"after": swap("signature", lambda v: v.replace("cos=", "sig1="))}, "label"),
    Case("signature.same-label-twice", "the same label twice",
         {"after": both_fields(lambda v: f"{v}, {v}")}, "signature_input_form"),
    Case("time.expired", "an expired request", {"age": 300}, "stale"),
    Case("time.expired-just", "a request that expired 20 seconds ago", {"age": 80}, "stale"),
    Case("time.future", "a request of five minutes from now", {"age": -300}, "future"),
    Case("time.future-just", "a request of 20 seconds from now", {"age": -20}, "future"),
    Case("time.long", "a lifetime of 61 seconds", {"lifetime": 61}, "lifetime"),
    Case("time.year", "a lifetime of a year", {"lifetime": 31_536_000}, "lifetime"),
    Case("time.none", "a lifetime of no seconds", {"lifetime": 0}, "lifetime"),
    Case("time.negative", "an expiry before its creation", {"lifetime": -30}, "lifetime"),
    Case("time.text", "created as a text", {"params": {"created": "now"}}, "parameter_missing"),
    Case("time.zero", "created and expires near 1970", {"params": {"created": 1, "expires": 30}},
         "stale"),
    Case("body.swapped", "another body under the old digest",
         {"after": lambda r: replace(r, body=r.body.replace(b'"version":1', b'"version":2'))},
         "content_digest"),
    Case("body.swapped-with-digest", "another body with its own digest",
         {"after": lambda r: swap("content-digest", lambda _: other_digest("sha-256")(
             replace(r, body=b"{}")))(replace(r, body=b"{}"))}, "signature"),
    Case("body.emptied", "no body at all", {"after": lambda r: replace(r, body=b"")},
         "content_digest"),
    Case("body.appended", "one more octet of body",
         {"after": lambda r: replace(r, body=r.body + b" ")},
         "content_digest"),
    Case("digest.sha-512", "the digest by SHA-512",
         {"after": lambda r: swap("content-digest", lambda _: other_digest("sha-512")(r))(r)},
         "signature"),
    Case("digest.unknown", "the digest by an unknown algorithm",
         {"digest": "md5=:AAAAAAAAAAAAAAAAAAAAAA==:"}, "content_digest_form"),
    Case("digest.two", "two digests, the first of another body",
         {"digest": f"sha-512=:{in_base64(bytes(64))}:, "
                    f"sha-256=:{in_base64(bytes(32))}:"}, "content_digest_form"),
    Case("digest.zero", "a digest of zeros, signed",
         {"digest": f"sha-256=:{in_base64(bytes(32))}:"},
         "content_digest"),
    Case("digest.short", "a digest of 16 octets",
         {"digest": f"sha-256=:{in_base64(bytes(16))}:"},
         "content_digest_form"),
    Case("covered.extra-authority", "the authority covered too",
         {"components": (*COMPONENTS, Item("@authority"))}, "component_extra"),
    Case("covered.extra-query", "the query covered too",
         {"components": (*COMPONENTS, Item("@query"))}, "component_extra"),
    Case("covered.extra-header", "a header of the sender's choice covered too",
         {"components": (*COMPONENTS, Item("cos-more")), "headers": {"cos-more": "1"}},
         "component_extra"),
    Case("covered.doubled", "one component covered twice",
         {"components": (*COMPONENTS, Item("@path"))}, "component_extra"),
    Case("covered.none", "nothing covered", {"components": ()}, "component_missing"),
    Case("covered.reversed", "the components in reverse order",
         {"components": COMPONENTS[::-1]}, "component_order"),
    Case("covered.rotated", "the components rotated by one",
         {"components": (*COMPONENTS[1:], COMPONENTS[0])}, "component_order"),
    Case("tag.response", "the tag of a response", {"tag": profile.RESPONSE_TAG}, "tag"),
    Case("tag.refusal", "the tag of a refusal", {"tag": profile.REFUSAL_TAG}, "tag"),
    Case("tag.other", "the tag of another application", {"tag": "web-bot-auth"}, "tag"),
    Case("alg.hmac", "an HMAC named as the algorithm", {"params": {"alg": "hmac-sha256"}},
         "algorithm"),
    Case("alg.rsa", "RSA named as the algorithm", {"params": {"alg": "rsa-pss-sha512"}},
         "algorithm"),
    Case("alg.none", "no algorithm named as the algorithm", {"params": {"alg": "none"}},
         "algorithm"),
    Case("param.unknown", "a parameter nobody knows", {"params": {"scope": "all"}},
         "parameter_unknown"),
    Case("nonce.short", "a nonce of 32 bits", {"nonce": "AAAAAA"}, "nonce_form"),
    Case("nonce.form", "a nonce that is not base64url", {"nonce": "+" * 24}, "nonce_form"),
    Case("nonce.long", "a nonce of 1000 characters", {"nonce": "A" * 1000}, "nonce_form"),
    Case("path.signed-for-another", "a request signed for another path",
         {"path": "/link/device-response", "after": lambda r: replace(r, path="/link/cos-command")},
         "signature"),
    Case("path.percent", "the path in percent-encoding", {"path": "/link/cos%2Dcommand"}, "path"),
    Case("query.added", "a query added on the wire",
         {"after": lambda r: replace(r, query="to=tcos_party")}, "query"),
    Case("method.signed-for-another", "a request signed as a GET",
         {"method": "GET", "after": lambda r: replace(r, method="POST")}, "signature"),
    Case("encoding.identity", "a content coding named identity",
         {"headers": {"content-encoding": "identity"}}, "content_encoding"),
    Case("type.text", "the content type text/plain", {"headers": {"content-type": "text/plain"}},
         "content_type"),
    Case("type.charset", "a charset beside the content type",
         {"headers": {"content-type": "application/json; charset=utf-8"}}, "content_type"),
    Case("type.problem", "the content type of a refusal",
         {"headers": {"content-type": profile.PROBLEM_JSON}}, "content_type"),
    Case("id.form", "a message identifier with spaces",
         {"message_id": "a b {}"}, "message_id_form"),
    Case("id.long", "a message identifier of 200 characters", {"message_id": "a" * 200 + "{}"},
         "message_id_form"),
    Case("purpose.unknown", "a purpose nobody has", {"purpose": "tariff-update"}, "purpose", R,
         BROKERS, PURPOSE),
    Case("purpose.registration", "the purpose of another system",
         {"purpose": "registration-extract"}, "purpose", R, BROKERS, PURPOSE),
    Case("purpose.smki", "the purpose of the SMKI repository",
         {"purpose": "smki-certificates"}, "purpose", R, BROKERS, PURPOSE),
    Case("purpose.empty", "a purpose with spaces", {"purpose": "cos command"}, "purpose", R,
         BROKERS, PURPOSE),
    Case("purpose.route-alert", "a cos-command at the route for alerts",
         {"path": "/link/device-alert"}, "route", R, BROKERS, PURPOSE),
    Case("purpose.route-response", "a cos-command at the route for responses",
         {"path": "/link/device-response"}, "route", R, BROKERS, PURPOSE),
    Case("purpose.alert-as-command", "an alert at the route for commands",
         {"purpose": "device-alert"}, "route", R, BROKERS, PURPOSE),
    Case("body.not-json", "a body that is no JSON", {"body": b"service_request=AAAA"}, "body", R,
         BROKERS),
    Case("body.array", "a JSON array", {"body": b"[]"}, "body", R, BROKERS),
    Case("body.number", "a JSON number", {"body": b"1"}, "body", R, BROKERS),
    Case("body.deep", "an array nested ten thousand deep", {"body": b"[" * 10_000}, "body", R,
         BROKERS),
    Case("body.many", "more values than any message has",
         {"body": b'{"version":[' + b"0," * 50_000 + b"0]}"}, "body", R, BROKERS),
    Case("body.utf-16", "JSON in UTF-16", {"body": "{}".encode("utf-16")}, "body", R, BROKERS),
    Case("form.input-spaces", "Signature-Input with two spaces",
         {"after": swap("signature-input", lambda v: v.replace(" ", "  ", 1))},
         "signature_input_form"),
    Case("form.input-open", "Signature-Input without its closing bracket",
         {"after": swap("signature-input", lambda v: v.replace(")", "", 1))},
         "signature_input_form"),
    Case("form.input-token", "Signature-Input with a token for a string",
         {"after": swap("signature-input", lambda v: v.replace('"@path"', "path"))},
         "signature_input_form"),
    Case("form.input-decimal", "created with a decimal",
         {"after": swap("signature-input", lambda v: v.replace(";expires", ".5;expires"))},
         "signature_input_form"),
    Case("form.input-empty", "an empty Signature-Input",
         {"after": swap("signature-input", lambda _: "")},
         "signature_input_form"),
    Case("form.input-huge", "a Signature-Input of 5000 characters",
         {"after": swap("signature-input", lambda v: v + ";x" * 2500)}, "signature_input_form"),
    Case("form.input-param-twice", "a parameter twice",
         {"after": swap("signature-input", lambda v: v + ";created=1")}, "signature_input_form"),
    Case("form.signature-no-colons", "a signature without its colons",
         {"after": swap("signature", lambda v: v.replace(":", ""))}, "signature_form"),
    Case("form.signature-url-base64", "a signature in base64url",
         {"after": swap("signature", lambda v: v.replace("=:", "=:_-", 1))}, "signature_form"),
    Case("form.signature-param", "a parameter after the signature",
         {"after": swap("signature", lambda v: v + ";x")}, "signature_form"),
)  # fmt: skip


def link_cases() -> Iterator[Case]:
    """Every case, generated ones too."""
    yield from CASES
    for item in COMPONENTS:
        name = str(item.value)
        yield Case(f"covered.without.{name.lstrip('@')}", f"{name} not covered",
                   {"components": without(name)}, "component_missing")  # fmt: skip
    for name in HEADERS:
        yield Case(f"header.doubled.{name}", f"{name} sent twice", {"after": double(name)},
                   "header_once")  # fmt: skip
    for name in HEADERS[:6]:
        yield Case(f"header.missing.{name}", f"{name} taken out", {"after": drop(name)},
                   "header_present")  # fmt: skip
    for name in profile.REQUIRED_PARAMETERS:
        yield Case(f"param.missing.{name}", f"no parameter {name}", {"params": {name: None}},
                   "parameter_missing")  # fmt: skip
    for name, value in (("cos-purpose", "device-alert"), ("cos-message-id", "{}"),
                        ("cos-sender", "registration"), ("cos-recipient", "registration"),
                        ("content-type", "text/json")):  # fmt: skip
        yield Case(f"header.changed.{name}", f"{name} changed on the wire",
                   {"after": swap(name, always(value))}, "signature")  # fmt: skip
    for system in ("registration", "smki_repository", "meter_sim_nobody"):
        yield Case(f"identity.to.{system.replace('_', '-')}", f"a request meant for {system}",
                   {"recipient": system}, "recipient", holds=BROKERS)  # fmt: skip
        yield Case(f"identity.as.{system.replace('_', '-')}",
                   f"the broker's key with the sender {system}", {"sender": system}, "sender",
                   Rung.ONE_PARTY, BROKERS)  # fmt: skip
    for system in ("registration", "smki_repository"):
        yield Case(f"identity.key-of.{system.replace('_', '-')}",
                   f"{system}'s key with the broker as the sender", {"signer": system}, "peer",
                   Rung.ONE_PARTY, f"every key of {system}")  # fmt: skip
        yield Case(f"identity.own-name.{system.replace('_', '-')}",
                   f"{system} in its own name",
                   {"signer": system, "sender": system}, "peer", Rung.ONE_PARTY,
                   f"every key of {system}", PURPOSE)  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Every case at each CoS Party."""
    for cos, party in COS.items():
        for case in (*link_cases(), *of_parties(party)):
            forge = LinkForge(to=party).but(**case.change)
            yield attack_row(
                f"link.{cos}.{case.name}", f"To {party}: {case.title}", case.rung,
                case.requirement, case.holds, asking(party, forge),
                Refusal(party, f"link.request.{case.check}"), "cos",
            )  # fmt: skip
        for name, title, change, check in EDGE:
            yield attack_row(
                f"link.{cos}.{name}", f"To {party}: {title}", W, ORIGIN, ANY,
                asking(party, LinkForge(to=party).but(**change)),
                Refusal(party, f"{cos}.request.{check}"), "cos",
            )  # fmt: skip
        for name, title, age in (
            ("now", "an honest request", 0),
            ("late", "an honest request 45 seconds on its way", 45),
            ("clock-ahead", "a broker whose clock is 2 seconds ahead", -2),
        ):
            yield attack_row(
                f"link.{cos}.honest.{name}", f"To {party}: {title}", Rung.HONEST, ORIGIN, BROKERS,
                asking(party, LinkForge(to=party, age=age)), None, "cos",
            )  # fmt: skip


def asking(system: str, forge: LinkForge) -> Act:
    """One forged request to a system."""
    return lambda world: send(world, system, forge.request(world))


EDGE: tuple[tuple[str, str, dict[str, object], str], ...] = (
    ("size.oversize", "a body of two megabytes", {"body": b"{" + b" " * 2**21}, "size"),
    ("encoding.gzip", "a compressed body", {"headers": {"content-encoding": "gzip"}}, "encoding"),
    ("method.get", "a GET", {"method": "GET"}, "method"),
    ("method.put", "a PUT", {"method": "PUT"}, "method"),
    ("path.double-slash", "an empty segment in the path", {"path": "/link//cos-command"}, "route"),
)


def of_parties(party: str) -> Iterator[Case]:
    """What the two CoS Parties say or hold, used against one of them."""
    other = COS["tcos" if party == COS["ecos"] else "ecos"]
    keys_of_other = f"every key of {other}"
    yield Case("identity.unknown-key", "a key identifier that nobody pinned",
               {"keyid": "0011223344556677"}, "key", W, ANY)  # fmt: skip
    yield Case("identity.meant-for-other", f"what the broker said to {other}, shown to {party}",
               {"to": other}, "recipient")  # fmt: skip
    yield Case("identity.from-other", f"{other} in its own name",
               {"signer": other, "sender": other}, "peer", Rung.ONE_PARTY,
               keys_of_other)  # fmt: skip
    yield Case("identity.other-as-broker", f"{other}'s key with the broker as the sender",
               {"signer": other}, "peer", Rung.ONE_PARTY, keys_of_other)  # fmt: skip
    yield Case("identity.reflected", f"{party}'s own signature, sent back to it",
               {"signer": party, "sender": party}, "peer", Rung.ONE_PARTY,
               f"every key of {party}")  # fmt: skip


special = partial(attack, requirement=ORIGIN, party="{party}", tags=("cos",))


@special("link.{cos}.replay.same-process", check="link.request.nonce", rung=R, holds=RECORDED,
         prepares=True)  # fmt: skip
def replay(world: World, party: str) -> Observed:
    """To {party}: the same request twice."""
    request = LinkForge(to=party).request(world)
    deliver(world, party, request)
    world.compare_from_here()
    return send(world, party, request)


def twice(world: World, party: str, **same: str) -> Observed:
    """Two requests that have something in common."""
    deliver(world, party, LinkForge(to=party).but(**same).request(world))
    world.compare_from_here()
    return send(world, party, LinkForge(to=party).but(**same).request(world))


@special("link.{cos}.replay.nonce", check="link.request.nonce", rung=Rung.ONE_PARTY,
         holds=BROKERS, prepares=True)  # fmt: skip
def nonce_again(world: World, party: str) -> Observed:
    """To {party}: a nonce used again for a new message."""
    return twice(world, party, nonce="A" * 10 + str(world.next_counter()))


@special("link.{cos}.replay.message-id", check="link.request.message_id", rung=Rung.ONE_PARTY,
         holds=BROKERS, prepares=True)  # fmt: skip
def id_again(world: World, party: str) -> Observed:
    """To {party}: a message identifier used again for another message."""
    return twice(world, party, message_id=f"probe-{world.next_counter()}")


@special("link.{cos}.identity.made-up-key", check="link.request.signature", rung=W, holds=ANY)
def made_up(world: World, party: str) -> Observed:
    """To {party}: a key of the attacker's own under the broker's identifier."""
    signer = SoftwareSigner(new_key(), world.keys("acb").certificate("link"))
    return send(world, party, LinkForge(to=party, signer=signer).request(world))


@special("link.{cos}.identity.gbcs-key", check="link.request.key", rung=Rung.ONE_PARTY,
         holds="every key of acb but the link key")  # fmt: skip
def gbcs_key(world: World, party: str) -> Observed:
    """To {party}: the broker's GBCS signing key instead of its link key."""
    signer = world.keys("acb").signer("digital-signing")
    return send(world, party, LinkForge(to=party, signer=signer).request(world))


def with_member(world: World, party: str, **member: object) -> Observed:
    """An honest body with another member."""
    body = json.dumps(json.loads(command_body(world, party)) | member).encode()
    return send(world, party, LinkForge(to=party, body=body).request(world))


@special("link.{cos}.body.extra-member", check="link.request.body", rung=Rung.ONE_PARTY,
         holds=BROKERS)  # fmt: skip
def extra_member(world: World, party: str) -> Observed:
    """To {party}: a member that the broker adds on its own."""
    return with_member(world, party, approved=True)


@special("link.{cos}.body.version", check="link.request.body", rung=Rung.ONE_PARTY, holds=BROKERS)
def version(world: World, party: str) -> Observed:
    """To {party}: another version of the body."""
    return with_member(world, party, version=2)
