"""Making what no honest party would make: messages, documents, answers, certificates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self


class Forged:
    """Something in the making, of which another with changes can be had."""

    def but(self, **changes: Any) -> Self:
        """The same with changes."""
        made: Self = replace(self, **changes)  # type: ignore[type-var]
        return made
