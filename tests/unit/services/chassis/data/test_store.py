"""Writes are serialised, durable, and told of only once they are committed."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, event, func, insert, select, text
from sqlalchemy.exc import OperationalError, StatementError

from services.chassis.checks import CheckBook
from services.chassis.context import ServiceContext
from services.chassis.data.store import Database, StoreError, UtcDateTime
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


async def test_a_reader_cannot_write_while_someone_does(database: Database) -> None:
    await database.create_all(own)
    async with database.connect() as reader:
        await reader.execute(select(things))
        async with database.begin() as conn:
            await conn.execute(insert(things).values(name="x"))
        with pytest.raises(OperationalError):  # its snapshot is stale: it may not write on it
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


@pytest.fixture
def nothing_left_open() -> Iterator[None]:
    """Each connection has a thread of its own: after the test there are no more than before."""

    def alive() -> set[threading.Thread]:
        return {one for one in threading.enumerate() if "connection_worker" in one.name}

    before = alive()
    yield
    assert alive() <= before


class Hold:
    """An SQL function ``hold()`` that waits in the connection's thread until it is let go."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.let_go = threading.Event()
        self._tell = asyncio.get_running_loop().call_soon_threadsafe

    def __call__(self) -> str:
        self._tell(self.reached.set)
        self.let_go.wait()
        return "held"

    async def cancel(self, task: asyncio.Task[Any], times: int = 1) -> None:
        """Cancel a task while the thread waits."""
        await self.reached.wait()
        for _ in range(times):
            task.cancel()
            await asyncio.wait({task}, timeout=0)


async def claiming(database: Database, hold: Callable[[], str]) -> None:
    """As the outbox claims what is due: an UPDATE that returns rows."""
    async with database.begin() as conn:
        driver: Any = (await conn.get_raw_connection()).driver_connection
        await driver.create_function("hold", 0, hold)
        await conn.exec_driver_sql("UPDATE thing SET name = hold() RETURNING name")


async def prepared(tmp_path: Path) -> Database:
    database = await Database.open(tmp_path / "s.sqlite3")
    await database.create_all(own)
    async with database.begin() as conn:
        await conn.execute(insert(things).values(name="x"))
    return database


async def everybody() -> None:
    """Let whoever can go on do so."""
    for _ in range(50):
        await asyncio.sleep(0)


def lock_is_free(tmp_path: Path) -> bool:
    other = sqlite3.connect(tmp_path / "s.sqlite3", timeout=0, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    finally:
        other.close()
    return True


@pytest.mark.usefixtures("nothing_left_open")
async def test_who_is_cancelled_between_two_rows_lets_go_of_the_lock(tmp_path: Path) -> None:
    """A statement that still has rows would keep its connection's lock after the close."""
    database, hold = await prepared(tmp_path), Hold()
    claim = asyncio.create_task(claiming(database, hold))
    await hold.cancel(claim)
    hold.let_go.set()
    ended = (await asyncio.gather(claim, return_exceptions=True))[0]
    assert isinstance(ended, asyncio.CancelledError), "and its traceback holds what it had"
    assert lock_is_free(tmp_path), "for others of this service"
    await database.close()
    assert lock_is_free(tmp_path), "for who opens the store again"


@pytest.mark.usefixtures("nothing_left_open")
async def test_closing_waits_for_a_statement_that_was_given_up(tmp_path: Path) -> None:
    """Who is cancelled twice does not wait for the thread, which still has the lock."""
    database, hold = await prepared(tmp_path), Hold()
    claim = asyncio.create_task(claiming(database, hold))
    await hold.cancel(claim, times=2)
    await asyncio.gather(claim, return_exceptions=True)
    closing = asyncio.create_task(database.close())
    await everybody()
    assert not closing.done()
    hold.let_go.set()
    await closing
    assert lock_is_free(tmp_path)


@pytest.mark.usefixtures("nothing_left_open")
async def test_a_connection_cancelled_while_it_opens_is_closed(tmp_path: Path) -> None:
    database, hold = await prepared(tmp_path), Hold()
    await database._engine.dispose()  # so that the next one has to open one

    @event.listens_for(database._engine.sync_engine, "connect")
    def _connect(dbapi: Any, _record: Any) -> None:
        dbapi.create_function("hold", 0, hold)
        cursor = dbapi.cursor()
        cursor.execute("SELECT hold()")
        cursor.close()

    reading = asyncio.create_task(names(database))
    await hold.cancel(reading)
    hold.let_go.set()
    ended = (await asyncio.gather(reading, return_exceptions=True))[0]
    assert isinstance(ended, asyncio.CancelledError)
    await database.close()


@pytest.mark.usefixtures("nothing_left_open")
async def test_a_file_that_is_no_store_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "s.sqlite3").write_bytes(b"not a store, but long enough to be read as one" * 99)
    with pytest.raises(StoreError, match="cannot be opened"):
        await Database.open(tmp_path / "s.sqlite3")


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
