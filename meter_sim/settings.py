"""The meters' settings: the chassis' own, where Alerts go, how long a block is."""

from __future__ import annotations

from pydantic import Field

from gbcs.block_transfer import ASSUMED_BLOCK_SIZE
from services.chassis.settings import Settings

SMALLEST_BLOCK = 64
"""Octets: the longest message a device takes then has as many blocks as it takes."""


class MeterSettings(Settings):
    """What the meters need.

    Attributes:
        alert_url: URL that Alerts are posted to (the broker's device messages); None: nowhere.
        block_size: octets of message to a block, where a device speaks in blocks (reconstruction).
        security_alerts: whether devices raise an Alert when they refuse a message. False: refusals
            are in their Security Logs alone, for whoever attacks them a lot and wants no mail.
    """

    alert_url: str | None = None
    block_size: int = Field(default=ASSUMED_BLOCK_SIZE, ge=SMALLEST_BLOCK, le=65_535)
    security_alerts: bool = True
