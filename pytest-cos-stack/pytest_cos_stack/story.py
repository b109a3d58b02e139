"""What happened to one request, put together from what each system tells on its lab port."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pytest_cos_stack.visible import visible

REQUEST_ID = re.compile(
    r"(?:[0-9A-Fa-f]{2}-){7}[0-9A-Fa-f]{2}:(?:[0-9A-Fa-f]{2}-){7}[0-9A-Fa-f]{2}:\d+"
)
TELLERS = ("acb", "tcos_party", "ecos_party")


@dataclass(frozen=True)
class Told:
    """One event as one system tells it."""

    party: str
    at: str
    kind: str
    sender: str
    receiver: str
    name: str
    summary: str
    gbcs_ref: str | None
    verdicts: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, party: str, entry: dict[str, Any]) -> Told:
        """An entry of a system's trace."""
        words = {
            name: str(entry.get(name) or "")
            for name in ("at", "kind", "sender", "receiver", "name", "summary")
        }
        verdicts = tuple(entry.get("verdicts") or ())
        return cls(party=party, gbcs_ref=entry.get("gbcs_ref"), verdicts=verdicts, **words)

    def lines(self) -> list[str]:
        """For people: the event, how many checks passed, and every check that refused or is off.

        Escaped, because a terminal shows them.
        """
        way = f" {self.sender} -> {self.receiver}" if self.sender or self.receiver else ""
        said = f": {self.summary}" if self.summary else ""
        lines = [f"{self.at[11:23]} {self.party} {self.kind} {self.name}{way}{said}"]
        passed = sum(one["outcome"] == "passed" for one in self.verdicts)
        if passed:
            lines.append(f"    {passed} checks passed")
        for one in self.verdicts:
            if one["outcome"] in {"refused", "off"}:
                wanted = "".join(
                    f"; {what} {one[what]}" for what in ("expected", "found") if one.get(what)
                )
                why = one.get("detail") or one.get("title") or ""
                lines.append(f"    {one['outcome'].upper()} {one['check']}: {why}{wanted}")
        return [visible(line) for line in lines]


@dataclass
class Story:
    """Everything told about one request, in the order in which it happened."""

    request_id: str
    events: list[Told] = field(default_factory=list)

    @property
    def refusals(self) -> list[tuple[str, dict[str, Any]]]:
        """Who refused, and the verdict that says by which check."""
        found: list[tuple[str, dict[str, Any]]] = []
        for event in self.events:
            for verdict in event.verdicts:
                pair = (event.party, verdict)
                if verdict["outcome"] == "refused" and pair not in found:
                    found.append(pair)
        return found

    def __str__(self) -> str:
        return "\n".join(line for event in self.events for line in event.lines())
