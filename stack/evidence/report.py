"""What is said of an evidence bundle: what is proven, only told, missing, or wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whose, what part, and what came of it."""

    party: str
    part: str
    detail: str


@dataclass
class Report:
    """What a bundle proves, and what in it is not what was signed or written.

    Attributes:
        request_id: what the bundle says it is about.
        own_roots: no root is the reader's: whoever made the bundle may have made them too.
        verified: what a signature under the roots covers, and nothing else.
        told: what parties say, signed by nobody.
        missing: what an exchange has and this one has not.
        wrong: what is not what was signed or written.
    """

    request_id: str = ""
    own_roots: bool = True
    verified: list[Finding] = field(default_factory=list)
    told: list[Finding] = field(default_factory=list)
    missing: list[Finding] = field(default_factory=list)
    wrong: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether something is proven, nothing is wrong and nothing is missing."""
        return bool(self.verified) and not self.wrong and not self.missing

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"ok": self.ok, **asdict(self)}
