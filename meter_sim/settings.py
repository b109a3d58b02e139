"""The meters' settings: the chassis' own, and where Alerts go."""

from __future__ import annotations

from services.chassis.settings import Settings


class MeterSettings(Settings):
    """What the meters need.

    Attributes:
        alert_url: URL that Alerts are posted to (the broker's device messages); None: nowhere.
    """

    alert_url: str | None = None
