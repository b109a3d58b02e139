"""Each kind of fault at both places where it can act, and its twin without one.

What is armed is shown, counted, recorded, and gone when it is spent, removed or reset.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from services.chassis.faults.board import MOST_LIVE
from services.chassis.faults.messages import Answer, Asked
from services.chassis.faults.orders import Direction, FaultOrder, Kind, Part
from services.chassis.web import http
from services.chassis.web.fault_points import HANG_UP

if TYPE_CHECKING:
    from conftest import Party

PEER = "http://peer"


@dataclass
class Outside:
    """What the party calls: says what it was asked, and how often it has been."""

    asked: list[bytes] = field(default_factory=list)
    empty: bool = False

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(await request.aread())
        if self.empty:
            return httpx.Response(204)
        return httpx.Response(200, json={"number": len(self.asked)}, headers={"x-kept": "yes"})


@dataclass
class Lab:
    """The test party, with a client it calls others by and a caller whose connection can close."""

    party: Party
    outside: Outside
    client: http.Client
    caller: httpx.AsyncClient

    async def arm(self, kind: str, where: str, **more: Any) -> str:
        direction, part = where.split()
        body = {"kind": kind, "direction": direction, "part": part, **more}
        answer = await self.party.lab.post("/lab/faults", json=body)
        assert answer.status_code == 201, answer.text
        assert f"fault:{answer.json()['id']}" in answer.headers["lab-weakened"].split(", ")
        return str(answer.json()["id"])

    async def shown(self, fault: str) -> dict[str, Any]:
        told: dict[str, Any] = (await self.party.lab.get(f"/lab/faults/{fault}")).json()
        return told

    async def call(self, body: bytes = b"question") -> httpx.Response:
        return await self.client.post(f"{PEER}/ask", content=body)

    async def asked(self, octets: int = 10) -> httpx.Response:
        return await self.caller.post("/echo", content=bytes(octets))

    async def held(self, fault: str) -> None:
        """Return once the fault holds a message back."""
        while not self.party.service.base.faults.find(fault).held:  # noqa: ASYNC110
            await asyncio.sleep(0)

    @property
    def strikes(self) -> int:
        return sum(armed.fired for armed in self.party.service.base.faults.listed())


def closing(app: ASGIApp) -> ASGIApp:
    """What a server adds: a way to close the connection, which its caller sees as just that."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        closed = asyncio.Event()
        scope["extensions"] = {HANG_UP: closed.set}

        async def heard() -> Any:
            return {"type": "http.disconnect"} if closed.is_set() else await receive()

        await app(scope, heard, send)
        if closed.is_set():
            raise httpx.RemoteProtocolError("closed")

    return served


@pytest.fixture
async def lab(party: Party) -> AsyncIterator[Lab]:
    outside = Outside()
    client = http.client(transport=httpx.MockTransport(outside.answer))
    client.wire.expose(party.service.base.faults, {"peer": PEER}, "others")
    served = httpx.ASGITransport(closing(party.service.interface))
    async with client, http.client(base_url="http://party", transport=served) as caller:
        yield Lab(party, outside, client, caller)


async def test_with_nothing_armed_there_is_no_layer(lab: Lab) -> None:
    assert lab.party.service.base.faults.active is False
    assert (await lab.call()).json() == {"number": 1}
    assert (await lab.asked()).json() == {"octets": 10}
    shown = (await lab.party.lab.get("/lab/faults")).json()
    assert shown["hops"] == {"inbound": ["anyone"], "outbound": ["others", "peer"]}
    assert shown["faults"] == shown["weakened"] == []
    assert "old_key" not in shown["kinds"]


async def test_a_dropped_request_never_arrives_and_the_count_is_kept(lab: Lab) -> None:
    fault = await lab.arm("drop", "outbound request", hop="peer", times=2)
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            await lab.call()
    assert lab.outside.asked == []
    assert (await lab.call()).json() == {"number": 1}  # the twin: the same call, the fault spent
    assert (await lab.shown(fault))["state"] == "spent"
    assert lab.party.service.base.faults.active is False
    assert "lab-weakened" not in (await lab.party.lab.get("/lab/faults")).headers


async def test_a_dropped_answer_means_that_it_was_done(lab: Lab) -> None:
    await lab.arm("drop", "outbound answer")
    with pytest.raises(httpx.RemoteProtocolError):
        await lab.call()
    assert lab.outside.asked == [b"question"]
    assert (await lab.call()).is_success


@pytest.mark.parametrize("part", ["request", "answer"])
async def test_the_caller_of_a_dropped_exchange_sees_the_connection_close(
    lab: Lab, part: str
) -> None:
    await lab.arm("drop", f"inbound {part}")
    with pytest.raises(httpx.RemoteProtocolError):
        await lab.asked()
    assert (await lab.asked()).json() == {"octets": 10}


async def test_a_delayed_request_is_held_until_it_is_released(lab: Lab) -> None:
    fault = await lab.arm("delay", "inbound request")
    waiting = asyncio.create_task(lab.asked())
    await lab.held(fault)
    assert (await lab.asked()).is_success  # the twin passes it
    shown = await lab.shown(fault)
    assert (shown["held"], shown["left"], shown["state"]) == (1, 0, "armed")
    released = await lab.party.lab.post(f"/lab/faults/{fault}/release")
    assert released.json() == {"id": fault, "released": 1}
    assert (await waiting).json() == {"octets": 10}
    assert (await lab.shown(fault))["state"] == "spent"


async def test_a_delay_may_end_by_the_partys_clock(lab: Lab) -> None:
    await lab.party.lab.put("/lab/clock", json={"mode": "held"})
    fault = await lab.arm("delay", "inbound answer", seconds=3600)
    waiting = asyncio.create_task(lab.asked())
    await lab.held(fault)
    await lab.party.lab.put("/lab/clock", json={"step": 3599})
    assert (await lab.shown(fault))["held"] == 1
    await lab.party.lab.put("/lab/clock", json={"step": 1})
    assert (await waiting).is_success


async def test_who_waits_for_a_held_message_gives_up_and_it_is_lost(lab: Lab) -> None:
    fault = await lab.arm("delay", "outbound request")
    with pytest.raises(httpx.ReadTimeout):
        await lab.client.post(f"{PEER}/ask", content=b"late", timeout=0)
    assert lab.outside.asked == []
    assert (await lab.shown(fault))["state"] == "spent"


async def test_an_overtaken_request_follows_the_one_that_passed_it(lab: Lab) -> None:
    fault = await lab.arm("reorder", "outbound request", match={"path": "/ask"})
    first = asyncio.create_task(lab.call(b"first"))
    await lab.held(fault)
    await lab.client.post(f"{PEER}/elsewhere", content=b"another route")
    assert not first.done()
    await lab.call(b"second")
    await first
    assert lab.outside.asked == [b"another route", b"second", b"first"]


async def test_a_duplicated_request_arrives_twice_and_is_answered_once(lab: Lab) -> None:
    await lab.arm("duplicate", "outbound request")
    assert (await lab.call()).json() == {"number": 1}
    assert lab.outside.asked == [b"question"] * 2
    await lab.arm("duplicate", "inbound request")
    assert (await lab.asked()).json() == {"octets": 10}
    assert (await lab.call()).json() == {"number": 3}  # the twin: once


async def test_a_stale_answer_is_the_one_before_of_that_route(lab: Lab) -> None:
    fault = await lab.arm("stale_answer", "outbound answer")
    assert (await lab.call()).json() == {"number": 1}  # nothing came before it
    assert (await lab.client.post(f"{PEER}/elsewhere")).json() == {"number": 2}
    assert (await lab.shown(fault))["fired"] == 0
    assert (await lab.call()).json() == {"number": 1}
    assert (await lab.call()).json() == {"number": 4}


@pytest.mark.parametrize("where", ["inbound request", "inbound answer", "outbound request"])
async def test_a_status_is_answered_in_place_of_the_answer(lab: Lab, where: str) -> None:
    await lab.arm("status", where, status=429)
    say = lab.call if "outbound" in where else lab.asked
    answer = await say()
    assert (answer.status_code, answer.json()["title"]) == (429, "Too Many Requests")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await say()).is_success


async def test_bits_and_octets_of_bodies_are_spoiled(lab: Lab) -> None:
    await lab.arm("bit_flip", "outbound request", bit=0)
    await lab.call(b"\x00")
    await lab.arm("truncate", "outbound request", octets=3)
    await lab.call(b"question")
    await lab.call(b"\x00")
    assert lab.outside.asked == [b"\x80", b"que", b"\x00"]
    await lab.arm("truncate", "inbound request")
    assert (await lab.asked(10)).json() == {"octets": 5}
    assert (await lab.asked(10)).json() == {"octets": 10}
    await lab.arm("bit_flip", "inbound answer", bit=7)
    assert (await lab.asked()).content[:1] == b"z"  # { with its last bit flipped
    await lab.arm("truncate", "outbound answer", octets=2)
    cut = await lab.call()
    assert (cut.content, cut.headers["content-length"], cut.headers["x-kept"]) == (
        b'{"',
        "2",
        "yes",
    )


async def test_a_message_without_a_body_has_nothing_to_spoil(lab: Lab) -> None:
    await lab.arm("bit_flip", "outbound request")
    await lab.arm("bit_flip", "outbound answer")
    lab.outside.empty = True
    answer = await lab.call(b"")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    assert lab.strikes == 2


async def test_a_strike_is_in_the_audit_log_and_in_the_trace(lab: Lab) -> None:
    body = {"kind": "drop", "direction": "outbound", "part": "request", "hop": "peer"}
    fault = await lab.arm("drop", "outbound request", hop="peer")
    with pytest.raises(httpx.RemoteProtocolError):
        await lab.client.post(f"{PEER}/ask", headers={"cos-message-id": "t-1"})
    base = lab.party.service.base
    armed, fired = await base.audit.export()
    assert (armed["kind"], armed["subject"]) == ("lab.fault", "test_party")
    assert body.items() <= armed["record"].items()
    assert (fired["kind"], fired["subject"]) == ("lab.fault.fired", "t-1")
    assert fired["record"]["fault"] == fault
    (told,) = await base.traces.read("t-1")
    assert (told["kind"], told["name"]) == ("fault", "fault.drop")
    assert (told["sender"], told["receiver"]) == ("test_party", "peer")
    assert f"{fault}: drop of the outbound request, POST /ask (1 of 1)" in told["summary"]


async def test_of_several_the_oldest_that_strikes_does(lab: Lab) -> None:
    first = await lab.arm("status", "outbound request", status=500, times=1, among=2, seed=3)
    second = await lab.arm("status", "outbound request", status=501, times=None)
    codes = [(await lab.call()).status_code for _ in range(4)]
    assert sorted(codes) == [500, 501, 501, 501]
    assert codes[3] == 501
    assert (await lab.shown(first))["fired"] == 1
    shown = await lab.shown(second)
    assert (shown["times"], shown["left"], shown["state"]) == (None, None, "armed")


@pytest.mark.parametrize("undo", ["/lab/faults/f1", "/lab/faults", "reset"])
async def test_an_undone_fault_lets_go_what_it_held(lab: Lab, undo: str) -> None:
    fault = await lab.arm("delay", "inbound request", times=5)
    waiting = asyncio.create_task(lab.asked())
    await lab.held(fault)
    if undo == "reset":
        answer = await lab.party.lab.post("/lab/reset")
    else:
        answer = await lab.party.lab.delete(undo)
    assert answer.is_success
    assert "lab-weakened" not in answer.headers
    assert (await waiting).is_success
    assert lab.party.service.base.faults.active is False
    assert (await lab.party.lab.get("/lab/faults")).json()["faults"] == []


ORDER = {"kind": "drop", "direction": "outbound", "part": "request"}


WRONG = [
    ({"kind": "explode"}, "test.request.shape"),
    ({"times": 0}, "test.request.shape"),
    ({"times": "2"}, "test.request.shape"),
    ({"surprise": 1}, "test.request.shape"),
    ({"match": {"device": "nobody"}}, "test.request.shape"),
    ({"kind": "status", "status": 200}, "test.request.shape"),
    ({"kind": "stale_answer"}, "lab.fault.place"),
    ({"seconds": 1}, "lab.fault.parameter"),
    ({"times": 3, "among": 2}, "lab.fault.among"),
    ({"hop": "nobody"}, "lab.fault.hop"),
    ({"direction": "inbound", "hop": "peer"}, "lab.fault.hop"),
    ({"direction": "device"}, "lab.fault.hop"),
    ({"kind": "old_key"}, "lab.fault.old_key"),
    ({"seed": 2**63}, "test.request.shape"),
]


async def test_an_order_that_makes_no_sense_is_refused_by_a_name(lab: Lab) -> None:
    for wrong, check in WRONG:
        answer = await lab.party.lab.post("/lab/faults", json=ORDER | wrong)
        assert (answer.status_code, answer.json()["check"]) == (422, check), wrong
    assert lab.party.service.base.faults.listed() == []
    assert lab.party.service.base.faults.active is False
    assert await lab.party.service.base.audit.head() == (0, "0" * 64)


async def test_there_are_never_more_than_can_be_shown(lab: Lab) -> None:
    faults = lab.party.service.base.faults
    spent = FaultOrder(Kind.DROP, Direction.OUTBOUND, Part.REQUEST)
    for _ in range(MOST_LIVE + 50):
        faults.arm(spent).left = deque()
    assert len(faults.listed()) == MOST_LIVE + 1
    for _ in range(MOST_LIVE):
        faults.arm(spent)
    answer = await lab.party.lab.post("/lab/faults", json=ORDER)
    assert (answer.status_code, answer.json()["check"]) == (422, "lab.fault.many")
    faults.clear()
    await lab.arm("drop", "outbound request")


async def test_what_is_not_there_is_refused_by_a_name(lab: Lab) -> None:
    ask = lab.party.lab
    for answer in (
        await ask.get("/lab/faults/f9"),
        await ask.delete("/lab/faults/f9"),
        await ask.post("/lab/faults/f9/release"),
    ):
        assert (answer.status_code, answer.json()["check"]) == (404, "lab.fault.known")
    answer = await ask.put("/lab/quirks/odd", json={"on": True})
    assert (answer.status_code, answer.json()["check"]) == (404, "lab.quirk.known")


async def test_a_party_that_calls_nobody_has_no_outbound_faults(party: Party) -> None:
    answer = await party.lab.post("/lab/faults", json=ORDER)
    assert (answer.status_code, answer.json()["check"]) == (422, "lab.fault.hop")


async def test_health_is_never_at_fault(lab: Lab) -> None:
    await lab.arm("status", "inbound request", times=None)
    assert (await lab.caller.get("/healthz")).json() == {"status": "alive"}
    assert (await lab.asked()).status_code == 503


class Signer:
    """Says what it was asked to sign."""

    def request(self, asked: Asked, *, claims_own: bool) -> Asked:
        return Asked(asked.method, asked.path, asked.headers, f"own {claims_own}".encode())

    def answer(self, asked: Asked, answer: Answer, *, claims_own: bool) -> Answer:
        return Answer(203, answer.headers, answer.body)


async def test_who_signs_can_be_had_sign_with_an_old_key(lab: Lab) -> None:
    lab.party.service.base.faults.resigner = Signer()
    await lab.arm("old_key", "outbound request")
    await lab.call()
    await lab.arm("old_key", "outbound request", claims="old")
    await lab.call()
    assert lab.outside.asked == [b"own True", b"own False"]
    await lab.arm("old_key", "inbound answer")
    assert (await lab.asked()).status_code == 203
    assert (await lab.asked()).status_code == 200
