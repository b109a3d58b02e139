"""What a party stands on, opened in one go: store, clocks, audit log, traces, outbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import MetaData

from services.chassis.checks import CheckBook
from services.chassis.data.audit import AuditLog
from services.chassis.data.outbox import Outbox, Retry
from services.chassis.data.store import Database
from services.chassis.data.trace import Traces
from services.chassis.faults.board import Faults
from services.chassis.faults.quirks import Quirks
from services.chassis.settings import Settings
from services.chassis.time.changes import Changes
from services.chassis.time.clock import Clock, LabClock, SystemClock
from services.chassis.web.http import Caller

if TYPE_CHECKING:
    from services.chassis.web.http import Client


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """One party's chassis parts.

    Attributes:
        settings: The party's settings.
        book: Its checks.
        clock: Domain time, which the lab may hold and step.
        system_clock: Transport and evidence time, which nobody may.
        database: Its store.
        audit: Its audit log.
        traces: Its traces.
        outbox: Its outbox; the service starts and stops the worker.
        changes: Who waits for what.
        faults: What the lab has it suffer.
        quirks: What the lab has it do oddly.
    """

    settings: Settings
    book: CheckBook
    clock: LabClock
    system_clock: Clock
    database: Database
    audit: AuditLog
    traces: Traces
    outbox: Outbox
    changes: Changes
    faults: Faults
    quirks: Quirks

    @classmethod
    async def open(
        cls,
        settings: Settings,
        book: CheckBook,
        *tables: MetaData,
        clock: LabClock | None = None,
        system_clock: Clock | None = None,
        retry: Retry | None = None,
    ) -> ServiceContext:
        """Open the store, create the party's `tables` in it, and build the rest on top.

        Args:
            settings: The party's settings.
            book: Its checks.
            tables: Its own tables.
            clock: Another domain clock, in tests.
            system_clock: Another machine clock, in tests only.
            retry: When the outbox tries again and gives up.

        Raises:
            StoreError: The store cannot be opened.
        """
        database = await Database.open(settings.store)
        try:
            for own in tables:
                await database.create_all(own)
        except BaseException:
            await database.close()
            raise
        machine = system_clock or SystemClock()
        lab_clock, changes = clock or LabClock(machine), Changes()
        audit, traces = AuditLog(database, machine), Traces(database, machine, changes)
        faults = Faults(settings.party, database, audit, traces, lab_clock)
        quirks = Quirks(settings.party)
        book.weakened_by(faults.weakened)
        book.weakened_by(quirks.weakened)
        return cls(
            settings=settings,
            book=book,
            clock=lab_clock,
            system_clock=machine,
            database=database,
            audit=audit,
            traces=traces,
            outbox=Outbox(database, machine, retry=retry),
            changes=changes,
            faults=faults,
            quirks=quirks,
        )

    def expose(self, client: Caller | Client, otherwise: str | None = None) -> None:
        """Let the lab's faults act on what this party sends with a client.

        Args:
            client: The client.
            otherwise: What to call whoever it calls besides the peers of the settings; None where
                it calls nobody else.
        """
        client.wire.expose(self.faults, self.settings.peers, otherwise)

    @asynccontextmanager
    async def closed_on_failure(self) -> AsyncIterator[None]:
        """Close all of it again if what is put together on it in this block cannot be."""
        try:
            yield
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop the outbox and close the store."""
        await self.outbox.stop()
        await self.database.close()
