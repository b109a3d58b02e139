"""What somebody changed on a stack before the bench came: checks, quirks, faults, clocks.

The bench puts all of that back between attacks, so it does not begin on such a stack unasked: what
it found would be of another stack than the one that was set up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from probe.result import Refusal
from stack.connection import Connection
from stack.systems import DEVICES_LAST


@dataclass(frozen=True)
class Changes:
    """The changes of one stack.

    Attributes:
        off: checks that are off, at whom.
        quirks: quirks that are on: whose, and its name.
        faults: armed faults: whose, and its identifier.
        clocks: clocks that are not the machine's, by system, as the system tells it.
    """

    off: tuple[Refusal, ...]
    quirks: tuple[tuple[str, str], ...]
    faults: tuple[tuple[str, str], ...]
    clocks: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, connection: Connection) -> Changes:
        """Ask every system.

        Raises:
            CommandError: one cannot be reached.
        """
        off: list[Refusal] = []
        quirks: list[tuple[str, str]] = []
        faults: list[tuple[str, str]] = []
        clocks: dict[str, Mapping[str, Any]] = {}
        for party in DEVICES_LAST:
            checks = connection.lab(party, "GET", "/lab/checks")["checks"]
            off += [Refusal(party, one["id"]) for one in checks if not one["enabled"]]
            known = connection.lab(party, "GET", "/lab/quirks")["quirks"]
            quirks += [(party, one["name"]) for one in known if one["on"]]
            armed = connection.lab(party, "GET", "/lab/faults")["faults"]
            faults += [(party, one["id"]) for one in armed]
            clock = connection.lab(party, "GET", "/lab/clock")
            if clock["mode"] != "real":
                clocks[party] = clock
        return cls(tuple(off), tuple(quirks), tuple(faults), clocks)

    def described(self) -> list[str]:
        """Each in a few words; none where nothing was changed."""
        return [
            *(f"{one.check} of {one.party} is off" for one in self.off),
            *(f"quirk {name} of {party} is on" for party, name in self.quirks),
            *(f"fault {name} is armed at {party}" for party, name in self.faults),
            *(f"the clock of {party} is {told['mode']}" for party, told in self.clocks.items()),
        ]

    def apply(self, connection: Connection) -> None:
        """Make them again, all but faults: how often one has struck cannot be made again."""
        for one in self.off:
            connection.lab(one.party, "PUT", f"/lab/checks/{one.check}", {"enabled": False})
        for party, name in self.quirks:
            connection.lab(party, "PUT", f"/lab/quirks/{name}", {"on": True})
        for party, told in self.clocks.items():
            held = {"mode": "held", "at": told["now"]}
            moved = {"mode": "offset", "seconds": told["offset_seconds"]}
            connection.lab(party, "PUT", "/lab/clock", held if told["mode"] == "held" else moved)


NONE = Changes((), (), (), {})
