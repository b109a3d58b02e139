"""The lab routes for faults and quirks, the same for every party.

An act is recorded in the audit log before it takes effect; each strike of a fault is recorded by
`services.chassis.faults.board`.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from services.chassis.context import ServiceContext
from services.chassis.data.spelling import spelled
from services.chassis.faults.board import Armed, UnknownFaultError
from services.chassis.faults.orders import (
    MOST_AMONG,
    MOST_TIMES,
    Claim,
    Direction,
    FaultError,
    FaultOrder,
    Kind,
    Match,
    Part,
)
from services.chassis.faults.quirks import UnknownQuirkError
from services.chassis.web.problems import Problem

Text = Annotated[str, Field(min_length=1, max_length=200)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63, strict=True)]
Size = Annotated[int, Field(ge=0, lt=2**31, strict=True)]


def _spelled(given: object) -> object:
    return spelled(given) if isinstance(given, str) else given


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MatchBody(_Body):
    """Which messages: see `services.chassis.faults.orders.Match`."""

    method: Annotated[str, Field(pattern=r"^[A-Za-z]{1,10}$")] | None = None
    path: Text | None = None
    purpose: Text | None = None
    message_id: Text | None = None
    request_id: Annotated[str, Field(pattern=r"^[0-9A-Fa-f:-]{16,80}$")] | None = None
    device: Annotated[str, BeforeValidator(_spelled), Field(pattern=r"^[0-9a-f]{16}$")] | None = (
        None
    )


class FaultBody(_Body):
    """A fault to arm: see `services.chassis.faults.orders.FaultOrder`."""

    kind: Kind
    direction: Direction
    part: Part
    hop: Text | None = None
    match: MatchBody = MatchBody()
    times: Annotated[int, Field(ge=1, le=MOST_TIMES, strict=True)] | None = 1
    among: Annotated[int, Field(ge=0, le=MOST_AMONG, strict=True)] = 0
    seed: Seed | None = None
    seconds: (
        Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False, strict=True)] | None
    ) = None
    status: Annotated[int, Field(ge=400, le=599, strict=True)] | None = None
    bit: Size | None = None
    octets: Size | None = None
    claims: Claim | None = None

    def order(self) -> FaultOrder:
        """As the chassis takes it.

        Raises:
            FaultError: it makes no sense.
        """
        facts = {name: getattr(self, name) for name in type(self).model_fields if name != "match"}
        return FaultOrder(match=Match(**self.match.model_dump()), **facts)


class QuirkState(_Body):
    """Whether the party has a quirk."""

    on: Annotated[bool, Field(strict=True)]


def fault_routes(base: ServiceContext) -> APIRouter:
    """The lab routes for faults and quirks."""
    router = APIRouter(tags=["lab", "faults"])
    party, faults, quirks = base.settings.party, base.faults, base.quirks

    async def record(act: str, subject: str, facts: dict[str, Any]) -> None:
        async with base.database.begin() as conn:
            await base.audit.append(conn, act, subject, facts)

    def weakened() -> dict[str, Any]:
        return {"party": party, "weakened": base.book.weakened}

    def known(fault_id: str) -> Armed:
        try:
            return faults.find(fault_id)
        except UnknownFaultError as error:
            raise Problem(
                404, "No such fault", str(error), party=party, check="lab.fault.known"
            ) from None

    @router.get("/lab/faults")
    async def listed() -> dict[str, Any]:
        shown = [_shown(armed) for armed in faults.listed()]
        return {**weakened(), **faults.describe(), "faults": shown}

    @router.post("/lab/faults", status_code=201)
    async def arm(body: FaultBody) -> dict[str, Any]:
        try:
            order = body.order()
            faults.examine(order)
        except FaultError as error:
            raise no_such_fault(party, error) from None
        await record("lab.fault", party, body.model_dump(mode="json", exclude_none=True))
        shown = _shown(faults.arm(order))
        return {**shown, **weakened()}

    @router.get("/lab/faults/{fault_id}")
    async def show(fault_id: str) -> dict[str, Any]:
        return _shown(known(fault_id))

    @router.post("/lab/faults/{fault_id}/release")
    async def release(fault_id: str) -> dict[str, Any]:
        known(fault_id)
        await record("lab.fault.release", fault_id, {})
        return {"id": fault_id, "released": faults.release(fault_id)}

    @router.delete("/lab/faults/{fault_id}")
    async def remove(fault_id: str) -> dict[str, Any]:
        known(fault_id)
        await record("lab.fault.remove", fault_id, {})
        known(fault_id)  # two may have asked at once
        return {**_shown(faults.remove(fault_id)), **weakened()}

    @router.delete("/lab/faults")
    async def clear() -> dict[str, Any]:
        await record("lab.fault.remove", "all", {})
        return {"removed": faults.clear(), **weakened()}

    @router.get("/lab/quirks")
    async def quirky() -> dict[str, Any]:
        return {**weakened(), "quirks": quirks.describe()}

    @router.put("/lab/quirks/{name}")
    async def switch_quirk(name: str, state: QuirkState) -> dict[str, Any]:
        try:
            quirk = quirks.find(name)
        except UnknownQuirkError as error:
            raise Problem(
                404, "No such quirk", str(error), party=party, check="lab.quirk.known"
            ) from None
        await record("lab.quirk", name, {"on": state.on})
        quirks.put(quirk.name, on=state.on)
        return {**weakened(), "name": quirk.name, "on": state.on}

    return router


def no_such_fault(party: str, error: FaultError) -> Problem:
    """The answer to an order that makes no sense, or could never strike here."""
    return Problem(
        422,
        "No such fault can be armed here",
        error.detail,
        party=party,
        check=f"lab.fault.{error.rule}",
        expected=error.expected,
    )


def _shown(armed: Armed) -> dict[str, Any]:
    """A fault as the lab port tells of it; what was not asked for is left out."""
    order = armed.order
    match = {name: getattr(order.match, name) for name in MatchBody.model_fields}
    names = ("seed", "seconds", "status", "bit", "octets", "claims")
    extra = {name: getattr(order, name) for name in names} | {"among": order.among or None}
    return {
        "id": armed.id,
        "kind": order.kind.value,
        "direction": order.direction.value,
        "part": order.part.value,
        "hop": order.hop,
        "match": {name: value for name, value in match.items() if value is not None},
        **{name: value for name, value in extra.items() if value is not None},
        "times": order.times,
        "fired": armed.fired,
        "left": armed.still_to_come,
        "held": len(armed.held),
        "state": "armed" if armed.live else "spent",
    }
