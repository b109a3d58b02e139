"""What registration does: answer with the current extract, and change what it says.

Every change is one transaction: the data, the next number, the audit entry, the trace. A caller
that holds the current number gets its number back and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from services.chassis.checks import CheckRun, Refused
from services.chassis.context import ServiceContext
from services.chassis.data.connection import StoreConnection
from services.link.opened import Opened
from services.registration import checks, store
from services.registration.model import (
    ExtractQuestion,
    MeterPoint,
    NewRegistration,
    Participant,
    Register,
    SupplyPeriod,
)


class EstateError(Exception):
    """The estate file cannot be read, or does not say what registration must know."""


def read_estate(path: Path) -> Register:
    """Read participants, meter points and registrations; other facts in the file are ignored.

    Raises:
        EstateError: The file cannot be read or lacks any of these.
    """
    try:
        return Register.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EstateError(f"{path} cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise EstateError(f"{path}: {where}: {first['msg']}") from None


def after_switch(
    periods: list[SupplyPeriod], wanted: NewRegistration
) -> tuple[list[SupplyPeriod], list[SupplyPeriod]]:
    """The registrations of an MPxN once `wanted` is registered.

    From `wanted.effective_from` on, the wanted participant supplies until further notice: what was
    in force ends then, what would have begun then or later is withdrawn.

    Returns:
        The new list, earliest first, and what was withdrawn.
    """
    start = wanted.effective_from.astimezone(UTC)
    kept: list[SupplyPeriod] = []
    withdrawn: list[SupplyPeriod] = []
    for period in periods:
        if period.effective_from >= start:
            withdrawn.append(period)
        elif period.effective_to is None or period.effective_to > start:
            kept.append(period.model_copy(update={"effective_to": start}))
        else:
            kept.append(period)
    new = SupplyPeriod(participant=wanted.participant, effective_from=start, effective_to=None)
    return [*kept, new], withdrawn


class Registration:
    """The register of one estate."""

    def __init__(self, base: ServiceContext, estate: Path) -> None:
        self._base = base
        self._estate = estate
        self._digest: tuple[int, str] | None = None

    async def load_at_first_start(self) -> None:
        """Take the estate file in, unless a register is held already.

        Raises:
            EstateError: There is none yet and the file cannot be used.
        """
        async with self._base.database.connect() as conn:
            if await store.number(conn) > 0:
                return
        await self.load()

    async def load(self) -> dict[str, Any]:
        """Take the estate file in place of everything held.

        Raises:
            EstateError: The file cannot be used; nothing has changed.
        """
        register = read_estate(self._estate)

        async def act(conn: StoreConnection) -> dict[str, Any]:
            await store.replace_all(conn, register)
            return {
                "participants": len(register.participants),
                "meter_points": len(register.meter_points),
            }

        return await self._change("estate", "estate", None, act)

    async def not_ready(self) -> str | None:
        """Why there is nothing to answer with; None if there is."""
        async with self._base.database.connect() as conn:
            return None if await store.number(conn) > 0 else "no register has been loaded"

    async def extract(self, opened: Opened) -> dict[str, Any]:
        """Answer `registration-extract`.

        Raises:
            Problem: The body does not fit.
            Refused: A check of section "extract" says no.
        """
        # step 1: read the question
        question = opened.read(ExtractQuestion)
        # step 2: gather the evidence, as of one moment
        async with self._base.database.connect() as conn:
            number = await store.number(conn)
            same = await self._is_current(conn, question, number)
            news = None if same else (await store.read(conn))[1]
        # step 3: ask
        run = self._base.book.start(opened.message_id, section="extract")
        try:
            run.judge(checks.ExtractEvidence(question.known, number))
        except Refused as refused:
            await self._trace_extract(opened, "refused", refused.detail, run)
            raise
        # step 4: answer; only news is worth a trace, parties ask often
        answer: dict[str, Any] = {"version": 1, "number": number, "unchanged": True}
        if news is None:
            return answer | {"participants": [], "meter_points": []}
        await self._trace_extract(opened, "answered", f"extract number {number}", run)
        return answer | {"unchanged": False} | news.as_json()

    async def _is_current(
        self, conn: StoreConnection, question: ExtractQuestion, number: int
    ) -> bool:
        """Whether the caller holds the current extract: by its number, and by what it says."""
        if question.known != number:
            return False
        if question.digest is None:
            return True
        if self._digest is None or self._digest[0] != number:
            # read once for each number: no two states have the same
            number, register = await store.read(conn)
            self._digest = number, register.digest
        return self._digest == (question.known, question.digest)

    async def register(self, wanted: NewRegistration) -> dict[str, Any]:
        """Register a supplier for an MPxN from a moment on.

        Raises:
            Refused: A check of section "registration" says no.
        """
        run = self._base.book.start(wanted.mpxn, section="registration")

        async def act(conn: StoreConnection) -> dict[str, Any]:
            _, held = await store.read(conn)
            now = self._base.clock.now()
            approved = run.judge(checks.RegistrationEvidence(wanted, held, now)).evidence
            point, new = approved.point, approved.wanted
            periods, withdrawn = after_switch(point.registrations if point else [], new)
            if point is None:
                await store.put_devices(conn, new.mpxn, [])
            await store.put_periods(conn, new.mpxn, periods)
            return {
                "mpxn": new.mpxn,
                "registrations": [period.model_dump(mode="json") for period in periods],
                "withdrawn": [period.model_dump(mode="json") for period in withdrawn],
            }

        return await self._change("registration", wanted.mpxn, run, act)

    async def set_devices(self, mpxn: str, devices: list[str]) -> dict[str, Any]:
        """Say which devices belong to an MPxN, which may be new.

        Raises:
            Refused: A check of section "meter_point" says no.
        """
        run = self._base.book.start(mpxn, section="meter_point")

        async def act(conn: StoreConnection) -> dict[str, Any]:
            _, held = await store.read(conn)
            belongs = {
                device: point.mpxn
                for point in held.meter_points
                if point.mpxn != mpxn
                for device in point.devices
            }
            evidence = checks.MeterPointEvidence(mpxn, tuple(devices), belongs)
            approved = run.judge(evidence).evidence
            await store.put_devices(conn, approved.mpxn, approved.devices)
            return {"mpxn": approved.mpxn, "devices": list(approved.devices)}

        return await self._change("meter_point", mpxn, run, act)

    async def set_participant(self, participant: Participant) -> dict[str, Any]:
        """Say what a participant is called and which entity identifiers it uses.

        Raises:
            Refused: A check of section "participant" says no.
        """
        run = self._base.book.start(participant.id, section="participant")

        async def act(conn: StoreConnection) -> dict[str, Any]:
            _, held = await store.read(conn)
            evidence = checks.ParticipantEvidence(participant, tuple(held.participants))
            approved = run.judge(evidence).evidence.wanted
            await store.put_participant(conn, approved)
            return approved.model_dump(mode="json")

        return await self._change("participant", participant.id, run, act)

    async def current(self) -> tuple[int, Register]:
        """The current number and register, for the lab port."""
        async with self._base.database.connect() as conn:
            return await store.read(conn)

    async def meter_point(self, mpxn: str) -> MeterPoint | None:
        """One meter point, for the lab port."""
        _, held = await self.current()
        return held.point(mpxn)

    async def _change(
        self,
        kind: str,
        subject: str,
        run: CheckRun | None,
        act: Callable[[StoreConnection], Awaitable[dict[str, Any]]],
    ) -> dict[str, Any]:
        """Do `act`, give the result the next number, and record it: one transaction."""
        verdicts = None if run is None else run.verdicts
        try:
            async with self._base.database.begin() as conn:
                done = await act(conn)
                done["number"] = await store.NUMBER.next(conn)
                await self._base.audit.append(conn, f"registration.{kind}", subject, done)
                await self._base.traces.record(
                    subject,
                    "changed",
                    name=kind,
                    summary=f"extract number {done['number']}",
                    verdicts=None if verdicts is None else verdicts(),
                    conn=conn,
                )
        except Refused as refused:
            await self._base.traces.record(
                subject,
                "refused",
                name=kind,
                summary=refused.detail,
                verdicts=None if verdicts is None else verdicts(),
            )
            raise
        return done

    async def _trace_extract(self, opened: Opened, kind: str, summary: str, run: CheckRun) -> None:
        await self._base.traces.record(
            opened.message_id,
            kind,
            sender=opened.sender,
            receiver=self._base.settings.party,
            name=opened.purpose,
            summary=summary,
            verdicts=run.verdicts(),
        )
