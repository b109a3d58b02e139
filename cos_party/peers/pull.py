"""Bringing the party's own copies up to date: asked of the two publishing services, and taken in.

Nothing here decides anything. One pull serves all who wait for it, and takes in what came in a
transaction of its own; a decision then looks at the copies alone. While a source's word still holds
(`services.chassis.time.leases`), nobody is asked. What is signed is verified before it is taken,
and what the sources call their own things (names of lists, numbers of extracts) orders nothing
here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from cos_party.peers import copies
from cos_party.peers.copies import GapError, Generation
from cos_party.peers.outbound import RegistrationClient
from cos_party.peers.wire import RegistrationExtract
from cos_party.rules.revocation import authentic
from duis.signature import SignatureReference
from keys.certificate import Certificate
from services.chassis.data.connection import StoreConnection
from services.chassis.data.store import Database
from services.chassis.settings import SOURCE_LEASE, SOURCE_SECONDS
from services.chassis.time.clock import Clock
from services.chassis.time.freshness import Freshness
from services.chassis.time.leases import Lease
from services.chassis.time.sharing import Shared
from services.link.authorities import Authorities
from services.link.repository import RepositoryClient, RevocationCopies, readable
from services.link.sources import SourceRefused, SourceUnavailable

_log = structlog.get_logger(__name__)

Review = Callable[[StoreConnection, frozenset[str] | None], Awaitable[None]]
"""Told which meter points changed (None: any), in the transaction that takes them."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """How bringing the copies up to date went, in words; and what is in none of them.

    Attributes:
        registration: of the registration data.
        refreshed: whether that is registration's word of now: it was asked since, or its last word
            still holds.
        revocation: of the revocation lists.
        signatory: of the signing certificate.
        certificate: that certificate, if it is authentic and the only one of its name.
        doubtful: certificates that were asked for and lead to no anchor; they are not kept.
    """

    registration: str = "not asked"
    refreshed: bool = False
    revocation: str = "not asked"
    signatory: str = "not asked"
    certificate: Certificate | None = None
    doubtful: tuple[Certificate, ...] = ()


class Puller:
    """Brings the party's own copies up to date.

    Args (keyword):
        database: the party's store.
        registration: who is asked about registrations.
        repository: who is asked for certificates.
        lists: the revocation lists that are kept.
        trust: whose certificates are genuine.
        clock: domain time.
        seconds: the longest that one decision waits for registration; then the copy serves.
        lease: seconds; the longest that registration's word is taken to hold.
    """

    def __init__(
        self,
        *,
        database: Database,
        registration: RegistrationClient,
        repository: RepositoryClient,
        lists: RevocationCopies,
        trust: Authorities,
        clock: Clock,
        seconds: float = SOURCE_SECONDS,
        lease: float = SOURCE_LEASE,
    ) -> None:
        self._database = database
        self._source = registration
        self._repository = repository
        self.lists = lists
        self._trust = trust
        self._clock = clock
        self._seconds = seconds
        self._registrations = Shared(self._pull_registration, seconds=seconds)
        self.lease = Lease(lease)
        self.register = Freshness("registration data", clock)
        self.registration = copies.RegistrationStore()
        self.when_registered: Review | None = None

    def needs_refresh(self) -> bool:
        """Whether the copies should be brought up to date although nobody asks anything."""
        return self.register.failing() is not None or self.lists.needs_refresh()

    async def not_ready(self) -> str | None:
        """Which copies are not known to be up to date; None if all are, as far as was asked."""
        failing = self.register.failing()
        said = [*([] if failing is None else [failing]), *self.lists.not_ready()]
        return "; ".join(said) or None

    async def for_request(self, reference: SignatureReference | None) -> Pulled:
        """Everything a decision on a service request looks at."""
        registered, revocation, named = await asyncio.gather(
            self._registration(), self.lists.current(), self._signatory(reference)
        )
        return replace(
            named,
            registration=registered.registration,
            refreshed=registered.refreshed,
            revocation=revocation,
        )

    async def for_return(self, device: str | None, *, anew: bool) -> bool:
        """What a decision on a device's response or alert looks at.

        The repository is asked for the device's certificates if none is held, or `anew`: it may
        have been given another. Whether it was asked, or had nothing to be asked for.
        """
        asked, _ = await asyncio.gather(self._of_device(device, anew=anew), self.lists.current())
        return asked

    async def sync(self) -> Pulled:
        """Ask both sources now, whatever their last word was, outside any decision.

        The next decision asks for itself.
        """
        self._end_leases()
        pulled = await self.for_request(None)
        self._end_leases()
        return pulled

    def _end_leases(self) -> None:
        self.lease.end()
        self.lists.lease.end()

    async def _registration(self) -> Pulled:
        """What a pull of registration brings that began from now on; maybe shared with others."""
        if self.lease.holds():
            return Pulled(registration="the extract held is current", refreshed=True)
        try:
            return await self._registrations.get()
        except TimeoutError:
            return self._unregistered(f"no answer within {self._seconds:g} s")

    def _unregistered(self, why: str) -> Pulled:
        said = f"registration was not available ({why})"
        self.register.settle([said])
        return Pulled(registration=said)

    async def _pull_registration(self) -> Pulled:
        """Ask until registration has nothing more, and take what comes, page by page."""
        distrusted = False
        while True:
            async with self._database.connect() as conn:
                held = await self.registration.newest(conn)
            asked = self.lease.asking()
            try:
                page = await self._ask(held)
            except SourceUnavailable as error:
                return self._unregistered(str(error))
            if page.unchanged and (held.known is None or page.number != held.number):
                # It speaks of an extract this party does not hold: that confirms nothing.
                number = None if held.known is None else held.number
                why = f"registration calls {page.number} unchanged, but {number} is held"
                self.register.settle([why])
                return Pulled(registration=why)
            try:
                done = await self._take(held, page)
            except GapError as gap:
                _log.warning("the copy of the register has a gap", reason=str(gap))
                if distrusted:
                    return self._unregistered(str(gap))
                distrusted = True
                async with self._database.begin() as conn:
                    await self.registration.distrust(conn, held)
                continue
            if done is not None:
                self.register.settle([])
                self.lease.begin(asked, page.lease)
                return done

    async def _ask(self, held: Generation) -> RegistrationExtract:
        lease = self.lease.most > 0
        try:
            return await self._source.registration_extract(held.known, held.after, lease=lease)
        except SourceRefused as refused:
            if held.known is None:
                raise
            # It does not take what is held here: then everything that it has.
            _log.warning("registration refused the question", reason=str(refused))
            return await self._source.registration_extract(None, lease=lease)

    async def _take(self, held: Generation, page: RegistrationExtract) -> Pulled | None:
        """Take one page; None: there is more to ask for.

        What was overtaken on its way here must not bring back what was withdrawn since: a page
        counts only for the copy that was asked about. Its number orders nothing: only registration
        vouches for it, and a number may be a lie.

        Raises:
            GapError: what is held is not what registration holds.
        """
        now = self._clock.now()
        async with self._database.begin() as conn:
            newest = await self.registration.newest(conn)
            if newest != held and not (newest.same_as(page) and not page.unchanged):
                return None
            if page.unchanged or newest != held:
                await self.registration.confirm(conn, newest, now)
                await self.registration.clear(conn)
                return Pulled(f"extract {page.number} is current", refreshed=True)
            if held.number is not None and page.number < held.number:
                _log.warning("registration went back", held=held.number, offered=page.number)
            changed = await self.registration.take(conn, held, page, now)
            if self.when_registered is not None and changed != frozenset():
                await self.when_registered(conn, changed)
            await self.registration.clear(conn)
        return None if page.more else Pulled(f"extract {page.number} taken", refreshed=True)

    async def _signatory(self, reference: SignatureReference | None) -> Pulled:
        if reference is None:
            return Pulled(signatory="no certificate is named")
        async with self._database.connect() as conn:
            held = await copies.certificate_named(conn, reference)
        if held is not None:
            return Pulled(signatory="held", certificate=held)
        try:
            found = await self._repository.certificates_named(reference.issuer, reference.serial)
        except SourceUnavailable as error:
            _log.warning("SMKI repository not available", reason=str(error))
            return Pulled(signatory=f"the SMKI repository was not available ({error})")
        wanted = (reference.issuer, reference.serial)
        named = [c for c in readable(found) if (c.issuer, c.serial) == wanted]
        real, doubtful = await self._keep(named)
        async with self._database.connect() as conn:
            only = await copies.certificate_named(conn, reference)
        return Pulled(
            signatory=f"the SMKI repository has {len(named)} of that name",
            certificate=only,
            doubtful=() if real else doubtful,
        )

    async def _of_device(self, device: str | None, *, anew: bool) -> bool:
        if device is None:
            return True
        if not anew:
            async with self._database.connect() as conn:
                if await copies.certificates_of(conn, device):
                    return False
        try:
            found = await self._repository.certificates_of(device)
        except SourceUnavailable as error:
            _log.warning("SMKI repository not available", reason=str(error))
            return True
        await self._keep([c for c in readable(found) if c.subject_eui == device])
        return True

    async def _keep(
        self, found: Sequence[Certificate]
    ) -> tuple[tuple[Certificate, ...], tuple[Certificate, ...]]:
        """Keep those that lead to an anchor of this party; these, and those that do not."""
        real = tuple(c for c in found if authentic(c, self._trust))
        doubtful = tuple(c for c in found if c not in real)
        for certificate in doubtful:
            _log.warning(
                "certificate not authentic",
                issuer=certificate.issuer,
                serial=str(certificate.serial),
            )
        if real:
            async with self._database.begin() as conn:
                for certificate in real:
                    await copies.keep_certificate(conn, certificate)
        return real, doubtful
