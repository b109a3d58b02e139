"""A source that lies once: what is left of the lie when an honest one answers again.

In the place of the SMKI repository or of registration, with that system's own link key, so that the
link has nothing to object to. The lie is told once; then the true system answers, as after a
restart, and the attacker tries what the lie was for.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from keys.crl import make_crl, read_crl
from keys.issuing.authorities import Authorities
from keys.issuing.issue import Flaw
from keys.stores.software import SoftwareSigner
from probe.attacks.lying_link import extract_of_c
from probe.attacks.making import attack
from probe.attacks.standing import signed_by_flawed
from probe.attacks.supporting import published
from probe.forge.answers import HONEST, encoded, give
from probe.forge.certificates import LIST
from probe.forge.link import LinkForge, command_body, send
from probe.forge.xml import honest
from probe.model import BETWEEN, BOTH_CHECK, BROKER_CHECKS, Attack, Rung
from probe.result import Seen, Stop
from probe.world import COS, World
from tamper.exchange import Exchange

REPOSITORY = "smki_repository"
REGISTRATION = "registration"
Lie = Callable[[World], dict[str, Any]]


def told(world: World, asker: str, source: str, purpose: str, lie: dict[str, Any]) -> None:
    """Have the asker ask for this purpose, and hear the lie instead of the source's answer.

    Raises:
        ValueError: it did not ask.
    """
    lies = []

    def request(exchange: Exchange) -> None:
        if exchange.received.first("cos-purpose") != purpose:
            return
        lies.append(exchange.received)
        give(exchange, HONEST.to(world, source, exchange.received, encoded(lie)))

    with world.between.script(asker, source, request=request):
        if asker == "acb":
            # the broker asks when somebody asks it something
            world.to_broker(signed_by_flawed(Flaw.EXPIRED)(world, "ecos_party"))
        else:
            world.lab(asker, "POST", "/lab/sync")
    if not lies:
        raise ValueError(f"{asker} did not ask {source} for {purpose}")
    world.mark()


def genuine_elsewhere(world: World) -> dict[str, Any]:
    """The true list of organisations, under a name that no repository has."""
    return {"version": 1, "lists": {"everything": in_base64(published(world))}}


def forged_later(world: World) -> dict[str, Any]:
    """An empty list in the authority's name, later than any, signed by nobody who may."""
    true = Authorities.open(world.data).issuer("organisation-issuing").certificate
    old = read_crl(published(world))
    own = SoftwareSigner(ec.generate_private_key(ec.SECP256R1()), true)
    der = make_crl(
        true, own.sign, number=2**150, this_update=old.this_update, next_update=old.next_update,
        revoked={},
    )  # fmt: skip
    return {"version": 1, "lists": {LIST: in_base64(der)}}


def in_base64(octets: bytes) -> str:
    """As the link carries octets."""
    return base64.b64encode(octets).decode()


def then_revoked(asker: str, lie: Lie) -> Callable[[World], Seen]:
    """The repository lies once; then a key that was revoked since is used."""

    def act(world: World) -> Seen:
        told(world, asker, REPOSITORY, "smki-revocation", lie(world))
        document = signed_by_flawed(Flaw.REVOKED)
        if asker == "acb":
            return world.to_broker(document(world, "ecos_party"))
        body = command_body(world, asker, document(world, asker))
        return send(world, asker, LinkForge(to=asker, body=body).request(world))

    return act


def then_c_asks(asker: str, number: int) -> Callable[[World], Seen]:
    """Registration says once that C supplies the home, in an extract of this number; C asks."""

    def act(world: World) -> Seen:
        lie = {**extract_of_c(world, asker), "number": number}
        told(world, asker, REGISTRATION, "registration-extract", lie)
        body = command_body(world, asker, honest(world, asker, "C"))
        return send(world, asker, LinkForge(to=asker, body=body).request(world))

    return act


def silenced_now(asker: str) -> Callable[[World], Seen]:
    """Registration is held back from the very moment at which it would say something new."""

    def drop(exchange: Exchange) -> None:
        exchange.drop()

    def act(world: World) -> Seen:
        world.lab(asker, "POST", "/lab/sync")
        world.mark()
        body = command_body(world, asker, honest(world, asker))
        with world.between.script(asker, REGISTRATION, request=drop):
            seen = send(world, asker, LinkForge(to=asker, body=body).request(world))
        world.afterwards(lambda: world.lab(asker, "POST", "/lab/sync"))
        return seen

    return act


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    lists: tuple[tuple[str, str, Lie], ...] = (
        ("list-elsewhere", "a genuine list under a name that there is not", genuine_elsewhere),
        ("list-forged", "a forged list later than any other", forged_later),
    )
    holds = "every key of {}, once; {}"
    revoked = "a signing key of supplier B that was revoked since"
    for name, title, lie in lists:
        yield attack(
            f"source.acb.{name}", f"The SMKI repository told the broker {title}: is it deaf now?",
            Rung.ONE_PARTY, BROKER_CHECKS, holds.format(REPOSITORY, revoked),
            then_revoked("acb", lie), Stop("acb", "acb.request.certificate_revoked"), "acb",
            "revocation", BETWEEN,
        )  # fmt: skip
        for cos, party in COS.items():
            yield attack(
                f"source.{cos}.{name}",
                f"The SMKI repository told {party} {title}: is it deaf now?", Rung.ONE_PARTY,
                BOTH_CHECK, holds.format(REPOSITORY, f"{revoked}; the broker's link key"),
                then_revoked(party, lie), Stop(party, f"{cos}.request.certificate_revoked"),
                "cos", "revocation", BETWEEN,
            )  # fmt: skip
    for cos, party in COS.items():
        yield attack(
            f"source.{cos}.register-pinned",
            f"Registration lied to {party} once, under a number that no truth will reach",
            Rung.ONE_PARTY, BOTH_CHECK,
            holds.format(REGISTRATION, "supplier C's account; the broker's link key"),
            then_c_asks(party, 2**62), Stop(party, f"{cos}.registration.incoming_supplier"), "cos",
            "lying", BETWEEN,
        )  # fmt: skip
        yield attack(
            f"source.{cos}.register-withheld",
            f"Registration's answer to {party} is held back while a home changes hands",
            Rung.WIRE, BOTH_CHECK, "a place on the wire between them", silenced_now(party),
            Stop(party, f"{cos}.registration.fresh"), "cos", BETWEEN,
        )  # fmt: skip
