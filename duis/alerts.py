"""Alerts of the data company itself (DCC alerts) that concern a change of supplier.

Which N code goes with which content is not in the schema: see `duis.codes.ALERT_MEANINGS`.
Source of the structures: DUIS 5.4 schema (docs/sources.md#codes).
"""

from __future__ import annotations

from dataclasses import dataclass

from duis.request_id import RequestId


@dataclass(frozen=True, slots=True)
class DeviceChangeOfSupplier:
    """Tells the old supplier that a device is no longer theirs.

    Attributes:
        device: 16 lower-case hex digits.
        device_type: `ESME`, `GSME` and so on.
        import_mpxn: meter point, up to 13 digits.
        secondary_import_mpan: 13 digits.
        export_mpan: 13 digits.
    """

    device: str
    device_type: str
    import_mpxn: str
    secondary_import_mpan: str | None = None
    export_mpan: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeOfSupplier:
    """Outcome of a change of supplier, for the requester (`request_id`) or the old supplier.

    Attributes:
        request_id: the 6.23 request that the CoS Party refused; exactly one of this and `device` is
            given.
        ecos_error_code: the CoS Party's reason, exactly three characters.
        device: the notice to the old supplier.
    """

    request_id: RequestId | None = None
    ecos_error_code: str | None = None
    device: DeviceChangeOfSupplier | None = None


@dataclass(frozen=True, slots=True)
class UpdatedCertificate:
    """One replaced certificate: its kind (as DUIS names kinds), and its SHA-1."""

    certificate_type: str
    certificate_hash: bytes


@dataclass(frozen=True, slots=True)
class SecurityCredentialsUpdated:
    """The device now holds other credentials.

    Attributes:
        device: 16 lower-case hex digits.
        remote_party_role: the role whose cells changed.
        certificates: one to three.
        floor: the new floor, where one was set.
        prepayment_top_up_floor: only together with `floor`.
    """

    device: str
    remote_party_role: str
    certificates: tuple[UpdatedCertificate, ...]
    floor: int | None = None
    prepayment_top_up_floor: int | None = None


@dataclass(frozen=True, slots=True)
class EcosAlert:
    """The Enduring CoS Party reports something about a device."""

    alert_id: RequestId
    alert_code: str
    device: str
    request_id: RequestId | None = None
    additional_information: str | None = None


@dataclass(frozen=True, slots=True)
class CosCertificateAlert:
    """Which CoS certificate, by serial number, a device holds."""

    device: str
    certificate_serial: int | None = None


@dataclass(frozen=True, slots=True)
class AnomalyBreach:
    """A quarantined request and the event it is known by (up to twenty digits)."""

    request_id: RequestId
    event_reference: int


@dataclass(frozen=True, slots=True)
class QuarantinedRequest:
    """Threshold anomaly detection held a request back; exactly one of the three is given."""

    user_threshold: AnomalyBreach | None = None
    dcc_threshold: AnomalyBreach | None = None
    attribute_limits: AnomalyBreach | None = None


@dataclass(frozen=True, slots=True)
class ScheduleRemoval:
    """A schedule held for a device was dropped."""

    device: str
    schedule_id: int


DccAlertContent = (
    ChangeOfSupplier
    | SecurityCredentialsUpdated
    | EcosAlert
    | CosCertificateAlert
    | QuarantinedRequest
    | ScheduleRemoval
)


@dataclass(frozen=True, slots=True)
class DccAlert:
    """An alert code (`AD1`, `N1` to `N65` without N32, `N999`) and what it is about."""

    alert_code: str
    content: DccAlertContent
