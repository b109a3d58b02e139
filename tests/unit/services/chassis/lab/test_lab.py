"""The lab port: its token, what it shows, what it changes, and that it says so."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from fastapi.routing import APIRoute
from structlog.testing import capture_logs

from services.chassis import counts
from services.chassis.app import StartError
from services.chassis.data.audit import verify_chain
from services.chassis.data.outbox import OutboxItem, Undeliverable
from services.chassis.lab.routes import INTACT
from services.chassis.web.answers import Answer

if TYPE_CHECKING:
    from conftest import BuildParty, Party

TOKEN = "lab-token-of-the-test-party"
WITHOUT_TOKEN = [
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "Bearer "},
    {"authorization": f"Bearer {TOKEN}x"},
    {"authorization": f"Basic {TOKEN}"},
    {"authorization": TOKEN},
]


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / "authority.toml"
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize("headers", WITHOUT_TOKEN)
async def test_without_the_token_nothing_is_shown(party: Party, headers: dict[str, str]) -> None:
    answer = await party.stranger.get("/lab/checks", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["check"] == "lab.token"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "test.order" not in answer.text


async def test_without_the_token_nothing_is_changed(party: Party) -> None:
    answer = await party.stranger.put("/lab/checks/test.order.small", json={"enabled": False})
    assert answer.status_code == 401
    assert party.service.base.book.off == []
    assert await party.service.base.audit.head() == (0, "0" * 64)


async def test_two_tokens_are_none(party: Party) -> None:
    headers = [("authorization", f"Bearer {TOKEN}")] * 2
    assert (await party.stranger.get("/lab/checks", headers=headers)).status_code == 401


async def test_checks_are_shown_with_source_section_and_state(party: Party) -> None:
    answer = (await party.lab.get("/lab/checks")).json()
    assert answer["party"] == "test_party"
    shown = {check["id"]: check for check in answer["checks"]}
    assert list(shown) == [
        "test.order.positive",
        "test.order.small",
        "test.reply.small",
        "test.request.encoding",
        "test.request.size",
    ]
    assert shown["test.reply.small"]["section"] == "response"
    assert all(check["enabled"] and check["source"] for check in shown.values())


async def test_every_answer_of_a_weakened_party_says_so(party: Party) -> None:
    assert "lab-weakened" not in (await party.lab.get("/lab/checks")).headers
    with capture_logs() as logs:
        off = await party.lab.put("/lab/checks/test.order.small", json={"enabled": False})
    assert off.json()["enabled"] is False
    assert any(e["log_level"] == "warning" and "OFF" in e["event"] for e in logs)
    answers = [
        off,
        await party.lab.get("/lab/checks"),
        await party.lab.get("/lab/nowhere"),
        await party.stranger.get("/lab/checks"),
        await party.stranger.get("/healthz"),
    ]
    assert {answer.headers["lab-weakened"] for answer in answers} == {"test.order.small"}
    on = await party.lab.put("/lab/checks/test.order.small", json={"enabled": True})
    assert "lab-weakened" not in on.headers
    rows = await party.service.base.audit.export()
    assert [(r["kind"], r["subject"], r["record"]) for r in rows] == [
        ("lab.check", "test.order.small", {"enabled": False}),
        ("lab.check", "test.order.small", {"enabled": True}),
    ]


async def test_an_unknown_check(party: Party) -> None:
    answer = await party.lab.put("/lab/checks/test.nothing", json={"enabled": False})
    assert answer.status_code == 404
    assert party.service.base.book.off == []
    answer = await party.lab.put("/lab/checks/test.order.small", json={"enabled": 1, "x": 2})
    assert answer.status_code == 422


async def test_the_clock_is_held_stepped_and_reset(party: Party) -> None:
    clock = party.service.base.clock
    held = await party.lab.put(
        "/lab/clock", json={"mode": "held", "at": "2027-01-01T00:00:00+01:00"}
    )
    assert held.json()["now"] == "2026-12-31T23:00:00+00:00"
    stepped = await party.lab.put("/lab/clock", json={"step": 3600})
    assert stepped.json()["now"] == "2027-01-01T00:00:00+00:00"
    assert clock.mode == "held"
    assert (await party.lab.put("/lab/clock", json={"mode": "running"})).json()["mode"] == "offset"
    shifted = await party.lab.put("/lab/clock", json={"mode": "offset", "seconds": -60})
    assert shifted.json()["offset_seconds"] == -60
    await party.lab.put("/lab/clock", json={"mode": "held"})
    assert (await party.lab.get("/lab/clock")).json()["mode"] == "held"
    assert (await party.lab.put("/lab/clock", json={"mode": "real"})).json()["mode"] == "real"
    assert party.service.base.system_clock.now().tzinfo is not None


@pytest.mark.parametrize(
    "act",
    [
        {},
        {"mode": "held", "step": 1},
        {"mode": "real", "at": "2027-01-01T00:00:00Z"},
        {"mode": "offset"},
        {"step": 1, "seconds": 1},
        {"mode": "held", "at": "2027-01-01T00:00:00"},
        {"step": 1e300},
        {"step": 1e12},
        {"mode": "fast"},
        {"now": 1},
    ],
)
async def test_nonsense_does_not_move_the_clock(party: Party, act: dict[str, object]) -> None:
    answer = await party.lab.put("/lab/clock", json=act)
    assert answer.status_code == 422
    assert party.service.base.clock.mode == "real"


async def test_traces_and_messages(party: Party) -> None:
    traces = party.service.base.traces
    await traces.record("a/b:1", "sent", message=b"\x01", gbcs_ref="x:y:1")
    trace = (await party.lab.get("/lab/trace/a/b:1")).json()
    assert [entry["kind"] for entry in trace["entries"]] == ["sent"]
    assert (await party.lab.get("/lab/traces")).json()["traces"][0]["subject"] == "a/b:1"
    (message,) = (await party.lab.get("/lab/messages")).json()["messages"]
    assert base64.b64decode(message["message"]) == b"\x01"
    after = (await party.lab.get("/lab/messages", params={"after": message["id"]})).json()
    assert after["messages"] == []


async def test_the_audit_log_is_shown_and_verified(party: Party) -> None:
    await party.lab.put("/lab/checks/test.order.small", json={"enabled": False})
    await party.lab.post("/lab/reset")
    shown = (await party.lab.get("/lab/audit", params={"after": 1})).json()
    assert [row["kind"] for row in shown["rows"]] == ["lab.reset"]
    assert shown["head"]["seq"] == 2
    assert (await party.lab.get("/lab/audit/verify")).json() == {
        "party": "test_party",
        "intact": True,
        "rows": 2,
        "meaning": INTACT,
    }


async def test_a_great_number_reaches_readers_that_know_only_floating_point(party: Party) -> None:
    base, great = party.service.base, 2**53 + 1
    async with base.database.begin() as conn:
        await base.audit.append(conn, "test.counted", "m:1", {"counter": great, "small": 7})
    shown = json.loads((await party.lab.get("/lab/audit")).text, parse_int=float)
    assert shown["rows"][0]["record"] == {"counter": str(great), "small": 7}
    # and who computes the hashes from what is shown finds them as they are
    (row,) = (await party.lab.get("/lab/audit")).json()["rows"]
    assert verify_chain([row])[0] == 1
    assert (await party.lab.get("/lab/audit/verify")).json()["intact"] is True


async def test_no_route_of_a_party_writes_numbers_in_its_own_way(party: Party) -> None:
    for app in (party.service.interface_app, party.service.lab_app):
        for route in app.routes:
            if isinstance(route, APIRoute):
                assert getattr(route.response_class, "value", route.response_class) is Answer
    assert json.loads(Answer({"counters": [2**64 - 1, 2**53 - 1]}).body) == {
        "counters": [str(2**64 - 1), 2**53 - 1]
    }


PAIRED = "02-53-49-4d-20-00-00-00:02-53-49-4d-d0-00-00-01:7"
PLAIN = "0253494d20000000:0253494dd0000001:7"


@pytest.mark.parametrize(
    ("kept", "asked"),
    [
        (PAIRED.upper(), PAIRED),
        (PAIRED.upper(), PAIRED.upper()),
        (PAIRED.upper(), PAIRED.replace("4d", "4D", 1)),
        (PLAIN, PLAIN.upper()),
        ("0253494dd0000001", "0253494DD0000001"),
        ("0253494dd0000001", "02-53-49-4D-d0-00-00-01"),
    ],
)
async def test_what_is_asked_about_is_found_however_its_digits_are_written(
    party: Party, kept: str, asked: str
) -> None:
    base = party.service.base
    await base.traces.record(kept, "sent")
    async with base.database.begin() as conn:
        await base.audit.append(conn, "test.happened", kept, {})
    told = (await party.lab.get(f"/lab/trace/{asked}")).json()
    assert (told["subject"], len(told["entries"])) == (kept, 1)
    rows = (await party.lab.get("/lab/audit", params={"subject": asked, "limit": 5})).json()["rows"]
    assert [row["subject"] for row in rows] == [kept]


async def test_what_is_no_identifier_is_left_as_it_is(party: Party) -> None:
    for name in ("ABCDEF012345678", "a/B:1", "02-53:02-53:1", f"{PAIRED}x"):
        await party.service.base.traces.record(name, "sent")
        told = (await party.lab.get(f"/lab/trace/{name}")).json()
        assert (told["subject"], len(told["entries"])) == (name, 1)


async def test_a_fault_takes_a_device_in_either_spelling(party: Party) -> None:
    order = {"kind": "drop", "direction": "inbound", "part": "request"}
    for device in ("0253494DD0000001", "02-53-49-4D-D0-00-00-01"):
        armed = await party.lab.post("/lab/faults", json=order | {"match": {"device": device}})
        assert armed.status_code == 201, armed.text
        assert armed.json()["match"]["device"] == "0253494dd0000001"


async def test_reset_undoes_checks_and_clock(party: Party) -> None:
    await party.lab.put("/lab/checks/test.order.small", json={"enabled": False})
    await party.lab.put("/lab/clock", json={"step": 100})
    answer = await party.lab.post("/lab/reset")
    assert answer.json()["weakened"] == []
    assert answer.json()["clock"]["mode"] == "real"
    refused = await party.interface.post("/orders", json={"amount": 101})
    assert refused.status_code == 403


async def test_dead_letters_are_shown_and_revived(party: Party) -> None:
    outbox, database = party.service.base.outbox, party.service.base.database
    failures = [Undeliverable("it is gone")]

    async def handle(_item: OutboxItem) -> None:
        if failures:
            raise failures.pop()

    outbox.register("send", handle)
    async with database.begin() as conn:
        await outbox.put(conn, "send", "k", {"what": "a body"}, lane="peer")
    await outbox.idle()
    shown = await party.lab.get("/lab/outbox", params={"state": "dead"})
    (dead,) = shown.json()["entries"]
    assert dead["last_error"] == "it is gone"
    assert "a body" not in shown.text
    path = f"/lab/outbox/{dead['id']}/retry"
    assert (await party.lab.post(path)).status_code == 200
    await outbox.idle()
    assert (await party.lab.get("/lab/outbox")).json()["entries"][0]["state"] == "done"
    assert (await party.lab.post(path)).status_code == 404


async def test_both_interfaces_are_described_on_the_lab_port(party: Party) -> None:
    interface = (await party.lab.get("/lab/openapi/interface.json")).json()
    assert set(interface["paths"]) == {"/orders", "/echo", "/broken", "/problem"}
    assert (await party.interface.get("/openapi.json")).json() == interface
    lab = (await party.lab.get("/lab/openapi/lab.json")).json()
    assert "/lab/checks/{check_id}" in lab["paths"]


async def test_who_may_call_is_shown(party: Party) -> None:
    shown = (await party.lab.get("/lab/party")).json()
    assert shown["accepts"]["POST /orders"] == ["anyone"]
    assert shown["party"] == "test_party"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: (d / "lab.token").unlink(), "cannot be read"),
        (lambda d: (d / "lab.token").write_text("short"), "shorter"),
        (lambda d: (d / "lab.token").chmod(0o644), "0600"),
        (lambda d: (d / "lab.token").write_bytes(b"\xff" * 32), "cannot be read"),
        (
            lambda d: edit(d, "[accepts]", '[accepts]\n"GET /x" = ["anyone"]'),
            "line without a route: GET /x",
        ),
        (
            lambda d: edit(d, '"GET /broken"', "#"),
            "route without a line: GET /broken",
        ),
        (lambda d: (d / "authority.toml").unlink(), "cannot be read"),
    ],
)
async def test_a_party_that_cannot_be_guarded_does_not_start(
    build_party: BuildParty, tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(tmp_path)
    with pytest.raises(StartError, match=says) as caught:
        await build_party()
    assert TOKEN not in str(caught.value)


async def test_a_lab_body_has_a_limit_too(party: Party) -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield bytes(1024 * 1024)

    answer = await party.lab.post("/lab/reset", content=Endless())
    assert answer.status_code == 413
    assert answer.json()["check"] == "lab.request.size"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/lab/audit?after={2**63}"),
        ("GET", f"/lab/messages?after={2**63}"),
        ("POST", f"/lab/outbox/{2**63}/retry"),
        ("POST", "/lab/outbox/-1/retry"),
    ],
)
async def test_a_number_that_no_row_can_have_is_refused(
    party: Party, method: str, path: str
) -> None:
    assert (await party.lab.request(method, path)).status_code == 422


async def test_the_greatest_number_of_a_row_is_asked_for(party: Party) -> None:
    assert (await party.lab.get(f"/lab/audit?after={2**63 - 1}")).status_code == 200
    assert (await party.lab.post(f"/lab/outbox/{2**63 - 1}/retry")).status_code == 404


async def test_counts_tell_what_the_store_did(party: Party) -> None:
    before = (await party.lab.get("/lab/counts")).json()
    await party.lab.put("/lab/checks/test.order.small", json={"enabled": False})
    after = (await party.lab.get("/lab/counts")).json()
    assert after["store.units"] == before["store.units"] + 1
    assert after["store.commits"] == before["store.commits"] + 1
    assert after["store.statements"] > before["store.statements"]
    assert after["store.reads"] >= before["store.reads"]


async def test_counts_are_not_for_strangers(party: Party) -> None:
    assert (await party.stranger.get("/lab/counts")).status_code == 401


async def test_another_source_of_the_process_is_told_too(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_sources", {})
    counts.register("watch", lambda: {"sign": 3})
    assert (await party.lab.get("/lab/counts")).json()["watch.sign"] == 3
