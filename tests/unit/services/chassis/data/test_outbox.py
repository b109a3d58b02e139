"""What was committed is done at least once; what cannot be done ends visibly."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import OperationalError

from services.chassis.data.connection import StoreConnection
from services.chassis.data.outbox import Outbox, OutboxItem, Retry, TryLater, Undeliverable
from services.chassis.data.store import Database, StoreError
from services.chassis.time.clock import SystemClock

if TYPE_CHECKING:
    from conftest import HeldClock

RETRY = Retry(
    first=timedelta(seconds=1),
    cap=timedelta(seconds=8),
    attempts=6,
    lease=timedelta(seconds=60),
)


class Receiver:
    """Somewhere to deliver to, that can be made to fail."""

    def __init__(self) -> None:
        self.got: list[OutboxItem] = []
        self.fails: list[Exception] = []

    async def __call__(self, item: OutboxItem) -> None:
        self.got.append(item)
        if self.fails:
            raise self.fails.pop(0)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def outbox(database: Database, held_clock: HeldClock, receiver: Receiver) -> Outbox:
    made = Outbox(database, held_clock, retry=RETRY)
    made.register("send", receiver)
    return made


async def put(database: Database, outbox: Outbox, key: str, **payload: Any) -> None:
    async with database.begin() as conn:
        await outbox.put(conn, "send", key, payload, lane="peer")


async def states(outbox: Outbox) -> dict[str, str]:
    return {entry["key"]: entry["state"] for entry in await outbox.list()}


async def test_what_is_committed_is_delivered(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    await put(database, outbox, "a", text="hello")
    await outbox.idle()
    assert [(item.key, item.payload, item.attempts) for item in receiver.got] == [
        ("a", {"text": "hello"}, 1)
    ]
    assert await states(outbox) == {"a": "done"}
    assert await outbox.run_due() == 0


async def test_what_is_rolled_back_is_not(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    async def fail() -> None:
        async with database.begin() as conn:
            await outbox.put(conn, "send", "a", {}, lane="peer")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await outbox.idle()
    assert receiver.got == []


async def test_the_same_thing_is_put_once(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    await put(database, outbox, "a", n=1)
    await put(database, outbox, "a", n=2)
    await outbox.idle()
    await put(database, outbox, "a", n=3)
    await outbox.idle()
    assert [item.payload for item in receiver.got] == [{"n": 1}]


async def test_a_failure_is_tried_again_ever_later(
    database: Database, outbox: Outbox, receiver: Receiver, held_clock: HeldClock
) -> None:
    receiver.fails = [TryLater("the peer sleeps")] * 5
    await put(database, outbox, "a")
    assert await outbox.run_due() == 1
    for pause in (1, 2, 4, 8):
        held_clock.step(pause - 0.001)
        assert await outbox.run_due() == 0
        held_clock.step(0.001)
        assert await outbox.run_due() == 1
    (entry,) = await outbox.list()
    assert (entry["state"], entry["attempts"]) == ("waiting", 5)
    assert entry["last_error"] == "the peer sleeps"
    held_clock.step(8)
    assert await outbox.run_due() == 1
    assert await states(outbox) == {"a": "done"}
    assert len(receiver.got) == 6


async def test_an_unknown_failure_is_kept_by_its_kind_only(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    receiver.fails = [ValueError("the passphrase is hunter2")]
    await put(database, outbox, "a")
    await outbox.run_due()
    (entry,) = await outbox.list()
    assert entry["last_error"] == "ValueError"


async def test_what_fails_too_often_is_dead_and_can_be_revived(
    database: Database, outbox: Outbox, receiver: Receiver, held_clock: HeldClock
) -> None:
    receiver.fails = [TryLater("no")] * 6
    await put(database, outbox, "a")
    for _ in range(6):
        assert await outbox.run_due() == 1
        held_clock.step(100)
    assert await outbox.run_due() == 0
    (dead,) = await outbox.list("dead")
    assert (dead["attempts"], dead["last_error"]) == (6, "no")
    assert await outbox.revive(dead["id"])
    assert not await outbox.revive(dead["id"])
    await outbox.idle()
    assert await states(outbox) == {"a": "done"}


async def test_what_can_never_succeed_is_dead_at_once_and_says_so(
    database: Database, held_clock: HeldClock, receiver: Receiver
) -> None:
    told: list[str] = []
    outbox = Outbox(database, held_clock, retry=RETRY)

    async def on_dead(conn: StoreConnection, item: OutboxItem, reason: str) -> None:
        await outbox.put(conn, "tell", item.key, {"reason": reason}, lane="peer")

    async def tell(item: OutboxItem) -> None:
        told.append(item.payload["reason"])

    outbox.register("send", receiver, on_dead)
    outbox.register("tell", tell)
    receiver.fails = [Undeliverable("gone")]
    await put(database, outbox, "a")
    await outbox.idle()
    assert (len(receiver.got), told) == (1, ["gone"])


async def test_others_do_not_wait_for_one_that_fails(
    database: Database, outbox: Outbox, receiver: Receiver
) -> None:
    receiver.fails = [TryLater("no")]
    for key in ("a", "b", "c"):
        await put(database, outbox, key)
    await outbox.idle()
    assert await states(outbox) == {"a": "waiting", "b": "done", "c": "done"}


async def test_effect_and_mark_can_be_one_transaction(
    database: Database, held_clock: HeldClock
) -> None:
    outbox = Outbox(database, held_clock, retry=RETRY)
    done: list[bool] = []

    async def handle(item: OutboxItem) -> None:
        async with database.begin() as conn:
            done.append(await outbox.complete(conn, item))
            done.append(await outbox.complete(conn, item))

    outbox.register("send", handle)
    await put(database, outbox, "a")
    await outbox.idle()
    assert done == [True, False]
    assert await states(outbox) == {"a": "done"}


async def test_what_a_handler_marked_is_not_marked_again(
    database: Database, held_clock: HeldClock
) -> None:
    """Marking costs a commit: one for each entry is enough."""
    outbox = Outbox(database, held_clock, retry=RETRY)

    async def handle(item: OutboxItem) -> None:
        async with database.begin() as conn:
            assert await outbox.complete(conn, item)

    outbox.register("send", handle)
    await put(database, outbox, "a")
    before = database.counts.units
    await outbox.run_due()
    assert database.counts.units == before + 1


async def test_a_mark_that_was_undone_is_no_mark(database: Database, held_clock: HeldClock) -> None:
    outbox = Outbox(database, held_clock, retry=RETRY)
    tries: list[int] = []

    async def handle(item: OutboxItem) -> None:
        tries.append(item.attempts)
        async with database.begin() as conn:
            assert await outbox.complete(conn, item)
            if item.attempts == 1:
                raise TryLater("the effect could not be written")

    outbox.register("send", handle)
    await put(database, outbox, "a")
    await outbox.run_due()
    assert await states(outbox) == {"a": "waiting"}
    held_clock.step(1)
    await outbox.run_due()
    assert await states(outbox) == {"a": "done"}
    assert tries == [1, 2]


async def test_an_outcome_that_could_not_be_kept_is_tried_again(
    database: Database,
    outbox: Outbox,
    receiver: Receiver,
    held_clock: HeldClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await put(database, outbox, "a")

    async def fails(_conn: StoreConnection, _item: OutboxItem) -> bool:
        raise OperationalError("update", None, Exception("disk"))

    with monkeypatch.context() as now:
        now.setattr(outbox, "complete", fails)
        with pytest.raises(ExceptionGroup):
            await outbox.run_due()
    held_clock.step(1)
    await outbox.run_due()
    assert len(receiver.got) == 2
    assert await states(outbox) == {"a": "done"}


async def test_the_worker_delivers_and_a_restart_resumes(
    database: Database, held_clock: HeldClock, receiver: Receiver
) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def hang(_item: OutboxItem) -> None:
        begun.set()
        await never.wait()

    first = Outbox(database, held_clock, retry=RETRY)
    first.register("send", hang)
    await first.start()
    await put(database, first, "a")
    await begun.wait()
    assert await states(first) == {"a": "claimed"}
    await first.stop()  # as a crash would leave it
    assert await states(first) == {"a": "waiting"}

    second = Outbox(database, held_clock, retry=RETRY)
    second.register("send", receiver)
    await second.start()
    await second.idle()
    await put(database, second, "b")
    await second.idle()
    await second.stop()
    assert [(item.key, item.attempts) for item in receiver.got] == [("a", 1), ("b", 1)]


async def test_the_worker_tries_again_by_itself(database: Database, receiver: Receiver) -> None:
    soon = Retry(first=timedelta(milliseconds=1), cap=timedelta(milliseconds=2))
    outbox = Outbox(database, SystemClock(), retry=soon)
    outbox.register("send", receiver)
    receiver.fails = [TryLater("no")] * 3
    await outbox.start()
    await put(database, outbox, "a")
    await outbox.idle(deferred=True)
    await outbox.stop()
    assert [item.attempts for item in receiver.got] == [1, 2, 3, 4]
    assert await states(outbox) == {"a": "done"}


async def test_a_store_that_fails_does_not_end_the_worker(
    database: Database,
    outbox: Outbox,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.chassis.data.outbox.STORE_PAUSE", timedelta(0))
    failures = [OperationalError("select", None, Exception("disk"))] * 3
    claim = outbox._claim

    async def failing() -> Any:
        if failures:
            raise failures.pop()
        return await claim()

    monkeypatch.setattr(outbox, "_claim", failing)
    await outbox.start()
    await put(database, outbox, "a")
    await outbox.idle()
    await outbox.stop()
    assert failures == []
    assert [item.key for item in receiver.got] == ["a"]


async def test_kinds_are_known(database: Database, outbox: Outbox, receiver: Receiver) -> None:
    with pytest.raises(StoreError, match="two outbox handlers"):
        outbox.register("send", receiver)
    with pytest.raises(StoreError, match="no outbox handler"):
        async with database.begin() as conn:
            await outbox.put(conn, "sing", "a", {}, lane="peer")
    assert await states(outbox) == {}


def test_pauses_double_up_to_the_cap() -> None:
    pauses = [RETRY.pause(n).total_seconds() for n in range(1, 7)]
    assert pauses == [1, 2, 4, 8, 8, 8]
    assert RETRY.pause(10_000) == RETRY.cap
