"""Whole numbers fit for a field of so many bits."""

from __future__ import annotations

import re

from gbcs.errors import EncodeError


def unsigned(value: object, bits: int, name: str) -> int:
    """`value` as a number of 0 to 2^bits-1.

    Raises:
        EncodeError: it is something else; a truth value is no number.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << bits:
        raise EncodeError(f"{name} must be a whole number of 0 to 2^{bits}-1")
    return int(value)


def to_json(value: int) -> int | str:
    """A whole number as JSON carries it unharmed: in digits as text beyond 2^53-1 (RFC 7493 2.2).

    Many readers of JSON know no other numbers than 64-bit floating point ones, which beyond that
    are some other number than was written.
    """
    return value if value <= _JSON_HIGHEST else str(value)


def from_json(value: object) -> int | None:
    """A whole number from JSON, written as a number or as text of digits; None: it is neither."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_JSON_HIGHEST = (1 << 53) - 1
_DIGITS = re.compile(r"0|[1-9][0-9]{0,19}")
