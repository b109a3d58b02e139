"""What a device takes from its own supplier, from the WAN's edge, and from the factory.

CS02d puts a new certificate of its own into a device: authentic commands (supplier and broker
together), refused for what they bring. The factory is the simulator's lab port: whoever has its
token makes devices, but none that is not what the standard and this simulation say.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from gbcs.codes import Cra, KeyUsage, MessageCode
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.payloads.device_certificates import (
    CertificateUpdate,
    KeyUsageRequest,
    encode_certificate_update,
    encode_key_usage_request,
)
from gbcs.protect import add_mac, sign
from keys.issuing.authorities import Authorities
from keys.issuing.issue import Flaw
from keys.roles import OrganisationRole, Usage
from probe.attacks.making import COUNTER_USED, attack_row
from probe.forge.certificates import flawed, new_key
from probe.forge.gbcs import NETWORK, SUPPLIER, broker_secret, device_keys, in_base64
from probe.forge.services import meter
from probe.model import METER_CHECKS, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import World
from services.chassis.time.clock import SystemClock
from stack.errors import CommandError

NEW = "0253494dffff0001"
WRONG_FIRST = "0011223344556677"
OCTETS = "application/octet-stream"
SUPPLIERS = "every key of the broker and of supplier A"
FACTORY = "the lab token of the device simulator"


def command(world: World, code: MessageCode, payload: bytes, counter: int) -> bytes:
    """A critical command of the device's own supplier, with the broker's MAC."""
    header = GroupingHeader(
        Cra.COMMAND, counter, world.supplier("A").eui, meter(world), OtherInformation(int(code))
    )
    signer = world.keys("A").signer("digital-signing")
    message = sign(Message(header, payload, signature=b""), signer.sign)
    return encode(add_mac(message, broker_secret(world, meter(world))))


def issue(world: World) -> None:
    """The device makes a key pair and waits for its certificate."""
    payload = encode_key_usage_request(KeyUsageRequest(KeyUsage.DIGITAL_SIGNATURE))
    octets = command(world, MessageCode.ISSUE_SECURITY_CREDENTIALS, payload, 1)
    if not world.to_meter(meter(world), octets):
        raise ValueError("the device made no key pair")
    world.compare_from_here()


def of_device(eui: str, generation: int, usage: Usage = Usage.DIGITAL_SIGNATURE) -> (
    Callable[[World], bytes]
):  # fmt: skip
    """A certificate that the device authority issued: for a device, for a generation of its key."""

    def make(world: World) -> bytes:
        target = eui or meter(world)
        keys, now = device_keys(world), SystemClock().now()
        authorities = Authorities.open(world.data)
        return authorities.device(keys, target, usage, now, generation).der

    return make


def of_stranger(world: World) -> bytes:
    """A certificate that names the device, for a key of the attacker's."""
    public, now = new_key().public_key(), SystemClock().now()
    authorities = Authorities.open(world.data)
    return authorities.device_for(meter(world), Usage.DIGITAL_SIGNATURE, public, now).der


def of_authority(world: World) -> bytes:
    """A certificate that names the device, for signing certificates."""
    keys, now = device_keys(world), SystemClock().now()
    public = keys.public_key(meter(world), Usage.DIGITAL_SIGNATURE, 1)
    authorities = Authorities.open(world.data)
    return authorities.device_for(meter(world), Usage.KEY_CERT_SIGN, public, now).der


def of_supplier(world: World) -> bytes:
    """An organisation's certificate."""
    return world.keys("A").certificate("digital-signing").der


OWN: tuple[tuple[str, str, bool, Callable[[World], bytes], str], ...] = (
    ("organisation", "an organisation's certificate", True, of_supplier, "profile"),
    ("garbage", "what is no certificate", True, lambda _: b"\x30\x03\x02\x01\x01", "profile"),
    ("other-device", "another device's certificate", True,
     lambda w: w.device_certificate(w.meter("tcos_party"), "digital-signing").der, "identity"),
    ("other-purpose", "a certificate to issue others with", True, of_authority, "key_usage"),
    ("not-awaited", "a certificate that it did not ask for", False, of_device("", 1), "awaited"),
    ("other-usage", "a certificate for the key that it did not make anew", True,
     of_device("", 1, Usage.KEY_AGREEMENT), "awaited"),
    ("strangers-key", "a certificate of the attacker's key in its name", True, of_stranger,
     "public_key"),
    ("old-key", "a certificate of the key that it has already", True, of_device("", 0),
     "public_key"),
)  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    for name, title, asked, make, check in OWN:
        yield attack_row(
            f"gbcs.own-certificate.{name}", f"Together they give a device {title} as its own",
            Rung.TWO_PARTIES, METER_CHECKS, SUPPLIERS, own_certificate(make, asked=asked),
            Refusal("meter_sim", f"meter.own_certificate.{check}"), "meter", "certificates",
            may_change=COUNTER_USED,
        )  # fmt: skip
    yield from at_the_edge()
    for name, title, change, check in ORDERS:
        yield attack_row(
            f"factory.{name}", f"The factory is told to make a device {title}", Rung.ONE_PARTY,
            METER_CHECKS, FACTORY, ordered(change), Refusal("meter_sim", f"meter.install.{check}"),
            "meter", watches=frozenset({"meter_sim"}),
        )  # fmt: skip


def own_certificate(make: Callable[[World], bytes], *, asked: bool) -> Callable[[World], Observed]:
    """Send a device this certificate for its own."""

    def act(world: World) -> Observed:
        if asked:
            issue(world)
        payload = encode_certificate_update(CertificateUpdate(make(world)))
        octets = command(world, MessageCode.UPDATE_DEVICE_CERTIFICATE, payload, 2)
        seen = world.send_to_meter(meter(world), octets)
        return replace(seen, refused_by=seen.refused_by or verdict(world))

    return act


def verdict(world: World) -> Refusal | None:
    """Which of the checks on its own certificate the device's answer came of."""
    entries = world.lab("meter_sim", "GET", f"/lab/devices/{meter(world)}/trace")["entries"]
    for told in (entries[-1].get("verdicts") or ()) if entries else ():
        if told["outcome"] == "refused":
            return Refusal("meter_sim", told["check"])
    return None


def at_the_edge() -> Iterator[Attack]:
    """What never reaches a device."""

    def post(
        eui: str = "", kind: str = OCTETS, body: bytes = b"\0" * 8, **headers: str
    ) -> Callable[[World], Observed]:
        def act(world: World) -> Observed:
            base = world.connection.stack.services["meter_sim"].interface
            answer = world.send(
                "meter_sim", "POST", f"{base}/devices/{eui or meter(world)}/messages",
                content=body, headers={"Content-Type": kind, **headers},
            )  # fmt: skip
            if answer.is_success:
                refusal = None if eui else world.meter_refusal(meter(world))
                return Observed(refusal, "nobody heard it" if eui else "a device heard it")
            problem = answer.json()
            return Observed(Refusal("meter_sim", problem["check"]), problem.get("detail") or "")

        return act

    packed = gzip.compress(b"\0" * 8)
    for name, title, act, check in (
        ("nobody", "octets for a device that is not there", post("0253494ddddddddd"),
         "device.known"),
        ("text", "words where octets belong", post(kind="text/plain"), "request.content_type"),
        ("compressed", "compressed octets",
         post(body=packed, **{"Content-Encoding": "gzip"}), "request.encoding"),
        ("size", "two megabytes", post(body=bytes(2 * 1024 * 1024)), "request.size"),
    ):  # fmt: skip
        yield attack_row(f"gbcs.edge.{name}", f"To the WAN: {title}", Rung.WIRE, METER_CHECKS,
                     "a connection to the interface, nothing else", act,
                     Refusal("meter_sim", f"meter.{check}"), "meter")  # fmt: skip


Order = dict[str, Any]


def order(world: World) -> Order:
    """An honest order: another device like A's meter, without certificates of its own yet."""
    device = world.device(meter(world))
    return {"eui": NEW, "device_type": device["device_type"], "cells": dict(device["cells"]),
            "certificates": {}}  # fmt: skip


def with_cell(name: str, der: Callable[[World], bytes] | None) -> Callable[[World, Order], Order]:
    """An order with something else in a cell, or nothing."""

    def change(world: World, given: Order) -> Order:
        cells = {k: v for k, v in given["cells"].items() if k != name}
        if der is not None:
            cells[name] = in_base64(der(world))
        return {**given, "cells": cells}

    return change


def others_certificates(world: World, given: Order) -> Order:
    """The certificates of another device."""
    return {**given, "certificates": world.device(meter(world))["certificates"]}


def unmarked(world: World) -> bytes:
    """A certificate without the mark of simulated material."""
    eui = world.supplier("A").eui
    return flawed(world, Flaw.OTHER_POLICY, eui, OrganisationRole.SUPPLIER).certificate.der


ORDERS: tuple[tuple[str, str, Callable[[World, Order], Order], str], ...] = (
    ("real-identity", "with a real device's identifier", lambda _, o: {**o, "eui": WRONG_FIRST},
     "identity"),
    ("no-type", "of a type there is not", lambda _, o: {**o, "device_type": "TOASTER"},
     "identity"),
    ("cell-missing", "without a supplier's cell", with_cell(SUPPLIER.name, None), "cells"),
    ("cell-more", "with a cell that its type does not have",
     with_cell("wanProvider/digitalSignature/management", of_supplier), "cells"),
    ("cell-role", "with a supplier's certificate in the network operator's cell",
     with_cell(NETWORK.name, of_supplier), "contents"),
    ("contingency", "with a contingency key of 3 octets",
     lambda _, o: {**o, "wrapped_contingency_key": in_base64(b"abc")}, "contingency_key"),
    ("own-other", "with another device's certificates", others_certificates,
     "own_certificates"),
    ("unmarked", "with a certificate that does not say it is simulated",
     with_cell(SUPPLIER.name, unmarked), "simulated"),
)  # fmt: skip


def ordered(change: Callable[[World, Order], Order]) -> Callable[[World], Observed]:
    """Have the factory make it."""

    def act(world: World) -> Observed:
        wanted = change(world, order(world))
        answer = world.try_lab("meter_sim", "POST", "/lab/devices", wanted)
        if isinstance(answer, Refusal):
            return Observed(answer, "")
        world.undo_when_restored(lambda: scrap(world, wanted["eui"]))
        return Observed(None, "made")

    return act


def scrap(world: World, eui: str) -> None:
    """Take a device away, if it is there."""
    try:
        world.lab("meter_sim", "DELETE", f"/lab/devices/{eui}")
    except CommandError:
        return
