"""How JSON is written: so that equal values have equal bytes, and that every reader gets them."""

from __future__ import annotations

import json
from typing import Any, Final

HIGHEST: Final = (1 << 53) - 1

_ENCODER: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


class NotCanonicalError(Exception):
    """The value has no JSON form (or only an ambiguous one)."""


def exact(value: Any) -> Any:
    """The value with every whole number beyond 2^53-1 in digits as text (RFC 7493 2.2).

    Counters and floors have 64 bits. Many readers of JSON know no other numbers than floating
    point ones, which beyond that are some other number than was written. The signed link, between
    our own systems, carries numbers as they are.
    """
    kind = type(value)
    if kind is int:
        return value if -HIGHEST <= value <= HIGHEST else str(value)
    if kind is str or value is None:
        return value
    if isinstance(value, dict):
        return {name: exact(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [exact(inner) for inner in value]
    return value


def canonical(value: Any) -> str:
    """JSON with sorted keys, no white space and no NaN; text as it is, not escaped.

    Raises:
        NotCanonicalError: The value cannot be written as JSON.
    """
    try:
        written = _ENCODER.encode(value)
        if not written.isascii():
            written.encode()  # a lone surrogate is text to Python and nothing to anyone else
    except (TypeError, ValueError, RecursionError) as error:
        raise NotCanonicalError(str(error)) from None
    return written
