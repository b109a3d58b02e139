"""Registration page by page: what changed after a copy, and many homes at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from services.chassis.time import leases
from services.registration import store
from services.registration.model import Register
from services.registration.workflow import Registration

if TYPE_CHECKING:
    from conftest import Bench

FROM = "2026-04-01T00:00:00Z"


def home(number: int, *devices: str, participant: str = "SUPA") -> dict[str, Any]:
    period = {"participant": participant, "effective_from": FROM, "effective_to": None}
    return {"mpxn": f"13{number:011d}", "devices": list(devices), "registrations": [period]}


async def put(bench: Bench, *homes: dict[str, Any]) -> Any:
    return await bench.lab.put("/lab/meter-points", json={"meter_points": list(homes)})


async def pages(bench: Bench, after: Any = None, **body: Any) -> list[dict[str, Any]]:
    """Every page from there on."""
    found: list[dict[str, Any]] = []
    while True:
        more = {} if after is None else {"after": after}
        found.append((await bench.extract(paged=True, **body, **more)).body)
        if not found[-1]["more"]:
            return found
        after = found[-1]["next"]


async def test_all_pages_together_are_the_register(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PAGE_ROWS", 2)
    assert (await put(bench, *(home(n) for n in range(5)))).is_success
    told = await pages(bench)
    assert [len(page["meter_points"]) for page in told[:-1]] == [2] * (len(told) - 1)
    assert [page["goes_on"] for page in told] == [False, *[True] * (len(told) - 1)]
    points = [point for page in told for point in page["meter_points"]]
    assert all(page["participants"] == [] for page in told[:-1])
    register = {"participants": told[-1]["participants"], "meter_points": points}
    read = Register.model_validate_json(json.dumps(register))
    assert read.digest == told[-1]["register_digest"]
    whole = await bench.register()
    assert sorted(points, key=lambda p: str(p["mpxn"])) == whole["meter_points"]
    same = await bench.extract(known=told[-1]["number"], digest=read.digest, paged=True)
    assert same.body["unchanged"] is True


async def test_only_what_changed_is_told(bench: Bench) -> None:
    await put(bench, *(home(n) for n in range(5)))
    last = (await pages(bench))[-1]
    await put(bench, home(3, "0253494dd0000099"))
    (page,) = await pages(bench, last["next"], known=last["number"], digest="0" * 64)
    assert page["goes_on"] is True
    assert page["meter_points"] == [home(3, "0253494dd0000099")]
    assert page["participants"] == []


async def test_what_changes_while_somebody_reads_comes_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PAGE_ROWS", 2)
    await put(bench, *(home(n) for n in range(5)))
    first = (await bench.extract(paged=True)).body
    moved = first["meter_points"][0]["mpxn"]
    await bench.lab.put(f"/lab/meter-points/{moved}", json={"devices": []})
    rest = await pages(bench, first["next"])
    assert [p["mpxn"] for page in rest for p in page["meter_points"]][-1] == moved


async def test_a_position_in_a_register_that_was_taken_anew_is_none(bench: Bench) -> None:
    last = (await pages(bench))[-1]
    await bench.lab.post("/lab/register/reload")
    page = (await pages(bench, last["next"], known=last["number"]))[0]
    assert page["goes_on"] is False
    assert len(page["meter_points"]) == len((await bench.register())["meter_points"])


async def test_a_long_page_ends_before_an_answer_may_not_be_longer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PAGE_OCTETS", 1)
    assert all(len(page["meter_points"]) == 1 for page in await pages(bench))


async def test_many_homes_are_one_change(bench: Bench) -> None:
    before = await bench.register()
    answer = await put(bench, *(home(n, f"0253494dd1{n:06x}") for n in range(300)))
    assert answer.json()["meter_points"] == 300
    after = await bench.register()
    assert after["number"] == before["number"] + 1 == answer.json()["number"]
    assert len(after["meter_points"]) == len(before["meter_points"]) + 300
    (row,) = await bench.service.base.traces.read("meter_points")
    assert row["kind"] == "changed"


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (home(9, participant="NOBODY"), "registration.change.participant"),
        (home(9, "0253494dd1000001"), "registration.change.one_place"),
        (home(9, *["0253494dd1000002"] * 2), "registration.change.listed_once"),
    ],
)
async def test_one_that_is_unsound_refuses_all(
    bench: Bench, wrong: dict[str, Any], check: str
) -> None:
    homes = [home(1, "0253494dd1000001"), wrong]
    before = await bench.register()
    answer = await put(bench, *homes)
    assert (answer.status_code, answer.json()["check"]) == (409, check)
    assert await bench.register() == before
    await bench.lab.put(f"/lab/checks/{check}", json={"enabled": False})
    assert (await put(bench, *homes)).is_success  # the twin


async def test_a_device_may_move_within_one_change(bench: Bench) -> None:
    await put(bench, home(1, "0253494dd1000001"), home(2))
    assert (await put(bench, home(1), home(2, "0253494dd1000001"))).is_success


@pytest.mark.parametrize("body", [{}, {"meter_points": [{"mpxn": "1"}]}, {"meter_points": 1}])
async def test_homes_that_do_not_fit(bench: Bench, body: dict[str, Any]) -> None:
    assert (await bench.lab.put("/lab/meter-points", json=body)).status_code == 422


async def test_a_lease_is_given_to_who_asks_and_a_change_waits_for_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        if seconds:  # not a mere turn of the loop
            slept.append(seconds)

    assert "lease" not in (await bench.extract()).body
    given = (await bench.extract(lease=True)).body["lease"]
    assert given == bench.service.base.settings.source_lease_seconds == 1.0
    registration = Registration(bench.service.base, bench.data / "estate.json")
    registration._grants = leases.Grants(3600.0)  # that holds, however slow the machine is
    with monkeypatch.context() as patched:
        patched.setattr(leases.asyncio, "sleep", sleep)
        await registration.set_devices("1300000000001", [])
    assert len(slept) == 1
    assert 0 < slept[0] <= 3600.0
