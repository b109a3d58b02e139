"""Who may ask at all: withdrawn keys, strangers, services that are not asked of whom they are.

At the broker's front door, and at each CoS Party's back door, where the broker itself hands the
request on. Revocation is real here: the certificates are on a list that the simulated authority
signed and the SMKI repository publishes.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace

from duis.model import RemotePartyRole as Named
from keys.issuing.issue import Flaw
from keys.roles import OrganisationRole
from probe.attacks.making import attack
from probe.forge.certificates import flawed, issued, publish
from probe.forge.gbcs import COS_CELL, in_base64
from probe.forge.link import LinkForge, command_body, send
from probe.forge.xml import Document, at_broker, at_cos_party, honest
from probe.model import BETWEEN, BOTH_CHECK, BROKER_CHECKS, METER_CHECKS, Attack, Rung
from probe.result import Seen, Stop
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


def revoked_replacement(world: World, party: str) -> bytes:
    """A request for a certificate of the supplier's own that was revoked."""
    signer = flawed(world, Flaw.REVOKED, world.supplier("B").eui, OrganisationRole.SUPPLIER)
    return honest(world, party, digital_signing=signer.certificate.der)


def by_stranger(world: World, party: str) -> bytes:
    """A request of a certified organisation that is no user of the broker's."""
    signer = issued(world, STRANGER, XML)
    publish(world, signer.certificate)
    return honest(world, party, requester=STRANGER, signer=signer)


def other_service(world: World, party: str) -> bytes:
    """A request for another service, honestly signed."""
    return read_credentials(world.supplier("B"), world.meter(party), (Named.SUPPLIER,))[1]


def unconnected(world: World) -> Seen:
    """The record says that the meter trusts a CoS Party nobody is connected to."""
    device = world.device(world.meter("ecos_party"))
    stranger = issued(world, UNCONNECTED, OrganisationRole.TRANSITIONAL_COS).certificate
    cells = {**device["cells"], COS_CELL.name: in_base64(stranger.der)}
    world.record({**device, "cells": cells})
    world.mark()
    return world.to_broker(honest(world, "ecos_party"))


def compressed(world: World) -> Seen:
    """A compressed document."""
    url = f"{world.connection.stack.services['acb'].interface}/service-requests"
    answer = world.send(
        "acb", "POST", url, content=gzip.compress(honest(world, "ecos_party")),
        headers={"Content-Type": "application/xml", "Content-Encoding": "gzip"},
    )  # fmt: skip
    if answer.is_success:
        return Seen(None, "taken")
    return Seen(Stop("acb", answer.json()["check"]), "")


def silenced(party: str) -> Callable[[World], Seen]:
    """Registration's answers are held back until what the CoS Party knows is two days old."""

    def drop(exchange: Exchange) -> None:
        exchange.drop()

    def act(world: World) -> Seen:
        world.lab(party, "POST", "/lab/sync")
        world.lab(party, "PUT", "/lab/clock", {"step": TWO_DAYS})
        world.mark()
        body = command_body(world, party, honest(world, party))
        with world.between.script(party, "registration", request=drop):
            return send(world, party, LinkForge(to=party, body=body).request(world))

    return act


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    withdrawn = "a signing key of supplier B that was {}"
    for name, flaw, what, check in (
        ("expired-signer", Flaw.EXPIRED, "expired", "certificate_path"),
        ("revoked-signer", Flaw.REVOKED, "revoked", "certificate_revoked"),
    ):
        yield attack(
            f"standing.acb.{name}", f"To the broker: a request signed with a key that is {what}",
            Rung.OLD_KEYS, BROKER_CHECKS, withdrawn.format(what),
            at_broker(signed_by_flawed(flaw), "ecos_party"), Stop("acb", f"acb.request.{check}"),
            "acb", "revocation",
        )  # fmt: skip
        for cos, party in COS.items():
            yield attack(
                f"standing.{cos}.{name}",
                f"The broker brings {party} a request signed with a key that is {what}",
                Rung.OLD_KEYS, BOTH_CHECK, f"{withdrawn.format(what)}; the broker's link key",
                at_cos_party(signed_by_flawed(flaw), party),
                Stop(party, f"{cos}.request.{check}"), "cos", "revocation",
            )  # fmt: skip
    for cos, party in COS.items():
        yield attack(
            f"standing.{cos}.revoked-replacement",
            f"Supplier B asks {party} for a certificate of its own that was revoked", Rung.OLD_KEYS,
            METER_CHECKS, "supplier B's account and a revoked key; the broker's link key",
            at_cos_party(revoked_replacement, party), Stop(party, f"{cos}.certificates.revoked"),
            "cos", "revocation",
        )  # fmt: skip
        yield attack(
            f"standing.{cos}.other-service", f"The broker brings {party} a request of another kind",
            Rung.ONE_PARTY, BOTH_CHECK, "the broker's link key, and what supplier B signed",
            at_cos_party(other_service, party), Stop(party, f"{cos}.request.supported"), "cos",
        )  # fmt: skip
        yield attack(
            f"standing.{cos}.registration-silenced",
            f"Registration is held back until what {party} knows is two days old", Rung.WIRE,
            BOTH_CHECK, "a place on the wire between them; patience", silenced(party),
            Stop(party, f"{cos}.registration.fresh"), "cos", BETWEEN,
        )  # fmt: skip
    yield from at_front_door()


def at_front_door() -> Iterator[Attack]:
    """What the broker's own records refuse."""

    def acb(name: str, title: str, act: Callable[[World], Seen], check: str, **more: str) -> Attack:
        return replace(
            attack(f"standing.acb.{name}", f"To the broker: {title}", Rung.SUPPLIER,
                   BROKER_CHECKS, more.get("holds", "an account and its keys"), act,
                   Stop("acb", f"acb.{check}"), "acb"),
            rung=Rung.WIRE if name == "compressed" else Rung.SUPPLIER,
        )  # fmt: skip

    yield acb("stranger", "a certified organisation that is no user", at_broker(
        by_stranger, "ecos_party"), "user.known", holds="an organisation's own XML signing key",
    )  # fmt: skip
    yield acb("cos-unconnected", "a device that trusts a CoS Party nobody is connected to",
              unconnected, "device.cos_party")  # fmt: skip
    yield acb("compressed", "a compressed document", compressed, "request.encoding",
              holds="a connection to the interface, nothing else")  # fmt: skip
