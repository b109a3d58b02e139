"""The broker's copies of the repository's word: what is kept, by whose signature, and who is told.

Each lie is told by a repository with a perfect link. What matters is what is left of it when an
honest repository answers again.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from acb.model import PathEvidence
from acb.peers.smki import Smki
from acb.rules.path import UNREFRESHED, require_path, require_unrevoked
from acb.store import requests as store
from keys.certificate import Certificate
from keys.crl import RevocationList, read_crl
from services.chassis.checks import CheckFailed
from services.chassis.data.store import Database
from services.chassis.settings import SOURCE_SECONDS
from services.chassis.time.sharing import MOST
from services.link.authorities import Authorities
from services.link.errors import PeerRefused, PeerUnavailable
from services.link.repository import RepositoryClient, RevocationCopies, metadata, read_lists
from services.link.trust import LinkTrust
from tests.unit.cos_party import pki
from tests.unit.services.link.estate import NOW, Authority, HeldClock

AT_ONCE = timedelta()
"""No copy is young enough: every question asks the repository."""
HOUR = timedelta(hours=1)


class World:
    """Authorities, a supplier's signing key, and an honest repository with their lists."""

    def __init__(self, infrastructure: Authority | None = None) -> None:
        self.root = pki.authority("SIM-ZA", "00")
        self.issuing = pki.authority("SIM-Z1", "07", self.root)
        self.device_root = pki.authority("SIM-E0", "00", policy=pki.DEVICE)
        self.device_issuing = pki.authority("SIM-E1", "07", self.device_root, pki.DEVICE)
        self.infrastructure = infrastructure or Authority()
        # the true authority's name and certificate, and another key
        self.forger = replace(self.issuing, private=pki.key("forger"))
        self.supplier = pki.organisation(self.issuing, "0253494d20000000", "87")
        self.trust = Authorities(
            organisation_root=self.root.certificate,
            organisation_authorities=(self.issuing.certificate,),
            device_root=self.device_root.certificate,
            device_authorities=(self.device_issuing.certificate,),
            infrastructure_root=self.infrastructure.certificate,
        )

    def lists(self) -> dict[str, bytes]:
        return {
            "organisation": self.issuing.revocation_list(),
            "device": self.device_issuing.revocation_list(),
            "infrastructure": self.infrastructure.revocation_list(),
        }


class Repository:
    """A repository as strict as ours: it refuses names and numbers that it does not know."""

    def __init__(self, lists: dict[str, bytes], *certificates: Certificate) -> None:
        self.lists: dict[str, bytes] = lists
        self.certificates = list(certificates)
        self.down = False
        self.lies: dict[str, Any] | None = None
        self.asked: list[dict[str, Any]] = []
        self.hold = False
        self.held = asyncio.Event()
        self.let_go = asyncio.Event()

    async def call(self, path: str, purpose: str, message_id: str, body: dict[str, Any]) -> Any:
        del path, message_id
        self.asked.append(body)
        if self.down:
            raise PeerUnavailable("smki_repository", "no answer")
        if purpose == "smki-certificates":
            found = [text(item.der) for item in self.certificates]
            return SimpleNamespace(body={"version": 1, "certificates": found})
        if self.lies is not None:
            return SimpleNamespace(body={"version": 1, "lists": self.lies})
        known = body["known"]
        numbers = {name: read_crl(der).number for name, der in self.lists.items()}
        if set(known) - set(numbers):
            problem = {"check": "smki.revocation.names", "detail": "no such list"}
            raise PeerRefused("smki_repository", 422, problem, 1)
        if any(known[name] > numbers[name] for name in known):
            problem = {"check": "smki.revocation.numbers", "detail": "later than published"}
            raise PeerRefused("smki_repository", 409, problem, 1)
        told = {
            name: None if known.get(name) == numbers[name] else text(der)
            for name, der in self.lists.items()
        }
        if self.hold:
            self.hold = False
            self.held.set()
            await self.let_go.wait()
        return SimpleNamespace(body={"version": 1, "lists": told})


class Broker:
    """The broker's view of the repository, on a store of its own."""

    def __init__(self, world: World, database: Database, repository: Repository) -> None:
        self.world = world
        self.database = database
        self.repository = repository
        self.clock = HeldClock()
        self.smki = self.again()

    def again(self, **changes: Any) -> Smki:
        """After a restart: on the same store, with nothing in memory."""
        told = {"max_age": AT_ONCE, "patience": HOUR, **changes}
        client = RepositoryClient(self.repository, told.get("seconds", SOURCE_SECONDS))
        copies = RevocationCopies(
            repository=client,
            database=self.database,
            trust=self.world.trust,
            clock=self.clock,
            **told,
        )
        self.smki = Smki(client, copies, self.database, self.world.trust)
        return self.smki

    async def path(self) -> PathEvidence:
        return PathEvidence(
            (self.world.issuing.certificate,),
            self.world.root.certificate,
            await self.smki.revocation_lists(),
            pki.NOW,
            self.smki.copies.unrefreshed(),
        )

    async def judge(self) -> str | None:
        """Why the supplier's certificate does not count, or None."""
        try:
            require_unrevoked(self.world.supplier.certificate, await self.path())
        except CheckFailed as failed:
            return failed.found
        return None

    async def kept(self) -> dict[str, int]:
        async with self.database.connect() as conn:
            return {key: item.number for key, item in (await read_lists(conn)).items()}


def text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def key_of(authority: Certificate) -> str:
    return authority.authority_id


async def database(folder: Path) -> Database:
    opened = await Database.open(folder / "store.sqlite3")
    await opened.create_all(store.tables)
    await opened.create_all(metadata)
    return opened


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture
async def broker(tmp_path: Path, world: World) -> AsyncIterator[Broker]:
    kept = await database(tmp_path)
    yield Broker(world, kept, Repository(world.lists(), world.supplier.certificate))
    await kept.close()


async def test_a_genuine_list_under_an_unknown_name_locks_nobody_out(
    broker: Broker, world: World
) -> None:
    """The honest repository refused the name for ever, and revocations were never heard of."""
    lists = world.lists()
    broker.repository.lies = {"everything": text(lists["organisation"])}
    await broker.smki.revocation_lists()
    assert set(await broker.kept()) == {key_of(world.issuing.certificate)}
    broker.repository.lies = None
    revoked = world.issuing.revocation_list(world.supplier.certificate.serial, number=2)
    broker.repository.lists["organisation"] = revoked
    broker.again()
    assert await broker.judge() == "revoked"
    assert set(broker.repository.asked[-1]["known"]) <= set(lists)


async def test_lists_under_each_others_names_hide_no_news(broker: Broker, world: World) -> None:
    """By the repository's names, device list 7 would have been the known organisation list 7."""
    broker.repository.lies = {
        "organisation": text(world.device_issuing.revocation_list(number=7)),
        "device": text(world.issuing.revocation_list(number=1)),
    }
    await broker.smki.revocation_lists()
    broker.repository.lies = None
    broker.repository.lists["organisation"] = world.issuing.revocation_list(
        world.supplier.certificate.serial, number=7
    )
    broker.repository.lists["device"] = world.device_issuing.revocation_list(number=7)
    broker.again()
    assert await broker.judge() == "revoked"


@pytest.mark.parametrize("name", ["organisation", "everything"])
async def test_a_forged_list_with_a_huge_number_refuses_nobody(
    broker: Broker, world: World, name: str
) -> None:
    assert await broker.judge() is None
    forged = world.forger.revocation_list(number=2**150)
    before = await broker.kept()
    broker.repository.lies = {**dict.fromkeys(world.lists()), name: text(forged)}
    assert await broker.judge() is None
    assert await broker.kept() == before
    broker.repository.lies = None
    broker.again()
    assert await broker.judge() is None
    assert await broker.smki.not_ready() is None


async def test_a_repository_that_holds_less_is_asked_for_everything(
    broker: Broker, world: World
) -> None:
    """It has lost a list: that must not keep the others' news from the broker."""
    broker.repository.lists["device"] = world.device_issuing.revocation_list(number=9)
    await broker.smki.revocation_lists()
    broker.repository.lists["device"] = world.device_issuing.revocation_list(number=1)
    broker.repository.lists["organisation"] = world.issuing.revocation_list(
        world.supplier.certificate.serial, number=2
    )
    broker.again()
    assert await broker.judge() == "revoked"
    assert broker.repository.asked[-1]["known"] == {}
    assert (await broker.kept())[key_of(world.device_issuing.certificate)] == 9
    assert "an older device list" in (await broker.smki.not_ready() or "")


@pytest.mark.parametrize("lie", ["down", "nothing", "forged", "older", "null"])
async def test_a_refresh_that_brings_nothing_is_said_and_refuses_in_the_end(
    broker: Broker, world: World, lie: str
) -> None:
    broker.repository.lists["organisation"] = world.issuing.revocation_list(number=5)
    assert await broker.judge() is None
    assert await broker.smki.not_ready() is None
    kept = await broker.kept()
    honest = dict.fromkeys(world.lists())
    if lie == "down":
        broker.repository.down = True
    elif lie == "null":
        broker.repository.lies = {"device": None, "infrastructure": None}
    else:
        said = {
            "nothing": {},
            "forged": {"organisation": text(world.forger.revocation_list(number=9))},
            "older": {"organisation": text(world.issuing.revocation_list(number=4))},
        }
        broker.repository.lies = {**honest, **said[lie]} if said[lie] else {}
    assert await broker.judge() is None
    assert "could not be refreshed since" in (await broker.smki.not_ready() or "")
    assert broker.smki.copies.needs_refresh()
    broker.clock.step(3600)
    assert await broker.judge() is None
    broker.clock.step(1)
    assert await broker.judge() == UNREFRESHED
    assert await broker.kept() == kept
    require_path(world.supplier.certificate, await broker.path(), revocation=False)  # the twin
    broker.repository.down, broker.repository.lies = False, None
    assert await broker.judge() is None
    assert await broker.smki.not_ready() is None


async def test_a_forged_certificate_is_judged_and_not_kept(broker: Broker, world: World) -> None:
    true = world.supplier.certificate
    forged = pki.reissued_with_serial(world.forger, world.supplier, "0253494d20000000").certificate
    assert (forged.issuer, forged.serial) == (true.issuer, true.serial)
    broker.repository.certificates = [forged]
    assert await broker.smki.certificate(true.issuer, true.serial) == forged
    with pytest.raises(CheckFailed):
        require_path(forged, await broker.path(), revocation=False)
    broker.repository.certificates = [true]
    broker.again()
    assert await broker.smki.certificate(true.issuer, true.serial) == true


@pytest.mark.parametrize("first", [True, False])
async def test_a_forged_sibling_does_not_end_a_supplier(
    broker: Broker, world: World, first: bool
) -> None:
    true = world.supplier.certificate
    forged = pki.reissued_with_serial(world.forger, world.supplier, "0253494d20000000").certificate
    broker.repository.certificates = [forged, true] if first else [true, forged]
    assert await broker.smki.certificate(true.issuer, true.serial) == true
    broker.repository.certificates = [forged]
    assert await broker.again().certificate(true.issuer, true.serial) == true


async def test_of_two_authentic_certificates_of_one_name_neither_counts(
    broker: Broker, world: World
) -> None:
    true = world.supplier.certificate
    twin = pki.reissued_with_serial(world.issuing, world.supplier, "0253494d20000000").certificate
    broker.repository.certificates = [true, twin]
    assert await broker.smki.certificate(true.issuer, true.serial) is None


async def test_an_older_list_that_was_overtaken_does_not_take_the_place_of_a_newer(
    broker: Broker, world: World
) -> None:
    older = broker.repository.lists["infrastructure"]
    newer = world.infrastructure.revocation_list(7, number=2)
    broker.repository.hold = True
    overtaken = asyncio.create_task(broker.smki.revocation_lists())
    await broker.repository.held.wait()
    broker.repository.lists["infrastructure"] = newer
    assert newer in await broker.smki.revocation_lists()
    broker.repository.let_go.set()
    lists = await overtaken
    assert newer in lists
    assert older not in lists
    assert await broker.smki.not_ready() is None


async def test_a_copy_fetched_later_than_now_is_asked_for_again(
    broker: Broker, world: World
) -> None:
    """The machine's clock ran ahead for a while: the copy would have looked young for as long."""
    broker.again(max_age=HOUR)
    broker.clock.step(86_400)
    await broker.smki.revocation_lists()
    broker.clock.step(-86_400)
    newer = world.infrastructure.revocation_list(7, number=2)
    broker.repository.lists["infrastructure"] = newer
    assert newer in await broker.smki.revocation_lists()


async def test_the_link_is_told_of_the_list_of_link_certificates(
    broker: Broker, world: World
) -> None:
    """At once when it comes, and again after a start, when the copy is young and nobody asks."""
    authority = world.infrastructure
    held = authority.issue("ecos_party")

    def new_trust() -> LinkTrust:
        return LinkTrust(authority.certificate, {"ecos_party": held.certificate})

    def failure(trust: LinkTrust, at: datetime = NOW) -> str | None:
        return trust.failure(held.certificate, at)

    trust = new_trust()
    smki = broker.again(use=trust.offer)
    await smki.revocation_lists()
    assert failure(trust) is None
    broker.repository.lists["infrastructure"] = authority.revocation_list(
        held.certificate.serial, number=2
    )
    await smki.revocation_lists()
    assert failure(trust) == "revoked"

    trust = new_trust()
    await broker.again(max_age=timedelta(days=1), use=trust.offer).revocation_lists()
    assert failure(trust) == "revoked"


async def test_each_list_is_told_of_once_and_not_for_every_request(broker: Broker) -> None:
    told: list[RevocationList] = []
    smki = broker.again(use=told.append)
    for _ in range(3):
        await smki.revocation_lists()
    assert len(told) == 3


async def test_a_young_copy_is_asked_for_again_when_the_links_list_has_run_out(
    broker: Broker, world: World
) -> None:
    stale = True
    smki = broker.again(max_age=HOUR, link_stale=lambda: stale)
    await smki.revocation_lists()
    assert await smki.not_ready() == "the revocation list of link certificates has run out"
    newer = world.infrastructure.revocation_list(number=2)
    broker.repository.lists["infrastructure"] = newer
    assert newer in await smki.revocation_lists()
    stale = False
    assert await smki.not_ready() is None
    asked = len(broker.repository.asked)
    await smki.revocation_lists()
    assert len(broker.repository.asked) == asked


async def test_a_repository_that_does_not_answer_is_waited_for_until_the_deadline(
    broker: Broker, world: World
) -> None:
    """Then the lists held serve, for as long as they may, and the broker says that it waits."""
    await broker.smki.revocation_lists()
    broker.again(seconds=0.05)
    broker.repository.hold = True  # and nobody lets it go
    assert await broker.judge() is None
    assert "no answer within 0.05 s" in str(await broker.smki.not_ready())
    broker.repository.hold = True
    broker.clock.step(HOUR.total_seconds() + 1)
    assert await broker.judge() == UNREFRESHED


async def test_a_revocation_is_seen_by_who_asks_after_it_whoever_is_waited_for(
    broker: Broker, world: World
) -> None:
    """Pulls that were answered before it are not for who asks after it."""
    await broker.smki.revocation_lists()
    early = []
    for _ in range(MOST):
        broker.repository.hold, broker.repository.held = True, asyncio.Event()
        early.append(asyncio.create_task(broker.smki.revocation_lists()))
        await broker.repository.held.wait()
    revoked = world.issuing.revocation_list(world.supplier.certificate.serial, number=2)
    broker.repository.lists["organisation"] = revoked
    late = asyncio.create_task(broker.judge())
    for _ in range(50):
        await asyncio.sleep(0)
    broker.repository.let_go.set()
    assert await late == "revoked"
    await asyncio.gather(*early)
    asked = len(broker.repository.asked)
    await asyncio.gather(*(broker.smki.revocation_lists() for _ in range(10)))
    assert len(broker.repository.asked) <= asked + MOST + 1
