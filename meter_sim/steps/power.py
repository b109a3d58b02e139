"""The power of each device: it may go off between any two steps, until it is on again.

A loud act of the lab: audited when ordered, and again when a device goes off; `/lab/reset` puts all
power back. What a device was doing when its power went is as if it had not begun, or is finished:
the store sees to that (meter_sim.steps.workflow). Power is not remembered when the process
restarts.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)

STEPS = (
    "loaded",
    "processed",
    "executed",
    "state stored",
    "answer stored",
    "logged",
    "refusal stored",
    "alert stored",
    "audited",
    "traced",
    "committed",
)
"""The steps of meter_sim.steps.workflow after which a device may go off."""


class PowerLost(Exception):  # noqa: N818  what happened, not a fault of the program
    """The device went off just now, after this step."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


class Power:
    """Which devices are off, and which will be."""

    def __init__(self) -> None:
        self._off: set[str] = set()
        self._after: dict[str, str] = {}
        self._when_on: list[Callable[[], None]] = []
        self._when_off: list[Callable[[str], None]] = []

    def when_off(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with every device that goes off, as it does."""
        self._when_off.append(callback)

    def when_on(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever a device comes on again."""
        self._when_on.append(callback)

    @property
    def off(self) -> frozenset[str]:
        """The devices that are off."""
        return frozenset(self._off)

    def is_on(self, eui: str) -> bool:
        """Whether a device can hear and act."""
        return eui not in self._off

    def off_after(self, eui: str) -> str | None:
        """The step after which a device will go off, if that is ordered."""
        return self._after.get(eui)

    def order(self, eui: str, *, on: bool, off_after_step: str | None = None) -> None:
        """Put a device on or off, and say after which step it shall go off next."""
        _log.warning("power", device=eui, on=on, off_after_step=off_after_step)
        self._after.pop(eui, None)
        if off_after_step is not None:
            self._after[eui] = off_after_step
        if not on:
            self._go_off(eui)
        elif eui in self._off:
            self._off.remove(eui)
            self._tell()

    def passed(self, eui: str, step: str) -> None:
        """Go on, unless the power goes now.

        Raises:
            PowerLost: it does.
        """
        if self.is_on(eui) and self._after.get(eui) == step:
            del self._after[eui]
            self._go_off(eui)
            _log.warning("a device went off", device=eui, after=step)
            raise PowerLost(step)

    def forget(self, eui: str) -> None:
        """Know nothing of this device any more."""
        self._off.discard(eui)
        self._after.pop(eui, None)

    async def restore(self) -> None:
        """Put every device on, and forget who was to go off."""
        self._off.clear()
        self._after.clear()
        self._tell()

    def _go_off(self, eui: str) -> None:
        self._off.add(eui)
        for callback in self._when_off:
            callback(eui)

    def _tell(self) -> None:
        for callback in self._when_on:
            callback()
