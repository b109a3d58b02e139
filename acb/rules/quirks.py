"""The oddities of real systems that the broker can be set to have.

``pre-command-trailing-zero``: DCC Boxed before 1.4.1 appended the octet 0x00 to a Pre-Command, the
length of a signature that is not there (docs/sources.md#signature). With the quirk on so does ours.
What it takes back stays as strict as ever: a command signed over the octets without that one, and
with the signature in its place. Whoever signs the octet too, or leaves it standing, is refused by
name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeVar

from duis.model import PreCommand
from services.chassis.faults.quirks import Quirk, Quirks

PRE_COMMAND_TRAILING_ZERO: Final = "pre-command-trailing-zero"

QUIRKS: Final = (
    Quirk(
        PRE_COMMAND_TRAILING_ZERO,
        "A Pre-Command ends in 0x00, the length of a signature that is not there",
        "DCC Boxed before 1.4.1, by Smart DCC's crypto.ts; docs/sources.md#signature",
    ),
)

T = TypeVar("T")


def with_quirks(message: T, quirks: Quirks) -> T:
    """What is sent to a user, with the broker's oddities if it has any now."""
    if isinstance(message, PreCommand) and quirks.has(PRE_COMMAND_TRAILING_ZERO):
        return replace(message, gbcs_payload=message.gbcs_payload + b"\x00")
    return message
