"""The repository's word that holds for a while: nobody is asked meanwhile, and then again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from acb.rules.path import UNREFRESHED
from services.chassis.time.leases import Lease
from tests.unit.acb.peers.test_revocation_copies import Broker, Repository, World, database

CHANGES = 20


class Granting(Repository):
    """A repository that grants leases, and says that they are long."""

    async def call(self, path: str, purpose: str, message_id: str, body: dict[str, Any]) -> Any:
        answer = await super().call(path, purpose, message_id, body)
        lease = {"lease": 1e9} if body.get("lease") else {}
        return SimpleNamespace(body={**answer.body, **lease})


class Leased(Broker):
    """The broker, and machine time that passes when told."""

    seconds = 0.0

    def again(self, **changes: Any) -> Any:
        smki = super().again(**changes)
        smki.copies.lease = Lease(1.0, lambda: self.seconds)
        return smki

    def asked(self) -> int:
        """How often it asked, since this was said last."""
        count = len(self.repository.asked)
        self.repository.asked.clear()
        return count


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture
async def broker(tmp_path: Path, world: World) -> AsyncIterator[Leased]:
    kept = await database(tmp_path)
    yield Leased(world, kept, Granting(world.lists(), world.supplier.certificate))
    await kept.close()


async def test_requests_one_after_another_ask_once_a_lease(broker: Leased) -> None:
    for _ in range(CHANGES):
        assert await broker.judge() is None
    assert broker.asked() == 1
    broker.seconds += 1.0
    for _ in range(CHANGES):
        assert await broker.judge() is None
    assert broker.asked() == 1


async def test_requests_at_once_share_one_question(broker: Leased) -> None:
    assert await asyncio.gather(*(broker.judge() for _ in range(CHANGES))) == [None] * CHANGES
    assert broker.asked() == 1


async def test_a_revocation_is_seen_when_the_lease_is_over(broker: Leased, world: World) -> None:
    assert await broker.judge() is None
    revoked = world.issuing.revocation_list(world.supplier.certificate.serial, number=2)
    broker.repository.lists["organisation"] = revoked
    assert await broker.judge() is None  # the repository has confirmed it to nobody yet
    broker.seconds += 1.0
    assert await broker.judge() == "revoked"


async def test_a_repository_that_falls_silent_has_the_limits_that_it_had(broker: Leased) -> None:
    assert await broker.judge() is None
    broker.repository.down = True
    broker.seconds += 1.0
    assert await broker.judge() is None
    assert "could not be refreshed since" in (await broker.smki.not_ready() or "")
    broker.asked()
    assert await broker.judge() is None
    assert broker.asked() == 1  # a failure has no lease: everybody asks
    broker.clock.step(3601)
    assert await broker.judge() == UNREFRESHED
    broker.repository.down = False
    assert await broker.judge() is None


async def test_lists_that_are_withheld_begin_no_lease(broker: Leased, world: World) -> None:
    broker.repository.lies = dict.fromkeys(world.lists())  # "you have them": it has none
    assert await broker.judge() is not None
    broker.repository.lies = None
    assert await broker.judge() is None


async def test_a_sync_ends_the_lease(broker: Leased, world: World) -> None:
    assert await broker.judge() is None
    revoked = world.issuing.revocation_list(world.supplier.certificate.serial, number=2)
    broker.repository.lists["organisation"] = revoked
    assert "lists taken: CN=" in await broker.smki.sync()
    assert await broker.judge() == "revoked"
    broker.asked()
    await broker.smki.sync()
    await broker.judge()
    assert broker.asked() == 2  # what is said to a sync holds for nobody else


async def test_with_no_lease_in_the_settings_everybody_asks(broker: Leased) -> None:
    broker.smki.copies.lease = Lease(0.0)
    for _ in range(3):
        assert await broker.judge() is None
    assert broker.asked() == 3
