"""What registration does: answer with the current extract, and change what it says.

Every change is one transaction: the data, the next number, the audit entry, the trace. A caller
that holds the current number gets its number back and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from services.chassis.checks import CheckRun, Refused, Verdict
from services.chassis.context import ServiceContext
from services.chassis.data.canonical import canonical
from services.chassis.data.connection import StoreConnection
from services.chassis.time.leases import Grants
from services.link.opened import Opened
from services.registration import checks, store
from services.registration.model import (
    ExtractQuestion,
    MeterPoint,
    NewRegistration,
    Participant,
    Position,
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


def _only(runs: list[CheckRun], run: CheckRun) -> CheckRun:
    """Of many runs the last is the one that a trace shows: it refused, or all said yes."""
    runs[:] = [run]
    return run


class Registration:
    """The register of one estate."""

    def __init__(self, base: ServiceContext, estate: Path) -> None:
        self._base = base
        self._estate = estate
        self._grants = Grants(base.settings.source_lease_seconds)

    async def load_at_first_start(self) -> None:
        """Take the estate file in, unless a register is held already.

        Raises:
            EstateError: There is none yet and the file cannot be used.
        """
        async with self._base.database.connect() as conn:
            if await store.number(conn) > 0:
                return
        self._grants.none()
        await self.load()

    async def load(self) -> dict[str, Any]:
        """Take the estate file in place of everything held.

        Raises:
            EstateError: The file cannot be used; nothing has changed.
        """
        register = read_estate(self._estate)

        async def act(conn: StoreConnection) -> dict[str, Any]:
            return {
                "participants": len(register.participants),
                "meter_points": len(register.meter_points),
                "number": await store.replace_all(conn, register),
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
        # step 2: gather the evidence, as of one moment; a lease begins before it
        lease = self._grants.grant() if question.lease else None
        async with self._base.database.connect() as conn:
            number = await store.number(conn)
            base, digest = await store.state(conn)
            current = question.known == number and question.digest in (None, digest)
            news = {} if current else await self._news(conn, question, base, number)
        # step 3: ask
        run = self._base.book.start(opened.message_id, section="extract")
        try:
            run.judge(checks.ExtractEvidence(question.known, number))
        except Refused as refused:
            await self._trace_extract(opened, "refused", refused.detail, run)
            raise
        # step 4: answer; only news is worth a trace, parties ask often
        if news:
            await self._trace_extract(opened, "answered", f"extract number {number}", run)
        answer: dict[str, Any] = {"version": 1, "number": number, "unchanged": current}
        answer |= news or {"participants": [], "meter_points": []}
        if question.paged:
            answer["register_digest"] = digest
        if lease is not None:
            answer["lease"] = lease
        return answer

    async def _news(
        self, conn: StoreConnection, question: ExtractQuestion, base: int, number: int
    ) -> dict[str, Any]:
        """What the caller does not have: everything, or a page of what changed after its copy."""
        if not question.paged:
            return (await store.read(conn))[1].as_json()
        goes_on = question.after is not None and question.after.base == base
        start = Position(base=base, number=0, mpxn="")
        if question.after is not None and goes_on:
            start = question.after
        points, more = await store.page(conn, start)
        known = question.known if goes_on and question.known is not None else 0
        return {
            "meter_points": points,
            "participants": [] if more else await store.participants_after(conn, known),
            "goes_on": goes_on,
            "more": more is not None,
            "next": (more or start.at(number, "~")).model_dump(),
        }

    async def register(self, wanted: NewRegistration) -> dict[str, Any]:
        """Register a supplier for an MPxN from a moment on.

        Raises:
            Refused: A check of section "registration" says no.
        """
        run = self._base.book.start(wanted.mpxn, section="registration")

        async def act(conn: StoreConnection) -> dict[str, Any]:
            evidence = checks.RegistrationEvidence(
                wanted, await self._about(conn, wanted.mpxn), self._base.clock.now()
            )
            approved = run.judge(evidence).evidence
            point, new = approved.point, approved.wanted
            periods, withdrawn = after_switch(point.registrations if point else [], new)
            devices = point.devices if point else []
            home = MeterPoint(mpxn=new.mpxn, devices=devices, registrations=periods)
            return {
                "mpxn": new.mpxn,
                "registrations": [period.model_dump(mode="json") for period in periods],
                "withdrawn": [period.model_dump(mode="json") for period in withdrawn],
                "number": await store.put(conn, homes=[home]),
            }

        return await self._change("registration", wanted.mpxn, run, act)

    async def set_devices(self, mpxn: str, devices: list[str]) -> dict[str, Any]:
        """Say which devices belong to an MPxN, which may be new.

        Raises:
            Refused: A check of section "meter_point" says no.
        """
        run = self._base.book.start(mpxn, section="meter_point")

        async def act(conn: StoreConnection) -> dict[str, Any]:
            elsewhere = {d: m for d, m in await store.places(conn, devices) if m != mpxn}
            evidence = checks.MeterPointEvidence(mpxn, tuple(devices), elsewhere)
            approved = run.judge(evidence).evidence
            held = (await self._about(conn, mpxn)).point(mpxn)
            home = MeterPoint(
                mpxn=approved.mpxn,
                devices=list(approved.devices),
                registrations=held.registrations if held else [],
            )
            number = await store.put(conn, homes=[home])
            return {"mpxn": approved.mpxn, "devices": home.devices, "number": number}

        return await self._change("meter_point", mpxn, run, act)

    async def set_meter_points(self, homes: list[MeterPoint]) -> dict[str, Any]:
        """Write many meter points, with devices and registrations, in place of what there was.

        One change: all of them or none. The same checks as one by one.

        Raises:
            Refused: A check of section "meter_point" or "registration" says no to one of them.
        """
        runs: list[CheckRun] = []

        async def act(conn: StoreConnection) -> dict[str, Any]:
            wanted = {device for home in homes for device in home.devices}
            belongs = dict(await store.places(conn, wanted))
            replaced = {home.mpxn for home in homes}
            belongs = {d: m for d, m in belongs.items() if m not in replaced}
            people, judged = await store.known_participants(conn), set[str]()
            for home in homes:
                _only(runs, self._base.book.start(home.mpxn, section="meter_point")).judge(
                    checks.MeterPointEvidence(home.mpxn, tuple(home.devices), belongs)
                )
                belongs |= dict.fromkeys(home.devices, home.mpxn)
                for period in home.registrations:
                    if period.participant in judged:
                        continue
                    judged.add(period.participant)
                    new = NewRegistration(mpxn=home.mpxn, participant=period.participant,
                                          effective_from=period.effective_from)  # fmt: skip
                    point = MeterPoint(mpxn=home.mpxn, devices=[], registrations=[])
                    _only(runs, self._base.book.start(home.mpxn, section="registration")).judge(
                        checks.RegistrationEvidence(
                            new,
                            Register(participants=people, meter_points=[point]),
                            self._base.clock.now(),
                        )
                    )
            said = canonical([home.model_dump(mode="json") for home in homes])
            return {
                "meter_points": len(homes),
                "digest": hashlib.sha256(said.encode()).hexdigest(),
                "number": await store.put(conn, homes=homes),
            }

        return await self._change("meter_points", "meter_points", runs, act)

    async def set_participant(self, participant: Participant) -> dict[str, Any]:
        """Say what a participant is called and which entity identifiers it uses.

        Raises:
            Refused: A check of section "participant" says no.
        """
        run = self._base.book.start(participant.id, section="participant")

        async def act(conn: StoreConnection) -> dict[str, Any]:
            known = tuple(await store.known_participants(conn))
            approved = run.judge(checks.ParticipantEvidence(participant, known)).evidence.wanted
            number = await store.put(conn, people=[approved])
            return {**approved.model_dump(mode="json"), "number": number}

        return await self._change("participant", participant.id, run, act)

    async def _about(self, conn: StoreConnection, mpxn: str) -> Register:
        """As much of the register as a change of one meter point is judged by."""
        return Register(
            participants=await store.known_participants(conn),
            meter_points=list((await store.points(conn, [mpxn])).values()),
        )

    async def current(self) -> tuple[int, Register]:
        """The current number and register, for the lab port."""
        async with self._base.database.connect() as conn:
            return await store.read(conn)

    async def meter_point(self, mpxn: str) -> MeterPoint | None:
        """One meter point, for the lab port."""
        async with self._base.database.connect() as conn:
            return (await store.points(conn, [mpxn])).get(mpxn)

    async def _change(
        self,
        kind: str,
        subject: str,
        run: CheckRun | list[CheckRun] | None,
        act: Callable[[StoreConnection], Awaitable[dict[str, Any]]],
    ) -> dict[str, Any]:
        """Do `act`, which gives the next number, and record it: one transaction.

        It is confirmed to whoever wanted it when nobody relies any more on what was so before.
        """

        def verdicts() -> list[Verdict] | None:
            last = run[-1:] if isinstance(run, list) else [] if run is None else [run]
            return last[0].verdicts() if last else None

        try:
            async with self._base.database.begin() as conn:
                done = await act(conn)
                await self._base.audit.append(conn, f"registration.{kind}", subject, done)
                await self._base.traces.record(
                    subject,
                    "changed",
                    name=kind,
                    summary=f"extract number {done['number']}",
                    verdicts=verdicts(),
                    conn=conn,
                )
        except Refused as refused:
            await self._base.traces.record(
                subject,
                "refused",
                name=kind,
                summary=refused.detail,
                verdicts=verdicts(),
            )
            raise
        await self._grants.run_out()
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
