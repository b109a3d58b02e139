"""The settings only a CoS Party has, beside those of every party."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pydantic import Field

from cos_party.model import Limits, Thresholds
from cos_party.peers.wire import LONGEST_BASE64
from services.chassis.settings import Settings, Strict

LINK_BODY: Final = LONGEST_BASE64 + 1024
"""Largest body, octets: the longest document a body model takes, and what stands round it.

Less would refuse at the edge, unsigned, what the broker's interface takes in (256 KiB, which are
342 KiB in base64): the broker would ask again and again, and hold the device meanwhile."""


class LimitSettings(Strict):
    """The limits the party judges by (see `cos_party.model.Limits`; all reconstructions).

    Attributes:
        execution_horizon_days: how far ahead an execution date may lie, days.
        registration_max_age_seconds: how old the copy of the registration data may be for a
            decision while registration cannot be asked, seconds; 0: then nothing is decided.
        registration_patience_seconds: for how long, while registration cannot be asked, the answer
            is "ask again"; after that it is a refusal. Less than the broker's own patience (it
            asks for about a quarter of an hour), so that the supplier hears why.
        revocation_patience_seconds: for how long revocation lists serve that cannot be refreshed.
        floor_headroom: counter values that must remain above a floor.
    """

    execution_horizon_days: int = Field(default=30, ge=0, le=3660)
    registration_max_age_seconds: int = Field(default=0, ge=0, le=86_400)
    registration_patience_seconds: int = Field(default=600, ge=0, le=86_400)
    revocation_patience_seconds: int = Field(default=3600, ge=0, le=31_622_400)
    floor_headroom: int = Field(default=1 << 32, ge=0, lt=1 << 63)

    def limits(self) -> Limits:
        """As the checks take them."""
        return Limits(
            execution_horizon=timedelta(days=self.execution_horizon_days),
            registration_max_age=timedelta(seconds=self.registration_max_age_seconds),
            registration_patience=timedelta(seconds=self.registration_patience_seconds),
            revocation_patience=timedelta(seconds=self.revocation_patience_seconds),
            floor_headroom=self.floor_headroom,
        )


class ThresholdSettings(Strict):
    """Anomaly detection thresholds at start; the lab port may set others.

    Attributes:
        window_seconds: length of the rolling window, seconds.
        per_requester: most commands signed for one requester within it.
        total: most commands signed for all together within it.
    """

    window_seconds: int = Field(default=86_400, ge=1)
    per_requester: int = Field(default=10_000, ge=0)
    total: int = Field(default=50_000, ge=0)

    def thresholds(self) -> Thresholds:
        """As the checks take them."""
        return Thresholds.of(self.window_seconds, self.per_requester, self.total)


class CosPartySettings(Settings):
    """Settings of a CoS Party.

    Attributes:
        eui: its entity identifier; required.
        limits: what it judges by.
        thresholds: its anomaly detection thresholds.
        first_counter: the first originator counter it uses, if none was ever used.
        body_limit: as every party's; what is brought here is wrapped in base64.
    """

    eui: str = Field(pattern=r"^[0-9a-f]{16}$")
    limits: LimitSettings = LimitSettings()
    thresholds: ThresholdSettings = ThresholdSettings()
    first_counter: int = Field(default=1, ge=1, lt=1 << 63)
    body_limit: int = Field(default=LINK_BODY, gt=0)
