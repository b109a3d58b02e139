"""Looking up whoever signed a request, for somebody who has not proven who it is.

A certificate that was fetched before costs nothing. For any other the SMKI repository is asked,
over the signed link, of which both ends keep evidence: requests that name serial numbers nobody has
would have two systems write for ever. So

- that the repository has no certificate of a name is remembered for a short while, and not asked
  again meanwhile (`AcbSettings.unknown_certificate_seconds`);
- such look-ups have an unauthenticated quota of their own (`services.chassis.data.quota`):
  noise at the interface does not use it up, and who is known already needs none of it;
- while that quota is used up, the repository is asked for the certificates of a user of the broker,
  all at once, as often as the same setting says. There are only so many users, so no noise uses
  this up, and no user waits for longer than that for a certificate that the broker has not seen
  yet, whatever others send, even in its name.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from acb.peers.smki import Smki
from acb.store import records
from keys.certificate import Certificate
from services.chassis.data.quota import UnauthenticatedQuota
from services.chassis.data.store import Database
from services.chassis.time.clock import Clock
from services.link.sources import SourceUnavailable

RECORDS: Final = 5
"""What one look-up leaves at the two ends of the link: question and answer twice, and a trace."""
REMEMBERED: Final = 4096
"""Names without a certificate that are remembered; the oldest gives way."""
LONGEST_NAME: Final = 1024
"""Characters of the longest name that is remembered."""


class TooManyLookups(SourceUnavailable):
    """The repository is not asked for this one now.

    Attributes:
        again: seconds after which asking again is worth while.
    """

    def __init__(self, again: int) -> None:
        super().__init__("too many certificates that nobody knows were asked for")
        self.again = again


class Absent:
    """What was not there, for a while. In memory: a restart forgets it.

    Args:
        clock: the machine's.
        lifetime: for how long it is remembered.
    """

    def __init__(self, clock: Clock, lifetime: timedelta) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._until: OrderedDict[str, datetime] = OrderedDict()

    def holds(self, name: str) -> bool:
        """Whether it was noted within the lifetime."""
        until, now = self._until.get(name), self._clock.now()
        # further away than a lifetime: the machine's clock was put back since
        return until is not None and now < until <= now + self._lifetime

    def note(self, name: str) -> None:
        """Remember it from now on."""
        if len(name) > LONGEST_NAME:
            return
        self._until.pop(name, None)
        self._until[name] = self._clock.now() + self._lifetime
        if len(self._until) > REMEMBERED:
            self._until.popitem(last=False)


class Lookups:
    """The signers of requests.

    Args:
        smki: the repository, and what was fetched from it.
        database: the broker's store.
        clock: the machine's.
        lifetime: for how long an absence is remembered, and how often the certificates of one
            user are asked for while the unauthenticated quota is used up.
    """

    def __init__(self, smki: Smki, database: Database, clock: Clock, lifetime: timedelta) -> None:
        self._smki = smki
        self._database = database
        self._lifetime = lifetime
        self._absent = Absent(clock, lifetime)
        self._asked_for = Absent(clock, lifetime)
        self.quota = UnauthenticatedQuota(clock)

    async def signer(self, issuer: str, serial: int, claimed: str) -> Certificate | None:
        """The certificate of that issuer and serial; None if the repository has none.

        Args:
            issuer: its issuer's name.
            serial: its serial number.
            claimed: who says that it signed with it: nobody has proven that.

        Raises:
            TooManyLookups: it was not fetched before, and the unauthenticated quota is used up.
            SourceUnavailable: it was not fetched before, and the repository cannot be asked.
        """
        kept = await self._kept(issuer, serial)
        if kept is not None:
            return kept
        name = f"{serial} {issuer}"
        if self._absent.holds(name):
            return None
        if not self.quota.admit(records=RECORDS):
            return await self._of_user(issuer, serial, claimed)
        found = await self._smki.certificate(issuer, serial)
        if found is None:
            self._absent.note(name)
        elif await self._kept(issuer, serial) is not None:
            # Not for one that leads elsewhere (a device's, say): it would be asked for without end.
            self.quota.refund(records=RECORDS)
        return found

    async def _kept(self, issuer: str, serial: int) -> Certificate | None:
        async with self._database.connect() as conn:
            return await records.find_certificate(conn, issuer, serial)

    async def _of_user(self, issuer: str, serial: int, claimed: str) -> Certificate:
        """The same, out of all that a user of the broker has."""
        async with self._database.connect() as conn:
            known = await records.find_user(conn, claimed) is not None
        if known and not self._asked_for.holds(claimed):
            self._asked_for.note(claimed)
            await self._smki.fetch_certificates_of(claimed)
            kept = await self._kept(issuer, serial)
            if kept is not None:
                return kept
        raise TooManyLookups(max(1, round(self._lifetime.total_seconds())))
