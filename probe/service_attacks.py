"""The broker's other services: who asks for what is not theirs, and what is signed for whom.

6.15.1, 6.15.2, 6.17, 6.21, 6.24.1, 6.24.2 and 8.2. A Signed Pre-Command stands for itself: the
broker remembers nothing of what it wrote, so the attacks write the command as they like, sign it
and send it. What a device then answers is in `probe.service_answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from cli.service_requests import signed_request
from duis.model import (
    CredentialType,
    ReadInventory,
    RequestBody,
    RequestHandoverOfDCCControlledDevice,
    RetrieveDeviceSecurityCredentialsDevice,
    RetrieveDeviceSecurityCredentialsKRP,
    SignedPreCommand,
    UpdateSecurityCredentialsDevice,
    UpdateSecurityCredentialsKRP,
)
from duis.model import RemotePartyRole as Named
from gbcs.codes import Cra, KeyUsage, MessageCode
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.credentials import Replacement
from gbcs.device_certificates import (
    CertificateUpdate,
    KeyUsageRequest,
    encode_certificate_update,
    encode_key_usage_request,
)
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.protect import add_mac, sign
from keys.authorities import revoke
from keys.roles import OrganisationRole
from keys.software import SoftwareSigner
from probe.certificate_tools import issued, publish_list
from probe.gbcs_forge import (
    NETWORK_KA,
    SUPPLIER,
    SUPPLIER_KA,
    SUPPLIER_TOP_UP,
    Forge,
    broker_secret,
    in_base64,
    issuing,
)
from probe.making import attack
from probe.model import BROKER_CHECKS, Attack, Rung, Seen, Stop
from probe.world import World
from probe.xml_forge import in_days
from services.chassis.clock import SystemClock

PARTY = "ecos_party"
OWN = "supplier A's own account and keys"
Body = Callable[[World], RequestBody]


def meter(world: World) -> str:
    """The meter whose supplier is A."""
    return world.meter(PARTY)


@dataclass(frozen=True)
class Request:
    """A signed request of another service in the making.

    Attributes:
        service: service reference variant, and command variant.
        body: what is asked.
        supplier: who asks.
        to: addressed to; A's meter, unless named.
        before: what the attacker, or the lab, does before it.
        ask_meter: see `World.to_broker`.
    """

    service: tuple[str, int]
    body: Body
    supplier: str = "A"
    to: Callable[[World], str] = meter
    before: Callable[[World], None] | None = None
    ask_meter: bool = True

    def act(self, world: World) -> Seen:
        """Send it, and follow it to its end."""
        if self.before is not None:
            self.before(world)
            world.mark()
        supplier = world.supplier(self.supplier)
        document = signed_request(
            supplier, self.to(world), self.service, self.body(world), world.next_counter()
        )[1]
        return world.to_broker(document, ask_meter=self.ask_meter)


def new_of(world: World, name: str) -> bytes:
    """A supplier's key agreement certificate: the smallest change there is."""
    return world.keys(name).certificate("key-agreement").der


def update(world: World, **fields: Any) -> UpdateSecurityCredentialsKRP:
    """6.15.1, variant 4: an honest request of supplier A, with other fields where given."""
    values = {
        "remote_party_role": Named.SUPPLIER,
        "path_certificates": (issuing(world).der,),
        "key_agreement": new_of(world, "A"),
        **fields,
    }
    return UpdateSecurityCredentialsKRP(**values)


def asks(supplier: str = "A", **fields: Any) -> Request:
    """6.15.1, variant 4."""

    def body(world: World) -> RequestBody:
        given = {k: v(world) if callable(v) else v for k, v in fields.items()}
        return update(world, **given)

    return Request(("6.15.1", 4), body, supplier)


@dataclass(frozen=True)
class Command:
    """A command that supplier A signs itself; what is not changed is honest.

    Attributes:
        forge: changes of the command, by name (see `probe.gbcs_forge.Forge`).
        fields: other payload fields.
        finish: a change of the finished message.
    """

    forge: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    finish: Callable[[World, Message], bytes] = lambda _, message: encode(message)

    def octets(self, world: World) -> bytes:
        """The command as it is sent to the broker."""
        given = {k: v(world) if callable(v) and k != "sign_with" else v
                 for k, v in self.forge.items()}  # fmt: skip
        values = {
            "mode": Mode.SUPPLIER_BY_SUPPLIER, "counter": world.next_counter(), "mac": False,
            "replacements": (Replacement(new_of(world, "A"), SUPPLIER_KA),), **given,
        }  # fmt: skip
        made = Forge("ecos", **values).with_fields(**{"new_floor": None, **self.fields})
        return self.finish(world, made.message(world))


def signs(command: Command, **more: Any) -> Request:
    """6.15.1, variant 5, with this command."""
    return Request(("6.15.1", 5), lambda w: SignedPreCommand(command.octets(w)), **more)


def own(code: MessageCode, payload: Callable[[World], bytes], **change: Any) -> (
    Callable[[World], bytes]
):  # fmt: skip
    """A command of CS02c, CS02d or CS02e, signed by supplier A.

    `change`: `header` fields, `signer` (whose key), and `finish`, as in `Command`.
    """

    def octets(world: World) -> bytes:
        header = GroupingHeader(
            Cra.COMMAND, world.next_counter(), world.supplier("A").eui, meter(world),
            OtherInformation(int(code)),
        )  # fmt: skip
        given = {k: v(world) if callable(v) else v for k, v in change.get("header", {}).items()}
        message = Message(replace(header, **given), payload(world), signature=b"")
        signer = world.keys(change.get("signer", "A")).signer("digital-signing")
        message = sign(message, signer.sign)
        finish: Callable[[World, Message], bytes] = change.get("finish", Command().finish)
        return finish(world, message)

    return octets


def read_key(_: World) -> bytes:
    """CS02c and CS02e: about the signing key."""
    return encode_key_usage_request(KeyUsageRequest(KeyUsage.DIGITAL_SIGNATURE))


def device_certificate(eui: Callable[[World], str]) -> Callable[[World], bytes]:
    """CS02d: with the certificate of this device."""
    return lambda w: encode_certificate_update(
        CertificateUpdate(w.device_certificate(eui(w), "digital-signing").der)
    )


READ_OWN = MessageCode.PROVIDE_DEVICE_CERTIFICATE
UPDATE_OWN = MessageCode.UPDATE_DEVICE_CERTIFICATE


def other_meter(world: World) -> str:
    """The other home's meter."""
    return world.meter("tcos_party")


def brokers(world: World) -> None:
    """The device as it leaves the factory: the broker's certificates in its supplier's cells."""
    device = world.device(meter(world))
    keys = world.keys("acb")
    names = ("digital-signing", "key-agreement", "key-agreement")
    cells = (SUPPLIER, SUPPLIER_KA, SUPPLIER_TOP_UP)
    held = {
        cell.name: in_base64(keys.certificate(name).der)
        for cell, name in zip(cells, names, strict=True)
    }
    given = {**device, "cells": {**device["cells"], **held}}
    world.install(given)
    world.record(given)


def both_roles(world: World) -> None:
    """Supplier A is a network operator too."""
    account = world.supplier("A")
    world.lab("acb", "POST", "/lab/users", {
        "name": "A", "participant": account.participant, "eui": account.eui,
        "roles": ["IS", "ED"], "callback_url": None,
    })  # fmt: skip


def gas(world: World) -> None:
    """The record says that the device is a gas meter."""
    world.record({**world.device(meter(world)), "device_type": "GSME"})


def handover(supplier: str = "A", before: Any = brokers, **fields: Any) -> Request:
    """6.21: the broker's own device shall be this supplier's."""

    def body(world: World) -> RequestBody:
        keys = world.keys(supplier)
        given = {k: v(world) if callable(v) else v for k, v in fields.items()}
        values = {
            "remote_party_role": Named.SUPPLIER,
            "digital_signing": keys.certificate("digital-signing").der,
            "key_agreement": keys.certificate("key-agreement").der,
            "key_agreement_top_up": keys.certificate("prepayment-key-agreement").der,
            "path_certificates": (issuing(world).der,),
            "floor": 1000, "prepayment_top_up_floor": 1000, **given,
        }  # fmt: skip
        return RequestHandoverOfDCCControlledDevice(**values)

    return Request(("6.21", 1), body, supplier, before=before)


def revoked_cell(world: World) -> SoftwareSigner:
    """A's meter and the broker's record hold a certificate of A that was revoked since."""
    signer = issued(world, world.supplier("A").eui, OrganisationRole.SUPPLIER)
    device = world.device(meter(world))
    cells = {**device["cells"], SUPPLIER.name: in_base64(signer.certificate.der)}
    world.install({**device, "cells": cells})
    world.record({**device, "cells": cells})
    publish_list(world, revoke(world.data, signer.certificate, SystemClock().now()))
    return signer


def by_revoked(make: Callable[[World, SoftwareSigner], bytes], service: str) -> (
    Callable[[World], Seen]
):  # fmt: skip
    """A Signed Pre-Command by the key of a certificate that was revoked."""

    def act(world: World) -> Seen:
        signer = revoked_cell(world)
        world.mark()
        octets = make(world, signer)
        return Request((service, 5), lambda _: SignedPreCommand(octets)).act(world)

    return act


def with_mac(world: World, message: Message) -> bytes:
    """The MAC that the broker would make."""
    return encode(add_mac(message, broker_secret(world, meter(world))))


def cut(_: World, message: Message) -> bytes:
    """Cut short."""
    return encode(message)[:-1]


def unsigned(_: World, message: Message) -> bytes:
    """A signature of no octets."""
    return encode(replace(message, signature=b""))


def revoked_own(world: World, signer: SoftwareSigner) -> bytes:
    """CS02e by the revoked key."""

    def again(_: World, message: Message) -> bytes:
        return encode(sign(message, signer.sign))

    return own(READ_OWN, read_key, finish=again)(world)


def revoked_update(world: World, signer: SoftwareSigner) -> bytes:
    """CS02b by the revoked key."""
    return Command({"sign_with": signer.sign}).octets(world)


def inventory(**key: Any) -> Body:
    """8.2 by this key."""
    return lambda w: ReadInventory(**{k: v(w) if callable(v) else v for k, v in key.items()})


def details(*roles: Named) -> Body:
    """6.24.1 for these roles."""
    return lambda _: RetrieveDeviceSecurityCredentialsKRP(roles)


def acb(world: World) -> str:
    """The broker itself."""
    return world.eui("acb")


def of_b(world: World) -> bytes:
    """Supplier B's key agreement certificate."""
    return new_of(world, "B")


def late(world: World) -> Any:
    """A date of yesterday."""
    return in_days(world, -1)


TABLE: tuple[tuple[str, str, Request, str], ...] = (
    ("inventory.not-broker", "the inventory, of a device itself",
     Request(("8.2", 8), inventory(device=meter)), "inventory.target"),
    ("inventory.property", "the inventory, by a property nobody keeps",
     Request(("8.2", 8), inventory(uprn=100), to=acb), "inventory.key"),
    ("inventory.unknown", "the inventory, for a device nobody has",
     Request(("8.2", 8), inventory(device="0253494ddddddddd"), to=acb), "inventory.found"),
    ("inventory.of-other", "what supplier A's home holds, as supplier B",
     Request(("8.2", 8), inventory(device=meter), "B", to=acb), "inventory.visible"),
    ("details.twice", "one role's credentials twice",
     Request(("6.24.1", 1), details(Named.SUPPLIER, Named.SUPPLIER)), "details.roles"),
    ("details.of-other", "whose certificates supplier A's meter holds, as supplier B",
     Request(("6.24.1", 1), details(Named.SUPPLIER), "B"), "details.visible"),
    ("details.load-controller", "the load controller's credentials of a gas meter",
     Request(("6.24.1", 1), details(Named.LOAD_CONTROLLER), before=gas),
     "details.load_controller"),
    ("handover.role", "a handover to a network operator, as a supplier",
     handover(remote_party_role=Named.NETWORK_OPERATOR, key_agreement_top_up=None,
              prepayment_top_up_floor=None), "handover.role"),
    ("handover.form", "a handover to a network operator that has a key for top-ups",
     handover(before=both_roles, remote_party_role=Named.NETWORK_OPERATOR), "handover.form"),
    ("handover.not-brokers", "a handover of a device that another supplier has",
     handover("B", before=None), "handover.holder"),
    ("handover.of-other", "a handover with supplier B's certificates, as supplier A",
     handover(digital_signing=lambda w: w.keys("B").certificate("digital-signing").der),
     "handover.certificates"),
    ("pre-command.role", "a command for the network operator's cells, as a supplier",
     asks(remote_party_role=Named.NETWORK_OPERATOR), "pre_command.role"),
    ("pre-command.nothing", "a command that replaces nothing", asks(key_agreement=None),
     "pre_command.form"),
    ("pre-command.of-other", "a command for supplier A's meter, as supplier B",
     asks("B", key_agreement=of_b), "pre_command.holder"),
    ("pre-command.certificates", "a command that puts supplier B's certificate in, as supplier A",
     asks(key_agreement=of_b), "pre_command.certificates"),
    ("signed.cut", "a signed command cut short", signs(Command(finish=cut)),
     "signed_pre_command.decode"),
    ("signed.payload", "a signed command with a payload of another use case",
     signs(Command({"payload": b"\x05\x00"})), "signed_pre_command.decode"),
    ("signed.unsigned", "an unsigned command for protection", signs(Command(finish=unsigned)),
     "signed_pre_command.protection"),
    ("signed.with-mac", "a command that carries a MAC already", signs(Command(finish=with_mac)),
     "signed_pre_command.protection"),
    ("signed.response", "a response for protection", signs(Command({"cra": Cra.RESPONSE})),
     "signed_pre_command.protection"),
    ("signed.originator", "a command in supplier B's name",
     signs(Command({"originator": lambda w: w.supplier("B").eui})),
     "signed_pre_command.originator"),
    ("signed.recipient", "a command for another meter than the request names",
     signs(Command({"target": other_meter})), "signed_pre_command.recipient"),
    ("signed.code", "the CoS Party's command, as a supplier's own",
     signs(Command({"code": 0x0107})), "signed_pre_command.message_code"),
    ("signed.form", "two counters in one command",
     signs(Command(fields={"authorising_counter": 1})), "signed_pre_command.form"),
    ("signed.role", "a network operator's command, as a supplier",
     signs(Command({"mode": Mode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR, "signer": "A",
                    "originator": lambda w: w.supplier("A").eui,
                    "replacements": lambda w: (Replacement(new_of(w, "A"), NETWORK_KA),)})),
     "signed_pre_command.role"),
    ("signed.dated-past", "a command for yesterday",
     signs(Command(fields={"execution_date_time": "20200101000000Z"})),
     "signed_pre_command.execution_date"),
    ("signed.dated-twice", "a command for another date than the request names",
     Request(("6.15.1", 5), lambda w: SignedPreCommand(
         Command(fields={"execution_date_time": "20990101000000Z"}).octets(w), in_days(w, 3))),
     "signed_pre_command.execution_date"),
    ("signed.of-other", "a command for supplier A's meter, as supplier B",
     signs(Command({"originator": lambda w: w.supplier("B").eui, "signer": "B",
                    "replacements": lambda w: (Replacement(new_of(w, "B"), SUPPLIER_KA),)}),
           supplier="B"), "signed_pre_command.holder"),
    ("signed.certificates", "a command that puts supplier B's certificate in",
     signs(Command({"replacements": lambda w: (Replacement(new_of(w, "B"), SUPPLIER_KA),)})),
     "signed_pre_command.certificates"),
    ("signed.signature", "a command signed with supplier B's key", signs(Command({"signer": "B"})),
     "signed_pre_command.signature"),
    ("signed.cos-signature", "a command signed with the CoS Party's key",
     signs(Command({"signer": PARTY})), "signed_pre_command.signature"),
    ("own.of-other", "supplier A's meter for its certificate, as supplier B",
     Request(("6.24.2", 4), lambda _: RetrieveDeviceSecurityCredentialsDevice(
         CredentialType.DIGITAL_SIGNATURE), "B"), "device_pre_command.holder"),
    ("own.other-device", "supplier A's meter to use another device's certificate",
     Request(("6.15.2", 4), lambda w: UpdateSecurityCredentialsDevice(
         w.device_certificate(other_meter(w), "digital-signing").der)),
     "device_pre_command.certificate"),
)  # fmt: skip
"""What is asked of the broker, and which of its checks says no."""

OWN_KEYS: tuple[tuple[str, str, str, Callable[[World], bytes], str], ...] = (
    ("cut", "a signed command cut short", "6.24.2", own(READ_OWN, read_key, finish=cut), "decode"),
    ("payload", "a command whose payload is none", "6.24.2",
     own(READ_OWN, lambda _: b"\x05\x00"), "decode"),
    ("unsigned", "an unsigned command", "6.24.2", own(READ_OWN, read_key, finish=unsigned),
     "protection"),
    ("with-mac", "a command that carries a MAC", "6.24.2",
     own(READ_OWN, read_key, finish=with_mac), "protection"),
    ("originator", "a command in supplier B's name", "6.24.2",
     own(READ_OWN, read_key, header={"originator": lambda w: w.supplier("B").eui}),
     "originator"),
    ("recipient", "a command for another meter", "6.24.2",
     own(READ_OWN, read_key, header={"recipient": other_meter}), "recipient"),
    ("code", "the command of another service", "6.17", own(READ_OWN, read_key),
     "message_code"),
    ("certificate", "another device's certificate", "6.15.2",
     own(UPDATE_OWN, device_certificate(other_meter)), "certificate"),
    ("signature", "a command signed with supplier B's key", "6.24.2",
     own(READ_OWN, read_key, signer="B"), "signature"),
)  # fmt: skip
"""The same of a device's own keys: service, command, check."""


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    for name, title, request, check in TABLE:
        yield service(name, title, request.act, check)
    for name, title, reference, octets, check in OWN_KEYS:
        request = Request((reference, 5), sent(octets))
        yield service(f"own-signed.{name}", f"{title} (about a device's own keys)", request.act,
                      f"device_signed_pre_command.{check}")  # fmt: skip
    later = Request(("6.24.2", 5), lambda w: SignedPreCommand(
        own(READ_OWN, read_key)(w), in_days(w, 3)))  # fmt: skip
    yield service("own-signed.dated", "a command about its own keys for a later day", later.act,
                  "device_signed_pre_command.immediate")  # fmt: skip
    as_b = own(READ_OWN, read_key, signer="B", header={"originator": lambda w: w.supplier("B").eui})
    yield service("own-signed.of-other", "a command for supplier A's meter, as supplier B",
                  Request(("6.24.2", 5), sent(as_b), "B").act,
                  "device_signed_pre_command.holder")  # fmt: skip
    yield service("signed.revoked", "a command by a key that was revoked",
                  by_revoked(revoked_update, "6.15.1"), "signed_pre_command.signer",
                  "a revoked key of supplier A, and its account")  # fmt: skip
    yield service("own-signed.revoked", "a command for its own keys by a key that was revoked",
                  by_revoked(revoked_own, "6.24.2"), "device_signed_pre_command.signer",
                  "a revoked key of supplier A, and its account")  # fmt: skip
    for name, service_of, octets in (
        ("signed", "6.15.1", Command().octets), ("own-signed", "6.24.2", own(READ_OWN, read_key)),
    ):  # fmt: skip
        section = "signed_pre_command" if name == "signed" else "device_signed_pre_command"
        yield service(f"{name}.replayed", "a command that was protected before",
                      again(octets, service_of), f"{section}.counter")  # fmt: skip
        yield attack(
            f"service.{name}.honest", f"Supplier A's own command goes through ({service_of})",
            Rung.HONEST, BROKER_CHECKS, OWN, Request((service_of, 5), sent(octets)).act, None,
            "service",
        )  # fmt: skip


def sent(octets: Callable[[World], bytes]) -> Body:
    """The Signed Pre-Command with this command."""
    return lambda w: SignedPreCommand(octets(w))


def again(octets: Callable[[World], bytes], service_of: str) -> Callable[[World], Seen]:
    """The same command in two requests."""

    def act(world: World) -> Seen:
        kept = octets(world)
        request = Request((service_of, 5), lambda _: SignedPreCommand(kept))
        first = request.act(world)
        if first.stopped_by is not None:
            raise ValueError(f"the honest command was refused: {first}")
        world.mark()
        return request.act(world)

    return act


def service(
    name: str, title: str, act: Callable[[World], Seen], check: str, holds: str = OWN
) -> Attack:
    """An attack on one of the other services."""
    if "supplier B" in title and ", as supplier B" in title:
        holds = "supplier B's own account and keys"
    rung = Rung.OLD_KEYS if "revoked" in name else Rung.SUPPLIER
    return attack(f"service.{name}", f"Of the broker: {title}", rung, BROKER_CHECKS, holds, act,
                  Stop("acb", f"acb.{check}"), "service")  # fmt: skip
