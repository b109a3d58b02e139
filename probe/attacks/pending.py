"""Whose turn it is in a device: a change that waits there is another's, or a request is an old one.

A device keeps one dated change for its CoS Party and asks nobody whose it is; so the supplier that
has the home until then, a broker that brings requests in its own order, and a CoS Party that signs
what it should not, must be stopped by the parties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from duis.model import CANCEL_DATE
from probe.attacks.lying_cos import gives
from probe.attacks.making import attack
from probe.forge.answers import HONEST, answered
from probe.forge.gbcs import Forge
from probe.forge.xml import Document, at_broker, at_cos_party, honest, in_days
from probe.model import BETWEEN, BOTH_CHECK, METER_CHECKS, Attack, Rung
from probe.result import Seen, Stop
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
    world.afterwards(lambda: world.lab("registration", "POST", "/lab/register/reload"))
    seen = world.to_broker(honest(world, party, "C", execution_date_time=day))
    world.afterwards(
        lambda: _withdrawn(world, honest(world, party, "C", execution_date_time=CANCEL_DATE))
    )
    if seen.stopped_by is not None:
        raise ValueError(f"the change of C does not wait: {seen}")
    world.mark()


def _withdrawn(world: World, document: bytes) -> None:
    """C takes back what it left, where it still can, so that it stands in no other attack's way."""
    world.to_broker(document)


def waiting(party: str, act: Callable[[World], Seen]) -> Callable[[World], Seen]:
    """An act while C's change waits."""

    def whole(world: World) -> Seen:
        change_of_c_waits(world, party)
        return act(world)

    return whole


def older(party: str) -> Callable[[World], Seen]:
    """A newer request first, then one that was held back."""

    def act(world: World) -> Seen:
        held_back = honest(world, party)
        at_cos_party(honest, party)(world)
        world.mark()
        return at_cos_party(lambda _w, _p: held_back, party)(world)

    return act


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    table: tuple[tuple[str, str, Document], ...] = (
        ("withdrawn", "withdraws the next supplier's waiting change", withdrawal),
        ("displaced", "puts its own change in place of the next supplier's", day_before),
    )
    for cos, party in COS.items():
        expected = Stop(party, f"{cos}.registration.pending_change")
        for name, title, document in table:
            yield attack(
                f"process.{cos}.pending.{name}", f"The supplier until then {title}",
                Rung.SUPPLIER, BOTH_CHECK, OUTGOING, waiting(party, at_broker(document, party)),
                expected, "process",
            )  # fmt: skip
            yield attack(
                f"process.{cos}.by-broker.pending.{name}",
                f"The broker brings {party} a request that {title}", Rung.ONE_PARTY, BOTH_CHECK,
                f"the broker's link key; {OUTGOING}",
                waiting(party, at_cos_party(document, party)), expected, "process", "back-door",
            )  # fmt: skip
        yield attack(
            f"process.{cos}.by-broker.older",
            f"The broker brings {party} a request after a newer one of that supplier",
            Rung.ONE_PARTY, METER_CHECKS, "the broker's link key and a supplier's account",
            older(party), Stop(party, f"{cos}.request.order"), "process", "back-door",
        )  # fmt: skip
        yield lying(cos, party)


def lying(cos: str, party: str) -> Attack:
    """A CoS Party that signs what takes the next supplier's waiting change away."""

    def next_counter(world: World, forge: Forge) -> Forge:
        return forge.but(counter=int(world.lab(party, "GET", "/lab/counters")["last"]) + 1)

    act = answered(party, HONEST, gives(next_counter), day_before)
    return attack(
        f"lying.{cos}.pending", f"{party} signs what displaces the next supplier's waiting change",
        Rung.ONE_PARTY, BOTH_CHECK, f"every key of {party}; {OUTGOING}", waiting(party, act),
        Stop("acb", "acb.return.pending_change"), "cos", "lying", BETWEEN,
    )  # fmt: skip
