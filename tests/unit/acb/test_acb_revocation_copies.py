"""The broker's copies of the revocation lists: what takes the place of what, and who is told."""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from acb import store
from acb.smki import Smki
from keys.crl import RevocationList, read_crl
from services.chassis.store import Database
from services.link.trust import LinkTrust
from tests.unit.link.estate import NOW, Authority, HeldClock

AT_ONCE = timedelta()
"""No copy is young enough: every question asks the repository."""


class Repository:
    """Answers with the list of the moment in which it was asked; the first answer may be held."""

    def __init__(self, first: bytes) -> None:
        self.list = first
        self.hold = False
        self.asked = asyncio.Event()
        self.let_go = asyncio.Event()

    async def call(self, path: str, purpose: str, message_id: str, body: dict[str, Any]) -> Any:
        del path, purpose, message_id, body
        answer = {"version": 1, "lists": {"infrastructure": base64.b64encode(self.list).decode()}}
        if self.hold:
            self.hold = False
            self.asked.set()
            await self.let_go.wait()
        return SimpleNamespace(body=answer)


async def database(folder: Path) -> Database:
    opened = await Database.open(folder / "store.sqlite3")
    await opened.create_all(store.tables)
    return opened


async def test_an_older_list_that_was_overtaken_does_not_take_the_place_of_a_newer(
    tmp_path: Path,
) -> None:
    authority = Authority()
    older, newer = authority.revocation_list(number=1), authority.revocation_list(7, number=2)
    repository, kept = Repository(older), await database(tmp_path)
    smki = Smki(repository, kept, HeldClock(), AT_ONCE)
    repository.hold = True
    overtaken = asyncio.create_task(smki.revocation_lists())
    await repository.asked.wait()
    repository.list = newer
    assert await smki.revocation_lists() == (newer,)
    repository.let_go.set()
    assert await overtaken == (newer,)
    assert await Smki(repository, kept, HeldClock(), timedelta(days=1)).revocation_lists() == (
        newer,
    )
    await kept.close()


async def test_a_copy_fetched_later_than_now_is_asked_for_again(tmp_path: Path) -> None:
    """The machine's clock ran ahead for a while: the copy would have looked young for as long."""
    authority, clock = Authority(), HeldClock()
    repository, kept = Repository(authority.revocation_list(number=1)), await database(tmp_path)
    smki = Smki(repository, kept, clock, timedelta(hours=1))
    clock.step(86_400)
    await smki.revocation_lists()
    clock.step(-86_400)
    repository.list = authority.revocation_list(7, number=2)
    assert await smki.revocation_lists() == (repository.list,)
    await kept.close()


async def test_the_link_is_told_of_the_list_of_link_certificates(tmp_path: Path) -> None:
    """At once when it comes, and again after a start, when the copy is young and nobody asks."""
    authority = Authority()
    held = authority.issue("ecos_party")

    def new_trust() -> LinkTrust:
        return LinkTrust(authority.certificate, {"ecos_party": held.certificate})

    def failure(trust: LinkTrust, at: datetime = NOW) -> str | None:
        return trust.failure(held.certificate, at)

    kept, trust = await database(tmp_path), new_trust()
    repository = Repository(authority.revocation_list(number=1))
    smki = Smki(repository, kept, HeldClock(), AT_ONCE, trust.offer)
    await smki.revocation_lists()
    assert failure(trust) is None
    repository.list = authority.revocation_list(held.certificate.serial, number=2)
    await smki.revocation_lists()
    assert failure(trust) == "revoked"

    trust = new_trust()
    await Smki(repository, kept, HeldClock(), timedelta(days=1), trust.offer).revocation_lists()
    assert failure(trust) == "revoked"
    await kept.close()


async def test_a_list_is_told_once(tmp_path: Path) -> None:
    told: list[RevocationList] = []
    repository, kept = Repository(Authority().revocation_list()), await database(tmp_path)
    smki = Smki(repository, kept, HeldClock(), AT_ONCE, told.append)
    for _ in range(3):
        await smki.revocation_lists()
    assert told == [read_crl(repository.list)]
    await kept.close()
