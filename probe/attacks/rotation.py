"""Keys that were replaced: by rotation, by a change of supplier, by migration, by recovery.

What happened before is done honestly (with every key it takes); then whoever kept the old key tries
what it could do yesterday, with higher counters than anything before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.payloads.cells import CellId
from gbcs.payloads.credentials import Replacement
from keys.issuing.authorities import Authorities, years_from
from keys.roles import OrganisationRole
from probe.attacks.gbcs_parties import meter_of
from probe.attacks.making import meter_attack
from probe.forge.gbcs import (
    BROKER_KA,
    COS_CELL,
    NETWORK,
    RECOVERY,
    SUPPLIER,
    Forge,
    supplier_cells,
    usage_of,
)
from probe.model import KEY_TRANSFER, Attack, Rung
from probe.world import World
from services.chassis.time.clock import SystemClock

HIGH = 9_000_000


@dataclass(frozen=True)
class Before:
    """What honestly replaced a key: a mode, the cell, and whose next certificate goes in."""

    mode: Mode
    cell: CellId
    role: OrganisationRole
    owner: str


ROTATED_COS = Before(
    Mode.TRANS_COS_BY_TRANS_COS, COS_CELL, OrganisationRole.TRANSITIONAL_COS, "ecos_party"
)
MIGRATED = Before(
    Mode.TRANS_COS_BY_TRANS_COS, COS_CELL, OrganisationRole.TRANSITIONAL_COS, "tcos_party"
)
ROTATED_BROKER = Before(
    Mode.ACCESS_CONTROL_BROKER_BY_ACB, BROKER_KA, OrganisationRole.ACCESS_CONTROL_BROKER, "acb"
)
ROTATED_SUPPLIER = Before(Mode.SUPPLIER_BY_SUPPLIER, SUPPLIER, OrganisationRole.SUPPLIER, "A")
ROTATED_NETWORK = Before(
    Mode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR, NETWORK, OrganisationRole.NETWORK_OPERATOR,
    "network-operator",
)  # fmt: skip
_BY_RECOVERY = Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY
RECOVERED_COS = Before(_BY_RECOVERY, COS_CELL, OrganisationRole.TRANSITIONAL_COS, "ecos_party")
RECOVERED_BROKER = Before(_BY_RECOVERY, BROKER_KA, OrganisationRole.ACCESS_CONTROL_BROKER, "acb")
RECOVERED_SUPPLIER = Before(_BY_RECOVERY, SUPPLIER, OrganisationRole.SUPPLIER, "A")
RECOVERED_RECOVERY = Before(_BY_RECOVERY, RECOVERY, OrganisationRole.RECOVERY, "recovery")


def next_certificate(world: World, before: Before) -> Replacement:
    """The owner's next certificate for a cell, for a new key that nobody needs here."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    made = Authorities.open(world.data).organisation(
        world.eui(before.owner), before.role, usage_of(before.cell), public,
        validity=years_from(SystemClock().now(), 10),
    )  # fmt: skip
    return Replacement(made.der, before.cell)


def replaced(before: Before) -> Callable[[World], None]:
    """The honest replacement; it must work, or nothing is shown by what follows."""

    def act(world: World) -> None:
        forge = Forge("ecos", mode=before.mode, replacements=(next_certificate(world, before),))
        seen = world.send_to_meter(forge.meter(world), forge.octets(world))
        if seen.refused_by is not None:
            raise ValueError(f"the replacement was refused by {seen.refused_by.check}")

    return act


def taken_over(world: World) -> None:
    """Supplier B takes the home over from A."""
    forge = Forge("ecos")
    seen = world.send_to_meter(forge.meter(world), forge.octets(world))
    if seen.refused_by is not None:
        raise ValueError(f"the change of supplier was refused by {seen.refused_by.check}")


COS_AND_BROKER = "the CoS Party's old key, and every key of the broker"
OLD = Forge("ecos", counter=HIGH)
OWN = OLD.but(mode=Mode.SUPPLIER_BY_SUPPLIER)

CASES: tuple[
    tuple[str, str, str, Callable[[World], None], Callable[[World], bytes], str], ...
] = (
    ("cos-rotated", "the CoS Party's key was rotated; the old one signs", COS_AND_BROKER,
     replaced(ROTATED_COS), OLD.octets, "signature"),
    ("cos-rotated-mode-6", "the CoS Party's key was rotated; the old one takes the cell back",
     COS_AND_BROKER, replaced(ROTATED_COS),
     lambda w: OLD.but(mode=Mode.TRANS_COS_BY_TRANS_COS, replacements=(
         Replacement(w.keys("ecos_party").certificate("digital-signing").der, COS_CELL),
     )).octets(w), "signature"),
    ("migrated", "the meter went to the other CoS Party; the one before signs", COS_AND_BROKER,
     replaced(MIGRATED), OLD.octets, "originator"),
    ("migrated-in-name", "the meter went to the other CoS Party; the one before signs in its name",
     COS_AND_BROKER, replaced(MIGRATED),
     lambda w: OLD.but(originator=w.eui("tcos_party")).octets(w), "signature"),
    ("cos-recovered", "recovery replaced the CoS Party's key; the old one signs", COS_AND_BROKER,
     replaced(RECOVERED_COS), OLD.octets, "signature"),
    ("broker-rotated", "the broker's key was rotated; the old one makes the MAC",
     "the broker's old key, and every key of the CoS Party", replaced(ROTATED_BROKER), OLD.octets,
     "mac"),
    ("broker-rotated-mode-4", "the broker's key was rotated; the old one takes the cell back",
     "the broker's old key", replaced(ROTATED_BROKER),
     lambda w: OLD.but(mode=Mode.ACCESS_CONTROL_BROKER_BY_ACB, replacements=(
         Replacement(w.keys("acb").certificate("key-agreement").der, BROKER_KA),)).octets(w),
     "mac"),
    ("broker-recovered", "recovery replaced the broker's key; the old one makes the MAC",
     "the broker's old key, and every key of the CoS Party", replaced(RECOVERED_BROKER),
     OLD.octets, "mac"),
    ("supplier-rotated", "the supplier's key was rotated; the old one signs",
     "supplier A's old key, and every key of the broker", replaced(ROTATED_SUPPLIER),
     OWN.but(replacements=None).octets, "signature"),
    ("supplier-recovered", "recovery replaced the supplier's key; the old one signs",
     "supplier A's old key, and every key of the broker", replaced(RECOVERED_SUPPLIER),
     OWN.octets, "signature"),
    ("supplier-gone", "the home changed supplier; the one before signs",
     "every key of supplier A and of the broker", taken_over,
     lambda w: OWN.but(replacements=supplier_cells(w, "A")).octets(w), "originator"),
    ("supplier-gone-in-name", "the home changed supplier; the one before signs in the new name",
     "every key of supplier A and of the broker", taken_over,
     lambda w: OWN.but(signer="A", originator=w.eui("B")).octets(w), "signature"),
    ("network-rotated", "the network operator's key was rotated; the old one signs",
     "the network operator's old key, and every key of the broker", replaced(ROTATED_NETWORK),
     lambda w: OLD.but(mode=Mode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR, replacements=(
         Replacement(w.keys("network-operator").certificate("digital-signing").der, NETWORK),
     )).octets(w), "signature"),
    ("recovery-rotated", "the recovery key was replaced; the old one changes the supplier",
     "the old recovery key", replaced(RECOVERED_RECOVERY), OLD.but(mode=_BY_RECOVERY).octets,
     "signature"),
    ("held-back", "a command recorded before the CoS Party's key was rotated arrives after it",
     "a recording", replaced(ROTATED_COS), OLD.but(counter=1001).octets, "signature"),
)  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    for name, title, holds, before, make, check in CASES:
        yield meter_attack(
            f"old-keys.{name}", title[0].upper() + title[1:], Rung.OLD_KEYS, holds, make, check,
            to=meter_of("ecos"), requirement=KEY_TRANSFER, prepare=before, tags=("rotation",),
        )  # fmt: skip
