"""Writes are serialised, durable, and told of only once they are committed."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, func, insert, select, text
from sqlalchemy.exc import OperationalError, StatementError

from services.chassis.checks import CheckBook
from services.chassis.context import ServiceContext
from services.chassis.data import sqlite
from services.chassis.data.store import (
    Database,
    StoreError,
    StoreUnwritableError,
    UtcDateTime,
)
from services.chassis.settings import Settings

own = MetaData()
things = Table(
    "thing",
    own,
    Column("id", Integer, primary_key=True),
    Column("name", Text),
    Column("at", UtcDateTime),
)


async def names(database: Database) -> list[str]:
    async with database.connect() as conn:
        return list((await conn.execute(select(things.c.name).order_by(things.c.id))).scalars())


async def test_sqlite_is_durable_and_private(database: Database, tmp_path: Path) -> None:
    async with database.connect() as conn:
        for pragma, value in (
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("busy_timeout", 5000),
        ):
            assert (await conn.execute(text(f"PRAGMA {pragma}"))).scalar_one() == value
    assert stat.S_IMODE((tmp_path / "test.sqlite3").stat().st_mode) == 0o600


async def test_what_was_committed_survives_reopening(tmp_path: Path) -> None:
    for name in ("first", "second"):
        database = await Database.open(tmp_path / "s.sqlite3")
        await database.create_all(own)
        async with database.begin() as conn:
            await conn.execute(insert(things).values(name=name))
        await database.close()
    database = await Database.open(f"sqlite:///{tmp_path / 's.sqlite3'}")
    assert await names(database) == ["first", "second"]
    await database.close()


async def test_an_exception_rolls_back_and_tells_nobody(database: Database) -> None:
    await database.create_all(own)
    told: list[str] = []

    async def fail() -> None:
        async with database.begin() as conn:
            await conn.execute(insert(things).values(name="never"))
            database.on_commit(lambda: told.append("never"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await names(database) == []
    async with database.begin() as conn:
        await conn.execute(insert(things).values(name="kept"))
        database.on_commit(lambda: told.append("kept"))
        assert told == []
    assert told == ["kept"]


async def test_writers_take_turns(database: Database) -> None:
    await database.create_all(own)
    inside = 0

    async def write(number: int) -> None:
        nonlocal inside
        async with database.begin() as conn:
            inside += 1
            assert inside == 1
            await conn.execute(insert(things).values(name=str(number)))
            await asyncio.sleep(0)
            inside -= 1

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(write(number))
    assert len(await names(database)) == 20


async def test_two_processes_take_turns_too(tmp_path: Path) -> None:
    """Each reads before it writes; neither may do so on what the other is about to change."""
    both = [await Database.open(tmp_path / "s.sqlite3") for _ in range(2)]
    await both[0].create_all(own)

    async def count_on(database: Database) -> None:
        async with database.begin() as conn:
            seen = (await conn.execute(select(func.count()).select_from(things))).scalar_one()
            await conn.execute(insert(things).values(name=str(seen)))

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(count_on(both[number % 2]))
    assert await names(both[0]) == [str(number) for number in range(20)]
    for database in both:
        await database.close()


async def test_readers_see_only_what_is_committed(database: Database) -> None:
    await database.create_all(own)
    async with database.begin() as conn:
        await conn.execute(insert(things).values(name="pending"))
        assert await names(database) == []
    assert await names(database) == ["pending"]


async def test_a_task_does_not_wait_for_itself(database: Database) -> None:
    async with database.begin():
        with pytest.raises(StoreError, match="pass the open connection"):
            async with database.begin():
                pass
    with pytest.raises(StoreError, match="nothing is being written"):
        database.on_commit(lambda: None)


async def test_a_bystander_cannot_join_a_transaction(database: Database) -> None:
    async def bystander() -> None:
        database.on_commit(lambda: None)

    async with database.begin():
        with pytest.raises(StoreError):
            await asyncio.create_task(bystander())


async def test_times_keep_their_moment_and_need_a_zone(database: Database) -> None:
    await database.create_all(own)
    summer = datetime(2026, 7, 1, 1, 30, tzinfo=timezone(timedelta(hours=1)))
    async with database.begin() as conn:
        await conn.execute(insert(things).values(name="a", at=summer))
        with pytest.raises(StatementError, match="without a zone"):
            await conn.execute(insert(things).values(at=datetime(2026, 7, 1)))  # noqa: DTZ001
    async with database.connect() as conn:
        read = (await conn.execute(select(things.c.at))).scalar_one()
    assert read == summer
    assert read.tzinfo == UTC


@pytest.mark.parametrize(
    "where", ["sqlite://", "sqlite:///:memory:", "no://such", "sqlite:///no/such/folder/x"]
)
async def test_a_store_that_cannot_be_opened(where: str) -> None:
    with pytest.raises(StoreError):
        await Database.open(where)


async def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    path.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(StoreError):
        await Database.open(path)


async def test_a_reader_cannot_write(database: Database) -> None:
    await database.create_all(own)
    async with database.connect() as reader:
        await reader.execute(select(things))
        async with database.begin() as conn:
            await conn.execute(insert(things).values(name="x"))
        with pytest.raises(OperationalError, match="readonly"):
            await reader.execute(insert(things).values(name="y"))
    assert await names(database) == ["x"]


async def test_closing_waits_for_those_at_work_and_lends_no_more(tmp_path: Path) -> None:
    """A connection given back after the pool is gone would stay open until it is collected."""
    database = await Database.open(tmp_path / "s.sqlite3")
    await database.create_all(own)
    reading, may_end = asyncio.Event(), asyncio.Event()

    async def read() -> int:
        async with database.connect() as conn:
            reading.set()
            await may_end.wait()
            return int((await conn.execute(select(func.count()).select_from(things))).scalar_one())

    at_work = asyncio.create_task(read())
    await reading.wait()
    closing = asyncio.create_task(database.close())
    await asyncio.wait({closing}, timeout=0)
    assert not closing.done()
    may_end.set()
    await closing
    assert await at_work == 0
    for open_one in (database.connect, database.begin):
        with pytest.raises(StoreError, match="closed"):
            async with open_one():
                pass


async def test_who_writes_cannot_close(database: Database) -> None:
    async with database.begin():
        with pytest.raises(StoreError, match="end the transaction first"):
            await database.close()


async def test_what_was_opened_is_closed_where_a_party_cannot_be_put_together(
    settings: Settings,
) -> None:
    base = await ServiceContext.open(settings, CheckBook("test_party", []))
    with pytest.raises(ZeroDivisionError):
        async with base.closed_on_failure():
            raise ZeroDivisionError
    with pytest.raises(StoreError, match="closed"):
        async with base.database.connect():
            pass


def commits_that_wait(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> tuple[threading.Event, asyncio.Event]:
    """Commits reach the disk only when the first event is set; the second says that one waits."""
    let_go, reached = threading.Event(), asyncio.Event()
    tell = asyncio.get_running_loop().call_soon_threadsafe
    genuine = sqlite.commit

    def waits(driver: sqlite3.Connection) -> None:
        tell(reached.set)
        let_go.wait()
        genuine(driver)

    monkeypatch.setattr(sqlite, "commit", waits)
    return let_go, reached


async def write(database: Database, name: str) -> str:
    async with database.begin() as conn:
        await conn.execute(insert(things).values(name=name))
    return name


async def test_units_that_come_together_share_a_commit(database: Database) -> None:
    await database.create_all(own)
    before = replace(database.counts)
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(write(database, str(number)))
    assert database.counts.units - before.units == 20
    assert database.counts.commits - before.commits == 1
    assert await names(database) == [str(number) for number in range(20)]


async def test_one_unit_that_fails_is_undone_alone(database: Database) -> None:
    await database.create_all(own)

    async def fail() -> None:
        async with database.begin() as conn:
            await conn.execute(insert(things).values(name="never"))
            raise ZeroDivisionError

    acts = (write(database, "a"), fail(), write(database, "b"))
    ended = await asyncio.gather(*acts, return_exceptions=True)
    assert isinstance(ended[1], ZeroDivisionError)
    assert await names(database) == ["a", "b"]


async def test_nobody_is_told_before_it_is_on_the_disk(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.create_all(own)
    let_go, reached = commits_that_wait(database, monkeypatch)
    told: list[str] = []

    async def act() -> None:
        async with database.begin() as conn:
            await conn.execute(insert(things).values(name="x"))
            database.on_commit(lambda: told.append("x"))

    first = asyncio.create_task(act())
    await reached.wait()
    following = asyncio.create_task(write(database, "y"))
    await everybody()
    assert (told, first.done(), following.done()) == ([], False, False)
    assert await names(database) == [], "readers go on meanwhile, and see what is durable"
    let_go.set()
    await asyncio.gather(first, following)
    assert told == ["x"]
    assert await names(database) == ["x", "y"]


async def test_who_is_cancelled_while_it_is_committed_takes_nobody_with_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.create_all(own)
    let_go, reached = commits_that_wait(database, monkeypatch)
    both = [asyncio.create_task(write(database, name)) for name in ("given up", "kept")]
    await reached.wait()
    both[0].cancel()
    let_go.set()
    ended = await asyncio.gather(*both, return_exceptions=True)
    assert isinstance(ended[0], asyncio.CancelledError)
    assert ended[1] == "kept"
    assert await names(database) == ["given up", "kept"], "what was under way is not half undone"


async def test_a_commit_that_fails_undoes_every_unit_and_tells_each(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.create_all(own)

    def fails(driver: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("disk full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with monkeypatch.context() as now:
        now.setattr(sqlite, "commit", fails)
        ended = await asyncio.gather(
            write(database, "a"), write(database, "b"), return_exceptions=True
        )
    assert [type(one) for one in ended] == [StoreUnwritableError] * 2
    assert await names(database) == []
    assert await write(database, "c") == "c"


async def test_where_the_engine_undoes_the_transaction_all_in_it_are_told(
    database: Database,
) -> None:
    """SQLite ends the whole transaction on some errors, not the statement alone."""
    await database.create_all(own)

    async def fail() -> None:
        async with database.begin() as conn:
            conn.driver.rollback()
            raise ZeroDivisionError

    ended = await asyncio.gather(write(database, "a"), fail(), return_exceptions=True)
    assert [type(one) for one in ended] == [ZeroDivisionError] * 2
    assert await names(database) == []
    assert await write(database, "b") == "b"


async def test_who_is_cancelled_in_the_middle_is_undone_and_lets_go(
    database: Database, tmp_path: Path
) -> None:
    await database.create_all(own)
    inside, never = asyncio.Event(), asyncio.Event()

    async def act() -> None:
        async with database.begin() as conn:
            await conn.execute(insert(things).values(name="x").returning(things.c.id))
            inside.set()
            await never.wait()

    task = asyncio.create_task(act())
    await inside.wait()
    waiting = asyncio.create_task(write(database, "given up while it waited"))
    await everybody()
    for one in (waiting, task):
        one.cancel()
    await asyncio.wait({task, waiting})
    assert await write(database, "y") == "y"
    assert await names(database) == ["y"]
    assert lock_is_free(tmp_path)


async def test_a_lock_from_outside_is_waited_for_while_others_go_on(
    database: Database, tmp_path: Path
) -> None:
    await database.create_all(own)
    other = sqlite3.connect(tmp_path / "test.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    task = asyncio.create_task(write(database, "x"))
    await everybody()
    assert await names(database) == []
    assert not task.done()
    other.execute("ROLLBACK")
    assert await task == "x"
    other.close()


async def everybody() -> None:
    """Let whoever can go on do so."""
    for _ in range(50):
        await asyncio.sleep(0)


def lock_is_free(tmp_path: Path) -> bool:
    other = sqlite3.connect(tmp_path / "test.sqlite3", timeout=0, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    finally:
        other.close()
    return True


async def test_closing_leaves_nothing_open(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    database = await Database.open(tmp_path / "test.sqlite3")
    await database.create_all(own)
    await asyncio.gather(write(database, "a"), names(database), write(database, "b"))
    await database.close()
    assert set(threading.enumerate()) <= before
    assert lock_is_free(tmp_path)
    assert not (tmp_path / "test.sqlite3-wal").exists(), "the last connection cleans up"


async def test_a_file_that_is_no_store_leaves_nothing_open(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    (tmp_path / "s.sqlite3").write_bytes(b"not a store, but long enough to be read as one" * 99)
    with pytest.raises(StoreError, match="cannot be opened"):
        await Database.open(tmp_path / "s.sqlite3")
    assert set(threading.enumerate()) <= before


async def test_a_store_of_another_version_is_not_opened(tmp_path: Path) -> None:
    """It would fail later, entry by entry; so it says at once what to do."""
    file = tmp_path / "old.sqlite3"
    with sqlite3.connect(file) as old:
        old.execute("create table thing (id integer primary key, name text)")
        old.execute("insert into thing (name) values ('kept')")
    old.close()
    database = await Database.open(file)
    with pytest.raises(StoreError, match="thing has no at; begin with a new data folder"):
        await database.create_all(own)
    async with database.connect() as conn:
        assert (await conn.execute(text("select name from thing"))).scalar_one() == "kept"
    await database.close()
