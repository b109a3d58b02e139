"""A CoS Party that is no longer its own master: what it signs for the broker is not what was asked.

It holds the party's own keys, so every answer is authentic on the link and (unless that is the
point) well signed as a command. What must refuse it is the broker's comparison with the supplier's
own request (`acb.return.*`), before a MAC is given and a device hears of it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from duis.gate import parse
from duis.model import UpdateSecurityCredentialsCoS
from duis.xml import request_from_xml
from gbcs.codes import Cra, RemotePartyRole
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.message import OtherInformation, encode
from gbcs.payloads.credentials import (
    CANCEL_EXECUTION,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
)
from keys.certificate import Certificate
from keys.issuing.authorities import revoke
from keys.roles import OrganisationRole
from probe.attacks.making import attack, attack_row
from probe.forge.answers import HONEST, Content, answered, command_answer
from probe.forge.certificates import issued, publish_list
from probe.forge.gbcs import (
    COS_CELL,
    NETWORK,
    SUPPLIER,
    SUPPLIER_KA,
    SUPPLIER_TOP_UP,
    Forge,
    broker_secret,
    issuing,
    supplier_cells,
)
from probe.forge.xml import Document, honest, in_days
from probe.model import BETWEEN, BOTH_CHECK, BROKER_CHECKS, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import COS, World
from services.chassis.time.clock import SystemClock

COUNTER = 1000
HOLDS = "every key of {party}"
TAGS = ("cos", "lying", BETWEEN)
OTHERS = {"ecos": "tcos", "tcos": "ecos"}
Lie = Callable[[World, Forge], Forge | bytes]
"""From the command that was asked for, the one that is given."""


def asked_for(cos: str, told: dict[str, Any]) -> Forge:
    """The command that the supplier's request asks for, as an honest CoS Party would sign it."""
    document = base64.b64decode(told["service_request"])
    request = request_from_xml(parse(document))
    body = request.body
    if not isinstance(body, UpdateSecurityCredentialsCoS):
        raise TypeError("not a change of supplier")
    cells = ((body.digital_signing, SUPPLIER), (body.key_agreement, SUPPLIER_KA),
             (body.key_agreement_top_up, SUPPLIER_TOP_UP))  # fmt: skip
    top_up = body.prepayment_top_up_floor
    specialist = None if top_up is None else (SpecialistSeqNumber(top_up),)
    date = body.execution_date_time
    return Forge(
        cos, counter=COUNTER, mac=False, target=request.header.request_id.target,
        replacements=tuple(Replacement(der, cell) for der, cell in cells if der is not None),
    ).with_fields(
        path_certificates=tuple(body.path_certificates),
        other_changes=(
            SeqNumberChange(RemotePartyRole.SUPPLIER, body.supplier_floor, specialist),
        ),
        new_floor=None,
        apply_time_checks=body.apply_time_checks,
        execution_date_time=None if date is None else f"{date:%Y%m%d%H%M%SZ}",
    )  # fmt: skip


def gives(lie: Lie) -> Content:
    """The body of an answer with another command than was asked for."""

    def content(world: World, party: str, told: dict[str, Any]) -> dict[str, Any]:
        cos = next(name for name, whose in COS.items() if whose == party)
        given = lie(world, asked_for(cos, told))
        octets = given.octets(world) if isinstance(given, Forge) else given
        return command_answer(octets, told)

    return content


def as_asked(world: World, forge: Forge) -> Forge:
    """What was asked for."""
    del world
    return forge


def fields(**values: Any) -> Lie:
    """Other payload fields."""
    return lambda _, forge: forge.with_fields(**values)


def header(**values: Any) -> Lie:
    """Other header fields."""
    return lambda _, forge: forge.but(header=values)


def cells(change: Callable[[World, tuple[Replacement, ...]], tuple[Replacement, ...]]) -> Lie:
    """Other replacements."""
    return lambda w, forge: forge.but(replacements=change(w, forge.replacements or ()))


def payload(change: Callable[[bytes], bytes]) -> Lie:
    """The octets of the payload changed, then signed."""

    def act(world: World, forge: Forge) -> Forge:
        return forge.but(payload=change(forge.message(world).payload))

    return act


def floors(change: Callable[[SeqNumberChange], tuple[SeqNumberChange, ...] | None]) -> Lie:
    """Other floors."""
    return lambda _, forge: forge.with_fields(
        other_changes=change(forge.fields["other_changes"][0])
    )


def re_signed(key: Callable[[World], Callable[[bytes], bytes]]) -> Lie:
    """Signed with another key."""
    return lambda world, forge: forge.but(sign_with=key(world))


def signed_by(party: str, name: str = "digital-signing") -> Lie:
    """Signed with somebody's key."""
    return re_signed(lambda world: world.keys(party).signer(name).sign)


def bit(world: World, forge: Forge) -> bytes:
    """One bit of the signature changed."""
    octets = forge.octets(world)
    return octets[:-1] + bytes((octets[-1] ^ 1,))


def unsigned(world: World, forge: Forge) -> bytes:
    """A signature of no octets."""
    return encode(replace(forge.message(world), signature=b""))


def as_pre_command(world: World, forge: Forge) -> bytes:
    """No signature at all."""
    return encode(replace(forge.message(world), signature=None))


def with_own_mac(world: World, forge: Forge) -> Forge:
    """A MAC by a secret of its own making."""
    del world
    return forge.but(mac=bytes(range(32)))


def with_true_mac(world: World, forge: Forge) -> Forge:
    """The very MAC that the broker would make: it got the broker's key from somebody."""
    return forge.but(mac=broker_secret(world, forge.target or ""))


def other_meter(world: World, forge: Forge) -> Forge:
    """The same change, at the home that the other CoS Party serves."""
    return forge.but(target=world.meter(COS[OTHERS[forge.cos]]))


def in_others_name(world: World, forge: Forge) -> Forge:
    """In the name of, and signed by, the other CoS Party."""
    other = COS[OTHERS[forge.cos]]
    return forge.but(originator=world.eui(other), signer=other)


def of_another(name: str) -> Lie:
    """Somebody else's certificates in the cells."""
    return cells(lambda world, _: supplier_cells(world, name))


def swapped(world: World, given: tuple[Replacement, ...]) -> tuple[Replacement, ...]:
    """One certificate of supplier C among those of B."""
    return (given[0], supplier_cells(world, "C")[1], *given[2:])


def one_more(world: World, given: tuple[Replacement, ...]) -> tuple[Replacement, ...]:
    """The network operator's cell too."""
    der = world.keys("network-operator").certificate("digital-signing").der
    return (*given, Replacement(der, NETWORK))


def take_over(world: World, given: tuple[Replacement, ...]) -> tuple[Replacement, ...]:
    """Its own cell in place of the supplier's."""
    del given
    return (Replacement(world.keys("ecos_party").certificate("digital-signing").der, COS_CELL),)


RETURNS: tuple[tuple[str, str, Lie, str], ...] = (
    ("garbage", "octets that are no message", lambda _w, _f: b"signed, truly", "decode"),
    ("empty", "no octets", lambda _w, _f: b"", "decode"),
    ("trailing", "one octet after the signature", lambda w, f: f.octets(w) + b"\0", "decode"),
    ("truncated", "a command cut short", lambda w, f: f.octets(w)[:-1], "decode"),
    ("payload-other", "a payload of another use case", payload(lambda _: b"\x05\x00"), "decode"),
    ("long-length", "a length in more octets than DER allows",
     payload(lambda p: p[:1] + b"\x83\0" + p[2:]), "decode"),
    ("unsigned", "a command with a signature of no octets", unsigned, "form"),
    ("pre-command", "a Pre-Command", as_pre_command, "form"),
    ("own-mac", "a command with a MAC by a secret of its own", with_own_mac, "form"),
    ("true-mac", "a command with the MAC the broker would make", with_true_mac, "form"),
    ("response", "a response in place of a command", lambda _, f: f.but(cra=Cra.RESPONSE), "form"),
    ("alert", "an alert in place of a command", lambda _, f: f.but(cra=Cra.ALERT), "form"),
    ("date-time", "a command with a date-time",
     header(date_time=bytes.fromhex("07ea0b15ff0c000000800000")), "form"),
    ("supplementary", "a command for the benefit of another party too",
     header(other=OtherInformation(0x0107, "0253494d00000099")), "form"),
    ("other-cos", "a command of the other CoS Party, which that one signed", in_others_name,
     "originator"),
    ("as-broker", "a command in the broker's name",
     lambda w, f: f.but(originator=w.eui("acb")), "originator"),
    ("as-supplier", "a command in the supplier's name",
     lambda w, f: f.but(originator=w.eui("A")), "originator"),
    ("other-meter", "the change asked for, at another home", other_meter, "recipient"),
    ("no-meter", "the change asked for, at a device that nobody has",
     lambda _, f: f.but(target="0253494ddddddddd"), "recipient"),
    ("code-other", "mode 7 under the message code of mode 6", lambda _, f: f.but(code=0x0106),
     "message_code"),
    ("code-recovery", "mode 7 under the message code of recovery", lambda _, f: f.but(code=0x0108),
     "message_code"),
    ("counter-two", "two counters in one command", fields(authorising_counter=COUNTER - 1),
     "counter"),
    ("signed-by-other", "a command signed with the other CoS Party's key",
     lambda w, f: f.but(sign_with=w.keys(COS[OTHERS[f.cos]]).signer("digital-signing").sign),
     "signature"),
    ("signed-by-broker", "a command signed with the broker's key", signed_by("acb"), "signature"),
    ("signed-by-supplier", "a command signed with the incoming supplier's key", signed_by("B"),
     "signature"),
    ("signed-with-link-key", "a command signed with its link key",
     lambda w, f: f.but(sign_with=w.keys(COS[f.cos]).signer("link").sign), "signature"),
    ("signature-bit", "a command with one bit of its signature changed", bit, "signature"),
    ("mode-6", "another mode than 7", fields(mode=Mode.TRANS_COS_BY_TRANS_COS), "mode"),
    ("mode-2", "the supplier's own mode", fields(mode=Mode.SUPPLIER_BY_SUPPLIER), "mode"),
    ("cell-supplier", "the supplier's cell as the authorising one",
     fields(authorising_cell=SUPPLIER), "authorising_cell"),
    ("cell-none", "no authorising cell", fields(authorising_cell=None), "authorising_cell"),
    ("certificates", "another supplier's certificates", of_another("C"), "certificates"),
    ("certificates-old", "the certificates of the supplier until now", of_another("A"),
     "certificates"),
    ("certificate-one", "one certificate of another supplier", cells(swapped), "certificates"),
    ("certificate-fewer", "one certificate fewer", cells(lambda _, r: r[:-1]), "certificates"),
    ("certificate-more", "one cell more", cells(one_more), "certificates"),
    ("certificate-own", "its own certificate, for its own cell", cells(take_over),
     "certificates"),
    ("certificate-order", "the cells in another order", cells(lambda _, r: r[::-1]),
     "certificates"),
    ("path-none", "no path certificate", fields(path_certificates=()), "path_certificates"),
    ("path-twice", "the path certificate twice",
     lambda w, f: f.with_fields(path_certificates=2 * (issuing(w).der,)), "path_certificates"),
    ("floor", "a floor one lower",
     floors(lambda c: (replace(c, floor=c.floor - 1),)), "floors"),
    ("floor-largest", "a floor that shuts the new supplier out",
     floors(lambda c: (replace(c, floor=2**63 - 1),)), "floors"),
    ("floor-none", "no floor", floors(lambda _: None), "floors"),
    ("floor-top-up", "no floor for top-ups",
     floors(lambda c: (replace(c, specialist=None),)), "floors"),
    ("floor-other", "a floor of another role too",
     floors(lambda c: (c, SeqNumberChange(RemotePartyRole.NETWORK_OPERATOR, 1))), "floors"),
    ("floor-own", "a floor of its own", fields(new_floor=1), "floors"),
    ("time-checks", "time checks turned off", fields(apply_time_checks=False), "time_checks"),
    ("dated", "a date that nobody asked for", fields(execution_date_time="20990101000000Z"),
     "execution_date"),
    ("cancels", "a command that cancels", fields(execution_date_time=CANCEL_EXECUTION),
     "execution_date"),
    ("symmetric-key", "a symmetric key beside what was asked",
     fields(plaintext_symmetric_key=bytes(16)), "nothing_else"),
)  # fmt: skip


ALSO_TCOS = frozenset({
    "other-cos", "other-meter", "signed-by-other", "certificates", "floor-largest", "true-mac",
})  # fmt: skip
"""The broker's checks are the same whoever is asked: of TCoS, what is about whose it is."""


def other_members(**members: Any) -> Content:
    """An honest command in a body with other members."""

    def content(world: World, party: str, told: dict[str, Any]) -> dict[str, Any]:
        return {**gives(as_asked)(world, party, told), **members}

    return content


BODIES: tuple[tuple[str, str, Content], ...] = (
    ("not-base64", "a command that is not in base64", other_members(signed_command="%%%")),
    ("transaction", "an answer about another transaction", other_members(transaction="another")),
    ("version", "an answer of another version", other_members(version=2)),
    ("member", "an answer with a member nobody agreed on", other_members(advice="deliver it")),
)


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    for cos in COS:
        for name, title, lie, check in RETURNS:
            if cos == "ecos" or name in ALSO_TCOS:
                yield returned(cos, name, title, gives(lie), check)
        if cos == "ecos":
            for name, title, content in BODIES:
                yield returned(cos, f"body-{name}", title, content, "decode")
        yield returned(cos, "undated", "a command for now where a date was asked for",
                       gives(fields(execution_date_time=None)), "execution_date",
                       lambda w, p: honest(w, p, execution_date_time=in_days(w, 3)))  # fmt: skip


def returned(
    cos: str, name: str, title: str, content: Content, check: str, document: Document = honest
) -> Attack:
    """An honest request, and a CoS Party that signs something else for it."""
    party = COS[cos]
    return attack_row(
        f"lying.{cos}.{name}", f"Asked for a command, {party} returns {title}", Rung.ONE_PARTY,
        BOTH_CHECK, f"every key of {party}", answered(party, HONEST, content, document),
        Refusal("acb", f"acb.return.{check}"), "cos", "lying", BETWEEN,
    )  # fmt: skip


@attack("lying.{cos}.honest", check=None, rung=Rung.HONEST, requirement=BROKER_CHECKS,
        holds=HOLDS, tags=TAGS)  # fmt: skip
def does_as_asked(world: World, party: str) -> Observed:
    """A {party} that does what was asked."""
    return answered(party, HONEST, gives(as_asked))(world)


@attack("lying.{cos}.replayed", check="acb.return.counter", party="acb", rung=Rung.ONE_PARTY,
        requirement=BOTH_CHECK, holds=HOLDS, tags=(*TAGS, "replay"), prepares=True)  # fmt: skip
def replayed(world: World, party: str) -> Observed:
    """Asked for a command, {party} returns one it signed before.

    The command of an earlier request for the very same change.
    """

    def document(w: World, p: str) -> bytes:
        return honest(w, p, supplier_floor=77, prepayment_top_up_floor=77)

    first = answered(party, HONEST, gives(as_asked), document)(world)
    if first.refused_by is not None:
        raise ValueError(f"the honest command was refused: {first}")
    world.compare_from_here()
    return answered(party, HONEST, gives(as_asked), document)(world)


@attack("lying.{cos}.revoked-key", check="acb.return.signer", party="acb", rung=Rung.OLD_KEYS,
        requirement=BROKER_CHECKS, holds="a revoked signing key of {party}, and its link key",
        tags=(*TAGS, "revocation"), prepares=True)  # fmt: skip
def withdrawn(world: World, party: str) -> Observed:
    """A command signed with a key of {party} that was revoked.

    The device still holds it, and only the broker looks: role-5 cell and record hold a certificate
    of the party whose key the attacker has, and which is on the authority's revocation list since.
    """
    stolen = issued(world, world.eui(party), OrganisationRole.TRANSITIONAL_COS)
    hold(world, party, stolen.certificate)
    publish_list(world, revoke(world.data, stolen.certificate, SystemClock().now()))
    world.compare_from_here()
    return answered(party, HONEST, gives(re_signed(lambda _: stolen.sign)))(world)


def hold(world: World, party: str, certificate: Certificate) -> None:
    """Have the party's meter and the broker's record hold this certificate in the role-5 cell."""
    device = world.device(world.meter(party))
    der = base64.b64encode(certificate.der).decode()
    cells_now = {**device["cells"], COS_CELL.name: der}
    world.install({**device, "cells": cells_now})
    world.record({**device, "cells": cells_now})
