"""Changes on the lab port: each a new number, each sound unless a check is knowingly off."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from services.registration.model import NewRegistration, SupplyPeriod
from services.registration.workflow import after_switch

if TYPE_CHECKING:
    from conftest import Bench

MPXN, OTHER = "1200000000001", "1200000000002"
DEVICE, OTHER_DEVICE = "0253494dd0000001", "0253494dd0000002"
LATER = "2026-06-01T00:00:00Z"


def at(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


def period(participant: str, start: int, end: int | None) -> SupplyPeriod:
    return SupplyPeriod(
        participant=participant,
        effective_from=at(start),
        effective_to=None if end is None else at(end),
    )


@pytest.mark.parametrize(
    ("held", "kept", "withdrawn"),
    [
        ([], [], []),
        ([period("A", 1, None)], [period("A", 1, 10)], []),
        ([period("A", 1, 5)], [period("A", 1, 5)], []),
        ([period("A", 1, 10)], [period("A", 1, 10)], []),
        (
            [period("A", 1, 12), period("B", 12, None)],
            [period("A", 1, 10)],
            [period("B", 12, None)],
        ),
        ([period("A", 10, None)], [], [period("A", 10, None)]),
    ],
)
def test_a_new_registration_runs_until_further_notice(
    held: list[SupplyPeriod], kept: list[SupplyPeriod], withdrawn: list[SupplyPeriod]
) -> None:
    wanted = NewRegistration(mpxn=MPXN, participant="C", effective_from=at(10))
    assert after_switch(held, wanted) == ([*kept, period("C", 10, None)], withdrawn)


async def test_a_supplier_is_registered(bench: Bench) -> None:
    answer = await bench.lab.post(
        "/lab/registrations", json={"mpxn": MPXN, "participant": "SUPC", "effective_from": LATER}
    )
    assert answer.status_code == 200
    assert answer.json()["number"] == 2
    point = (await bench.lab.get(f"/lab/meter-points/{MPXN}")).json()
    assert [(r["participant"], r["effective_to"] is None) for r in point["registrations"]] == [
        ("SUPA", False),
        ("SUPB", False),
        ("SUPC", True),
    ]
    assert point["registrations"][1]["effective_to"] == LATER
    rows = await bench.service.base.audit.export()
    assert [row["kind"] for row in rows] == ["registration.estate", "registration.registration"]
    (entry,) = await bench.service.base.traces.read(MPXN)
    assert {v["outcome"] for v in entry["verdicts"]} == {"passed"}


CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    (
        "registration.change.participant",
        "POST",
        "/lab/registrations",
        {"mpxn": MPXN, "participant": "NOBODY", "effective_from": LATER},
    ),
    (
        "registration.change.meter_point",
        "POST",
        "/lab/registrations",
        {"mpxn": "9900000000009", "participant": "SUPC", "effective_from": LATER},
    ),
    (
        "registration.change.order",
        "POST",
        "/lab/registrations",
        {"mpxn": MPXN, "participant": "SUPC", "effective_from": "2021-01-01T00:00:00Z"},
    ),
    (
        "registration.change.one_place",
        "PUT",
        f"/lab/meter-points/{MPXN}",
        {"devices": [DEVICE, OTHER_DEVICE]},
    ),
    (
        "registration.change.listed_once",
        "PUT",
        f"/lab/meter-points/{MPXN}",
        {"devices": [DEVICE, DEVICE]},
    ),
    (
        "registration.change.own_euis",
        "PUT",
        "/lab/participants/SUPC",
        {"name": "Thief", "euis": ["0253494d10000000"]},
    ),
]


@pytest.mark.parametrize(("check", "method", "path", "body"), CASES)
async def test_an_unsound_change_is_refused(
    bench: Bench, check: str, method: str, path: str, body: dict[str, Any]
) -> None:
    before = await bench.register()
    answer = await bench.lab.request(method, path, json=body)
    assert answer.status_code == 409
    assert (answer.json()["party"], answer.json()["check"]) == ("registration", check)
    assert await bench.register() == before


@pytest.mark.parametrize(("check", "method", "path", "body"), CASES)
async def test_the_twin_with_that_check_off_is_published(
    bench: Bench, check: str, method: str, path: str, body: dict[str, Any]
) -> None:
    await bench.lab.put(f"/lab/checks/{check}", json={"enabled": False})
    answer = await bench.lab.request(method, path, json=body)
    assert answer.status_code == 200
    assert answer.headers["lab-weakened"] == check
    assert (await bench.extract(known=1)).body["number"] == 2


def test_every_change_check_has_a_case() -> None:
    from services.registration.checks import CHECKS  # noqa: PLC0415 - only this test reads it

    wanted = {check.id for check in CHECKS if check.section != "extract"}
    assert wanted == {case[0] for case in CASES}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/lab/registrations", {"mpxn": MPXN, "participant": "SUPC"}),
        (
            "POST",
            "/lab/registrations",
            {"mpxn": MPXN, "participant": "SUPC", "effective_from": "2026-06-01T00:00:00"},
        ),
        ("PUT", f"/lab/meter-points/{MPXN}", {"devices": ["not an eui"]}),
        ("PUT", "/lab/meter-points/12x", {"devices": []}),
        ("PUT", "/lab/participants/SUPC", {"name": "C", "euis": [], "more": 1}),
    ],
)
async def test_a_change_that_cannot_be_read(
    bench: Bench, method: str, path: str, body: dict[str, Any]
) -> None:
    before = await bench.register()
    answer = await bench.lab.request(method, path, json=body)
    assert (answer.status_code, answer.json()["check"]) == (422, "registration.request.shape")
    assert await bench.register() == before


async def test_meters_move_and_participants_change(bench: Bench) -> None:
    assert (await bench.lab.put(f"/lab/meter-points/{OTHER}", json={"devices": []})).is_success
    moved = await bench.lab.put(
        f"/lab/meter-points/{MPXN}", json={"devices": [DEVICE, OTHER_DEVICE]}
    )
    assert moved.json()["number"] == 3
    new = await bench.lab.put("/lab/meter-points/1300000000000", json={"devices": []})
    assert new.json()["number"] == 4
    renamed = await bench.lab.put(
        "/lab/participants/SUPC", json={"name": "Other", "euis": ["0253494d30000000"]}
    )
    assert renamed.json() == {
        "id": "SUPC",
        "name": "Other",
        "euis": ["0253494d30000000"],
        "number": 5,
    }
    body = (await bench.extract()).body
    assert body["number"] == 5
    points = {p["mpxn"]: p["devices"] for p in body["meter_points"]}
    assert points == {MPXN: [DEVICE, OTHER_DEVICE], OTHER: [], "1300000000000": []}
    kept = next(p for p in body["meter_points"] if p["mpxn"] == MPXN)
    assert len(kept["registrations"]) == 2  # moving meters does not touch who supplies


async def test_a_future_registration_may_be_replaced(bench: Bench) -> None:
    for participant, start in (("SUPC", LATER), ("SUPA", "2026-05-20T00:00:00Z")):
        answer = await bench.lab.post(
            "/lab/registrations",
            json={"mpxn": MPXN, "participant": participant, "effective_from": start},
        )
        assert answer.is_success
    assert [w["participant"] for w in answer.json()["withdrawn"]] == ["SUPC"]


async def test_the_estate_can_be_loaded_again(bench: Bench) -> None:
    before = await bench.register()
    await bench.lab.put(f"/lab/meter-points/{MPXN}", json={"devices": []})
    answer = await bench.lab.post("/lab/register/reload")
    assert answer.json()["number"] == 3
    after = await bench.register()
    assert {**after, "number": 1} == before
    (bench.data / "estate.json").write_text("{}")
    refused = await bench.lab.post("/lab/register/reload")
    assert refused.status_code == 409
    assert await bench.register() == after


async def test_an_unknown_meter_point(bench: Bench) -> None:
    assert (await bench.lab.get("/lab/meter-points/9900000000009")).status_code == 404
