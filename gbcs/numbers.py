"""Whole numbers fit for a field of so many bits."""

from __future__ import annotations

from gbcs.errors import EncodeError


def unsigned(value: object, bits: int, name: str) -> int:
    """`value` as a number of 0 to 2^bits-1.

    Raises:
        EncodeError: it is something else; a truth value is no number.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << bits:
        raise EncodeError(f"{name} must be a whole number of 0 to 2^{bits}-1")
    return int(value)
