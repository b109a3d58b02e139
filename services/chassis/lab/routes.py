"""The lab routes that every party has: checks, counts, clock, traces, audit, outbox, reset.

Only on the lab port, behind its token. Acts that change how the party behaves are recorded in the
audit log before they take effect.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict

from keys import tally
from services.chassis import counts
from services.chassis.checks import UnknownCheckError
from services.chassis.context import ServiceContext
from services.chassis.data.audit import AuditBrokenError
from services.chassis.time.clock import ClockError, LabClock
from services.chassis.web.authority import Authority
from services.chassis.web.problems import Problem

Reset = Callable[[], Awaitable[None]]
MOST = 2**63 - 1
"""The greatest number that a store's row can have."""

INTACT = "its rows fit each other; whoever owns the store could have written them all anew"
"""What it means, and does not, that a party finds its own log intact."""

After = Annotated[int, Query(ge=0, le=MOST)]
Limit = Annotated[int, Query(ge=1, le=10_000)]
Row = Annotated[int, Path(ge=0, le=MOST)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CheckState(_Body):
    """Whether a check is on."""

    enabled: bool


class ClockAct(_Body):
    """One act on the party's clock. Exactly one of `mode` and `step`.

    Attributes:
        mode: ``held`` (at `at`, or where it stands), ``offset`` (by `seconds`), ``running`` (on
            from where it is held) or ``real``.
        at: Where to hold it.
        seconds: How far from the machine's clock.
        step: Seconds to move by, as it stands or runs.
    """

    mode: Literal["real", "held", "offset", "running"] | None = None
    at: AwareDatetime | None = None
    seconds: float | None = None
    step: float | None = None


def common_routes(
    base: ServiceContext, authority: Authority, on_reset: Sequence[Reset] = ()
) -> APIRouter:
    """The lab routes every party has."""
    router = APIRouter(tags=["lab"])
    party = base.settings.party

    async def record(kind: str, subject: str, **facts: Any) -> None:
        async with base.database.begin() as conn:
            await base.audit.append(conn, kind, subject, facts)

    def weakened() -> dict[str, Any]:
        return {"party": party, "weakened": base.book.weakened}

    @router.get("/lab/party")
    async def who() -> dict[str, Any]:
        return {
            **weakened(),
            "eui": base.settings.eui,
            "process": os.getpid(),
            "data": str(base.settings.data.resolve()),
            "accepts": authority.lines(),
        }

    @router.get("/lab/counts")
    async def what_was_done() -> dict[str, int]:
        return counts.told(store=lambda: asdict(base.database.counts), keys=tally.counts)

    @router.get("/lab/checks")
    async def checks() -> dict[str, Any]:
        return {**weakened(), "checks": base.book.describe()}

    @router.put("/lab/checks/{check_id}")
    async def switch_check(check_id: str, state: CheckState) -> dict[str, Any]:
        try:
            base.book.get(check_id)
        except UnknownCheckError as error:
            raise Problem(404, "No such check", str(error), party=party) from None
        await record("lab.check", check_id, enabled=state.enabled)
        (base.book.turn_on if state.enabled else base.book.turn_off)(check_id)
        return {**weakened(), "id": check_id, "enabled": state.enabled}

    @router.get("/lab/clock")
    async def clock() -> dict[str, Any]:
        return _clock_state(base.clock)

    @router.put("/lab/clock")
    async def set_clock(act: ClockAct) -> dict[str, Any]:
        try:
            take_effect = _planned(base.clock, act)
            await record("lab.clock", party, **act.model_dump(mode="json", exclude_none=True))
            take_effect()
        except (ClockError, OverflowError, ValueError) as error:
            raise Problem(422, "No such act on the clock", str(error), party=party) from None
        return _clock_state(base.clock)

    @router.get("/lab/traces")
    async def traces(limit: Limit = 200) -> dict[str, Any]:
        return {"party": party, "traces": await base.traces.list(limit)}

    @router.get("/lab/trace/{subject:path}")
    async def trace(subject: str) -> dict[str, Any]:
        return {**weakened(), "subject": subject, "entries": await base.traces.read(subject)}

    @router.get("/lab/messages")
    async def messages(after: After = 0, limit: Limit = 1000) -> dict[str, Any]:
        return {"party": party, "messages": await base.traces.messages(after, limit)}

    @router.get("/lab/audit")
    async def audit(
        after: After = 0, limit: Limit = 1000, subject: str | None = None
    ) -> dict[str, Any]:
        seq, linked = await base.audit.head()
        rows = await base.audit.export(after, limit, subject)
        return {"party": party, "head": {"seq": seq, "hash": linked}, "rows": rows}

    @router.get("/lab/audit/verify")
    async def verify_audit() -> dict[str, Any]:
        try:
            rows = await base.audit.verify()
        except AuditBrokenError as broken:
            return {"party": party, "intact": False, "row": broken.seq, "reason": broken.reason}
        return {"party": party, "intact": True, "rows": rows, "meaning": INTACT}

    @router.get("/lab/outbox")
    async def outbox(state: str | None = None, limit: Limit = 200) -> dict[str, Any]:
        return {"party": party, "entries": await base.outbox.list(state, limit)}

    @router.post("/lab/outbox/{entry}/retry")
    async def revive(entry: Row) -> dict[str, Any]:
        if not await base.outbox.revive(entry):
            raise Problem(404, "No such dead entry", "only dead entries are revived", party=party)
        return {"party": party, "entry": entry, "state": "waiting"}

    @router.post("/lab/reset")
    async def reset() -> dict[str, Any]:
        await record("lab.reset", party)
        base.book.reset()
        base.faults.clear()
        base.quirks.reset()
        base.clock.reset()
        for also in on_reset:
            await also()
        return {**weakened(), "clock": _clock_state(base.clock)}

    return router


def _clock_state(clock: LabClock) -> dict[str, Any]:
    return {
        "mode": clock.mode,
        "now": clock.now().isoformat(),
        "offset_seconds": clock.offset.total_seconds(),
    }


def _planned(clock: LabClock, act: ClockAct) -> Callable[[], None]:
    """What `act` will do, checked for sense before anything is done or recorded."""
    if (act.mode is None) == (act.step is None):
        raise ClockError("give either mode or step")
    if act.at is not None and act.mode != "held":
        raise ClockError("at belongs to mode held")
    if (act.seconds is not None) != (act.mode == "offset"):
        raise ClockError("seconds and mode offset belong together")
    if act.step is not None:
        return partial(clock.step, timedelta(seconds=act.step))
    match act.mode:
        case "held":
            return clock.hold if act.at is None else partial(clock.set, act.at)
        case "offset":
            return partial(clock.shift, timedelta(seconds=act.seconds or 0.0))
        case "running":
            return clock.resume
        case _:
            return clock.reset
