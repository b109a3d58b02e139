"""Requests and commands of the broker's other services, as a supplier may write and sign them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from duis.model import (
    ReadInventory,
    RequestBody,
    RequestHandoverOfDCCControlledDevice,
    RetrieveDeviceSecurityCredentialsKRP,
    SignedPreCommand,
    UpdateSecurityCredentialsDevice,
    UpdateSecurityCredentialsKRP,
)
from duis.model import RemotePartyRole as Named
from gbcs.codes import Cra, KeyUsage, MessageCode
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.payloads.credentials import Replacement
from gbcs.payloads.device_certificates import (
    CertificateUpdate,
    KeyUsageRequest,
    encode_certificate_update,
    encode_key_usage_request,
)
from gbcs.protect import add_mac, sign
from keys.issuing.authorities import DEVICE_ISSUING, Authorities, revoke
from keys.issuing.odd_forms import OddForm, in_odd_form
from keys.roles import OrganisationRole
from keys.stores.software import SoftwareSigner
from probe.forge.certificates import issued, publish_list
from probe.forge.gbcs import (
    SUPPLIER,
    SUPPLIER_KA,
    SUPPLIER_TOP_UP,
    Forge,
    broker_secret,
    in_base64,
    issuing,
)
from probe.result import Observed
from probe.world import World
from services.chassis.time.clock import SystemClock
from stack.service_requests import signed_request

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

    def act(self, world: World) -> Observed:
        """Send it, and follow it to its end."""
        if self.before is not None:
            self.before(world)
            world.compare_from_here()
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
        forge: changes of the command, by name (see `probe.forge.gbcs.Forge`).
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


def odd_certificate(form: OddForm) -> Callable[[World], bytes]:
    """The meter's own certificate, written in another form and signed so by its authority."""

    def der(world: World) -> bytes:
        authority = Authorities.open(world.data).issuer(DEVICE_ISSUING)
        honest = world.device_certificate(meter(world), "digital-signing").der
        return in_odd_form(honest, form, authority.sign)

    return der


def odd_update(form: OddForm) -> Body:
    """6.15.2: with the meter's own certificate in another form."""
    return lambda w: UpdateSecurityCredentialsDevice(odd_certificate(form)(w))


def odd_command(form: OddForm) -> Callable[[World], bytes]:
    """CS02d: the same."""
    return lambda w: encode_certificate_update(CertificateUpdate(odd_certificate(form)(w)))


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
    Callable[[World], Observed]
):  # fmt: skip
    """A Signed Pre-Command by the key of a certificate that was revoked."""

    def act(world: World) -> Observed:
        signer = revoked_cell(world)
        world.compare_from_here()
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


def sent(octets: Callable[[World], bytes]) -> Body:
    """The Signed Pre-Command with this command."""
    return lambda w: SignedPreCommand(octets(w))
