"""Quotas on what a party records of the unauthenticated, and of requests that were refused.

Whoever reaches an interface can have itself refused, and a refusal leaves a record. Without a bound
that fills the disk, and every record is a commit that others wait for. So each takes from a token
bucket: one for everybody unauthenticated together, and one for each sender who is known, so that
what one has refused is never at the others' cost. While a bucket is empty its owner is refused as
before, and answered and logged, but nothing of it is recorded. How often that happened is said in
the next record.

Everything that writes down unauthenticated or refused octets asks here first
(`AuditLog.unauthenticated`): requests, what devices say and the blocks of it, what devices hear,
the link's envelope, and look-ups made for nobody in particular.

The numbers are this project's own: a probe of every check in turn stays far below them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from services.chassis.time.clock import Clock

SHARED_OCTETS: Final = 64 * 1024 * 1024
"""Octets that the unauthenticated may leave at once."""
SHARED_PER_SECOND: Final = 4096
"""Octets by which that bucket fills again, each second: some 350 MB in a day."""
RECORD: Final = 4096
"""What one record costs beside what it carries, octets: about what the longest has come to."""
SENDER_OCTETS: Final = 16 * 1024 * 1024
"""Octets that one known sender may leave at once by requests that are refused."""
SENDER_PER_SECOND: Final = 1024
SENDERS: Final = 4096
"""Known senders whose buckets are remembered; the one longest quiet begins anew."""


class TokenBucket:
    """Octets that may be taken, which come back with time."""

    def __init__(self, clock: Clock, size: int, per_second: int) -> None:
        self._clock = clock
        self._size = size
        self._per_second = per_second
        self._left = float(size)
        self._at = clock.now()

    def take(self, octets: int) -> bool:
        """Whether there is so much; it is gone if so."""
        now = self._clock.now()
        passed = max(0.0, (now - self._at).total_seconds())
        self._at = now
        self._left = min(float(self._size), self._left + passed * self._per_second)
        if octets > self._left:
            return False
        self._left -= octets
        return True

    def put_back(self, octets: int) -> None:
        """Undo a `take`."""
        self._left = min(float(self._size), self._left + octets)


class UnauthenticatedQuota:
    """One party's buckets. In memory: a restart fills them."""

    def __init__(
        self,
        clock: Clock,
        *,
        quota: int = SHARED_OCTETS,
        per_second: int = SHARED_PER_SECOND,
        sender_quota: int = SENDER_OCTETS,
    ) -> None:
        self._clock = clock
        self._shared = TokenBucket(clock, quota, per_second)
        self._sender_quota = sender_quota
        self._senders: OrderedDict[str, TokenBucket] = OrderedDict()
        self._unkept = 0

    def admit(self, carried: int = 0, *, records: int = 1, sender: str | None = None) -> bool:
        """Whether records that carry so many octets may be kept; if so, the quota is less by them.

        Args:
            carried: Octets of the messages in them, all together.
            records: How many there will be.
            sender: Whose quota, once it has proven who it is; None: the unauthenticated.
        """
        if self._bucket(sender).take(carried + records * RECORD):
            return True
        self._unkept += 1
        return False

    def refund(self, carried: int = 0, *, records: int = 1) -> None:
        """Whoever left that has proven who it is since: it is put back."""
        self._shared.put_back(carried + records * RECORD)

    def unrecorded(self) -> int:
        """How many records were not kept since this was last asked."""
        found, self._unkept = self._unkept, 0
        return found

    def _bucket(self, sender: str | None) -> TokenBucket:
        if sender is None:
            return self._shared
        found = self._senders.get(sender)
        if found is None:
            found = self._senders[sender] = TokenBucket(
                self._clock, self._sender_quota, SENDER_PER_SECOND
            )
        self._senders.move_to_end(sender)
        if len(self._senders) > SENDERS:
            self._senders.popitem(last=False)
        return found
