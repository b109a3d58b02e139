"""Who may ask at all: withdrawn keys, strangers, services that are not asked of whom they are.

At the broker's front door, and at each CoS Party's back door, where the broker itself hands the
request on. Revocation is real here: the certificates are on a list that the simulated authority
signed and the SMKI repository publishes.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import partial

from duis.model import RemotePartyRole as Named
from keys.issuing.issue import Flaw
from keys.roles import OrganisationRole
from probe.attacks.making import ANY, attack, attack_row
from probe.forge.certificates import flawed, issued, publish
from probe.forge.gbcs import COS_CELL, in_base64
from probe.forge.xml import Document, at_broker, at_cos_party, honest
from probe.model import BETWEEN, BOTH_CHECK, BROKER_CHECKS, METER_CHECKS, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import COS, World
from stack.service_requests import read_credentials
from tamper.exchange import Exchange

STRANGER = "0253494d0000aaaa"
UNCONNECTED = "0253494d0000bbbb"
XML = OrganisationRole.XML_SIGNING
TWO_DAYS = 2 * 86_400


def signed_by_flawed(flaw: Flaw) -> Document:
    """Supplier B's request, signed with a published key whose certificate has this flaw."""

    def make(world: World, party: str) -> bytes:
        signer = flawed(world, flaw, world.supplier("B").eui, XML)
        publish(world, signer.certificate)
        return honest(world, party, signer=signer)

    return make


front_door = partial(
    attack, rung=Rung.SUPPLIER, requirement=BROKER_CHECKS, holds="an account and its keys",
    tags=("acb",),
)  # fmt: skip


@front_door("standing.acb.stranger", check="acb.user.known", prepares=True,
            holds="an organisation's own XML signing key")  # fmt: skip
def stranger(world: World) -> Observed:
    """To the broker: a certified organisation that is no user."""
    signer = issued(world, STRANGER, XML)
    publish(world, signer.certificate)
    return world.to_broker(honest(world, "ecos_party", requester=STRANGER, signer=signer))


@front_door("standing.acb.cos-unconnected", check="acb.device.cos_party", prepares=True)
def unconnected(world: World) -> Observed:
    """To the broker: a device that trusts a CoS Party nobody is connected to."""
    device = world.device(world.meter("ecos_party"))
    unknown = issued(world, UNCONNECTED, OrganisationRole.TRANSITIONAL_COS).certificate
    cells = {**device["cells"], COS_CELL.name: in_base64(unknown.der)}
    world.record({**device, "cells": cells})
    world.compare_from_here()
    return world.to_broker(honest(world, "ecos_party"))


@front_door("standing.acb.compressed", check="acb.request.encoding", rung=Rung.WIRE, holds=ANY)
def compressed(world: World) -> Observed:
    """To the broker: a compressed document."""
    url = f"{world.connection.stack.services['acb'].interface}/service-requests"
    answer = world.send(
        "acb", "POST", url, content=gzip.compress(honest(world, "ecos_party")),
        headers={"Content-Type": "application/xml", "Content-Encoding": "gzip"},
    )  # fmt: skip
    if answer.is_success:
        return Observed(None, "taken")
    return Observed(Refusal("acb", answer.json()["check"]), "")


@attack("standing.{cos}.revoked-replacement", check="{cos}.certificates.revoked",
        rung=Rung.OLD_KEYS, requirement=METER_CHECKS, tags=("cos", "revocation"), prepares=True,
        holds="supplier B's account and a revoked key; the broker's link key")  # fmt: skip
def revoked_replacement(world: World, party: str) -> Observed:
    """Supplier B asks {party} for a certificate of its own that was revoked."""
    signer = flawed(world, Flaw.REVOKED, world.supplier("B").eui, OrganisationRole.SUPPLIER)
    own = signer.certificate.der
    return at_cos_party(lambda w, p: honest(w, p, digital_signing=own), party)(world)


@attack("standing.{cos}.other-service", check="{cos}.request.supported", rung=Rung.ONE_PARTY,
        requirement=BOTH_CHECK, holds="the broker's link key, and what supplier B signed",
        tags=("cos",))  # fmt: skip
def other_service(world: World, party: str) -> Observed:
    """The broker brings {party} a request of another kind."""
    document = read_credentials(world.supplier("B"), world.meter(party), (Named.SUPPLIER,))[1]
    return at_cos_party(lambda _w, _p: document, party)(world)


@attack("standing.{cos}.registration-silenced", check="{cos}.registration.fresh", rung=Rung.WIRE,
        requirement=BOTH_CHECK, holds="a place on the wire between them; patience",
        tags=("cos", BETWEEN), prepares=True)  # fmt: skip
def silenced(world: World, party: str) -> Observed:
    """Registration is held back until what {party} knows is two days old."""
    world.lab(party, "POST", "/lab/sync")
    world.lab(party, "PUT", "/lab/clock", {"step": TWO_DAYS})
    world.compare_from_here()
    with world.between.script(party, "registration", request=Exchange.drop):
        return at_cos_party(honest, party)(world)


def attacks() -> Iterator[Attack]:
    """Requests signed with a key that was withdrawn, at the broker and at each CoS Party."""
    for name, flaw, what, check in (
        ("expired-signer", Flaw.EXPIRED, "expired", "certificate_path"),
        ("revoked-signer", Flaw.REVOKED, "revoked", "certificate_revoked"),
    ):
        title, holds = f"a request signed with a key that is {what}", (
            f"a signing key of supplier B that was {what}"
        )  # fmt: skip
        yield attack_row(
            f"standing.acb.{name}", f"To the broker: {title}", Rung.OLD_KEYS, BROKER_CHECKS, holds,
            at_broker(signed_by_flawed(flaw), "ecos_party"), Refusal("acb", f"acb.request.{check}"),
            "acb", "revocation", prepares=True,
        )  # fmt: skip
        for cos, party in COS.items():
            yield attack_row(
                f"standing.{cos}.{name}", f"The broker brings {party} {title}", Rung.OLD_KEYS,
                BOTH_CHECK, f"{holds}; the broker's link key",
                at_cos_party(signed_by_flawed(flaw), party),
                Refusal(party, f"{cos}.request.{check}"), "cos", "revocation", prepares=True,
            )  # fmt: skip
