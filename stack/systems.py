"""The systems of a stack: one table, a row a system. Every other list of them is made from it.

What has to be written in another format (`docker-compose.yml`, the contracts in `pyproject.toml`,
the key ceremony's plan, the pytest plugin, which imports nothing of the stack) is compared with it
by `tests/separation/test_one_table_of_systems.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keys.issuing.plan import CeremonyPlan, PartyPlan

LINK_KEY: Final = "link"
DEVICE_SEED: Final = "device-seed"


@dataclass(frozen=True)
class System:
    """One system.

    Attributes:
        name: as peers, folders, hosts and settings call it.
        module: what its process runs.
        colour: in which a terminal shows what it did.
        peers: whom it calls. Nothing else is told an address: a CoS Party does not know where
            meters are.
        keys: what its key store holds, by name.
        link_only: its interface is the signed link and nothing else: in containers it runs over
            mutual TLS as well. (The broker's is met by users and meters, who have no link
            certificate.)
        cos_party: it signs commands of change of supplier, and devices hold its certificate.
    """

    name: str
    module: str
    colour: str
    peers: tuple[str, ...] = ()
    keys: tuple[str, ...] = (LINK_KEY,)
    link_only: bool = True
    cos_party: bool = False

    @property
    def check_prefix(self) -> str:
        """First part of the identifiers of its checks (``tcos_party`` -> ``tcos``)."""
        return self.name.split("_", maxsplit=1)[0]


TABLE: Final = (
    System("smki_repository", "services.smki_repository.main", "white"),
    System("registration", "services.registration.main", "white"),
    System(
        "tcos_party", "tcos_party.main", "blue", ("registration", "smki_repository"),
        keys=(LINK_KEY, "digital-signing"), cos_party=True,
    ),
    System(
        "ecos_party", "ecos_party.main", "cyan", ("registration", "smki_repository"),
        keys=(LINK_KEY, "digital-signing"), cos_party=True,
    ),
    System("meter_sim", "meter_sim.main", "yellow", keys=(DEVICE_SEED,), link_only=False),
    System(
        "acb", "acb.main", "magenta", ("tcos_party", "ecos_party", "smki_repository", "meter_sim"),
        keys=(LINK_KEY, "digital-signing", "key-agreement", "xml-signing"), link_only=False,
    ),
)  # fmt: skip
"""In the order in which they start, and take two ports each: each after those that it asks."""

SYSTEM: Final = {row.name: row for row in TABLE}
SYSTEMS: Final = tuple(SYSTEM)
PEERS: Final = {row.name: row.peers for row in TABLE}
COS_PARTIES: Final = tuple(row.name for row in TABLE if row.cos_party)
DEVICES_LAST: Final = tuple(sorted(SYSTEMS, key=lambda name: DEVICE_SEED in SYSTEM[name].keys))
"""For clocks: what falls due acts at once, and the others shall know the time by then."""


def with_link_keys(plan: CeremonyPlan) -> CeremonyPlan:
    """The plan, with a link key for each system that has no other key and is not named in it."""
    named = {party.system for party in plan.parties}
    more = [PartyPlan(system=one.name) for one in TABLE if one.keys == (LINK_KEY,)]
    parties = (*plan.parties, *(party for party in more if party.system not in named))
    return plan.model_copy(update={"parties": parties})
