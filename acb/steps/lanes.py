"""What the broker has to do for a request, and in which lane it waits for its place.

Lanes keep one party's trouble its own.

Three pools of places (`services.chassis.data.outbox_entry.Pool`): what others must sign or the
broker itself serves; what goes to devices; what users and CoS Parties are told. In each, whom an
entry occupies has a share of the places, and a free place goes round those for whom it is done. All
numbers are ours.
"""

from __future__ import annotations

from typing import Final

from acb.model import Tracked
from services.chassis.data.outbox import Pool

HAVE_SIGNED: Final = "cos-command"
"""Outbox kind: have the device's CoS Party sign the command (`acb.steps.have_signed`)."""
SERVE: Final = "serve-request"
"""Outbox kind: do what is asked, now that its turn has come (`acb.steps.protect`)."""
READ_BACK: Final = "read-back"
"""Outbox kind: ask a device what the cells hold that a command was to change."""

DEVICES: Final = Pool("devices", places=64, share=32)
"""Calls of devices: one that is slow has one place, and all of one user's not more than half."""


def for_device(tracked: Tracked) -> str:
    """The lane of what goes to a device: its user's, and in that the device's own."""
    return f"user:{tracked.originator}/{tracked.target}"


def at_broker(tracked: Tracked) -> str:
    """The lane of what the broker does itself, for a user."""
    return f"user:{tracked.originator}"


def at_cos_party(party: str, tracked: Tracked) -> str:
    """The lane of what a CoS Party is asked: the party's, and in that the user's own."""
    return f"link:{party}/{tracked.originator}"


def told_cos_party(party: str, tracked: Tracked) -> str:
    """The lane of what a CoS Party is told: the party's, and in that the device's own."""
    return f"link:{party}/{tracked.target}"


def told_user(user: str) -> str:
    """The lane of what a user is told at its callback."""
    return f"callback:{user}"
