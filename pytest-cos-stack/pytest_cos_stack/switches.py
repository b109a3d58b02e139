"""The named checks and the clocks of all systems, put back when a test ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import quote

from pytest_cos_stack.durations import duration, instant
from pytest_cos_stack.stack import SYSTEMS, CosStack


class Checks:
    """The named checks of all systems. `off` lasts until its `with` block or the test ends."""

    def __init__(self, stack: CosStack) -> None:
        self._stack = stack
        self._off: list[tuple[str, str]] = []

    def all(self, system: str) -> list[dict[str, Any]]:
        """Every check of a system: id, title, source, and whether it is on."""
        return list(self._stack.lab(system, "GET", "/lab/checks")["checks"])

    def off(self, check: str, *, at: str | None = None) -> Off:
        """Switch a check off, now.

        Args:
            check: its identifier, for example ``ecos.registration.incoming_supplier``.
            at: the system; needed where several have it, as with the checks of the link.

        Raises:
            LookupError: no system has it, or several have and none is named.
        """
        systems = [at] if at else [one for one in SYSTEMS if self._has(one, check)]
        if len(systems) != 1:
            found = f"at one of {', '.join(systems)}: say which" if systems else "nowhere"
            raise LookupError(f"check {check} is {found}")
        self._put(systems[0], check, enabled=False)
        self._off.append((systems[0], check))
        return Off(self, systems[0], check)

    def on(self, system: str, check: str) -> None:
        """Switch a check on again."""
        self._put(system, check, enabled=True)
        self._off = [pair for pair in self._off if pair != (system, check)]

    def restore(self) -> None:
        """Switch everything on again that was switched off here."""
        for system, check in list(self._off):
            self.on(system, check)

    def _has(self, system: str, check: str) -> bool:
        return any(one["id"] == check for one in self.all(system))

    def _put(self, system: str, check: str, *, enabled: bool) -> None:
        path = f"/lab/checks/{quote(check, safe='.')}"
        self._stack.lab(system, "PUT", path, {"enabled": enabled})


class Off:
    """A check that is off; as a context manager, on again at the end of its block."""

    def __init__(self, checks: Checks, system: str, check: str) -> None:
        self._checks = checks
        self.system = system
        self.check = check

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._checks.on(self.system, self.check)


class Clock:
    """The domain time of all systems together; the signed link keeps the machine's."""

    def __init__(self, stack: CosStack) -> None:
        self._stack = stack

    def now(self) -> datetime:
        """The broker's time."""
        return datetime.fromisoformat(self._stack.lab("acb", "GET", "/lab/clock")["now"])

    def hold(self, at: datetime | str) -> None:
        """Have every clock stand at a time: aware, or text such as ``2026-12-01T00:00:00Z``."""
        self._act({"mode": "held", "at": instant(at).isoformat()})

    def step(self, by: timedelta | str | float) -> None:
        """Move every clock by a duration: a timedelta, seconds, or ``P10D``, ``-PT1H30M``.

        If the clocks disagree, all follow the one furthest ahead; if any stands, all do.
        """
        length = duration(by)
        before = [self._stack.lab(name, "GET", "/lab/clock") for name in SYSTEMS]
        if any(told["mode"] == "held" for told in before):
            self.hold(max(datetime.fromisoformat(told["now"]) for told in before) + length)
            return
        ahead = max(float(told["offset_seconds"]) for told in before)
        self._act({"mode": "offset", "seconds": ahead + length.total_seconds()})

    def real(self) -> None:
        """Have every clock follow the machine's again."""
        self._act({"mode": "real"})

    def _act(self, act: dict[str, Any]) -> None:
        for name in SYSTEMS:
            self._stack.lab(name, "PUT", "/lab/clock", act)
