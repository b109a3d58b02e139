"""How a check takes its evidence: present, or refused."""

from __future__ import annotations

from typing import TypeVar

from services.chassis.checks import CheckFailed

T = TypeVar("T")


def need(value: T | None, what: str) -> T:
    """The value, if it is there.

    A check must never pass for want of evidence: when an earlier step could not deliver (or was
    skipped because its check was switched off), every later check that depends on it refuses.

    Raises:
        CheckFailed: the evidence is missing.
    """
    if value is None:
        raise CheckFailed(f"there is no {what} to examine")
    return value
