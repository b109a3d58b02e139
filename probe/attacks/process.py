"""Attacks on the process: well-formed, honestly signed requests that ask for what may not be.

Dishonest suppliers post to the broker; a dishonest broker, which holds the link key, hands the same
documents to the CoS Party itself, so that nothing it forgot to check goes through.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from duis.model import ReadInventory
from keys.certificate import Certificate
from keys.issuing.issue import Flaw, flawed_certificate
from keys.roles import OrganisationRole, Usage
from probe.attacks.making import attack, attack_row, refusal
from probe.forge.link import LinkForge, command_body, deliver, send
from probe.forge.services import acb as acb_eui
from probe.forge.xml import Document, at_broker, at_cos_party, honest, in_days, signed, unsigned
from probe.model import BOTH_CHECK, BROKER_CHECKS, METER_CHECKS, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import COS, World
from services.chassis.time.clock import SystemClock
from services.link.store.evidence import REQUEST_SENT
from stack import faults
from stack.service_requests import signed_request

OPEN_REQUESTS = 32
"""How many a user may have under way for one device (setting `open_requests` of the broker)."""

QUARANTINED = 32
"""How many of a user's wait in quarantine (setting `quarantine_requests` of the broker)."""

SUPPLIER_B = "every key of supplier B, who is the incoming supplier"
BROKERS_KEY = "the broker's link key"
LARGEST = 2**63 - 1


def certificate(
    world: World, flaw: Flaw, *, eui: str, usage: Usage = Usage.DIGITAL_SIGNATURE
) -> Certificate:
    """A supplier's certificate with one flaw, for a key that nobody keeps."""
    return flawed_certificate(
        world.data,
        flaw,
        eui=eui,
        role=OrganisationRole.SUPPLIER,
        usage=usage,
        public_key=ec.generate_private_key(ec.SECP256R1()).public_key(),
        now=SystemClock().now(),
    )


def flawed(flaw: Flaw) -> Document:
    """A request whose digital signing certificate has one flaw."""
    return lambda world, party: honest(
        world, party,
        digital_signing=certificate(world, flaw, eui=world.supplier("B").eui).der,
    )  # fmt: skip


def of(supplier: str, **body: object) -> Document:
    """A request of a supplier, with other values in its body."""
    return lambda world, party: honest(world, party, supplier, **body)


def keyed(field: str, party_name: str, key: str) -> Document:
    """A request of supplier B with somebody's certificate in one place."""

    def make(world: World, party: str) -> bytes:
        body: dict[str, Any] = {field: world.keys(party_name).certificate(key).der}
        return honest(world, party, **body)

    return make


def resigned(party_name: str, key: str) -> Document:
    """Supplier B's request, signed with another key that names its own certificate."""
    return lambda world, party: signed(
        unsigned(honest(world, party)), world.keys(party_name).signer(key)
    )


def other_homes(world: World, party: str) -> bytes:
    """The meter point of another home."""
    other = next(d for d in world.devices if d["eui"] != world.meter(party))
    return honest(world, party, mpxn=str(other["mpxn"]))


def all_of_c(world: World, party: str) -> bytes:
    """Supplier C's certificates in supplier B's request."""
    keys = world.keys("C")
    return honest(
        world, party,
        digital_signing=keys.certificate("digital-signing").der,
        key_agreement=keys.certificate("key-agreement").der,
        key_agreement_top_up=keys.certificate("prepayment-key-agreement").der,
    )  # fmt: skip


def dated(days: float) -> Document:
    """A request with an execution date."""
    return lambda world, party: honest(world, party, execution_date_time=in_days(world, days))


def variant(world: World, party: str) -> bytes:
    """A request for a command that is not for the device."""
    text = unsigned(honest(world, party)).replace(b"Variant>1<", b"Variant>4<")
    return signed(text, world.keys("B").signer("xml-signing"))


def path_of(*names: str) -> Document:
    """A request with other path certificates, from the party's trust folder."""

    def make(world: World, party: str) -> bytes:
        folder = world.data / party / "trust"
        return honest(world, party, path_certificates=tuple(
            Certificate.from_pem((folder / f"{name}.pem").read_bytes()).der for name in names
        ))  # fmt: skip

    return make


COS_CASES: tuple[tuple[str, str, Document, str], ...] = (
    ("not-incoming", "a supplier who is not the incoming one", of("C"),
     "registration.incoming_supplier"),
    ("outgoing", "the supplier until now", of("A"), "registration.incoming_supplier"),
    ("mpxn-unknown", "a meter point that nobody knows", of("B", mpxn="9999999999999"),
     "registration.mpxn_known"),
    ("mpxn-other", "the meter point of another home", other_homes, "registration.device_mpxn"),
    ("certificates-of-other", "another supplier's certificates", all_of_c, "certificates.owner"),
    ("one-certificate-of-other", "one certificate of another supplier",
     keyed("key_agreement", "C", "key-agreement"), "certificates.owner"),
    ("certificate-of-network", "a network operator's certificate",
     keyed("digital_signing", "network-operator", "digital-signing"), "certificates.role"),
    ("certificate-of-broker", "the broker's certificate",
     keyed("digital_signing", "acb", "digital-signing"), "certificates.role"),
    ("certificate-of-cos", "the CoS Party's own certificate",
     keyed("digital_signing", "ecos_party", "digital-signing"), "certificates.role"),
    ("certificate-xml", "an XML signing certificate",
     keyed("digital_signing", "B", "xml-signing"), "certificates.role"),
    ("certificate-link", "a link certificate", keyed("digital_signing", "acb", "link"),
     "certificates.profile"),
    ("usage-swapped", "a key agreement certificate to sign with",
     keyed("digital_signing", "B", "key-agreement"), "certificates.usage"),
    ("usage-agreement", "a signing certificate to agree keys with",
     keyed("key_agreement", "B", "digital-signing"), "certificates.usage"),
    ("one-key-twice", "one key for two cells",
     keyed("key_agreement_top_up", "B", "key-agreement"), "certificates.distinct"),
    ("expired", "an expired certificate", flawed(Flaw.EXPIRED), "certificates.path"),
    ("not-yet-valid", "a certificate that is not valid yet", flawed(Flaw.NOT_YET_VALID),
     "certificates.path"),
    ("unknown-issuer", "a certificate of an unknown authority", flawed(Flaw.UNKNOWN_ISSUER),
     "certificates.path"),
    ("forged-issuer", "a certificate that names an authority which did not sign it",
     flawed(Flaw.FORGED_ISSUER), "certificates.path"),
    ("compressed-point", "a certificate whose key is a compressed point",
     flawed(Flaw.COMPRESSED_POINT), "certificates.path"),
    ("explicit-curve", "a certificate whose curve is given by parameters",
     flawed(Flaw.EXPLICIT_CURVE), "certificates.path"),
    ("generalized-time", "a certificate dated in a form for 2050 and later",
     flawed(Flaw.GENERALIZED_TIME), "certificates.path"),
    ("named-bits", "a certificate whose key usage is not written in DER",
     flawed(Flaw.NAMED_BITS), "certificates.path"),
    ("other-policy", "a certificate under another policy", flawed(Flaw.OTHER_POLICY),
     "certificates.profile"),
    ("path-unused", "a path certificate without use",
     path_of("organisation-issuing", "organisation-root"), "certificates.path_unused"),
    ("path-other", "the root alone as the path", path_of("organisation-root"),
     "certificates.path"),
    ("floor-largest", "a floor that leaves the supplier no counter",
     of("B", supplier_floor=LARGEST),
     "floors.headroom"),
    ("top-up-floor-largest", "a top-up floor that leaves no counter",
     of("B", prepayment_top_up_floor=LARGEST), "floors.headroom"),
    ("top-up-floor-alone", "a top-up floor without a certificate",
     of("B", key_agreement_top_up=None),
     "floors.top_up"),
)  # fmt: skip

IDENTITY: tuple[tuple[str, str, Document, str, str], ...] = (
    ("signed-by-other", "supplier B's request signed by supplier A", resigned("A", "xml-signing"),
     "originator", "every key of supplier A"),
    ("signed-with-gbcs-key", "a request signed with the supplier's GBCS key",
     resigned("B", "digital-signing"), "signing_role", SUPPLIER_B),
    ("signed-by-broker", "a request the broker signed with its own XML key",
     resigned("acb", "xml-signing"), "signing_role", "every key of the broker"),
    ("signed-by-network", "a request the network operator signed",
     resigned("network-operator", "digital-signing"), "signing_role",
     "every key of the network operator"),
    ("signed-by-cos", "a request a CoS Party signed", resigned("ecos_party", "digital-signing"),
     "signing_role", "every key of ecos_party"),
)  # fmt: skip


def attacks() -> Iterator[Attack]:
    """The tables: at each CoS Party through the broker and by it, and at the broker itself."""
    for cos, party in COS.items():
        for name, title, make, check in COS_CASES:
            expected = Refusal(party, f"{cos}.{check}")
            yield attack_row(
                f"process.{cos}.{name}", f"A supplier asks with {title} (through the broker)",
                Rung.SUPPLIER, METER_CHECKS, "a supplier's own account and keys",
                at_broker(make, party), expected, "process",
            )  # fmt: skip
            yield attack_row(
                f"process.{cos}.by-broker.{name}", f"The broker hands on a request with {title}",
                Rung.ONE_PARTY, BOTH_CHECK, "the broker's link key and a supplier's account",
                at_cos_party(make, party), expected, "process", "back-door",
            )  # fmt: skip
        for name, title, make, check, holds in IDENTITY:
            yield attack_row(
                f"process.{cos}.by-broker.{name}", f"To {party}: {title}", Rung.ONE_PARTY,
                BOTH_CHECK, f"{holds}; the broker's link key", at_cos_party(make, party),
                Refusal(party, f"{cos}.request.{check}"), "process", "back-door",
            )  # fmt: skip
        for name, title, make, check in (
            ("variant", "a command variant that is not for a device", variant, "command_variant"),
            ("date-past", "an execution date of yesterday", dated(-1), "execution_date"),
            ("date-far", "an execution date in a year", dated(365), "execution_date"),
        ):  # fmt: skip
            yield attack_row(
                f"process.{cos}.by-broker.{name}", f"The broker brings {party} {title}",
                Rung.ONE_PARTY, BOTH_CHECK, BROKERS_KEY, at_cos_party(make, party),
                Refusal(party, f"{cos}.request.{check}"), "process", "back-door",
            )  # fmt: skip
    for name, title, make, check, holds in (*FRONT_DOOR, *(
        (name, title, make, f"acb.request.{check}", holds)
        for name, title, make, check, holds in IDENTITY
    )):  # fmt: skip
        yield attack_row(
            f"process.acb.{name}", f"To the broker: {title}", Rung.SUPPLIER, BROKER_CHECKS, holds,
            at_broker(make, "ecos_party"), refusal(check), "process",
        )  # fmt: skip


def unknown_device(world: World, party: str) -> bytes:
    """A request for a device that nobody has."""
    return honest(world, party, meter="0253494ddddddddd")


FRONT_DOOR: tuple[tuple[str, str, Document, str, str], ...] = (
    ("device-unknown", "a device nobody knows", unknown_device, "acb.device.known", SUPPLIER_B),
    ("variant", "a command variant that is not for a device", variant, "acb.request.supported",
     SUPPLIER_B),
    ("date-past", "an execution date of yesterday", dated(-1), "acb.request.execution_date",
     SUPPLIER_B),
    ("date-far", "an execution date in a year", dated(365), "ecos.request.execution_date",
     SUPPLIER_B),
)  # fmt: skip

at_front_door = partial(
    attack, rung=Rung.SUPPLIER, requirement=BROKER_CHECKS, holds=SUPPLIER_B, prepares=True
)
by_broker = partial(
    attack, rung=Rung.ONE_PARTY, requirement=BOTH_CHECK, holds=BROKERS_KEY, tags=("back-door",)
)


@at_front_door("process.acb.duplicate", check="acb.request.duplicate")
def again(world: World) -> Observed:
    """To the broker: the same request twice."""
    document = honest(world, "ecos_party")
    world.to_broker(document)
    world.compare_from_here()
    return world.to_broker(document)


@at_front_door("process.acb.older", check="acb.request.counter")
def older(world: World) -> Observed:
    """To the broker: a request with an older counter."""
    document = honest(world, "ecos_party")
    world.to_broker(honest(world, "ecos_party"))
    world.compare_from_here()
    return world.to_broker(document)


@at_front_door("process.acb.user-role", check="acb.user.role")
def unknown_user(world: World) -> Observed:
    """To the broker: a user without the role of an import supplier.

    Supplier C is known, but as an electricity distributor.
    """
    eui = world.supplier("C").eui
    told = {"name": "C", "participant": "SUPC", "eui": eui, "roles": ["ED"],
            "callback_url": None}  # fmt: skip
    world.lab("acb", "POST", "/lab/users", told)
    world.compare_from_here()
    return world.to_broker(honest(world, "ecos_party", "C"))


@at_front_door("process.acb.device-decommissioned", check="acb.device.status")
def decommissioned(world: World) -> Observed:
    """To the broker: a device that is decommissioned."""
    device = world.device(world.meter("ecos_party"))
    world.lab("acb", "POST", "/lab/devices", {
        "eui": device["eui"], "device_type": device["device_type"], "status": "Decommissioned",
        "mpxns": [device["mpxn"]], "certificates": device["certificates"],
        "cells": device["cells"]})  # fmt: skip
    world.compare_from_here()
    return world.to_broker(honest(world, "ecos_party"))


@at_front_door("process.acb.threshold", check="acb.anomaly.threshold")
def quarantine(world: World) -> Observed:
    """To the broker: more requests than the thresholds allow."""
    world.lab("acb", "PUT", f"/lab/thresholds/{world.supplier('B').eui}", {"most": 0})
    world.compare_from_here()
    return world.to_broker(honest(world, "ecos_party"))


@at_front_door("process.acb.threshold-flood", check="acb.anomaly.threshold")
def flood(world: World) -> Observed:
    """To the broker: more of what exceeds the thresholds than is kept.

    More than it has places there: its first gives way, and is not kept for ever.
    """
    supplier = world.supplier("B")
    world.lab("acb", "PUT", f"/lab/thresholds/{supplier.eui}", {"most": 0})
    world.compare_from_here()
    target, body = acb_eui(world), ReadInventory(device=world.meter("ecos_party"))
    asked = [
        signed_request(supplier, target, ("8.2", 8), body, world.next_counter())
        for _ in range(QUARANTINED + 1)
    ]
    for _, document in asked:
        world.connection.submit(document)
    first = asked[0][0].text
    if world.connection.request_state(first)["state"] == "quarantined":
        return Observed(None, "all of it is kept")
    return world.follow(first)


@at_front_door("process.acb.lookups-repeated", check="acb.request.certificate_known")
def look_up_again(world: World) -> Observed:
    """To the broker: the same certificate that nobody has, looked up again.

    A serial number that nobody has, twice: the repository is to be asked for it once.
    """
    serial = str(secrets.randbits(120))
    document = re.sub(rb"(?<=SerialNumber>)[0-9]+", serial.encode(), honest(world, "ecos_party"))
    before = world.lab("acb", "GET", "/lab/audit")["head"]["seq"]
    world.compare_from_here()
    world.to_broker(document)
    seen = world.to_broker(document)
    rows = world.lab("acb", "GET", f"/lab/audit?after={before}")["rows"]
    asked = [row for row in rows if row["kind"] == REQUEST_SENT
             and serial.encode() in base64.b64decode(row["body"])]  # fmt: skip
    return seen if len(asked) < 2 else Observed(None, "the repository was asked twice")


@at_front_door("process.acb.open-requests", check="acb.user.open_requests")
def crowd(world: World) -> Observed:
    """To the broker: more requests for one home than one user may have under way.

    Its first request holds the home, as its CoS Party is slow; the others wait behind it.
    """
    order = faults.order_of(
        "delay", "outbound-request", hop="ecos_party", purpose="cos-command",
        device=world.meter("ecos_party"), times=0,
    )  # fmt: skip
    slow = faults.arm(world.connection, "acb", order)["id"]
    try:
        for _ in range(OPEN_REQUESTS):
            world.connection.submit(honest(world, "ecos_party", "C"))
        world.compare_from_here()
        one_more = honest(world, "ecos_party", "C")
        answer = world.connection.submit(one_more)
    finally:
        faults.remove(world.connection, "acb", slow)
    if check := answer.headers.get("Cos-Check"):
        return Observed(Refusal("acb", check), "signed refusal")
    return world.follow(one_more.split(b"RequestID>")[1].split(b"<")[0].decode())


@attack(
    "process.meter.wrong-record", check="meter.originator", rung=Rung.TWO_PARTIES,
    requirement=METER_CHECKS, holds="the broker's record, and an honest other CoS Party",
    may_change=frozenset({"signed", "counters"}), tags=("meter",), prepares=True,
)  # fmt: skip
def wrong_record(world: World) -> Observed:
    """A broker whose record names the wrong CoS Party has that one sign; the meter refuses.

    The record says the meter trusts the other CoS Party: the meter knows better.
    """
    device = world.device(world.meter("ecos_party"))
    other = world.device(world.meter("tcos_party"))
    cell = "transitionalCoS/digitalSignature/management"
    world.lab("acb", "POST", "/lab/devices", {
        "eui": device["eui"], "device_type": device["device_type"], "status": "Commissioned",
        "mpxns": [device["mpxn"]], "certificates": device["certificates"],
        "cells": {**device["cells"], cell: other["cells"][cell]}})  # fmt: skip
    world.compare_from_here()
    return world.to_broker(honest(world, "ecos_party"))


@by_broker(
    "process.{cos}.by-broker.request-id-reused",
    check="{cos}.request.duplicate",
    prepares=True,
    holds="the broker's link key and a supplier's account",
)
def again_other_bytes(world: World, party: str) -> Observed:
    """The broker brings another document under a request identifier that was used."""
    counter = world.next_counter()

    def bring() -> Observed:
        body = command_body(world, party, honest(world, party, counter=counter))
        return send(world, party, LinkForge(to=party, body=body).request(world))

    bring()
    world.compare_from_here()
    return bring()


@by_broker("process.{cos}.by-broker.threshold", check="{cos}.anomaly.threshold", prepares=True)
def threshold(world: World, party: str) -> Observed:
    """The broker brings {party} more commands than the thresholds allow."""
    old = world.lab(party, "GET", "/lab/thresholds")
    world.lab(party, "PUT", "/lab/thresholds", {**old, "per_requester": 0})
    world.compare_from_here()
    try:
        return at_cos_party(honest, party)(world)
    finally:
        world.lab(party, "PUT", "/lab/thresholds", old)


@by_broker("process.{cos}.by-broker.unsigned-text", check="{cos}.request.wellformed")
def garbage(world: World, party: str) -> Observed:
    """The broker brings {party} what no supplier wrote."""
    body = command_body(world, party, b"please change the supplier")
    return send(world, party, LinkForge(to=party, body=body).request(world))


@by_broker("process.{cos}.by-broker.response-unknown", check="{cos}.response.known_command")
def response_unknown(world: World, party: str) -> Observed:
    """The broker brings {party} a device response to nothing it signed."""
    forge = LinkForge(to=party, purpose="device-response", path="/link/device-response")
    body = command_body(world, party, b"x").replace(b"service_request", b"message")
    return send(world, party, forge.but(body=body).request(world))


@attack("process.{cos}.honest.switch", check=None, rung=Rung.HONEST, requirement=METER_CHECKS,
        holds=SUPPLIER_B)  # fmt: skip
def switch(world: World, party: str) -> Observed:
    """The incoming supplier takes over, as it must."""
    return world.to_broker(honest(world, party))


@attack("process.{cos}.honest.asked-again", check=None, rung=Rung.HONEST, requirement=BOTH_CHECK,
        holds="the broker's link key")  # fmt: skip
def twice(world: World, party: str) -> Observed:
    """A broker that lost the answer asks again.

    The same answer, and nothing new signed.
    """
    request = LinkForge(to=party, message_id=f"again-{world.next_counter()}")
    body = command_body(world, party)
    deliver(world, party, request.but(body=body).request(world))
    return send(world, party, request.but(body=body).request(world))
