"""Certificates and revocation lists from the SMKI repository, over the signed link, kept here.

Nothing that the repository says is kept before it is verified. A certificate is kept only if its
path leads to the broker's own anchor; what holds for lists says `services.link.repository`.
"""

from __future__ import annotations

from collections.abc import Awaitable

import structlog

from acb.store import records
from keys.certificate import Certificate
from keys.errors import PathError
from keys.path import validate_path
from services.chassis.data.store import Database
from services.link.authorities import Authorities
from services.link.repository import RepositoryClient, RevocationCopies, readable
from services.link.sources import SourceRefused, SourceUnavailable

_log = structlog.get_logger(__name__)


class Smki:
    """The broker's view of the SMKI repository.

    Args:
        repository: who is asked.
        copies: its revocation lists, kept here.
        database: the broker's store.
        trust: the broker's authorities: what they did not sign is not kept.
    """

    def __init__(
        self,
        repository: RepositoryClient,
        copies: RevocationCopies,
        database: Database,
        trust: Authorities,
    ) -> None:
        self._repository = repository
        self.copies = copies
        self._database = database
        self._trust = trust

    async def not_ready(self) -> str | None:
        """Why the lists are not known to be current; None if they are, as far as was asked."""
        return "; ".join(self.copies.not_ready()) or None

    async def sync(self) -> str:
        """Ask for the lists now, whatever the repository's last word was; how that went.

        The next decision asks for itself.
        """
        self.copies.lease.end()
        said = await self.copies.current()
        self.copies.lease.end()
        return said

    async def certificate(self, issuer: str, serial: int) -> Certificate | None:
        """The certificate of that issuer and serial; None if the repository has none.

        One that does not lead to the broker's anchor is given as it came, so that a check can say
        what is wrong with it, and is not kept; beside one that does, it does not count.

        Raises:
            SourceUnavailable: it is not kept here and the repository cannot be asked.
        """
        async with self._database.connect() as conn:
            kept = await records.find_certificate(conn, issuer, serial)
        if kept is not None:
            return kept
        read = await self._asked(self._repository.certificates_named(issuer, serial))
        named = [one for one in read if (one.issuer, one.serial) == (issuer, serial)]
        authentic = [certificate for certificate in named if self._leads_to_anchor(certificate)]
        if len(authentic) > 1:
            # The authority itself gave one name twice: nobody can say which of them is meant.
            _log.warning("two authentic certificates of one name", issuer=issuer, serial=serial)
            return None
        if not authentic:
            return next(iter(named), None)
        async with self._database.begin() as conn:
            await records.keep_certificate(conn, authentic[0])
        return authentic[0]

    async def fetch_certificates_of(self, eui: str) -> None:
        """Keep the certificates that the repository has for an entity: what is authentic of them.

        Raises:
            SourceUnavailable: the repository cannot be asked.
        """
        named: dict[tuple[str, int], list[Certificate]] = {}
        for certificate in await self._asked(self._repository.certificates_of(eui)):
            if certificate.subject_eui == eui and self._leads_to_anchor(certificate):
                named.setdefault((certificate.issuer, certificate.serial), []).append(certificate)
        async with self._database.begin() as conn:
            for (issuer, serial), authentic in named.items():
                kept = await records.find_certificate(conn, issuer, serial)
                if len(authentic) == 1 and kept is None:
                    await records.keep_certificate(conn, authentic[0])

    async def _asked(self, question: Awaitable[tuple[bytes, ...]]) -> list[Certificate]:
        """What the repository answers to a question for certificates, as far as it is readable.

        Raises:
            SourceUnavailable: it cannot be asked.
        """
        try:
            return readable(await question)
        except SourceRefused:
            raise
        except SourceUnavailable as error:
            self.copies.freshness.settle([str(error)])  # the lists are not refreshed by it either
            raise

    async def revocation_lists(self) -> tuple[bytes, ...]:
        """The revocation lists held, DER, brought up to date as far as that can be done."""
        await self.copies.current()
        return tuple(item.der for item in self.copies.lists)

    def _leads_to_anchor(self, certificate: Certificate) -> bool:
        trust = self._trust
        try:
            validate_path(
                certificate, trust.organisation_authorities, trust.organisation_root, at=None
            )
        except PathError as error:
            _log.warning("a certificate is not authentic", failure=error.failure.value)
            return False
        return True
