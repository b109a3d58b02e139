"""Attacks on a device by whoever holds every key of one party, or of two together.

The separation claim is here: with all the broker's keys and nothing else, or with all a CoS
Party's keys and nothing else, no commissioned meter changes supplier. The three exceptions that the
meter's own rules make are shown, and succeed: mode 4 needs the broker's MAC alone, mode 8 the
recovery key alone, and a CoS Party and the broker together may do what they do every day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import RemotePartyRole
from gbcs.message import Message, encode
from gbcs.payloads.cells import CellId
from gbcs.payloads.credentials import Replacement, SeqNumberChange
from gbcs.protect import add_mac
from probe.attacks.gbcs_wire import ORDER, mirrored
from probe.attacks.making import COUNTER_USED, meter_attack
from probe.forge.gbcs import (
    BROKER_KA,
    COS_CELL,
    LOAD,
    NETWORK,
    NETWORK_KA,
    RECOVERY,
    ROOT,
    Forge,
    broker_secret,
    supplier_cells,
)
from probe.model import BOTH_CHECK, BROKER_CHECKS, METER_CHECKS, Attack, Rung
from probe.world import COS, World

BROKER = "every key of the Access Control Broker"
TOGETHER = "every key of the broker and of the CoS Party"
OWN_SECRET = bytes(range(32))

UNDER_BROKER: dict[Mode, str] = {
    Mode.ROOT_BY_SUPPLIER: "signature",
    Mode.ROOT_BY_WAN_PROVIDER: "message_code",
    Mode.SUPPLIER_BY_SUPPLIER: "signature",
    Mode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR: "signature",
    Mode.WAN_PROVIDER_BY_WAN_PROVIDER: "message_code",
    Mode.TRANS_COS_BY_TRANS_COS: "signature",
    Mode.SUPPLIER_BY_TRANS_COS: "signature",
    Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY: "signature",
    Mode.ANY_BY_CONTINGENCY: "contingency_key",
    Mode.LOAD_CONTROLLER_BY_LOAD_CONTROLLER: "originator",
    Mode.LOAD_CONTROLLER_BY_SUPPLIER: "signature",
}
"""Each mode but 4, signed with the broker's own signing key: which check of the meter says no."""

FORBIDDEN_TO_MODE_7: tuple[tuple[str, CellId, str, str], ...] = (
    ("root", ROOT, "recovery", "digital-signing"),
    ("recovery", RECOVERY, "recovery", "digital-signing"),
    ("network-signing", NETWORK, "network-operator", "digital-signing"),
    ("network-agreement", NETWORK_KA, "network-operator", "key-agreement"),
    ("broker-agreement", BROKER_KA, "acb", "key-agreement"),
    ("cos", COS_CELL, "tcos_party", "digital-signing"),
)


def meter_of(cos: str) -> Callable[[World], str]:
    """The meter that trusts a CoS Party."""
    return lambda world: world.meter(COS[cos])


def certificate_in(
    cell: CellId, party: str, key: str
) -> Callable[[World], tuple[Replacement, ...]]:
    """One certificate of one party for one cell."""
    return lambda world: (Replacement(world.keys(party).certificate(key).der, cell),)


def with_cells(
    forge: Forge, cells: Callable[[World], tuple[Replacement, ...]]
) -> Callable[[World], bytes]:
    """A command that replaces these cells."""
    return lambda world: forge.but(replacements=cells(world)).octets(world)


def changed_signature(r: int | None = None, s: int | None = None) -> Callable[[Message], Message]:
    """Put another number into the signature before the MAC is made."""

    def change(message: Message) -> Message:
        old = message.signature or b""
        new_r = old[:32] if r is None else r.to_bytes(32, "big")
        new_s = old[32:] if s is None else s.to_bytes(32, "big")
        return replace(message, signature=new_r + new_s)

    return change


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    for cos in COS:
        yield from broker_alone(cos)
        yield from cos_party_alone(cos)
    yield from others_alone()
    yield from both(("ecos", "tcos"))


def broker_alone(cos: str) -> Iterator[Attack]:
    """What a dishonest broker tries at a meter without any CoS Party."""
    to, base = meter_of(cos), Forge(cos)
    for mode, check in UNDER_BROKER.items():
        yield meter_attack(
            f"separation.{cos}.broker-alone.mode-{int(mode)}",
            f"The broker signs {mode.label} with its own signing key",
            Rung.ONE_PARTY, BROKER, base.but(mode=mode, signer="acb").octets, check, to=to,
            requirement=BOTH_CHECK, tags=("separation",),
        )  # fmt: skip
    acts: tuple[tuple[str, str, Forge, str], ...] = (
        ("unsigned", "gives its MAC to a change of supplier nobody signed",
         base.but(signer=""), "signature"),
        ("in-own-name", "asks for a change of supplier in its own name",
         base.but(signer="acb"), "originator"),
        ("xml-key", "signs with its XML signing key instead",
         base.but(signer=""), "signature"),
        ("r-zero", "re-protects a CoS signature with r = 0",
         base.but(before_mac=changed_signature(r=0)), "signature"),
        ("s-zero", "re-protects a CoS signature with s = 0",
         base.but(before_mac=changed_signature(s=0)), "signature"),
        ("r-order", "re-protects a CoS signature with r = n",
         base.but(before_mac=changed_signature(r=ORDER)), "signature"),
        ("s-order", "re-protects a CoS signature with s = n",
         base.but(before_mac=changed_signature(s=ORDER)), "signature"),
        ("r-largest", "re-protects a CoS signature with r = 2^256 - 1",
         base.but(before_mac=changed_signature(r=2**256 - 1)), "signature"),
        ("counter", "moves a signed command to another counter",
         base.but(before_mac=lambda m: replace(m, header=replace(m.header, counter=2000))),
         "signature"),
        ("payload", "changes one bit of a signed payload",
         base.but(before_mac=lambda m: replace(
             m, payload=m.payload[:-1] + bytes((m.payload[-1] ^ 1,)))), "signature"),
        ("payload-empty", "empties a signed payload",
         base.but(before_mac=lambda m: replace(m, payload=b"")), "signature"),
    )  # fmt: skip
    for name, title, forge, check in acts:
        if name == "xml-key":
            octets = signed_with_xml_key(forge)
        elif name == "in-own-name":
            octets = in_own_name(forge)
        else:
            octets = forge.octets
        yield meter_attack(
            f"separation.{cos}.broker-alone.{name}", f"The broker {title}", Rung.ONE_PARTY,
            BROKER, octets, check, to=to, requirement=BOTH_CHECK, tags=("separation",),
        )  # fmt: skip
    yield meter_attack(
        f"separation.{cos}.broker-alone.n-minus-s",
        "The broker mirrors a CoS signature (s to n - s): the same command, still signed, goes on",
        Rung.ONE_PARTY, f"{BROKER}, and a command the CoS Party signed",
        base.but(before_mac=mirrored).octets, None, to=to, tags=("separation", "shown"),
    )  # fmt: skip
    mode_4 = base.but(mode=Mode.ACCESS_CONTROL_BROKER_BY_ACB)
    own = certificate_in(BROKER_KA, "acb", "key-agreement")
    yield meter_attack(
        f"separation.{cos}.broker-alone.mode-4",
        "Exception: the broker renews its own cell by its MAC alone",
        Rung.ONE_PARTY, BROKER, with_cells(mode_4, own), None, to=to,
        requirement=BROKER_CHECKS, tags=("separation", "shown"),
    )  # fmt: skip
    yield meter_attack(
        f"separation.{cos}.broker-alone.mode-4-supplier",
        "The broker uses mode 4 to put a supplier's certificates in",
        Rung.ONE_PARTY, BROKER, mode_4.octets, "cells_permitted", to=to,
        requirement=BOTH_CHECK, may_change=COUNTER_USED, tags=("separation",),
    )  # fmt: skip
    for name, cell, party, key in FORBIDDEN_TO_MODE_7:
        if cell == BROKER_KA:
            continue
        yield meter_attack(
            f"separation.{cos}.broker-alone.mode-4-{name}",
            f"The broker uses mode 4 to replace {cell.name}",
            Rung.ONE_PARTY, BROKER, with_cells(mode_4, certificate_in(cell, party, key)),
            "cells_permitted", to=to, requirement=BOTH_CHECK, may_change=COUNTER_USED,
            tags=("separation",),
        )  # fmt: skip
    yield meter_attack(
        f"separation.{cos}.broker-alone.mode-4-floor",
        "The broker uses mode 4 to set the supplier's floor",
        Rung.ONE_PARTY, BROKER,
        lambda w: mode_4.but(replacements=own(w)).with_fields(
            other_changes=(SeqNumberChange(RemotePartyRole.SUPPLIER, 1),)).octets(w),
        "floors", to=to, requirement=BOTH_CHECK, may_change=COUNTER_USED, tags=("separation",),
    )  # fmt: skip


def signed_with_xml_key(forge: Forge) -> Callable[[World], bytes]:
    """Sign with the broker's XML signing key."""
    return lambda world: forge.but(
        sign_with=world.keys("acb").signer("xml-signing").sign
    ).octets(world)  # fmt: skip


def in_own_name(forge: Forge) -> Callable[[World], bytes]:
    """Name the broker as the originator."""
    return lambda world: forge.but(originator=world.eui("acb")).octets(world)


def cos_party_alone(cos: str) -> Iterator[Attack]:
    """What a dishonest CoS Party tries at a meter without the broker."""
    to, base, party = meter_of(cos), Forge(cos), COS[cos]
    holds = f"every key of {party}"
    acts: tuple[tuple[str, str, Forge, str], ...] = (
        ("no-mac", "sends a change of supplier it signed, without a MAC",
         base.but(mac=False), "mac"),
        ("own-mac", "makes a MAC with a secret of its own", base.but(mac=OWN_SECRET), "mac"),
        ("zero-mac", "makes a MAC with a secret of zeros", base.but(mac=bytes(32)), "mac"),
        ("mode-6", "hands the meter to another CoS Party, without a MAC",
         base.but(mode=Mode.TRANS_COS_BY_TRANS_COS, mac=False), "mac"),
        ("mode-4", "renews the broker's cell as the broker would, without a MAC",
         base.but(mode=Mode.ACCESS_CONTROL_BROKER_BY_ACB, mac=False), "mac"),
        ("mode-8", "signs for the recovery party",
         base.but(mode=Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY, signer=party), "signature"),
        ("mode-2", "signs for the supplier, without a MAC",
         base.but(mode=Mode.SUPPLIER_BY_SUPPLIER, signer=party, mac=False), "mac"),
        ("mode-3", "signs for the network operator, without a MAC",
         base.but(mode=Mode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR, signer=party, mac=False),
         "mac"),
        ("link-key-mac", "sends it unsigned and without a MAC",
         base.but(signer="", mac=False), "mac"),
    )  # fmt: skip
    for name, title, forge, check in acts:
        yield meter_attack(
            f"separation.{cos}.cos-alone.{name.replace('link-key-mac', 'bare')}",
            f"{party} {title}", Rung.ONE_PARTY, holds, forge.octets, check, to=to,
            requirement=BOTH_CHECK, tags=("separation",),
        )  # fmt: skip
    yield meter_attack(
        f"separation.{cos}.cos-alone.mode-8-own-name",
        f"{party} asks for recovery in its own name", Rung.ONE_PARTY, holds,
        lambda w: base.but(mode=Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY, signer=party,
                           originator=w.eui(party)).octets(w),
        "originator", to=to, requirement=BOTH_CHECK, tags=("separation",),
    )  # fmt: skip


def others_alone() -> Iterator[Attack]:
    """What everybody else tries at a meter with all of their own keys."""
    to = meter_of("ecos")
    base = Forge("ecos", mac=False)
    recovery = Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY
    acts: tuple[tuple[str, str, str, Forge, str, Rung], ...] = (
        ("supplier-now", "A", "the supplier of today changes its own cells without the broker",
         base.but(mode=Mode.SUPPLIER_BY_SUPPLIER), "mac", Rung.SUPPLIER),
        ("supplier-now-root", "A", "the supplier of today replaces the root without the broker",
         base.but(mode=Mode.ROOT_BY_SUPPLIER), "mac", Rung.SUPPLIER),
        ("supplier-next", "B", "the incoming supplier signs for the CoS Party",
         base.but(signer="B"), "mac", Rung.SUPPLIER),
        ("supplier-next-mode-2", "B", "the incoming supplier signs for the supplier of today",
         base.but(mode=Mode.SUPPLIER_BY_SUPPLIER, signer="B"), "mac", Rung.SUPPLIER),
        ("supplier-next-mode-8", "B", "the incoming supplier signs for the recovery party",
         base.but(mode=recovery, signer="B"), "signature", Rung.SUPPLIER),
        ("network", "network-operator", "the network operator changes its cells without the broker",
         base.but(mode=Mode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR), "mac", Rung.ONE_PARTY),
        ("network-mode-8", "network-operator", "the network operator signs for recovery",
         base.but(mode=recovery, signer="network-operator"), "signature", Rung.ONE_PARTY),
        ("wan-mode-8", "wan-provider", "the WAN provider signs for recovery",
         base.but(mode=recovery, signer="wan-provider"), "signature", Rung.ONE_PARTY),
    )  # fmt: skip
    for name, party, title, forge, check, rung in acts:
        yield meter_attack(
            f"separation.other.{name}", title[0].upper() + title[1:], rung,
            f"every key of {party}", forge.octets, check, to=to, tags=("separation",),
        )  # fmt: skip
    holds = "the recovery key"
    rescue = Forge("ecos", mode=recovery)
    yield meter_attack(
        "separation.recovery.mode-8", "Exception: the recovery key alone changes the supplier",
        Rung.ONE_PARTY, holds, rescue.octets, None, to=to, tags=("separation", "shown"),
    )  # fmt: skip
    yield meter_attack(
        "separation.recovery.with-mac", "The recovery key with a MAC that mode 8 does not have",
        Rung.ONE_PARTY, f"{holds} and the broker's keys",
        recovery_with_mac(rescue), "mac", to=to, tags=("separation",),
    )  # fmt: skip
    yield meter_attack(
        "separation.recovery.root", "The recovery key tries to replace the root",
        Rung.ONE_PARTY, holds,
        with_cells(rescue, certificate_in(ROOT, "recovery", "digital-signing")),
        "cells_permitted", to=to, may_change=COUNTER_USED, tags=("separation",),
    )  # fmt: skip
    yield meter_attack(
        "separation.recovery.cell-missing",
        "The recovery key fills a cell that this meter does not have", Rung.ONE_PARTY, holds,
        with_cells(rescue, certificate_in(LOAD, "load-controller", "digital-signing")),
        "certificate.cell", to=to, may_change=COUNTER_USED, tags=("separation",),
    )  # fmt: skip


def recovery_with_mac(forge: Forge) -> Callable[[World], bytes]:
    """A recovery command with a true broker's MAC around it."""
    return lambda world: encode(
        add_mac(forge.message(world), broker_secret(world, forge.meter(world)))
    )


def both(parties: tuple[str, ...]) -> Iterator[Attack]:
    """What two parties may do together, and what not even both may."""
    for cos in parties:
        to, base = meter_of(cos), Forge(cos)
        yield meter_attack(
            f"separation.{cos}.both.any-supplier",
            f"Together the broker and {COS[cos]} give the meter to supplier C, whom nobody asked",
            Rung.TWO_PARTIES, TOGETHER, with_cells(base, lambda w: supplier_cells(w, "C")), None,
            to=to, requirement=METER_CHECKS, tags=("separation", "shown"),
        )  # fmt: skip
        other = "tcos_party" if cos == "ecos" else "ecos_party"
        yield meter_attack(
            f"separation.{cos}.both.migration",
            f"Together the broker and {COS[cos]} hand the meter to {other}",
            Rung.TWO_PARTIES, TOGETHER,
            with_cells(base.but(mode=Mode.TRANS_COS_BY_TRANS_COS),
                       certificate_in(COS_CELL, other, "digital-signing")),
            None, to=to, tags=("separation", "shown"),
        )  # fmt: skip
        for name, cell, party, key in FORBIDDEN_TO_MODE_7:
            yield meter_attack(
                f"separation.{cos}.both.mode-7-{name}",
                f"Not even both may put a certificate into {cell.name} by mode 7",
                Rung.TWO_PARTIES, TOGETHER, with_cells(base, certificate_in(cell, party, key)),
                "cells_permitted", to=to, may_change=COUNTER_USED, tags=("separation",),
            )  # fmt: skip
        for role in RemotePartyRole:
            if role in (RemotePartyRole.SUPPLIER, RemotePartyRole.OTHER,
                        RemotePartyRole.ISSUING_AUTHORITY):  # fmt: skip
                continue
            yield meter_attack(
                f"separation.{cos}.both.floor-{role.label.lower()}",
                f"Not even both may set a floor of {role.label} by mode 7",
                Rung.TWO_PARTIES, TOGETHER,
                base.with_fields(other_changes=(SeqNumberChange(role, 1),)).octets,
                "floors", to=to, may_change=COUNTER_USED, tags=("separation",),
            )  # fmt: skip
        wrong = "tcos_party" if cos == "ecos" else "ecos_party"
        yield meter_attack(
            f"separation.{cos}.both.wrong-cos",
            f"The broker and {wrong}, which this meter does not trust", Rung.TWO_PARTIES,
            f"every key of the broker and of {wrong}", wrong_cos(base, wrong), "originator",
            to=to, requirement=BOTH_CHECK, tags=("separation",),
        )  # fmt: skip
        yield meter_attack(
            f"separation.{cos}.both.wrong-cos-in-name",
            f"The broker and {wrong} in the name of {COS[cos]}", Rung.TWO_PARTIES,
            f"every key of the broker and of {wrong}", base.but(signer=wrong).octets, "signature",
            to=to, requirement=BOTH_CHECK, tags=("separation",),
        )  # fmt: skip
    to, base = meter_of("ecos"), Forge("ecos")
    yield meter_attack(
        "separation.supplier.both.now", "The broker and the supplier of today change its cells",
        Rung.TWO_PARTIES, "every key of the broker and of supplier A",
        base.but(mode=Mode.SUPPLIER_BY_SUPPLIER).octets, None, to=to,
        tags=("separation", "shown"),
    )  # fmt: skip
    for mode in (Mode.SUPPLIER_BY_SUPPLIER, Mode.SUPPLIER_BY_TRANS_COS):
        yield meter_attack(
            f"separation.supplier.both.next-mode-{int(mode)}",
            f"The broker and the incoming supplier sign {mode.label}", Rung.TWO_PARTIES,
            "every key of the broker and of supplier B", base.but(mode=mode, signer="B").octets,
            "signature", to=to, requirement=BOTH_CHECK, tags=("separation",),
        )  # fmt: skip
    yield meter_attack(
        "separation.supplier.both.cos", "A CoS Party and the incoming supplier, without the broker",
        Rung.TWO_PARTIES, "every key of ecos_party and of supplier B",
        base.but(mac=False).octets, "mac", to=to, requirement=BOTH_CHECK, tags=("separation",),
    )  # fmt: skip


def wrong_cos(forge: Forge, party: str) -> Callable[[World], bytes]:
    """Signed by, and in the name of, the other CoS Party."""
    return lambda world: forge.but(signer=party, originator=world.eui(party)).octets(world)
