"""One way to write a JSON value, so that equal values have equal bytes."""

from __future__ import annotations

import json
from typing import Any


class NotCanonicalError(Exception):
    """The value has no JSON form (or only an ambiguous one)."""


def canonical(value: Any) -> str:
    """JSON with sorted keys, no white space and no NaN; text as it is, not escaped.

    Raises:
        NotCanonicalError: The value cannot be written as JSON.
    """
    try:
        written = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        written.encode()  # a lone surrogate is text to Python and nothing to anyone else
    except (TypeError, ValueError, RecursionError) as error:
        raise NotCanonicalError(str(error)) from None
    return written
