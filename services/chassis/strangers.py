"""How much a party writes down of those who have not proven who they are.

Whoever reaches an interface can have itself refused, and a refusal leaves a record. Without a bound
a stranger fills the disk, and every record is a commit that others wait for. So what strangers
leave is paid for from one purse per party, which fills again slowly; while it is empty they are
refused as before, and answered and logged, but nothing of it is kept. How often that happened is
said in the next record that is kept.

The numbers are this project's own: a probe of every check in turn stays far below them.
"""

from __future__ import annotations

from typing import Final

from services.chassis.clock import Clock

PURSE: Final = 64 * 1024 * 1024
"""Octets that strangers may leave at once."""
PER_SECOND: Final = 4096
"""Octets by which the purse fills again, each second: some 350 MB in a day."""
RECORD: Final = 4096
"""What one record costs beside what it carries, octets: about what the longest has come to."""


class Strangers:
    """One party's purse. In memory: a restart fills it."""

    def __init__(self, clock: Clock, *, purse: int = PURSE, per_second: int = PER_SECOND) -> None:
        self._clock = clock
        self._purse = purse
        self._per_second = per_second
        self._left = float(purse)
        self._at = clock.now()
        self._unkept = 0

    def afford(self, carried: int = 0) -> bool:
        """Whether a record that carries so many octets may be kept; it is paid for if so."""
        now = self._clock.now()
        passed = max(0.0, (now - self._at).total_seconds())
        self._at = now
        self._left = min(float(self._purse), self._left + passed * self._per_second)
        if carried + RECORD > self._left:
            self._unkept += 1
            return False
        self._left -= carried + RECORD
        return True

    def known(self, carried: int = 0) -> None:
        """Whoever left that record has proven who it is since: it is paid back."""
        self._left = min(float(self._purse), self._left + carried + RECORD)

    def unkept(self) -> int:
        """How many records were not kept since this was last asked."""
        found, self._unkept = self._unkept, 0
        return found
