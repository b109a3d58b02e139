"""How answers are written as JSON, unless the signed link writes them."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse

from services.chassis.data.canonical import exact


class Answer(JSONResponse):
    """JSON whose whole numbers every reader gets: in digits as text beyond 2^53-1 (RFC 7493 2.2).

    Counters and floors have 64 bits; many readers know only floating point.
    """

    def render(self, content: Any) -> bytes:
        """The octets of the answer."""
        return super().render(exact(content))
