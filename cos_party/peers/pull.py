"""Pulling from the two publishing services, and taking what came into the party's own copies.

Two steps, apart on purpose. `Puller.pull` talks to the network and writes nothing; what it cannot
fetch it reports in words. `Puller.take` writes what came, in the transaction in which the decision
is taken. Neither decides anything; but what is signed is verified before it is taken, and what the
sources call their own things (names of lists, numbers of extracts) orders nothing here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import structlog

from cos_party.peers import copies
from cos_party.peers.outbound import KnownExtract, SourceRefused, Sources, SourceUnavailable
from cos_party.peers.wire import RegistrationExtract
from cos_party.registration_copy import RegistrationCopy
from cos_party.rules.revocation import authentic
from duis.signature import SignatureReference
from keys.certificate import Certificate
from keys.crl import RevocationList
from keys.errors import KeysError
from services.chassis.data.connection import StoreConnection
from services.chassis.data.store import Database
from services.chassis.settings import SOURCE_SECONDS
from services.chassis.time.clock import Clock
from services.chassis.time.freshness import Freshness
from services.chassis.time.sharing import Shared
from services.link.authorities import Authorities
from services.link.revocation_lists import pull_lists

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """What the party has already, so that only what is newer is asked for."""

    extract: KnownExtract | None
    lists: Mapping[str, int]
    signatory: bool = False


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought, and in words how each part of it went.

    Attributes:
        registration: how asking registration went.
        revocation: how asking for revocation lists went.
        signatory: how asking for the signing certificate went.
        order: the place of this pull among all of this process, by when it asked.
        at: when registration answered, by the party's clock; None if it did not.
        extract: a new extract, if there was one.
        confirmed: the extract that registration called current, if it did.
        lists: newer revocation lists, genuine, by `Certificate.authority_id`.
        certificates: certificates that were asked for and lead to an anchor of this party.
        doubtful: certificates that were asked for and do not; they are not kept.
    """

    registration: str = "not asked"
    revocation: str = "not asked"
    signatory: str = "not asked"
    order: int = 0
    at: datetime | None = None
    extract: RegistrationExtract | None = None
    confirmed: KnownExtract | None = None
    lists: Mapping[str, RevocationList] = field(default_factory=dict)
    certificates: tuple[Certificate, ...] = ()
    doubtful: tuple[Certificate, ...] = ()


class Puller:
    """Brings the party's own copies up to date.

    Args (keyword):
        database: the party's store.
        sources: who is asked.
        trust: whose lists and certificates are genuine.
        clock: domain time.
        use_list: told of each revocation list that is kept: the link looks at one of them, too.
        link_stale: whether that one has run out.
        seconds: the longest that one decision waits for a source; then the copies serve.
    """

    def __init__(
        self,
        *,
        database: Database,
        sources: Sources,
        trust: Authorities,
        clock: Clock,
        use_list: Callable[[RevocationList], None],
        link_stale: Callable[[], bool] = lambda: False,
        seconds: float = SOURCE_SECONDS,
    ) -> None:
        self._database = database
        self._sources = sources
        self._trust = trust
        self._clock = clock
        self._use_list = use_list
        self._link_stale = link_stale
        self._seconds = seconds
        self._registrations = Shared(self._pull_registration, seconds=seconds)
        self._revocations = Shared(self._pull_revocation, seconds=seconds)
        self._asked = 0
        self._taken = 0
        self.register = Freshness("registration data", clock)
        self.lists = Freshness("revocation lists", clock)
        self.registration = copies.RegistrationMemory()
        self.when_registered: Callable[[StoreConnection, RegistrationCopy], Awaitable[None]] | None
        self.when_registered = None

    def needs_refresh(self) -> bool:
        """Whether the copies should be brought up to date although nobody asks anything."""
        return bool(self._failing()) or self._link_stale()

    async def not_ready(self) -> str | None:
        """Which copies are not known to be up to date; None if all are, as far as was asked."""
        said = self._failing()
        if self._link_stale():
            said.append("the revocation list of link certificates has run out")
        return "; ".join(said) or None

    def _failing(self) -> list[str]:
        return [said for copy in (self.register, self.lists) if (said := copy.failing())]

    async def for_request(self, reference: SignatureReference | None) -> Pulled:
        """Everything a decision on a service request looks at."""
        held = await self._held(reference)
        registered, revoked, named = await asyncio.gather(
            self._registration(), self._revocation(), self._signatory(reference, held)
        )
        lists, revocation = revoked
        certificates, signatory = named
        real, doubtful = self._sorted(certificates)
        return replace(
            registered,
            revocation=revocation,
            signatory=signatory,
            lists=lists,
            certificates=real,
            doubtful=doubtful,
        )

    async def for_return(self, device: str | None) -> Pulled:
        """Everything a decision on a device's response or alert looks at."""
        (lists, revocation), certificates = await asyncio.gather(
            self._revocation(), self._of_device(device)
        )
        real, doubtful = self._sorted(certificates)
        return Pulled(revocation=revocation, lists=lists, certificates=real, doubtful=doubtful)

    async def take(self, conn: StoreConnection, pulled: Pulled) -> None:
        """Write what was pulled into the copies.

        What registration said counts in the order in which it was asked: an answer that was
        overtaken on its way here must not bring back what was withdrawn since. Its own number
        orders nothing: only registration vouches for it, and a number may be a lie.
        """
        if pulled.at is not None and pulled.order >= self._taken:
            if pulled.extract is not None:
                await self.registration.take(conn, pulled.extract, pulled.at)
                held = await self.registration.read(conn)
                if self.when_registered is not None and held is not None:
                    await self.when_registered(conn, held)
            elif pulled.confirmed is not None:
                await self.registration.confirm(conn, pulled.confirmed, pulled.at)
            self._database.on_commit(partial(self._took, pulled.order))
        for item in pulled.lists.values():
            await copies.keep_list(conn, item)
            self._database.on_commit(partial(self._use_list, item))
        for certificate in pulled.certificates:
            await copies.keep_certificate(conn, certificate)

    def _took(self, order: int) -> None:
        self._taken = max(self._taken, order)

    async def recall(self) -> None:
        """Use the lists that are held already: after a start, before anybody has answered."""
        async with self._database.connect() as conn:
            held = await copies.revocations(conn)
        for item in held.lists:
            self._use_list(item)

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

    async def _registration(self) -> Pulled:
        """What a pull of registration brings that began from now on; maybe shared with others."""
        try:
            return await self._registrations.get()
        except TimeoutError:
            return self._unregistered(f"registration was not available ({self._late})")

    async def _revocation(self) -> tuple[Mapping[str, RevocationList], str]:
        """The same of the revocation lists."""
        try:
            return await self._revocations.get()
        except TimeoutError:
            said = f"the SMKI repository was not available ({self._late})"
            self.lists.settle([said])
            return {}, said

    @property
    def _late(self) -> str:
        return f"no answer within {self._seconds:g} s"

    async def _pull_registration(self) -> Pulled:
        held = await self._held(None)
        self._asked += 1
        order = self._asked
        known = held.extract
        try:
            try:
                answer = await self._sources.registration_extract(known)
            except SourceRefused as refused:
                if known is None:
                    raise
                # It does not take what is held here: then everything that it has.
                _log.warning("registration refused the question", reason=str(refused))
                known = None
                answer = await self._sources.registration_extract(None)
        except SourceUnavailable as error:
            return self._unregistered(f"registration was not available ({error})")
        now = self._clock.now()
        if answer.unchanged:
            if known is None or answer.number != known.number:
                # Registration speaks of an extract this party does not hold: that confirms nothing.
                number = None if held.extract is None else held.extract.number
                return self._unregistered(
                    f"registration calls {answer.number} unchanged, but {number} is held"
                )
            self.register.settle([])
            said = f"extract {answer.number} is current"
            return Pulled(registration=said, order=order, at=now, confirmed=known)
        self.register.settle([])
        if held.extract is not None and answer.number < held.extract.number:
            _log.warning("registration went back", held=held.extract.number, offered=answer.number)
        said = f"extract {answer.number} taken"
        return Pulled(registration=said, order=order, at=now, extract=answer)

    def _unregistered(self, said: str) -> Pulled:
        self.register.settle([said])
        return Pulled(registration=said)

    async def _pull_revocation(self) -> tuple[Mapping[str, RevocationList], str]:
        held = (await self._held(None)).lists
        try:
            offered = await pull_lists(
                self._sources.revocation_lists, SourceRefused, self._trust, held
            )
        except SourceUnavailable as error:
            said = f"the SMKI repository was not available ({error})"
            self.lists.settle([said])
            return {}, said
        self.lists.settle(offered.missing)
        newer = {k: item for k, item in offered.lists.items() if item.number > held.get(k, -1)}
        taken = ", ".join(item.issuer for item in newer.values()) or "none newer"
        return newer, "; ".join([f"lists taken: {taken}", *offered.missing])

    async def _signatory(
        self, reference: SignatureReference | None, held: Held
    ) -> tuple[tuple[Certificate, ...], str]:
        if reference is None:
            return (), "no certificate is named"
        if held.signatory:
            return (), "held"
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._sources.certificates_named(reference)
        except (SourceUnavailable, TimeoutError) as error:
            why = str(error) or self._late
            _log.warning("SMKI repository not available", reason=why)
            return (), f"the SMKI repository was not available ({why})"
        wanted = (reference.issuer, reference.serial)
        named = tuple(c for c in _readable(found) if (c.issuer, c.serial) == wanted)
        return named, f"the SMKI repository has {len(named)} of that name"

    async def _of_device(self, device: str | None) -> tuple[Certificate, ...]:
        """What the repository has for a device: it may have been given a new one."""
        if device is None:
            return ()
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._sources.certificates_of(device)
        except (SourceUnavailable, TimeoutError) as error:
            _log.warning("SMKI repository not available", reason=str(error) or self._late)
            return ()
        return tuple(c for c in _readable(found) if c.subject_eui == device)

    def _sorted(
        self, found: Sequence[Certificate]
    ) -> tuple[tuple[Certificate, ...], tuple[Certificate, ...]]:
        """Those that lead to an anchor of this party, and those that do not."""
        real = tuple(c for c in found if authentic(c, self._trust))
        doubtful = tuple(c for c in found if c not in real)
        for certificate in doubtful:
            _log.warning(
                "certificate not authentic",
                issuer=certificate.issuer,
                serial=str(certificate.serial),
            )
        return real, doubtful


def _readable(found: Iterable[bytes]) -> list[Certificate]:
    certificates = []
    for der in found:
        try:
            certificates.append(Certificate.from_der(der))
        except KeysError as error:
            _log.warning("certificate not readable", reason=str(error))
    return certificates
