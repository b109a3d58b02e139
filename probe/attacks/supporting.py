"""Registration and the SMKI repository: their side of the link, and what they may be told.

Their link is the same room's code as the CoS Parties', which stand for all of it in
`probe.attacks.link`; here each check is tried once at each of the two. What operators may change is
tried on the lab ports: a certificate or list that no authority made, a registration that rewrites
what has begun.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keys.certificate import Certificate
from keys.crl import make_crl, read_crl, read_crl_pem, revocation_times
from keys.issuing.authorities import Authorities
from keys.issuing.issue import Flaw
from keys.roles import OrganisationRole
from probe.attacks.link import asking, link_cases
from probe.attacks.making import attack_row
from probe.forge.certificates import LIST, flawed, issued, publish, publish_list
from probe.forge.gbcs import in_base64
from probe.forge.link import LinkForge, deliver, send
from probe.model import BROKER_CHECKS, ORIGIN, PURPOSE, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import World
from services.chassis.time.clock import SystemClock

SERVED = {
    "registration": LinkForge(
        to="registration", signer="ecos_party", sender="ecos_party",
        purpose="registration-extract", path="/link/registration-extract",
        body=b'{"version":1,"known":null}',
    ),
    "smki_repository": LinkForge(
        to="smki_repository", purpose="smki-revocation", path="/link/smki-revocation",
        body=b'{"version":1,"known":{}}',
    ),
}  # fmt: skip
"""An honest question to each of the two."""

NOT_HERE = frozenset({
    "identity.to.registration", "identity.to.smki-repository", "identity.as.registration",
    "identity.key-of.registration", "identity.own-name.registration", "purpose.registration",
    "purpose.smki", "purpose.route-alert", "purpose.route-response", "purpose.alert-as-command",
    "path.percent", "path.signed-for-another",
})  # fmt: skip
"""Cases written for a CoS Party's own routes and peers."""
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
OPERATOR = "the lab token of {}"


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    for system in SERVED:
        yield from on_the_link(system)
    yield from questions()
    yield from publications()
    yield from registrations()


EDGE: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("size", "a body of two megabytes", {"body": b" " * 2 * 1024 * 1024}, "size"),
    ("encoding", "a compressed body", {"headers": {"content-encoding": "gzip"}}, "encoding"),
)


def on_the_link(system: str) -> Iterator[Attack]:
    """Each check of the link once."""
    base, short = SERVED[system], system.partition("_")[0]
    seen: set[str] = set()
    for case in link_cases():
        if case.name in NOT_HERE or case.check in seen | {"route"}:
            continue
        seen.add(case.check)
        forge = base.but(**case.change)
        yield attack_row(
            f"link.{short}.{case.name}", f"To {system}: {case.title}", case.rung,
            case.requirement, case.holds.replace("the broker", base.sender),
            asking(system, forge),
            Refusal(system, f"link.request.{case.check}"), "supporting",
        )  # fmt: skip
    for name, title, change, check in (
        ("identity.unknown-key", "a key identifier that nobody pinned",
         {"keyid": "0011223344556677"}, "key"),
        ("path.percent", "the path in percent-encoding",
         {"path": base.path.replace("-", "%2D")}, "path"),
    ):  # fmt: skip
        yield attack_row(
            f"link.{short}.{name}", f"To {system}: {title}", Rung.WIRE, ORIGIN,
            "a connection to the interface, nothing else", asking(system, base.but(**change)),
            Refusal(system, f"link.request.{check}"), "supporting",
        )  # fmt: skip
    other = "/link/smki-certificates" if system == "smki_repository" else None

    def refusal(check: str) -> Refusal:
        return Refusal(system, f"link.request.{check}")

    def twice(**second: Any) -> Callable[[World], Observed]:
        def act(world: World) -> Observed:
            name = f"A{world.next_counter():021d}"
            given = {k: v.format(name) for k, v in second.items()}
            deliver(world, system, base.but(**given).request(world))
            world.compare_from_here()
            body = b'{"version":1,"known":null }' if system == "registration" else (
                b'{"version":1,"known":{} }')  # fmt: skip
            again = base.but(**given, body=body)
            return send(world, system, again.request(world))

        return act

    for name, title, second, check in (
        ("nonce", "a nonce used again", {"nonce": "{}"}, "nonce"),
        ("message-id", "a message identifier used again", {"message_id": "{}"}, "message_id"),
    ):
        yield attack_row(
            f"link.{short}.replay.{name}", f"To {system}: {title}", Rung.ONE_PARTY, ORIGIN,
            f"{base.sender}'s link key", twice(**second), refusal(check), "supporting",
            prepares=True,
        )  # fmt: skip
    wrong = "acb" if system == "registration" else "meter_sim"
    if system == "registration":
        yield attack_row(
            "link.registration.from-broker",
            "The broker asks registration, which it has no business with", Rung.ONE_PARTY, PURPOSE,
            "every key of the broker",
            lambda w: send(w, system, base.but(signer=wrong, sender=wrong).request(w)),
            refusal("peer"), "supporting", "separation",
        )  # fmt: skip
    if other is not None:
        yield attack_row(
            f"link.{short}.purpose.route", f"To {system}: one purpose at the other's route",
            Rung.ONE_PARTY, PURPOSE, f"{base.sender}'s link key",
            lambda w: send(w, system, base.but(path=other).request(w)), refusal("route"),
            "supporting",
        )  # fmt: skip
    for name, title, edge, check in EDGE:
        forge = base.but(**edge)
        prefix = "smki" if system == "smki_repository" else system
        yield attack_row(
            f"link.{short}.edge.{name}", f"To {system}: {title}", Rung.WIRE, ORIGIN,
            "a connection to the interface, nothing else",
            asking(system, forge),
            Refusal(system, f"{prefix}.request.{check}"), "supporting",
        )  # fmt: skip
    yield attack_row(
        f"link.{short}.honest", f"An honest question to {system}", Rung.HONEST, ORIGIN,
        f"{base.sender}'s link key",
        lambda world: send(world, system, base.request(world)), None, "supporting",
    )  # fmt: skip


def questions() -> Iterator[Attack]:
    """Authentic questions that ask what may not be asked."""

    def ask(system: str, body: Any, **more: Any) -> Callable[[World], Observed]:
        octets = json.dumps(body, separators=(",", ":")).encode()
        forge = SERVED[system].but(body=octets, **more)
        return lambda world: send(world, system, forge.request(world))

    certificates = {"purpose": "smki-certificates", "path": "/link/smki-certificates"}
    for name, title, act, refusal in (
        ("registration.ahead", "A CoS Party claims to hold a later register than registration does",
         ask("registration", {"version": 1, "known": 10**9}),
         Refusal("registration", "registration.extract.number")),
        ("smki.two-keys", "A question by two things at once",
         ask("smki_repository", {"version": 1, "by": "eui", "eui": "0253494d00000002",
                                 "key_identifier": "0011223344556677"}, **certificates),
         Refusal("smki_repository", "smki.certificates.query")),
        ("smki.unknown-list", "A question for a revocation list that there is not",
         ask("smki_repository", {"version": 1, "known": {"everything": 1}}),
         Refusal("smki_repository", "smki.revocation.names")),
        ("smki.ahead", "The broker claims to hold a later revocation list",
         ask("smki_repository", {"version": 1, "known": {LIST: 10**9}}),
         Refusal("smki_repository", "smki.revocation.numbers")),
    ):  # fmt: skip
        yield attack_row(f"question.{name}", title, Rung.ONE_PARTY, PURPOSE,
                     "the asking party's link key", act, refusal, "supporting")  # fmt: skip


def published(world: World) -> bytes:
    """The revocation list that the repository's folder holds."""
    path = world.data / "smki_repository" / "repository" / "crl" / f"{LIST}.crl"
    return read_crl_pem(path.read_bytes()).der


def renew(world: World) -> None:
    """Publish the true list again, under a number above whatever is published now."""
    held = world.lab("smki_repository", "GET", "/lab/repository")["lists"][LIST]["number"]
    old = read_crl(published(world))
    der = Authorities.open(world.data).revocation_list(
        LIST, max(old.number, held) + 1, SystemClock().now(), 365, revocation_times(old)
    )
    path = world.data / "smki_repository" / "repository" / "crl" / f"{LIST}.crl"
    path.write_bytes(read_crl(der).to_pem())
    publish_list(world, der)


def tried(system: str, method: str, path: str, body: Callable[[World], Any],
          undo: Callable[[World], None] | None = None) -> Callable[[World], Observed]:  # fmt: skip
    """Try a change on a lab port."""

    def act(world: World) -> Observed:
        told = world.try_lab(system, method, path, body(world))
        if isinstance(told, Refusal):
            return Observed(told, "")
        if undo is not None:
            world.undo_when_restored(lambda: undo(world))
        return Observed(None, "published")

    return act


def list_of(world: World, *, issuer: str = "", by: Any = None, later: int = 1) -> dict[str, str]:
    """A revocation list: the true one's successor, but for issuer, signer or number."""
    old = read_crl(published(world))
    authorities = Authorities.open(world.data)
    made_up = flawed(world, Flaw.UNKNOWN_ISSUER, "0253494d0000cccc", OrganisationRole.SUPPLIER)
    true = authorities.issuer("organisation-issuing")
    certificate = made_up.certificate if issuer else true.certificate
    number = world.lab("smki_repository", "GET", "/lab/repository")["lists"][LIST]["number"]
    der = make_crl(
        certificate, made_up.sign if issuer or by else true.sign, number=number + later,
        this_update=old.this_update, next_update=old.next_update, revoked={},
    )  # fmt: skip
    return {"crl": in_base64(der)}


def certificate_of(signer: Any) -> dict[str, str]:
    """A certificate to publish."""
    return {"certificate": base64.b64encode(signer.certificate.der).decode()}


def second_of_a_name(world: World) -> dict[str, str]:
    """Another certificate, of another key, under the issuer and serial number of a published one.

    The published one's content with another point and key identifier in it, signed again.
    """
    known = issued(world, "0253494d0000dddd", OrganisationRole.SUPPLIER).certificate
    publish(world, known)
    world.compare_from_here()
    made = issued(world, "0253494d0000dddd", OrganisationRole.SUPPLIER).certificate
    content = x509.load_der_x509_certificate(known.der).tbs_certificate_bytes
    for old, new in (
        (point(known), point(made)), (known.key_identifier, made.key_identifier),
    ):  # fmt: skip
        content = content.replace(old, new)
    r_and_s = Authorities.open(world.data).issuer("organisation-issuing").sign(content)
    signature = encode_dss_signature(
        *(int.from_bytes(r_and_s[at : at + 32], "big") for at in (0, 32))
    )
    inside = content + ECDSA_SHA256 + tlv(0x03, b"\0" + signature)
    return {"certificate": in_base64(tlv(0x30, inside))}


def point(certificate: Certificate) -> bytes:
    """The point of a certificate's key, uncompressed."""
    return certificate.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def tlv(tag: int, value: bytes) -> bytes:
    """One DER value of up to 65,535 octets."""
    size = len(value)
    if size < 128:
        return bytes((tag, size)) + value
    octets = size.to_bytes(1 if size < 256 else 2, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + value


def publications() -> Iterator[Attack]:
    """What an operator of the repository, or whoever has his token, tries to publish."""
    supplier, role = "0253494d0000cccc", OrganisationRole.SUPPLIER
    to_certificates = ("smki_repository", "POST", "/lab/certificates")
    to_list = ("smki_repository", "PUT", f"/lab/crl/{LIST}")
    for name, title, act, check in (
        ("unmarked", "a certificate without the mark of simulated material",
         tried(*to_certificates,
               lambda w: certificate_of(flawed(w, Flaw.OTHER_POLICY, supplier, role))),
         "simulated"),
        ("unknown-issuer", "a certificate of an authority of his own",
         tried(*to_certificates,
               lambda w: certificate_of(flawed(w, Flaw.UNKNOWN_ISSUER, supplier, role))), "path"),
        ("compressed-point", "a certificate whose key is a compressed point",
         tried(*to_certificates,
               lambda w: certificate_of(flawed(w, Flaw.COMPRESSED_POINT, supplier, role))),
         "path"),
        ("second-of-a-name", "another certificate under a published one's issuer and number",
         tried(*to_certificates, second_of_a_name), "unique"),
        ("list-issuer", "a revocation list of an authority of his own",
         tried(*to_list, lambda w: list_of(w, issuer="own"), renew), "list_issuer"),
        ("list-signature", "an empty revocation list that he signed himself",
         tried(*to_list, lambda w: list_of(w, by="own"), renew), "list_signature"),
        ("list-older", "the revocation list of yesterday again",
         tried(*to_list, lambda w: list_of(w, later=0), renew), "list_number"),
    ):  # fmt: skip
        yield attack_row(
            f"publish.{name}", f"An operator publishes {title}", Rung.ONE_PARTY, BROKER_CHECKS,
            OPERATOR.format("smki_repository"), act,
            Refusal("smki_repository", f"smki.publish.{check}"), "supporting",
            watches=frozenset({"smki_repository"}),
        )  # fmt: skip


def registrations() -> Iterator[Attack]:
    """What an operator of registration, or whoever has his token, tries to register."""

    def restore(world: World) -> None:
        world.lab("registration", "POST", "/lab/register/reload")

    def mpxn(world: World) -> str:
        return str(world.device(world.meter("ecos_party"))["mpxn"])

    def change(method: str, path: Callable[[World], str], body: Callable[[World], Any]) -> (
        Callable[[World], Observed]
    ):  # fmt: skip
        return lambda w: tried("registration", method, path(w), body, restore)(w)

    def register(**fields: Any) -> Callable[[World], Observed]:
        def body(world: World) -> Any:
            return {"mpxn": mpxn(world), "participant": world.supplier("C").participant,
                    "effective_from": "2030-01-01T00:00:00Z", **fields}  # fmt: skip

        return change("POST", lambda _: "/lab/registrations", body)

    def devices(listed: Callable[[World], list[str]]) -> Callable[[World], Observed]:
        return change("PUT", lambda w: f"/lab/meter-points/{mpxn(w)}",
                      lambda w: {"devices": listed(w)})  # fmt: skip

    for name, title, act, check in (
        ("participant", "a participant that there is not", register(participant="NOBODY"),
         "participant"),
        ("meter-point", "a supplier of a meter point that there is not",
         register(mpxn="9999999999999"), "meter_point"),
        ("order", "a supplier from before today's began",
         register(effective_from="1999-01-01T00:00:00Z"), "order"),
        ("device-twice", "one device twice",
         devices(lambda w: 2 * [w.meter("ecos_party")]), "listed_once"),
        ("device-elsewhere", "another home's device",
         devices(lambda w: [w.meter("tcos_party")]), "one_place"),
        ("identifier", "supplier B's identifier as supplier C's",
         change("PUT", lambda w: f"/lab/participants/{w.supplier('C').participant}",
                lambda w: {"name": "C", "euis": [w.supplier("B").eui]}), "own_euis"),
    ):  # fmt: skip
        yield attack_row(f"register.{name}", f"An operator registers {title}", Rung.ONE_PARTY,
                      BROKER_CHECKS, OPERATOR.format("registration"), act,
                      Refusal("registration", f"registration.change.{check}"),
                      "supporting", watches=frozenset({"registration"}))  # fmt: skip
