"""What a fuzzing run found: how much was tried, and what went wrong with which octets."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_SHOWN = 10
PATIENCE = 120.0  # seconds: a busy machine is no finding, a system that hangs is


@dataclass
class Tally:
    """One target's run."""

    target: str
    tried: int = 0
    refused_by: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    skipped: str | None = None

    def refused(self, check: str) -> None:
        """Count an input as tried and refused, by that check."""
        self.tried += 1
        self.refused_by[check] = self.refused_by.get(check, 0) + 1

    def found(self, what: str, data: bytes) -> None:
        """Keep an input that did what no input may do."""
        self.tried += 1
        self.findings.append(f"{what}: {data.hex()}")

    def lines(self) -> list[str]:
        """The tally for a person."""
        if self.skipped is not None:
            return [f"{self.target}: skipped: {self.skipped}"]
        lines = [f"{self.target}: {self.tried} inputs tried, {len(self.findings)} findings"]
        by_count = sorted(self.refused_by.items(), key=lambda item: (-item[1], item[0]))
        lines += [f"    {count:>8}  {check}" for check, count in by_count]
        lines += [f"    FOUND {finding}" for finding in self.findings[:MOST_SHOWN]]
        return lines
