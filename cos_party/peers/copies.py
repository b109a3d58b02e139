"""The party's own copies of what others publish: registration data and certificates.

Kept so that a decision never depends on the word of the system that asks. What is taken in is read
strictly and, where it is signed, verified first. Revocation lists: `services.link.repository`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Table, delete, select

from cos_party.peers.outbound import KnownExtract
from cos_party.peers.wire import (
    Position,
    RegistrationExtract,
    meter_point_of,
    participant_of,
)
from cos_party.registration_copy import Participant, RegistrationCopy
from cos_party.store.tables import (
    certificates,
    registered_participants,
    registered_points,
    registration,
)
from duis.signature import SignatureReference
from keys.certificate import Certificate
from services.chassis.data import rows
from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, param
from services.link.register_digest import digest, total

CLEARED: Final = 2_000
"""Rows of an earlier generation that are cleared away at a time."""

_generations: Final = select(registration).order_by(registration.c.generation.desc())
_NEWEST: Final = Prepared(_generations.limit(1))
_COMPLETE: Final = Prepared(_generations.where(registration.c.number.is_not(None)).limit(1))
_GENERATIONS: Final = Prepared(_generations)
_PEOPLE: Final = Prepared(
    select(registered_participants.c.document).where(
        registered_participants.c.generation == param("of")
    )
)


class GapError(Exception):
    """What was taken, put together, is not what registration says that it holds."""


@dataclass(frozen=True, slots=True)
class Generation:
    """The newest copy of the register, perhaps not complete yet.

    Attributes:
        generation: its number here; 0: none was begun.
        number: the number of the extract that it is complete for, as registration gave it.
        total: the sum of its rows (`services.link.register_digest`).
        after: where it ends; None: everything must be asked for.
    """

    generation: int = 0
    number: int | None = None
    total: int = 0
    after: Position | None = None

    @property
    def known(self) -> KnownExtract | None:
        """As registration is told of it."""
        return None if self.number is None else KnownExtract(self.number, digest(self.total))

    def same_as(self, page: RegistrationExtract) -> bool:
        """Whether somebody else has taken already what this page would make of it."""
        whole = None if page.goes_on or page.more else page.digest
        return self.known == KnownExtract(page.number, page.register_digest or whole or "")


class RegistrationStore:
    """The registration copy: rows by key, and the participants in memory, who are few."""

    def __init__(self) -> None:
        self._participants: tuple[tuple[int, int, str], dict[str, Participant]] | None = None

    async def newest(self, conn: StoreConnection) -> Generation:
        """What the next page goes on from."""
        row = (await conn.execute(_NEWEST)).first()
        if row is None:
            return Generation()
        after = None if row.after is None else Position.model_validate_json(row.after)
        return Generation(row.generation, row.number, int(row.total, 16), after)

    async def known(self, conn: StoreConnection) -> KnownExtract | None:
        """The extract held, if one is complete."""
        return (await self.newest(conn)).known

    async def take(
        self, conn: StoreConnection, held: Generation, page: RegistrationExtract, at: datetime
    ) -> frozenset[str] | None:
        """Write a page into the copy it goes on from, or begin anew with it.

        Returns:
            The meter points whose registration may have changed for those who decide; None: any.

        Raises:
            GapError: it was the last, and what is held then is not what registration holds.
        """
        before = held if page.goes_on else Generation(held.generation + 1)
        old = [
            *(await _documents(conn, registered_participants, "id", before, page.people)).values(),
            *(await _documents(conn, registered_points, "mpxn", before, page.homes)).values(),
        ]
        now = total([*page.people.values(), *page.homes.values()], without=old, to=before.total)
        if not page.more and page.register_digest not in (None, digest(now)):
            raise GapError("what is held is not what registration says that it holds")
        await _put(conn, registered_participants, "id", before, page.people)
        await _put(conn, registered_points, "mpxn", before, page.homes)
        confirmed = {} if page.more else {"confirmed_at": at}
        await rows.put(
            conn,
            registration,
            {"generation": before.generation},
            number=before.number if page.more else page.number,
            total=f"{now:x}",
            after=None if page.next is None else page.next.model_dump_json(),
            **confirmed,
        )
        if before.number is None and page.more:
            return frozenset()  # nobody decides by it yet
        return None if page.people or before.number is None else frozenset(page.homes)

    async def distrust(self, conn: StoreConnection, held: Generation) -> None:
        """Have everything asked for the next time, in place of what was held."""
        await rows.change(conn, registration, {"generation": held.generation}, after=None)

    async def confirm(self, conn: StoreConnection, held: Generation, at: datetime) -> None:
        """Note that registration called this extract the current one."""
        await rows.change(conn, registration, {"generation": held.generation}, confirmed_at=at)

    async def clear(self, conn: StoreConnection) -> None:
        """Clear away some of what came before the copy that counts."""
        held = (await conn.execute(_GENERATIONS)).all()
        counts = next((row.generation for row in held if row.number is not None), 0)
        old = next((row.generation for row in held if row.generation < counts), None)
        if old is None:
            return
        keys = select(registered_points.c.mpxn).where(registered_points.c.generation == old)
        gone = await conn.execute(
            delete(registered_points).where(
                registered_points.c.generation == old,
                registered_points.c.mpxn.in_(keys.limit(CLEARED)),
            )
        )
        if gone.rowcount < CLEARED:
            for table in (registered_participants, registration):
                await conn.execute(delete(table).where(table.c.generation == old))

    async def read(self, conn: StoreConnection, mpxns: Iterable[str]) -> RegistrationCopy | None:
        """As much of the copy as a decision on these meter points looks at, if one is complete."""
        row = (await conn.execute(_COMPLETE)).first()
        if row is None:
            return None
        held = Generation(row.generation)
        points = await _documents(conn, registered_points, "mpxn", held, mpxns)
        state = (row.generation, row.number, row.total)
        if self._participants is None or self._participants[0] != state:
            found = await conn.execute(_PEOPLE, {"of": row.generation})
            people = [participant_of(document) for document in found.scalars()]
            self._participants = state, {one.id: one for one in people}
        return RegistrationCopy(
            number=row.number,
            confirmed_at=row.confirmed_at,
            participants=self._participants[1],
            meter_points={mpxn: meter_point_of(text) for mpxn, text in points.items()},
        )


async def _documents(
    conn: StoreConnection, table: Table, key: str, held: Generation, wanted: Iterable[str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in dict.fromkeys(wanted):
        row = await rows.find(conn, table, generation=held.generation, **{key: name})
        if row is not None:
            found[name] = row.document
    return found


async def _put(
    conn: StoreConnection, table: Table, key: str, held: Generation, documents: Mapping[str, str]
) -> None:
    await rows.put_all(
        conn,
        table,
        ("generation", key),
        [
            {"generation": held.generation, key: name, "document": text}
            for name, text in documents.items()
        ],
    )


async def keep_certificate(conn: StoreConnection, certificate: Certificate) -> None:
    """Keep a certificate of the SMKI repository."""
    await rows.add_new(
        conn,
        certificates,
        fingerprint=certificate.fingerprint,
        issuer=certificate.issuer,
        serial=str(certificate.serial),
        eui=certificate.subject_eui,
        der=certificate.der,
    )


async def certificate_named(
    conn: StoreConnection, reference: SignatureReference
) -> Certificate | None:
    """The one certificate of that issuer and serial, if it is held."""
    named = {"issuer": reference.issuer, "serial": str(reference.serial)}
    found = await rows.find_all(conn, certificates, **named)
    return Certificate.from_der(found[0].der) if len(found) == 1 else None


async def certificates_of(conn: StoreConnection, eui: str) -> tuple[Certificate, ...]:
    """Every certificate held whose subject is this entity."""
    found = await rows.find_all(conn, certificates, eui=eui)
    return tuple(Certificate.from_der(row.der) for row in found)
