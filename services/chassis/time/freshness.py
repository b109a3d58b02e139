"""Whether a copy of others' data could be refreshed lately; since when not, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from services.chassis.time.clock import Clock

_log = structlog.get_logger(__name__)


class Freshness:
    """How refreshing one copy went.

    Args:
        what: the copy, in words: ``revocation lists``.
        clock: by which the time since the first failure is told.
    """

    def __init__(self, what: str, clock: Clock) -> None:
        self._what = what
        self._clock = clock
        self.failing_since: datetime | None = None
        self._why = ""

    def settle(self, missing: Sequence[str]) -> None:
        """Note how a refresh went: what was missing, or that nothing was."""
        if not missing:
            self.failing_since, self._why = None, ""
            return
        self._why = "; ".join(missing)
        self.failing_since = self.failing_since or self._clock.now()
        _log.warning("not refreshed", what=self._what, reason=self._why)

    def outdated(self, patience: timedelta) -> str | None:
        """Why the copy no longer counts, if it could not be refreshed for longer than that."""
        since = self.failing_since
        if since is None or self._clock.now() - since <= patience:
            return None
        return f"not refreshed since {since.isoformat(timespec='seconds')}: {self._why}"

    def failing(self) -> str | None:
        """What cannot be refreshed now, since when and why; None if it can."""
        if self.failing_since is None:
            return None
        since = self.failing_since.isoformat(timespec="seconds")
        return f"{self._what} could not be refreshed since {since}: {self._why}"
