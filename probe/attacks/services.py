"""The broker's other services: who asks for what is not theirs, and what is signed for whom.

6.15.1, 6.15.2, 6.17, 6.21, 6.24.1, 6.24.2 and 8.2. A Signed Pre-Command stands for itself: the
broker remembers nothing of what it wrote, so the attacks write the command as they like, sign it
and send it. What a device then answers is in `probe.attacks.service_answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from duis.model import (
    CredentialType,
    RetrieveDeviceSecurityCredentialsDevice,
    SignedPreCommand,
    UpdateSecurityCredentialsDevice,
)
from duis.model import RemotePartyRole as Named
from gbcs.codes import Cra
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.payloads.credentials import Replacement
from keys.issuing.odd_forms import OddForm
from probe.attacks.making import attack_row
from probe.forge.gbcs import NETWORK_KA, SUPPLIER_KA
from probe.forge.services import (
    OWN,
    PARTY,
    READ_OWN,
    UPDATE_OWN,
    Command,
    Request,
    acb,
    asks,
    both_roles,
    by_revoked,
    cut,
    details,
    device_certificate,
    gas,
    handover,
    inventory,
    meter,
    new_of,
    odd_command,
    odd_update,
    of_b,
    other_meter,
    own,
    read_key,
    revoked_own,
    revoked_update,
    sent,
    signs,
    unsigned,
    with_mac,
)
from probe.forge.xml import in_days
from probe.model import BROKER_CHECKS, Act, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import World

ODD_KEYS = (
    (OddForm.COMPRESSED_POINT, "is a compressed point"),
    (OddForm.EXPLICIT_CURVE, "gives its curve by parameters"),
)

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
    ("handover.top-up", "a handover with a floor for top-ups and no key for them",
     handover(key_agreement_top_up=None), "handover.top_up"),
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
    *(
        (f"own.{form.value.replace('_', '-')}",
         f"supplier A's meter to use a certificate whose key {written}",
         Request(("6.15.2", 4), odd_update(form)),
         "device_pre_command.public_key")
        for form, written in ODD_KEYS
    ),
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
    *(
        (form.value.replace("_", "-"), f"a certificate whose key {written}", "6.15.2",
         own(UPDATE_OWN, odd_command(form)), "public_key")
        for form, written in ODD_KEYS
    ),
    ("signature", "a command signed with supplier B's key", "6.24.2",
     own(READ_OWN, read_key, signer="B"), "signature"),
)  # fmt: skip
"""The same of a device's own keys: service, command, check."""


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    for name, title, request, check in TABLE:
        yield service(name, title, request.act, check, prepares=request.before is not None)
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
                  "a revoked key of supplier A, and its account", prepares=True)  # fmt: skip
    yield service("own-signed.revoked", "a command for its own keys by a key that was revoked",
                  by_revoked(revoked_own, "6.24.2"), "device_signed_pre_command.signer",
                  "a revoked key of supplier A, and its account", prepares=True)  # fmt: skip
    for name, service_of, octets in (
        ("signed", "6.15.1", Command().octets), ("own-signed", "6.24.2", own(READ_OWN, read_key)),
    ):  # fmt: skip
        section = "signed_pre_command" if name == "signed" else "device_signed_pre_command"
        yield service(f"{name}.replayed", "a command that was protected before",
                      again(octets, service_of), f"{section}.counter", prepares=True)  # fmt: skip
        yield attack_row(
            f"service.{name}.honest", f"Supplier A's own command goes through ({service_of})",
            Rung.HONEST, BROKER_CHECKS, OWN, Request((service_of, 5), sent(octets)).act, None,
            "service",
        )  # fmt: skip


def again(octets: Callable[[World], bytes], service_of: str) -> Callable[[World], Observed]:
    """The same command in two requests."""

    def act(world: World) -> Observed:
        kept = octets(world)
        request = Request((service_of, 5), lambda _: SignedPreCommand(kept))
        first = request.act(world)
        if first.refused_by is not None:
            raise ValueError(f"the honest command was refused: {first}")
        world.compare_from_here()
        return request.act(world)

    return act


def service(
    name: str, title: str, act: Act, check: str, holds: str = OWN, *, prepares: bool = False
) -> Attack:
    """An attack on one of the other services."""
    if "supplier B" in title and ", as supplier B" in title:
        holds = "supplier B's own account and keys"
    rung = Rung.OLD_KEYS if "revoked" in name else Rung.SUPPLIER
    return attack_row(f"service.{name}", f"Of the broker: {title}", rung, BROKER_CHECKS, holds, act,
                  Refusal("acb", f"acb.{check}"), "service", prepares=prepares)  # fmt: skip
