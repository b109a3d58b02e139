"""Whose turn it is in a device: a change that waits there is another's, or a request is an old one.

A device keeps one dated change for its CoS Party and asks nobody whose it is; so the supplier that
has the home until then, a broker that brings requests in its own order, and a CoS Party that signs
what it should not, must be stopped by the parties.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from duis.model import CANCEL_DATE
from probe.attacks.lying_cos import gives
from probe.attacks.making import attack, attack_row
from probe.forge.answers import HONEST, answered
from probe.forge.gbcs import Forge
from probe.forge.xml import Document, at_broker, at_cos_party, honest, in_days
from probe.model import BETWEEN, BOTH_CHECK, METER_CHECKS, Act, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import COS, World

DAYS = 5
OUTGOING = "every key of supplier B, who has the home until then"


def withdrawal(world: World, party: str) -> bytes:
    """B withdraws what waits in the device."""
    return honest(world, party, execution_date_time=CANCEL_DATE)


def day_before(world: World, party: str) -> bytes:
    """B's own change, for the day before."""
    return honest(world, party, execution_date_time=in_days(world, DAYS - 1))


def change_of_c_waits(world: World, party: str) -> None:
    """C has the home in five days, by registration, and its change waits in the device for that.

    What of B's waits by the broker's record, left by a CoS Party that lied, is withdrawn first.
    """
    world.to_broker(withdrawal(world, party))
    meter = world.meter(party)
    day = in_days(world, DAYS) + timedelta(minutes=1)
    coming = {"mpxn": str(world.device(meter)["mpxn"]), "effective_from": day.isoformat(),
              "participant": world.supplier("C").participant}  # fmt: skip
    world.lab("registration", "POST", "/lab/registrations", coming)
    world.undo_when_restored(lambda: world.lab("registration", "POST", "/lab/register/reload"))
    seen = world.to_broker(honest(world, party, "C", execution_date_time=day))
    world.undo_when_restored(
        lambda: _withdrawn(world, honest(world, party, "C", execution_date_time=CANCEL_DATE))
    )
    if seen.refused_by is not None:
        raise ValueError(f"the change of C does not wait: {seen}")
    world.compare_from_here()


def _withdrawn(world: World, document: bytes) -> None:
    """C takes back what it left, where it still can, so that it stands in no other attack's way."""
    world.to_broker(document)


def waiting(party: str, act: Act) -> Act:
    """An act while C's change waits."""

    def whole(world: World) -> Observed:
        change_of_c_waits(world, party)
        return act(world)

    return whole


def attacks() -> Iterator[Attack]:
    """By the supplier that has the home until then, through the broker and by it."""
    table: tuple[tuple[str, str, Document], ...] = (
        ("withdrawn", "withdraws the next supplier's waiting change", withdrawal),
        ("displaced", "puts its own change in place of the next supplier's", day_before),
    )
    for cos, party in COS.items():
        expected = Refusal(party, f"{cos}.registration.pending_change")
        for name, title, document in table:
            yield attack_row(
                f"process.{cos}.pending.{name}", f"The supplier until then {title}",
                Rung.SUPPLIER, BOTH_CHECK, OUTGOING, waiting(party, at_broker(document, party)),
                expected, "process", prepares=True,
            )  # fmt: skip
            yield attack_row(
                f"process.{cos}.by-broker.pending.{name}",
                f"The broker brings {party} a request that {title}", Rung.ONE_PARTY, BOTH_CHECK,
                f"the broker's link key; {OUTGOING}",
                waiting(party, at_cos_party(document, party)), expected, "process", "back-door",
                prepares=True,
            )  # fmt: skip


@attack("process.{cos}.by-broker.older", check="{cos}.request.order", requirement=METER_CHECKS,
        holds="the broker's link key and a supplier's account", rung=Rung.ONE_PARTY,
        tags=("back-door",), prepares=True)  # fmt: skip
def older(world: World, party: str) -> Observed:
    """The broker brings {party} a request after a newer one of that supplier."""
    held_back = honest(world, party)
    at_cos_party(honest, party)(world)
    world.compare_from_here()
    return at_cos_party(lambda _w, _p: held_back, party)(world)


@attack("lying.{cos}.pending", check="acb.return.pending_change", rung=Rung.ONE_PARTY,
        requirement=BOTH_CHECK, holds=f"every key of {{party}}; {OUTGOING}", prepares=True,
        party="acb", tags=("cos", "lying", BETWEEN))  # fmt: skip
def lying(world: World, party: str) -> Observed:
    """{party} signs what displaces the next supplier's waiting change."""

    def next_counter(_: World, forge: Forge) -> Forge:
        return forge.but(counter=int(world.lab(party, "GET", "/lab/counters")["last"]) + 1)

    return waiting(party, answered(party, HONEST, gives(next_counter), day_before))(world)
