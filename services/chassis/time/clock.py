"""Time, as a thing that is handed in. The only module that reads the machine's clock.

Domain rules (execution dates, validity of registrations) take a `Clock` that a tester may hold or
step; transport and evidence (signed link, outbox, audit) take `SystemClock`, which nobody can.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

ClockMode = Literal["real", "held", "offset"]


class ClockError(ValueError):
    """A time without a zone, or outside what can be represented."""


class Clock(Protocol):
    """Anything that can say what time it is."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - the one place


class LabClock:
    """A clock that a tester may hold, set and step.

    Modes: ``real`` follows the machine; ``offset`` runs at the same rate, shifted; ``held`` stands.
    """

    def __init__(self, base: Clock | None = None) -> None:
        self._base: Clock = base or SystemClock()
        self._offset = timedelta()
        self._held: datetime | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def mode(self) -> ClockMode:
        """How this clock runs now."""
        if self._held is not None:
            return "held"
        return "offset" if self._offset else "real"

    @property
    def offset(self) -> timedelta:
        """How far this clock is from the machine's."""
        return self.now() - self._base.now() if self._held is not None else self._offset

    def now(self) -> datetime:
        """The present moment by this clock, aware, in UTC."""
        if self._held is not None:
            return self._held
        return self._base.now() + self._offset

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each act on this clock (not as time merely passes)."""
        self._listeners.append(listener)

    def set(self, at: datetime) -> None:
        """Stand still at `at`.

        Raises:
            ClockError: `at` has no zone.
        """
        if at.tzinfo is None:
            raise ClockError("a time needs a zone")
        self._held = at.astimezone(UTC)
        self._changed()

    def hold(self) -> None:
        """Stand still at the present moment."""
        self.set(self.now())

    def step(self, by: timedelta) -> None:
        """Move by `by`, standing or running as before. May go back.

        Raises:
            ClockError: The result cannot be represented.
        """
        try:
            if self._held is not None:
                self._held = self._held + by
            else:
                self._base.now() + self._offset + by
                self._offset += by
        except OverflowError:
            raise ClockError("the step leads outside the calendar") from None
        self._changed()

    def shift(self, offset: timedelta) -> None:
        """Run at the machine's rate, `offset` away from it.

        Raises:
            ClockError: The result cannot be represented.
        """
        self._held, self._offset = None, timedelta()
        self.step(offset)

    def resume(self) -> None:
        """Run on from the moment at which the clock was held."""
        if self._held is not None:
            self._offset = self._held - self._base.now()
            self._held = None
        self._changed()

    def reset(self) -> None:
        """Follow the machine's clock again."""
        self._held, self._offset = None, timedelta()
        self._changed()

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()
