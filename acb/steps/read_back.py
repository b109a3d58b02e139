"""What a device's own word about its cells comes to, for a request whose answer or alert is lost.

`completed` if every cell holds what was commanded. If not, the request has `failed`, and what is
not known is not claimed:

* to a command for at once there was silence: the check that a silent device fails;
* of a dated command no alert came: `acb.alert.missing` says that the device does not hold what it
  was to put there, `acb.outcome.unknown` that nobody can tell (it cannot be reached, keeps silent
  or says something that a check refuses; or a later request has set the same cells since).

The CoS Party that signed the command is given the device's octets. Their MAC is between device and
broker, so to it they are the broker's word, and it records them as that.

Should the true answer or alert come after all, it is heard: `acb.steps.device_messages`.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from acb.checks import PARTY
from acb.model import Refusal, State, Tracked
from acb.peers.outbound import DEVICE_RESPONSE
from acb.rules import codes
from acb.rules.read_back import DetailsEvidence, cells_holding
from acb.steps import pending
from acb.steps.context import Parts
from acb.steps.outcome import Outcomes
from acb.store import records
from services.chassis.checks import Approved, CheckRun, Refused

SILENCE: Final = "acb.response.received"
"""The check that a silent device fails."""

MISSING: Final = "acb.alert.missing"
"""The reason given for a dated command that the device, by its own word, has not executed."""

UNKNOWN: Final = "acb.outcome.unknown"
"""The reason given where nobody can tell what became of a dated command."""


def _silence(tracked: Tracked) -> str:
    """The check that a silent device fails, by the service that was asked for."""
    return "acb.answer.received" if tracked.cos_party is None else SILENCE


def _dated(tracked: Tracked) -> bool:
    """Whether the request's command was dated: then it is an alert that did not come."""
    update = pending.sent(tracked)
    return update is not None and update.execution_date_time is not None


class ReadBacks:
    """Settles requests by what devices say their cells hold, in the caller's transaction."""

    def __init__(self, parts: Parts, outcomes: Outcomes) -> None:
        self._parts = parts
        self._outcomes = outcomes

    async def settle(
        self,
        conn: AsyncConnection,
        approved: Approved[Any],
        tracked: Tracked,
        evidence: DetailsEvidence,
    ) -> None:
        """Settle a request by what the device says its cells hold."""
        del approved  # taken so that nothing is settled that was not approved
        update = pending.sent(tracked)
        if update is None or evidence.details is None:  # only with checks switched off
            return
        wanted = update.replacements
        found = cells_holding(evidence.details, wanted)
        missing = {item.cell.name for item in wanted} - found.keys()
        later = await records.cells_set_after(conn, tracked)
        told = f"read back: {len(found)} of {len(wanted)} cells hold what was commanded"
        if tracked.cos_party is not None:
            await self._outcomes.notices.owe_cos_party(conn, tracked, DEVICE_RESPONSE, evidence.raw)
        if found:
            await self._outcomes.put_cells(conn, tracked, found, told)
            await self._outcomes.credentials_updated(conn, tracked, update, found)
        if missing and not _dated(tracked):
            await self._failed(conn, tracked, _silence(tracked), f"the device said nothing; {told}")
        elif missing and missing <= later:
            why = f"the device's alert did not come; {told}, and the others were set again since"
            await self._failed(conn, tracked, UNKNOWN, why)
        elif missing:
            await self._failed(conn, tracked, MISSING, f"the device's alert did not come; {told}")
        else:
            await self._done(conn, tracked)

    async def refused(
        self, conn: AsyncConnection, tracked: Tracked, run: CheckRun, refused: Refused
    ) -> None:
        """End a request whose device did not tell what it holds.

        Nothing is known, so nothing is recorded; a late response or alert may still be heard.
        """
        await self._parts.base.traces.record(
            tracked.request_id,
            "refused",
            name=refused.check,
            summary=refused.detail,
            verdicts=run.verdicts(),
            conn=conn,
        )
        if _dated(tracked):
            await self._unknown(conn, tracked, refused.detail)
            return
        detail = f"the device said nothing, and reading it back failed: {refused.detail}"
        await self._failed(conn, tracked, _silence(tracked), detail)

    async def unreachable(self, conn: AsyncConnection, tracked: Tracked, reason: str) -> bool:
        """End a request whose device was not reached; False if that is not for this module."""
        if not _dated(tracked):
            return False
        await self._unknown(conn, tracked, reason)
        return True

    async def _unknown(self, conn: AsyncConnection, tracked: Tracked, reason: str) -> None:
        why = f"the device's alert did not come, and reading the device back failed: {reason}"
        await self._failed(conn, tracked, UNKNOWN, why)

    async def _failed(self, conn: AsyncConnection, tracked: Tracked, name: str, why: str) -> None:
        await self._parts.base.traces.record(
            tracked.request_id, "failed", name=name, summary=why, conn=conn
        )
        refusal = Refusal(PARTY, name, why, codes.NO_ANSWER_FROM_DEVICE)
        await self._outcomes.end_refused(conn, tracked, refusal, State.FAILED)

    async def _done(self, conn: AsyncConnection, tracked: Tracked) -> None:
        now = self._parts.base.clock.now()
        document = self._parts.replies.answer(tracked, codes.SUCCESS, None, now)
        await self._outcomes.complete(conn, tracked, document)
        await self._outcomes.release_device(conn, tracked.target)
