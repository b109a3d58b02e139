"""Looking up whoever signed a request, for somebody who has not proven who it is.

A certificate that was fetched before costs nothing. For any other the SMKI repository is asked,
over the signed link, of which both ends keep evidence: requests that name serial numbers nobody has
would have two systems write for ever. So such look-ups are paid for from a purse of their own
(`services.chassis.strangers`): noise at the interface does not spend it, and who is known already
needs none of it.
"""

from __future__ import annotations

from typing import Final

from acb import records
from acb.smki import RepositoryUnavailable, Smki
from keys.certificate import Certificate
from services.chassis.clock import Clock
from services.chassis.store import Database
from services.chassis.strangers import Strangers

RECORDS: Final = 5
"""What one look-up leaves at the two ends of the link: question and answer twice, and a trace."""


class TooManyLookups(RepositoryUnavailable):
    """The repository is not asked for this one now."""


class Lookups:
    """The signers of requests."""

    def __init__(self, smki: Smki, database: Database, clock: Clock) -> None:
        self._smki = smki
        self._database = database
        self.purse = Strangers(clock)

    async def signer(self, issuer: str, serial: int) -> Certificate | None:
        """The certificate of that issuer and serial; None if the repository has none.

        Raises:
            TooManyLookups: it was not fetched before, and strangers have asked for too many.
            RepositoryUnavailable: it was not fetched before, and the repository cannot be asked.
        """
        async with self._database.connect() as conn:
            kept = await records.find_certificate(conn, issuer, serial)
        if kept is None and not self.purse.afford(records=RECORDS):
            raise TooManyLookups("too many certificates that nobody knows were asked for")
        found = await self._smki.certificate(issuer, serial)
        if found is not None and kept is None:
            self.purse.known(records=RECORDS)
        return found
