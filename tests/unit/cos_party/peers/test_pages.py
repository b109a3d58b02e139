"""The register taken page by page from registration itself; and where a page is lost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select, update

from cos_party.peers import copies
from cos_party.peers.outbound import KnownExtract, RegistrationClient
from cos_party.store.tables import registered_points, registration
from services.chassis.checks import CheckBook, Refused
from services.chassis.context import ServiceContext
from services.chassis.settings import Listen
from services.link.client import MAX_ANSWER
from services.link.errors import PeerRefused, PeerUnavailable
from services.registration import store
from services.registration.checks import CHECKS
from services.registration.model import MeterPoint
from services.registration.settings import RegistrationSettings
from services.registration.workflow import Registration
from tests.unit.cos_party.estate import Estate, Party, extract

HOMES = 7
PAGE = store.PAGE_ROWS
MANY = 100_000
ALL = HOMES + 2


@dataclass
class Source:
    """Registration as it is, without the link between."""

    workflow: Registration
    base: ServiceContext
    lies: dict[str, Any] = field(default_factory=dict)
    fails_after: int | None = None
    told: list[dict[str, Any]] = field(default_factory=list)

    async def call(self, path: str, purpose: str, message_id: str, body: dict[str, Any]) -> Any:
        del path
        if self.fails_after is not None and len(self.told) >= self.fails_after:
            raise PeerUnavailable("registration", "no answer")
        opened: Any = SimpleNamespace(
            read=lambda model: model.model_validate_json(json.dumps(body)),
            message_id=message_id,
            sender="ecos_party",
            purpose=purpose,
        )
        try:
            answer = await self.workflow.extract(opened)
        except Refused as refused:
            problem = {"check": refused.check, "detail": refused.detail}
            raise PeerRefused("registration", refused.status, problem, 1) from None
        self.told.append(answer | self.lies)
        return SimpleNamespace(body=self.told[-1])

    def homes_told(self) -> int:
        return sum(len(answer["meter_points"]) for answer in self.told)


@pytest.fixture
async def source(
    ecos: Party, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Source]:
    monkeypatch.setattr(store, "PAGE_ROWS", 2)
    (tmp_path / "registration").mkdir()
    settings = RegistrationSettings(
        party="registration",
        data=tmp_path / "registration",
        interface=Listen(port=0),
        lab=Listen(port=0),
        source_lease_seconds=0.0,
    )
    book = CheckBook("registration", CHECKS)
    base = await ServiceContext.open(settings, book, store.metadata)
    said = extract().model_dump(mode="json")
    one = said["meter_points"][0]
    said["meter_points"] += [
        {**one, "mpxn": f"13{home:011d}", "devices": [f"{home:016x}"]} for home in range(HOMES)
    ]
    file = tmp_path / "estate.json"
    file.write_text(json.dumps(said))
    workflow = Registration(base, file)
    await workflow.load()
    here = Source(workflow, base)
    ecos.gatherer.puller._source = RegistrationClient(here)
    yield here
    await base.close()


async def held(party: Party) -> tuple[int, int]:
    """Generations, and meter points in them."""
    async with party.base.database.connect() as conn:
        generations = await conn.execute(select(func.count()).select_from(registration))
        points = await conn.execute(select(func.count()).select_from(registered_points))
        return int(generations.scalar_one()), int(points.scalar_one())


async def sync(party: Party) -> str:
    return (await party.gatherer.puller.sync()).registration


async def change(source: Source, number: int, *devices: str) -> None:
    await source.workflow.set_devices(f"13{number:011d}", list(devices))


async def test_all_of_it_then_only_what_changed(
    ecos: Party, estate: Estate, source: Source
) -> None:
    assert (await ecos.command(estate.ask(counter=1).signed))["counter"] == 6001
    assert source.homes_told() == ALL
    assert len(source.told) > 2
    source.told.clear()
    assert await sync(ecos) == "extract 1 is current"
    await change(source, 3, "0253494dd0000099")
    assert await sync(ecos) == "extract 2 taken"
    assert source.homes_told() == 1
    assert await sync(ecos) == "extract 2 is current"
    assert await held(ecos) == (1, ALL)
    async with ecos.base.database.connect() as conn:
        mpxn = f"13{3:011d}"
        copy = await ecos.gatherer.puller.registration.read(conn, [mpxn])
    assert copy is not None
    assert copy.meter_points[mpxn].devices == {"0253494dd0000099"}
    assert set(copy.meter_points) == {mpxn}
    assert "SUPB" in copy.participants


async def test_a_gap_is_noticed_and_everything_is_asked_for_anew(
    ecos: Party, estate: Estate, source: Source
) -> None:
    """One home is not what registration said: a page was lost, or a lie is left."""
    await sync(ecos)
    async with ecos.base.database.begin() as conn:
        wrong = update(registration).values(total="1")
        await conn.execute(wrong)
    source.told.clear()
    assert await sync(ecos) == "extract 1 taken"
    assert source.homes_told() == ALL
    assert (await ecos.command(estate.ask().signed))["counter"] == 6001
    assert await held(ecos) == (1, ALL)  # the one with the gap was cleared away


async def test_a_lie_that_goes_on_from_the_truth_is_found_by_the_truth(
    ecos: Party, estate: Estate, source: Source
) -> None:
    await sync(ecos)
    await change(source, 1)
    mine = MeterPoint.model_validate_json(
        json.dumps(extract().model_dump(mode="json")["meter_points"][0])
    )
    nobody = {**mine.model_dump(mode="json"), "registrations": []}
    source.lies = {"meter_points": [nobody], "register_digest": None}
    assert await sync(ecos) == "extract 2 taken"
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask(counter=1).signed)
    assert refusal.value.check == "ecos.registration.incoming_supplier"
    source.lies = {}
    assert (await ecos.command(estate.ask(counter=2).signed))["counter"] == 6001


async def test_registration_that_contradicts_itself_is_not_believed(
    ecos: Party, estate: Estate, source: Source
) -> None:
    source.lies = {"register_digest": "0" * 64}
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask().signed)
    assert refusal.value.check == "ecos.registration.fresh"
    assert "not what registration says" in refusal.value.detail
    assert ecos.signer.used == 0


async def test_what_is_not_complete_decides_nothing_and_is_gone_on_with(
    ecos: Party, estate: Estate, source: Source
) -> None:
    source.fails_after = 2
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask().signed)
    assert (refusal.value.check, refusal.value.found) == ("ecos.registration.fresh", "none is held")
    source.fails_after = None
    assert (await ecos.command(estate.ask().signed))["counter"] == 6001
    assert source.homes_told() == ALL  # no page was asked for twice


async def test_a_copy_serves_until_the_next_one_is_complete(
    ecos: Party, estate: Estate, source: Source
) -> None:
    await sync(ecos)
    await source.workflow.load()
    source.told.clear()
    source.fails_after = 2
    await sync(ecos)
    async with ecos.base.database.connect() as conn:
        copy = await ecos.gatherer.puller.registration.read(conn, [])
    assert copy is not None
    assert copy.number == 1
    source.fails_after = None
    assert await sync(ecos) == "extract 2 taken"
    assert await held(ecos) == (1, ALL)
    assert (await ecos.command(estate.ask().signed))["counter"] == 6001


async def test_whoever_is_ahead_of_registration_asks_for_everything(
    ecos: Party, source: Source
) -> None:
    await sync(ecos)
    async with ecos.base.database.begin() as conn:
        await conn.execute(update(registration).values(number=99))
    assert await sync(ecos) == "extract 1 taken"


async def test_an_earlier_copy_is_cleared_away_by_and_by(
    ecos: Party, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A register of a million homes is not deleted while everybody else waits to write."""
    await sync(ecos)
    monkeypatch.setattr(copies, "CLEARED", 4)
    await source.workflow.load()
    await sync(ecos)
    left = [(await held(ecos))[1]]
    while (await held(ecos))[0] > 1:
        await sync(ecos)
        left.append((await held(ecos))[1])
    assert left == [2 * ALL - 4, 2 * ALL - 8, ALL]


@pytest.mark.check
@pytest.mark.timeout(600)
async def test_a_hundred_thousand_meter_points_come_whole(
    ecos: Party, estate: Estate, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, in answers that the link carries; afterwards one change is one home."""
    monkeypatch.setattr(store, "PAGE_ROWS", PAGE)
    said = extract().model_dump(mode="json")
    one = said["meter_points"][0]
    said["meter_points"] += [
        {**one, "mpxn": f"13{home:011d}", "devices": [f"{home:016x}"]} for home in range(MANY)
    ]
    (tmp_path / "estate.json").write_text(json.dumps(said))
    await source.workflow.load()
    assert await sync(ecos) == "extract 2 taken"
    told = [home["mpxn"] for answer in source.told for home in answer["meter_points"]]
    assert sorted(told) == sorted(home["mpxn"] for home in said["meter_points"])
    assert len(source.told) == len(told) // PAGE + 1
    assert all(len(json.dumps(answer)) < MAX_ANSWER for answer in source.told)
    async with ecos.base.database.connect() as conn:
        known = await ecos.gatherer.puller.registration.known(conn)
    assert known == KnownExtract(2, source.told[-1]["register_digest"])
    assert (await ecos.command(estate.ask().signed))["counter"] == 6001
    source.told.clear()
    await change(source, MANY - 1, "0253494dd0000099")
    assert await sync(ecos) == "extract 3 taken"
    assert source.homes_told() == 1
