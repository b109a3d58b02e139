"""The one writer of a store: units of work take turns, and many are made durable by one commit.

Each unit is a savepoint in the transaction that is open; one that fails is undone alone. When
nobody waits for a turn, the transaction is committed, in a thread, while others of this process go
on; units that come meanwhile wait, and make the next transaction together. `unit` ends only when
what it wrote is on the disk: who is told of it is told the truth. A commit that fails undoes every
unit in it, and each of them hears so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from services.chassis.data import sqlite
from services.chassis.data.connection import Counts, StoreConnection

MOST_UNITS: Final = 256
"""Units in one transaction, so that another process has its turn too."""

Callback = Callable[[], None]


@dataclass(slots=True)
class _Unit:
    """One unit of work: what is called after its commit, and whether it has been."""

    durable: asyncio.Future[None]
    after_commit: list[Callback] = field(default_factory=list)


class GroupCommit:
    """The writer of one store."""

    def __init__(self, conn: StoreConnection, counts: Counts) -> None:
        self._conn = conn
        self._counts = counts
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._taken = False  # the connection is in somebody's hands: a unit's, or the commit's
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._open = False
        self._units: list[_Unit] = []

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[tuple[StoreConnection, list[Callback]]]:
        """A unit of work: the connection, and the list of what is called after the commit.

        Raises:
            sqlite3.Error: The transaction cannot begin, or the commit failed.
        """
        await self._turn()
        unit = _Unit(asyncio.get_running_loop().create_future())
        driver = self._conn.driver
        try:
            if not self._open:
                await sqlite.begin(driver)
                self._open = True
            driver.execute("SAVEPOINT unit").close()
            try:
                yield self._conn, unit.after_commit
                driver.execute("RELEASE unit").close()
            except BaseException as error:
                self._undo_one(error)
                raise
            self._units.append(unit)
            self._counts.units += 1
        finally:
            self._pass_on()
        await unit.durable

    async def close(self) -> None:
        """Commit what is open, close the connection and end the thread."""
        await self._turn()
        self._conn.close()
        self._thread.shutdown()

    def _undo_one(self, error: BaseException) -> None:
        """Undo the unit that failed; where the engine undid the whole transaction, all in it."""
        driver = self._conn.driver
        if driver.in_transaction:
            driver.execute("ROLLBACK TO unit").close()
            driver.execute("RELEASE unit").close()
        else:
            self._lost(error)

    def _lost(self, error: BaseException) -> None:
        """The transaction is gone: whoever is in it hears why."""
        units, self._units, self._open = self._units, [], False
        for unit in units:
            if not unit.durable.done():
                unit.durable.set_exception(error)

    async def _turn(self) -> None:
        """Wait until the connection is free, first come first served, and take it."""
        if not self._taken:
            self._taken = True
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._pass_on()
            raise

    def _give(self) -> bool:
        """Give the connection to who has waited longest; False if nobody waits."""
        while self._waiting:
            following = self._waiting.popleft()
            if not following.done():
                following.set_result(None)
                return True
        return False

    def _pass_on(self) -> None:
        """Let the next unit join the transaction; when nobody waits, commit it."""
        if not self._open:
            self._taken = self._give()
        elif len(self._units) >= MOST_UNITS or not self._give():
            # Once round the loop: who is about to write joins before the commit.
            asyncio.get_running_loop().call_soon(self._commit)

    def _commit(self) -> None:
        if len(self._units) < MOST_UNITS and self._give():
            return
        loop, driver = asyncio.get_running_loop(), self._conn.driver
        if not self._units:
            driver.rollback()
            self._open = False
            self._taken = self._give()
            return
        loop.run_in_executor(self._thread, sqlite.commit, driver).add_done_callback(self._committed)

    def _committed(self, done: asyncio.Future[None]) -> None:
        error = done.exception()
        if error is not None:
            self._conn.driver.rollback()
            self._lost(error)
        else:
            self._counts.commits += 1
            units, self._units, self._open = self._units, [], False
            for unit in units:
                _tell(unit)
        self._taken = self._give()


def _tell(unit: _Unit) -> None:
    """What a unit wrote is durable: call what waits for that, and let the unit end."""
    failed: Exception | None = None
    for callback in unit.after_commit:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - the unit's own fault, and told to it
            failed = error
    if unit.durable.done():  # it was cancelled meanwhile
        return
    if failed is None:
        unit.durable.set_result(None)
    else:
        unit.durable.set_exception(failed)
