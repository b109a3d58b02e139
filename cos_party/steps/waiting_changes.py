"""Looking again at what was signed for a day to come, whenever registration changes.

A dated command was signed because registration named its requester for its date. If a newer extract
names somebody else, the device still holds the command: this party can neither reach a device nor
withdraw anything unasked (nothing flows from it to the broker but answers). What it can do is know,
say so and let the right supplier act: it writes down that the change has lost its ground (trace,
audit, log; `GET /lab/grounds` lists what waits so), and from then on `registration.pending_change`
lets whoever registration names instead withdraw it or put another in its place. Written once; and
again, if registration comes round.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import Column, Table, Text, delete, select
from sqlalchemy.dialects.sqlite import insert

from cos_party.model import DatedChange
from cos_party.peers.copies import RegistrationStore
from cos_party.registration_copy import RegistrationCopy
from cos_party.rules.registration import founded
from cos_party.store import decisions as store
from cos_party.store.tables import asked, metadata
from services.chassis.context import ServiceContext
from services.chassis.data.connection import StoreConnection

_log = structlog.get_logger(__name__)

LOST: Final = "ground_lost"
REGAINED: Final = "ground_regained"

unfounded: Final = Table("cos_unfounded", metadata, Column("request_id", Text, primary_key=True))
"""Requests whose waiting changes registration no longer gives to who asked for them."""


class WaitingChanges:
    """Holds what waits against each new extract, in the transaction that takes the extract."""

    def __init__(self, base: ServiceContext, registration: RegistrationStore) -> None:
        self._base = base
        self._registration = registration

    async def review(self, conn: StoreConnection, changed: frozenset[str] | None) -> None:
        """Write down which waiting changes have lost their ground, or have it again.

        Args:
            conn: the transaction in which a newer extract was taken.
            changed: the meter points that it changed; None: it may be any.
        """
        waiting = await _waiting(conn, self._base.clock.now(), changed)
        copy = await self._registration.read(conn, [change.mpxn for change in waiting])
        if copy is None or not waiting:
            return
        known = set((await conn.execute(select(unfounded.c.request_id))).scalars())
        for change in waiting:
            lost = not founded(copy, change)
            if lost == (change.request_id in known):
                continue
            await self._note(conn, copy, change, lost=lost)

    async def _note(
        self, conn: StoreConnection, copy: RegistrationCopy, change: DatedChange, *, lost: bool
    ) -> None:
        if lost:
            await conn.execute(insert(unfounded).values(request_id=change.request_id))
            kind, what = LOST, "no longer names"
        else:
            gone = delete(unfounded).where(unfounded.c.request_id == change.request_id)
            await conn.execute(gone)
            kind, what = REGAINED, "names again"
        at = "" if change.at is None else change.at.isoformat()
        summary = f"registration (extract {copy.number}) {what} {change.requester} for {at}"
        told = {"requester": change.requester, "mpxn": change.mpxn, "at": at}
        await self._base.traces.record(change.request_id, kind, summary=summary, conn=conn)
        await self._base.audit.append(
            conn, f"cos.{kind}", change.request_id, {**told, "extract": copy.number}
        )
        _log.warning("a waiting change is looked at again", request=change.request_id, what=summary)


async def no_longer_supported(conn: StoreConnection, now: datetime) -> list[DatedChange]:
    """What waits for a date to come although registration names somebody else for it by now."""
    known = set((await conn.execute(select(unfounded.c.request_id))).scalars())
    return [change for change in await _waiting(conn, now) if change.request_id in known]


async def _waiting(
    conn: StoreConnection, now: datetime, homes: frozenset[str] | None = None
) -> list[DatedChange]:
    """What waits for a date to come, of each device and requester the last; at these homes only."""
    devices = select(asked.c.device).where(asked.c.execute_at > now).distinct()
    if homes is not None:
        devices = devices.where(asked.c.mpxn.in_(homes))
    found = []
    for device in (await conn.execute(devices)).scalars().all():
        last = {change.requester: change for change in await store.dated(conn, "", device)}
        found += [
            one
            for one in last.values()
            if one.at is not None and one.at > now and (homes is None or one.mpxn in homes)
        ]
    return found
