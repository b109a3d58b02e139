"""What every body that goes over the link is made of: strict models, octets as base64."""

from __future__ import annotations

import base64
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Eui = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]

Version = Annotated[int, Field(ge=1, le=1)]
"""The number 1. A `Literal` would take `true` and `1.0` for it, also where types are strict."""


class Strict(BaseModel):
    """Exact types, nothing unknown."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def octets(text: str) -> bytes:
    """The octets of standard padded base64.

    Raises:
        ValueError: it is not that.
    """
    return base64.b64decode(text, validate=True)


def text(data: bytes) -> str:
    """Octets as the base64 text the link carries."""
    return base64.b64encode(data).decode("ascii")
