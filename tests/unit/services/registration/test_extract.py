"""Who asks registration gets the whole register at its number, over the signed link only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from services.chassis.app import StartError
from services.chassis.web import http
from services.link.errors import EnvelopeRefused, PeerRefused
from services.registration.model import Register

if TYPE_CHECKING:
    from conftest import Bench, BuildBench

MPXN = "1200000000001"


async def test_the_estate_is_loaded_at_the_first_start(bench: Bench) -> None:
    answer = await bench.extract()
    assert answer.body["number"] == 1
    assert answer.body["unchanged"] is False
    assert {p["id"]: p["euis"] for p in answer.body["participants"]} == {
        p["id"]: p["euis"] for p in bench.facts["participants"]
    }
    points = {p["mpxn"]: p for p in answer.body["meter_points"]}
    assert {m: p["devices"] for m, p in points.items()} == {
        p["mpxn"]: p["devices"] for p in bench.facts["meter_points"]
    }
    assert [r["participant"] for r in points[MPXN]["registrations"]] == ["SUPA", "SUPB"]
    assert points[MPXN]["registrations"][1]["effective_to"] is None


async def test_the_present_number_gets_no_data(bench: Bench) -> None:
    answer = await bench.extract(known=1)
    assert answer.body == {
        "version": 1,
        "number": 1,
        "unchanged": True,
        "participants": [],
        "meter_points": [],
    }


async def test_a_number_alone_is_no_extract(bench: Bench) -> None:
    """Registration may have lied under this very number: what it said then is compared too."""
    whole = (await bench.extract()).body
    told = Register.model_validate_json(json.dumps(whole))
    for _ in range(2):
        same = (await bench.extract(known=1, digest=told.digest)).body
        assert (same["unchanged"], same["meter_points"]) == (True, [])
        other = (await bench.extract(known=1, digest="0" * 64)).body
        assert other == whole
    await bench.lab.put(f"/lab/meter-points/{MPXN}", json={"devices": []})
    assert (await bench.extract(known=2, digest=told.digest)).body["unchanged"] is False


async def test_an_older_number_gets_everything(bench: Bench) -> None:
    await bench.lab.put(f"/lab/meter-points/{MPXN}", json={"devices": []})
    answer = await bench.extract(known=1)
    assert (answer.body["number"], answer.body["unchanged"]) == (2, False)
    points = {p["mpxn"]: p for p in answer.body["meter_points"]}
    assert points[MPXN]["devices"] == []


async def test_an_asker_ahead_of_us_is_refused(bench: Bench) -> None:
    with pytest.raises(PeerRefused) as caught:
        await bench.extract(known=7)
    assert caught.value.check == "registration.extract.number"
    traced = await bench.service.base.traces.read("q-1")
    assert traced[0]["verdicts"][0]["outcome"] == "refused"


async def test_the_twin_with_that_check_off_is_answered(bench: Bench) -> None:
    await bench.lab.put("/lab/checks/registration.extract.number", json={"enabled": False})
    answer = await bench.extract(known=7)
    assert (answer.body["number"], answer.body["unchanged"]) == (1, False)


async def test_the_broker_may_not_ask(bench: Bench) -> None:
    with pytest.raises(EnvelopeRefused) as caught:
        await bench.extract(system="acb")
    assert caught.value.check == "link.request.peer"


async def test_both_cos_parties_may(bench: Bench) -> None:
    assert (await bench.extract(system="tcos_party")).body["number"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"more": 1},
        {"known": -1},
        {"known": "1"},
        {"version": 2},
        {"version": True},
        {"version": 1.0},
    ],
)
async def test_a_question_that_does_not_fit(bench: Bench, body: dict[str, Any]) -> None:
    with pytest.raises(PeerRefused) as caught:
        await bench.extract(**body)
    assert caught.value.check == "link.request.body"


async def test_without_a_signature_nothing_is_told(bench: Bench) -> None:
    plain = http.client(transport=httpx.ASGITransport(bench.service.interface))
    answer = await plain.post(
        "http://registration/link/registration-extract", json={"version": 1, "known": None}
    )
    assert answer.status_code >= 400
    assert "SUPA" not in answer.text
    assert answer.json()["check"].startswith("link.request.")


async def test_a_restart_keeps_the_register_and_its_number(build_bench: BuildBench) -> None:
    first = await build_bench()
    await first.lab.put(f"/lab/meter-points/{MPXN}", json={"devices": []})
    before = await first.register()
    second = await build_bench()
    assert await second.register() == before
    assert before["number"] == 2


async def test_the_estate_may_lie_in_its_own_folder(build_bench: BuildBench, data: Path) -> None:
    (data / "estate.json").rename(data / "registration" / "estate.json")
    shared = data / "estate.json"
    shared.write_text("{}")
    bench = await build_bench()
    assert (await bench.register())["number"] == 1


@pytest.mark.parametrize(
    "text", ["", "{}", "not json", '{"participants": [], "meter_points": [{"mpxn": 1}]}']
)
async def test_an_estate_that_cannot_be_used_stops_the_start(
    build_bench: BuildBench, data: Path, text: str
) -> None:
    (data / "estate.json").write_text(text)
    with pytest.raises(StartError, match=r"estate\.json"):
        await build_bench()


async def test_an_absent_estate_stops_the_start(build_bench: BuildBench, data: Path) -> None:
    (data / "estate.json").unlink()
    with pytest.raises(StartError, match=r"estate\.json"):
        await build_bench()


async def test_every_exchange_is_evidence(bench: Bench) -> None:
    await bench.extract()
    kinds = [row["kind"] for row in await bench.service.base.audit.export()]
    assert kinds == ["registration.estate", "link.request.received", "link.response.sent"]
    assert await bench.service.base.audit.verify() == 3
    assert await bench.service.not_ready() == []
