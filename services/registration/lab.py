"""Registration's own lab routes: see what is registered, and change it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from services.chassis.web.problems import Problem
from services.registration.model import (
    Devices,
    Homes,
    Mpxn,
    NewRegistration,
    Participant,
    ParticipantFacts,
    ParticipantId,
)
from services.registration.workflow import EstateError, Registration

MpxnInPath = Annotated[Mpxn, Path()]
ParticipantInPath = Annotated[ParticipantId, Path()]


def lab_routes(party: str, registration: Registration) -> APIRouter:
    """The routes of the lab port that only registration has."""
    router = APIRouter(tags=["registration"])

    @router.get("/lab/register")
    async def register() -> dict[str, Any]:
        """Everything registered, and its number."""
        number, held = await registration.current()
        return {"party": party, "number": number, **held.as_json()}

    @router.get("/lab/meter-points/{mpxn}")
    async def meter_point(mpxn: MpxnInPath) -> dict[str, Any]:
        """One meter point."""
        found = await registration.meter_point(mpxn)
        if found is None:
            raise Problem(404, "No such meter point", f"{mpxn} is not known", party=party)
        return found.model_dump(mode="json")

    @router.post("/lab/registrations")
    async def new_registration(wanted: NewRegistration) -> dict[str, Any]:
        """Register a supplier from a moment on, until further notice."""
        return await registration.register(wanted)

    @router.put("/lab/meter-points/{mpxn}")
    async def set_devices(mpxn: MpxnInPath, wanted: Devices) -> dict[str, Any]:
        """Say which devices belong to an MPxN, which may be new."""
        return await registration.set_devices(mpxn, wanted.devices)

    @router.put("/lab/meter-points")
    async def set_meter_points(wanted: Homes) -> dict[str, Any]:
        """Write many meter points at once, with devices and registrations: all of them or none."""
        return await registration.set_meter_points(wanted.meter_points)

    @router.put("/lab/participants/{participant}")
    async def set_participant(
        participant: ParticipantInPath, facts: ParticipantFacts
    ) -> dict[str, Any]:
        """Say what a participant is called and which entity identifiers it uses."""
        return await registration.set_participant(
            Participant(id=participant, name=facts.name, euis=facts.euis)
        )

    @router.post("/lab/register/reload")
    async def reload() -> dict[str, Any]:
        """Take the estate file again, in place of everything held; the number still rises."""
        try:
            return await registration.load()
        except EstateError as error:
            raise Problem(409, "The estate cannot be loaded", str(error), party=party) from None

    return router
