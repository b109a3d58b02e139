"""What one user may have waiting in quarantine.

Nobody is obliged to look at what an anomaly threshold held back, so without a bound one account
could have the broker keep its documents without end. A user's quota
(`services.chassis.data.quota`) pays for what is written down; once it is used up a request is
refused and not held. And of what is held, each user has so many requests and so many octets: beyond
that its own oldest gives way. That request ends as refused, its user is told, and its octets are
dropped wherever the broker kept them; who it was, which check held it and the digest of what was
asked stay in the audit log.
"""

from __future__ import annotations

import hashlib
from typing import Final

from acb.checks import PARTY
from acb.model import Refusal, Tally, Tracked
from acb.rules import codes
from acb.steps.context import Context
from acb.steps.outcome import Outcomes
from acb.store import requests as store
from services.chassis.checks import CheckRun
from services.chassis.data.connection import StoreConnection

RECORDS: Final = 8
"""Records that one quarantined request leaves, in the end: the request itself, traces, documents
owed and their places in the outbox, and the audit entry."""
ANOMALY: Final = "acb.anomaly.threshold"
GAVE_WAY: Final = "acb.quarantine.gave_way"
"""The kind of that audit entry."""


class Quarantine:
    """The places in quarantine, of each user."""

    def __init__(self, context: Context, outcomes: Outcomes) -> None:
        self._context = context
        self._outcomes = outcomes

    def may_hold(self, user: str, body: bytes) -> bool:
        """Whether one more of this user's may be held; it is paid for if so."""
        unauthenticated = self._context.base.audit.unauthenticated
        return unauthenticated.admit(2 * len(body), records=RECORDS, sender=user)

    async def hold(
        self, conn: StoreConnection, tracked: Tracked, tally: Tally | None, run: CheckRun
    ) -> None:
        """Have the user told that its request, kept as quarantined, is held; make room for it."""
        within = tally is not None and (
            tally.user_limit is None or tally.user + 1 <= tally.user_limit
        )
        await self._outcomes.notifier.enqueue_quarantine(conn, tracked, everyone=within)
        await self._make_room(conn, tracked)
        why = tracked.refusal
        await self._context.trace(
            conn,
            tracked,
            "quarantined",
            name="" if why is None else why.check,
            summary="" if why is None else why.detail,
            verdicts=run.verdicts(),
        )
        self._context.notify(tracked.request_id)

    async def delete(self, reference: int) -> Tracked | None:
        """Drop a quarantined request for good; None if there is none of this reference."""
        async with self._context.base.database.begin() as conn:
            held = await store.find_quarantined(conn, reference)
            if held is None:
                return None
            why = Refusal(PARTY, ANOMALY, "an operator deleted it from quarantine", codes.ANOMALY)
            await self._outcomes.end_refused(conn, held, why)
            return await store.get_request(conn, held.sequence)

    async def _make_room(self, conn: StoreConnection, held: Tracked) -> None:
        """Let the oldest of its user give way to a request that is held from now on."""
        settings = self._context.settings
        places = await store.quarantined_of(conn, held.originator)
        rows, octets = len(places), sum(size for _, size in places)
        for sequence, size in places:
            within = rows <= settings.quarantine_requests and octets <= settings.quarantine_octets
            if within or sequence == held.sequence:
                return
            rows, octets = rows - 1, octets - size
            await self._give_way(conn, await store.get_request(conn, sequence), held)

    async def _give_way(self, conn: StoreConnection, old: Tracked, new: Tracked) -> None:
        base = self._context.base
        check = ANOMALY if old.refusal is None else old.refusal.check
        details = {
            "user": old.originator,
            "check": check,
            "to": new.request_id,
            "digest": hashlib.sha256(old.body).hexdigest(),
            "octets": len(old.body),
        }
        await base.audit.append(conn, GAVE_WAY, old.request_id, details)
        why = f"it gave way in quarantine to {new.request_id}"
        refusal = Refusal(PARTY, check, why, codes.ANOMALY)
        await self._context.trace(conn, old, "refused", name=check, summary=why)
        await self._outcomes.end_refused(conn, old, refusal)
        await store.change(conn, old.sequence, body=b"")
        await base.traces.forget_messages(conn, old.request_id)
