"""Pulling from the two publishing services, and taking what came into the party's own copies.

Two steps, apart on purpose. `Puller.pull` talks to the network and writes nothing; what it cannot
fetch it reports in words. `Puller.take` writes what came, in the transaction in which the decision
is taken. Neither decides anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from cos_party import copies
from cos_party.model import Trust
from cos_party.outbound import Sources, SourceUnavailable
from cos_party.registration_copy import RegistrationCopy
from cos_party.revocation import genuine
from cos_party.wire import RegistrationExtract
from duis.signature import SignatureReference
from keys.certificate import Certificate
from keys.crl import RevocationList, read_crl
from keys.errors import KeysError
from services.chassis.clock import Clock
from services.chassis.store import Database

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """What the party has already, so that only what is newer is asked for."""

    extract: int | None
    lists: Mapping[str, int]
    signatory: bool = False


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought, and in words how each part of it went.

    Attributes:
        registration: how asking registration went.
        revocation: how asking for revocation lists went.
        signatory: how asking for the signing certificate went.
        at: when registration answered, by the party's clock.
        extract: a new extract, if there was one.
        confirmed: number of the extract that registration called current, if it did.
        lists: newer revocation lists, read and genuine, by name.
        certificates: certificates that were asked for.
    """

    registration: str = "not asked"
    revocation: str = "not asked"
    signatory: str = "not asked"
    at: datetime | None = None
    extract: RegistrationExtract | None = None
    confirmed: int | None = None
    lists: Mapping[str, RevocationList] = field(default_factory=dict)
    certificates: tuple[Certificate, ...] = ()


class Puller:
    """Brings the party's own copies up to date.

    Args (keyword):
        database: the party's store.
        sources: who is asked.
        trust: whose lists are genuine.
        clock: domain time.
        heed: told of each revocation list that is kept: the link looks at one of them, too.
    """

    def __init__(
        self,
        *,
        database: Database,
        sources: Sources,
        trust: Trust,
        clock: Clock,
        heed: Callable[[RevocationList], None],
    ) -> None:
        self._database = database
        self._sources = sources
        self._trust = trust
        self._clock = clock
        self._heed = heed
        self.registration = copies.RegistrationMemory()
        self.when_registered: Callable[[AsyncConnection, RegistrationCopy], Awaitable[None]] | None
        self.when_registered = None

    async def for_request(self, reference: SignatureReference | None) -> Pulled:
        """Everything a decision on a service request looks at."""
        held = await self._held(reference)
        registered, revoked, named = await asyncio.gather(
            self._registration(held), self._revocation(held), self._signatory(reference, held)
        )
        at, extract, confirmed, registration = registered
        lists, revocation = revoked
        certificates, signatory = named
        return Pulled(
            registration=registration,
            revocation=revocation,
            signatory=signatory,
            at=at,
            extract=extract,
            confirmed=confirmed,
            lists=lists,
            certificates=certificates,
        )

    async def for_return(self, device: str | None) -> Pulled:
        """Everything a decision on a device's response or alert looks at."""
        held = await self._held(None)
        (lists, revocation), certificates = await asyncio.gather(
            self._revocation(held), self._of_device(device)
        )
        return Pulled(revocation=revocation, lists=lists, certificates=certificates)

    async def take(self, conn: AsyncConnection, pulled: Pulled) -> None:
        """Write what was pulled into the copies."""
        if pulled.at is not None and pulled.extract is not None:
            await self.registration.take(conn, pulled.extract, pulled.at)
            held = await self.registration.read(conn)
            if self.when_registered is not None and held is not None:
                await self.when_registered(conn, held)
        elif pulled.at is not None and pulled.confirmed is not None:
            await self.registration.confirm(conn, pulled.confirmed, pulled.at)
        for name, item in pulled.lists.items():
            await copies.keep_list(conn, name, item)
            self._database.on_commit(partial(self._heed, item))
        for certificate in pulled.certificates:
            await copies.keep_certificate(conn, certificate)

    async def recall(self) -> None:
        """Heed the lists that are held already: after a start, before anybody has answered."""
        async with self._database.connect() as conn:
            held = await copies.revocations(conn)
        for item in held.lists:
            self._heed(item)

    async def sync(self) -> Pulled:
        """Pull and take, outside any decision."""
        pulled = await self.for_request(None)
        async with self._database.begin() as conn:
            await self.take(conn, pulled)
        return pulled

    async def _held(self, reference: SignatureReference | None) -> Held:
        async with self._database.connect() as conn:
            signatory = (
                reference is not None
                and await copies.certificate_named(conn, reference) is not None
            )
            return Held(
                await self.registration.known(conn), await copies.known_lists(conn), signatory
            )

    async def _registration(
        self, held: Held
    ) -> tuple[datetime | None, RegistrationExtract | None, int | None, str]:
        try:
            answer = await self._sources.registration_extract(held.extract)
        except SourceUnavailable as error:
            _log.warning("registration not available", reason=str(error))
            return None, None, None, f"registration was not available ({error})"
        now = self._clock.now()
        if not answer.unchanged:
            if held.extract is not None and answer.number < held.extract:
                said = f"registration offers extract {answer.number}, but {held.extract} is held"
                return None, None, None, said
            return now, answer, None, f"extract {answer.number} taken"
        if answer.number != held.extract:
            # Registration speaks of an extract this party does not hold: that confirms nothing.
            said = f"registration calls {answer.number} unchanged, but {held.extract} is held"
            return None, None, None, said
        return now, None, answer.number, f"extract {answer.number} is current"

    async def _revocation(self, held: Held) -> tuple[dict[str, RevocationList], str]:
        try:
            fetched = await self._sources.revocation_lists(held.lists)
        except SourceUnavailable as error:
            _log.warning("SMKI repository not available", reason=str(error))
            return {}, f"the SMKI repository was not available ({error})"
        taken: dict[str, RevocationList] = {}
        for name, der in sorted(fetched.items()):
            try:
                item = read_crl(der)
            except KeysError as error:
                _log.warning("revocation list not readable", list=name, reason=str(error))
                continue
            if item.number > held.lists.get(name, -1) and genuine(item, self._trust):
                taken[name] = item
        return taken, f"lists taken: {', '.join(taken) or 'none newer'}"

    async def _signatory(
        self, reference: SignatureReference | None, held: Held
    ) -> tuple[tuple[Certificate, ...], str]:
        if reference is None:
            return (), "no certificate is named"
        if held.signatory:
            return (), "held"
        try:
            found = await self._sources.certificates_named(reference)
        except SourceUnavailable as error:
            _log.warning("SMKI repository not available", reason=str(error))
            return (), f"the SMKI repository was not available ({error})"
        wanted = (reference.issuer, reference.serial)
        named = tuple(c for c in _readable(found) if (c.issuer, c.serial) == wanted)
        return named, f"the SMKI repository has {len(named)} of that name"

    async def _of_device(self, device: str | None) -> tuple[Certificate, ...]:
        """What the repository has for a device: it may have been given a new one."""
        if device is None:
            return ()
        try:
            found = await self._sources.certificates_of(device)
        except SourceUnavailable as error:
            _log.warning("SMKI repository not available", reason=str(error))
            return ()
        return tuple(c for c in _readable(found) if c.subject_eui == device)


def _readable(found: Iterable[bytes]) -> list[Certificate]:
    certificates = []
    for der in found:
        try:
            certificates.append(Certificate.from_der(der))
        except KeysError as error:
            _log.warning("certificate not readable", reason=str(error))
    return certificates
