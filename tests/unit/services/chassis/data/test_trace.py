"""A trace tells what happened to a request, in order, and wakes who waits for it."""

from __future__ import annotations

import asyncio
import base64

import pytest

from services.chassis.checks import Verdict
from services.chassis.data.store import Database
from services.chassis.data.trace import Traces
from services.chassis.time.changes import Changes
from services.chassis.time.clock import Clock


@pytest.fixture
def traces(database: Database, held_clock: Clock) -> Traces:
    return Traces(database, held_clock)


async def test_entries_are_read_in_order(traces: Traces, held_clock: Clock) -> None:
    await traces.record("r/1", "received", sender="supplier", receiver="acb", name="request")
    await traces.record(
        "r/1", "refused", summary="no", verdicts=[Verdict("a.b", "t", "s", "refused", "because")]
    )
    await traces.record("r/2", "received")
    entries = await traces.read("r/1")
    assert [entry["kind"] for entry in entries] == ["received", "refused"]
    assert entries[0]["sender"] == "supplier"
    assert entries[0]["at"] == held_clock.now().isoformat()
    assert entries[1]["verdicts"] == [
        {"check": "a.b", "title": "t", "source": "s", "outcome": "refused", "detail": "because"}
    ]
    assert await traces.read("r/3") == []


async def test_subjects_are_listed_latest_first(traces: Traces) -> None:
    for subject in ("a", "b", "a"):
        await traces.record(subject, "x")
    assert [(t["subject"], t["entries"]) for t in await traces.list()] == [("a", 2), ("b", 1)]


async def test_only_gbcs_messages_are_messages(traces: Traces) -> None:
    await traces.record("a", "sent", message=b"\xdf\x09", gbcs_ref="1:2:3")
    await traces.record("a", "sent", message=b"<xml/>")
    await traces.record("a", "noted", gbcs_ref="1:2:3")
    await traces.record("b", "sent", message=b"\xdd", gbcs_ref="2:1:3")
    messages = await traces.messages()
    assert [(m["gbcs_ref"], base64.b64decode(m["message"])) for m in messages] == [
        ("1:2:3", b"\xdf\x09"),
        ("2:1:3", b"\xdd"),
    ]
    assert len(await traces.messages(after=messages[0]["id"])) == 1


async def test_an_entry_shares_the_fate_of_its_transaction(
    traces: Traces, database: Database
) -> None:
    async def fail() -> None:
        async with database.begin() as conn:
            await traces.record("a", "x", conn=conn)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await traces.read("a") == []


async def test_who_waits_is_woken_by_the_commit(traces: Traces) -> None:
    async def enough() -> list[dict[str, object]]:
        return await traces.changes.wait(
            "a", lambda: traces.read("a"), lambda found: len(found) >= 2, seconds=30
        )

    waiting = asyncio.create_task(enough())
    await asyncio.sleep(0)
    await traces.record("b", "x")
    await traces.record("a", "x")
    assert not waiting.done()
    await traces.record("a", "y")
    assert [entry["kind"] for entry in await waiting] == ["x", "y"]


async def test_waiting_ends_with_the_last_value() -> None:
    changes = Changes()

    async def read() -> int:
        return 1

    assert await changes.wait("k", read, lambda value: value == 2, seconds=0) == 1
    assert await changes.wait("k", read, lambda value: value == 1, seconds=0) == 1
    assert changes.waiting == 0


async def test_no_change_falls_between_reading_and_waiting() -> None:
    changes = Changes()
    value = 0

    async def read() -> int:
        nonlocal value
        seen = value
        value += 1
        changes.notify("k")  # changes right after it was read
        return seen

    assert await changes.wait("k", read, lambda seen: seen == 3, seconds=30) == 3
