"""What a check does when the evidence it needs is not there.

Evidence is missing only when the step that should have produced it failed; the check that judges
that step has then refused already, unless someone turned it off. A later check must not pass for
want of something to look at: it refuses too.
"""

from __future__ import annotations

from typing import TypeVar

from services.chassis.checks import CheckFailed

T = TypeVar("T")


def need(value: T | None, what: str) -> T:
    """`value`, or a refusal that says that `what` could not be had.

    Raises:
        CheckFailed: `value` is None.
    """
    if value is None:
        raise CheckFailed(f"cannot be judged: there is no {what}")
    return value
