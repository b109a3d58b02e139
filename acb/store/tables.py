"""What every table of the broker's store has in common."""

from __future__ import annotations

from typing import Final

from sqlalchemy import MetaData

tables: Final = MetaData()
"""Every table of the broker."""


def digits(counter: int) -> str:
    """A counter as the store keeps it: 20 decimal digits, so that text order is number order.

    Counters travel in 64 unsigned bits, which no database integer holds.
    """
    return f"{counter:020d}"


def number(text: str | None) -> int | None:
    """The counter that `digits` wrote; None if there is none."""
    return None if text is None else int(text)
