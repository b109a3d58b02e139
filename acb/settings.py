"""The broker's own settings, beside those every party has."""

from __future__ import annotations

from pydantic import Field

from acb.model import CosParty
from services.chassis.settings import Settings, Strict


class CosPartySettings(Strict):
    """A CoS Party that is connected here.

    Attributes:
        eui: its entity identifier, as certified in its role-5 certificate.
    """

    eui: str = Field(pattern=r"^[0-9a-f]{16}$")


class AnomalySettings(Strict):
    """Threshold anomaly detection (docs/sources.md#anomaly-detection; the numbers are ours).

    Attributes:
        per_user: requests one user may send in a window; None: no limit.
        everyone: requests all users together may send in a window; None: no limit. Beyond it,
            only users above an even share of it are held back (`acb.rules.standing.anomaly`).
        window_seconds: length of the sliding window.
    """

    per_user: int | None = Field(default=1000, ge=0)
    everyone: int | None = Field(default=None, ge=0)
    window_seconds: int = Field(default=86_400, gt=0)


class AcbSettings(Settings):
    """Settings of the broker.

    Attributes:
        eui: the broker's entity identifier: required.
        cos_parties: CoS Parties connected here, by their names on the link.
        anomaly: thresholds in force unless the lab sets others.
        revocation_max_age_seconds: how old the copy of the revocation lists may be before the
            repository is asked again; 0: it is asked for every request.
        revocation_patience_seconds: for how long the copy serves while the repository cannot be
            asked, or is not to be believed; from then on nobody's certificate counts.
        sends_into_silence: how often a command is sent before a device's silence counts.
        alert_grace_seconds: how long the broker waits, once it sees that the date of a command has
            come, for the device's alert before it asks the device itself (reconstruction)
            (`acb.steps.dates`).
        delivery_attempts: how often a device is tried before a request fails.
        device_seconds: how long one call of a device may take, its answer included.
        callback_seconds: how long a user may take to receive one document.
        open_requests: how many requests of one user for one device may be under way at a time.
        quarantine_requests: how many requests of one user wait in quarantine; beyond it the oldest
            of that user gives way (`acb.steps.quarantine`).
        quarantine_octets: how many octets of one user's requests wait there, all together.
        unknown_certificate_seconds: for how long the repository's word that it has no certificate
            of a name holds without asking again: one that is issued meanwhile is found no later.
            And how often, while the unauthenticated quota is used up, the repository is
            asked for those of one user (`acb.peers.lookups`). 0: every time.
        block_size: octets to a block for devices whose record names no size; None: whole messages
            (docs/decisions/0008-whole-messages-unless-told.md).
    """

    eui: str = Field(pattern=r"^[0-9a-f]{16}$")
    cos_parties: dict[str, CosPartySettings]
    anomaly: AnomalySettings = AnomalySettings()
    revocation_max_age_seconds: int = Field(default=0, ge=0)
    revocation_patience_seconds: int = Field(default=3600, ge=0)
    sends_into_silence: int = Field(default=2, gt=0)
    alert_grace_seconds: int = Field(default=86_400, gt=0)
    delivery_attempts: int = Field(default=8, gt=0)
    device_seconds: float = Field(default=10.0, gt=0)
    callback_seconds: float = Field(default=5.0, gt=0)
    open_requests: int = Field(default=32, gt=0)
    quarantine_requests: int = Field(default=32, gt=0)
    quarantine_octets: int = Field(default=2 * 1024 * 1024, gt=0)
    unknown_certificate_seconds: int = Field(default=10, ge=0, le=3600)
    block_size: int | None = Field(default=None, ge=64, le=65_535)

    @property
    def connected(self) -> tuple[CosParty, ...]:
        """The CoS Parties connected here."""
        return tuple(CosParty(name, party.eui) for name, party in self.cos_parties.items())
