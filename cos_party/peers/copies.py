"""The party's own copies of what others publish: registration data, certificates, lists.

Kept so that a decision never depends on somebody answering at that moment, and never on the word
of the system that asks. What is taken in is read strictly and, where it is signed, verified first.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert

from cos_party.model import Revocations
from cos_party.peers.outbound import KnownExtract
from cos_party.peers.wire import RegistrationExtract, read_extract
from cos_party.registration_copy import RegistrationCopy
from cos_party.store.tables import certificates, registration, revocation_lists
from duis.signature import SignatureReference
from keys.certificate import Certificate
from keys.crl import RevocationList, read_crl
from services.chassis.data.connection import StoreConnection


class RegistrationMemory:
    """The registration copy, parsed once per extract and not once per decision."""

    def __init__(self) -> None:
        self._parsed: tuple[str, RegistrationCopy] | None = None

    async def known(self, conn: StoreConnection) -> KnownExtract | None:
        """The extract held, if one is."""
        query = select(registration.c.number, registration.c.digest)
        row = (await conn.execute(query)).one_or_none()
        return None if row is None else KnownExtract(row.number, row.digest)

    async def take(self, conn: StoreConnection, new: RegistrationExtract, at: datetime) -> None:
        """Keep an extract in place of the one held, whatever their numbers."""
        values = {
            "number": new.number,
            "digest": new.digest,
            "confirmed_at": at,
            "document": new.document,
        }
        self._parsed = new.digest, new.copy_at(at)  # counts for this digest only, if it is kept
        await conn.execute(
            insert(registration)
            .values(one=1, **values)
            .on_conflict_do_update(index_elements=["one"], set_=values)
        )

    async def confirm(self, conn: StoreConnection, held: KnownExtract, at: datetime) -> None:
        """Note that registration called this extract the current one, if it is held."""
        await conn.execute(
            update(registration)
            .where(registration.c.number == held.number, registration.c.digest == held.digest)
            .values(confirmed_at=at)
        )

    async def read(self, conn: StoreConnection) -> RegistrationCopy | None:
        """The copy held, if one is."""
        row = (
            await conn.execute(select(registration.c.digest, registration.c.confirmed_at))
        ).one_or_none()
        if row is None:
            return None
        if self._parsed is None or self._parsed[0] != row.digest:
            document = (await conn.execute(select(registration.c.document))).scalar_one()
            extract = await asyncio.to_thread(lambda: read_extract(json.loads(document)))
            self._parsed = row.digest, extract.copy_at(row.confirmed_at)
        return replace(self._parsed[1], confirmed_at=row.confirmed_at)


async def keep_certificate(conn: StoreConnection, certificate: Certificate) -> None:
    """Keep a certificate of the SMKI repository."""
    await conn.execute(
        insert(certificates)
        .values(
            fingerprint=certificate.fingerprint,
            issuer=certificate.issuer,
            serial=str(certificate.serial),
            eui=certificate.subject_eui,
            der=certificate.der,
        )
        .on_conflict_do_nothing()
    )


async def certificate_named(
    conn: StoreConnection, reference: SignatureReference
) -> Certificate | None:
    """The one certificate of that issuer and serial, if it is held."""
    query = select(certificates.c.der).where(
        certificates.c.issuer == reference.issuer,
        certificates.c.serial == str(reference.serial),
    )
    found = (await conn.execute(query)).scalars().all()
    return Certificate.from_der(found[0]) if len(found) == 1 else None


async def certificates_of(conn: StoreConnection, eui: str) -> tuple[Certificate, ...]:
    """Every certificate held whose subject is this entity."""
    query = select(certificates.c.der).where(certificates.c.eui == eui)
    return tuple(Certificate.from_der(der) for der in (await conn.execute(query)).scalars())


async def known_lists(conn: StoreConnection) -> dict[str, int]:
    """Number of each revocation list held, by authority (`Certificate.authority_id`)."""
    rows = await conn.execute(select(revocation_lists.c.authority, revocation_lists.c.number))
    return {row.authority: int(row.number) for row in rows}


async def keep_list(conn: StoreConnection, item: RevocationList) -> None:
    """Keep a genuine revocation list in place of an older one; never of a newer one."""
    key = item.authority_id
    held = (await known_lists(conn)).get(key)
    if held is not None and item.number <= held:
        return
    values = {"number": str(item.number), "der": item.der}
    await conn.execute(
        insert(revocation_lists)
        .values(authority=key, **values)
        .on_conflict_do_update(index_elements=["authority"], set_=values)
    )


async def revocations(conn: StoreConnection) -> Revocations:
    """Every list held."""
    query = select(revocation_lists.c.der).order_by(revocation_lists.c.authority)
    return Revocations(tuple(read_crl(der) for der in (await conn.execute(query)).scalars()))
