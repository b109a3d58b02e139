"""A source that lies once: what is left of the lie when an honest one answers again.

In the place of the SMKI repository or of registration, with that system's own link key, so that the
link has nothing to object to. The lie is told once; then the true system answers, as after a
restart, and the attacker tries what the lie was for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from keys.crl import make_crl, read_crl
from keys.issuing.authorities import Authorities
from keys.issuing.issue import Flaw
from keys.stores.software import SoftwareSigner
from probe.attacks.lying_link import extract_of_c
from probe.attacks.making import attack, attack_row
from probe.attacks.standing import signed_by_flawed
from probe.attacks.supporting import published
from probe.forge.answers import HONEST, encoded, give
from probe.forge.certificates import LIST
from probe.forge.gbcs import in_base64
from probe.forge.xml import at_broker, at_cos_party, honest
from probe.model import BETWEEN, BOTH_CHECK, BROKER_CHECKS, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import COS, World
from tamper.exchange import Exchange

REPOSITORY = "smki_repository"
REGISTRATION = "registration"
Lie = Callable[[World], dict[str, Any]]


def told(world: World, caller: str, source: str, purpose: str, lie: dict[str, Any]) -> None:
    """Have the caller ask for this purpose, and hear the lie instead of the source's answer.

    Raises:
        ValueError: it did not ask.
    """
    lies = []

    def request(exchange: Exchange) -> None:
        if exchange.received.first("cos-purpose") != purpose:
            return
        lies.append(exchange.received)
        give(exchange, HONEST.to(world, source, exchange.received, encoded(lie)))

    with world.between.script(caller, source, request=request):
        world.lab(caller, "POST", "/lab/sync")
    if not lies:
        raise ValueError(f"{caller} did not ask {source} for {purpose}")
    world.compare_from_here()


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


def then_revoked(caller: str, lie: Lie) -> Callable[[World], Observed]:
    """The repository lies once; then a key that was revoked since is used."""

    def act(world: World) -> Observed:
        told(world, caller, REPOSITORY, "smki-revocation", lie(world))
        document = signed_by_flawed(Flaw.REVOKED)
        if caller == "acb":
            return at_broker(document, "ecos_party")(world)
        return at_cos_party(document, caller)(world)

    return act


def asks(world: World, caller: str, supplier: str = "B") -> Observed:
    """A supplier's request for the caller's home, brought with the broker's link key."""
    return at_cos_party(lambda w, p: honest(w, p, supplier), caller)(world)


@attack("source.{cos}.register-pinned", check="{cos}.registration.incoming_supplier",
        rung=Rung.ONE_PARTY, requirement=BOTH_CHECK, tags=("cos", "lying", BETWEEN),
        holds=f"every key of {REGISTRATION}, once; supplier C's account; the broker's link key",
        prepares=True)  # fmt: skip
def register_pinned(world: World, party: str) -> Observed:
    """Registration lied to {party} once, under a number that no truth will reach."""
    lie = {**extract_of_c(world, party), "number": 2**62}
    told(world, party, REGISTRATION, "registration-extract", lie)
    return asks(world, party, "C")


@attack("source.{cos}.register-withheld", check="{cos}.registration.fresh", rung=Rung.WIRE,
        requirement=BOTH_CHECK, holds="a place on the wire between them", tags=("cos", BETWEEN),
        prepares=True)  # fmt: skip
def register_withheld(world: World, party: str) -> Observed:
    """Registration's answer to {party} is held back while a home changes hands."""
    world.lab(party, "POST", "/lab/sync")
    world.compare_from_here()
    with world.between.script(party, REGISTRATION, request=Exchange.drop):
        seen = asks(world, party)
    world.undo_when_restored(lambda: world.lab(party, "POST", "/lab/sync"))
    return seen


LISTS: tuple[tuple[str, str, Lie], ...] = (
    ("list-elsewhere", "a genuine list under a name that there is not", genuine_elsewhere),
    ("list-forged", "a forged list later than any other", forged_later),
)


def attacks() -> Iterator[Attack]:
    """A lie about revocation, told to the broker and to each CoS Party."""
    revoked = f"every key of {REPOSITORY}, once; a signing key of supplier B that was revoked since"
    askers = (
        ("acb", "acb", "the broker", revoked, BROKER_CHECKS),
        *((cos, party, party, f"{revoked}; the broker's link key", BOTH_CHECK)
          for cos, party in COS.items()),
    )  # fmt: skip
    for name, title, lie in LISTS:
        for short, caller, called, holds, requirement in askers:
            yield attack_row(
                f"source.{short}.{name}",
                f"The SMKI repository told {called} {title}: is it deaf now?",
                Rung.ONE_PARTY, requirement, holds, then_revoked(caller, lie),
                Refusal(caller, f"{short}.request.certificate_revoked"),
                "acb" if caller == "acb" else "cos", "revocation", BETWEEN, prepares=True,
            )  # fmt: skip
