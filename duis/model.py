"""What the documents say, as frozen values.

Certificates are DER octets and GBCS messages are octets: this package carries them and does not
read them. Times are aware and UTC. Floors are 0 to 2^63-1. A value outside what the schema allows
is refused when it is written (`duis.xml`), by the same schema that judges what is read.
Source of the structures: DUIS 5.4 schema (docs/sources.md#service-requests, #services, #codes).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from duis.alerts import DccAlert
from duis.request_id import RequestId

CANCEL_DATE = datetime(3000, 12, 31, tzinfo=UTC)
"""The execution date that cancels a future-dated request (docs/sources.md#future-dating)."""


class RemotePartyRole(StrEnum):
    """Roles as DUIS names them. ECoS has none of its own: TransCoS (docs/sources.md#modes)."""

    ACB = "ACB"
    NETWORK_OPERATOR = "NetworkOperator"
    RECOVERY = "Recovery"
    ROOT = "Root"
    SUPPLIER = "Supplier"
    TRANS_COS = "TransCoS"
    LOAD_CONTROLLER = "LoadController"


class CredentialType(StrEnum):
    """Which of a device's own credentials is meant."""

    DIGITAL_SIGNATURE = "Digital Signature"
    KEY_AGREEMENT = "Key Agreement"


@dataclass(frozen=True, slots=True)
class Header:
    """Header of a request.

    Attributes:
        request_id: who asks which device, and the user's counter.
        command_variant: 1 request to command, 4 request to Pre-Command, 5 Signed Pre-Command to
            command, 8 answered by the data company itself.
        service_reference: e.g. `6.23`.
        service_reference_variant: e.g. `6.23` or `6.15.1`.
        first_in_sequence: whether a sequence of requests starts here.
        preceding_request: the request this one must follow.
    """

    request_id: RequestId
    command_variant: int
    service_reference: str
    service_reference_variant: str
    first_in_sequence: bool | None = None
    preceding_request: RequestId | None = None


@dataclass(frozen=True, slots=True)
class UpdateSecurityCredentialsCoS:
    """6.23: the incoming supplier's credentials, to be put in place by the CoS Party.

    Attributes:
        execution_date_time: None for at once; `CANCEL_DATE` cancels what is pending.
        supplier_floor: floor of the incoming supplier's originator counter.
        prepayment_top_up_floor: floor of its separate counter for top-ups.
        digital_signing: the three replacement certificates, DER; only this one is compulsory.
        key_agreement: see above.
        key_agreement_top_up: see above.
        path_certificates: one to three certificates of authorities, DER.
        apply_time_checks: whether the device must check validity periods.
        import_mpxn: meter point of the device, up to 13 digits.
    """

    supplier_floor: int
    digital_signing: bytes
    path_certificates: tuple[bytes, ...]
    import_mpxn: str
    execution_date_time: datetime | None = None
    prepayment_top_up_floor: int | None = None
    key_agreement: bytes | None = None
    key_agreement_top_up: bytes | None = None
    apply_time_checks: bool = True

    @property
    def cancels(self) -> bool:
        """Whether this request only cancels a pending one."""
        return self.execution_date_time == CANCEL_DATE


@dataclass(frozen=True, slots=True)
class UpdateSecurityCredentialsKRP:
    """6.15.1: a party replaces its own credentials. As in 6.23; every certificate optional."""

    remote_party_role: RemotePartyRole
    path_certificates: tuple[bytes, ...]
    execution_date_time: datetime | None = None
    floor: int | None = None
    prepayment_top_up_floor: int | None = None
    digital_signing: bytes | None = None
    key_agreement: bytes | None = None
    key_agreement_top_up: bytes | None = None
    apply_time_checks: bool = True


@dataclass(frozen=True, slots=True)
class RequestHandoverOfDCCControlledDevice:
    """6.21: a device with the data company's credentials is handed over. As in 6.23."""

    remote_party_role: RemotePartyRole
    digital_signing: bytes
    path_certificates: tuple[bytes, ...]
    execution_date_time: datetime | None = None
    floor: int | None = None
    prepayment_top_up_floor: int | None = None
    key_agreement: bytes | None = None
    key_agreement_top_up: bytes | None = None
    apply_time_checks: bool = True


@dataclass(frozen=True, slots=True)
class UpdateSecurityCredentialsDevice:
    """6.15.2: the device is given its new certificate (DER)."""

    device_certificate: bytes


@dataclass(frozen=True, slots=True)
class IssueSecurityCredentials:
    """6.17: the device is asked for a new key pair and a certification request."""

    credential_type: CredentialType


@dataclass(frozen=True, slots=True)
class RetrieveDeviceSecurityCredentialsKRP:
    """6.24.1: which remote parties' credentials the device holds; one to seven roles."""

    roles: tuple[RemotePartyRole, ...]


@dataclass(frozen=True, slots=True)
class RetrieveDeviceSecurityCredentialsDevice:
    """6.24.2: the device's own certificate is asked for."""

    credential_type: CredentialType


@dataclass(frozen=True, slots=True)
class ReadInventory:
    """8.2: what the inventory knows; exactly one of the keys is given.

    Attributes:
        device: 16 lower-case hex digits.
        mpxn: meter point, up to 13 digits.
        uprn: property reference, 1 to 999,999,999,999.
        post_code: 6 to 8 characters, together with `address_identifier`.
        address_identifier: up to 30 characters.
    """

    device: str | None = None
    mpxn: str | None = None
    uprn: int | None = None
    post_code: str | None = None
    address_identifier: str | None = None


@dataclass(frozen=True, slots=True)
class SignedPreCommand:
    """Command variant 5 of a critical service: the Pre-Command with the user's signature in it."""

    gbcs_payload: bytes
    execution_date_time: datetime | None = None


RequestBody = (
    UpdateSecurityCredentialsCoS
    | UpdateSecurityCredentialsKRP
    | RequestHandoverOfDCCControlledDevice
    | UpdateSecurityCredentialsDevice
    | IssueSecurityCredentials
    | RetrieveDeviceSecurityCredentialsKRP
    | RetrieveDeviceSecurityCredentialsDevice
    | ReadInventory
    | SignedPreCommand
)


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """A whole request, signature apart."""

    header: Header
    body: RequestBody


@dataclass(frozen=True, slots=True)
class PreCommand:
    """Answer to a request in command variant 4: what the user is to sign."""

    gbcs_version: str
    gbcs_payload: bytes


@dataclass(frozen=True, slots=True)
class FutureDatedAlert:
    """A device's report on a future-dated command, as the answer to the request that set it.

    Attributes:
        alert_code: two octets as a number, e.g. 0x8F66.
        gbcs_payload: the alert, octets.
        instruction_number: which of the command's instructions, from 1.
        total_instructions: how many it has.
    """

    alert_code: int
    gbcs_payload: bytes
    instruction_number: int = 1
    total_instructions: int = 1


@dataclass(frozen=True, slots=True)
class InventoryDevice:
    """One device of the answer to 8.2; the optional facts this project keeps, and no others."""

    device: str
    device_type: str
    manufacturer: str
    model: str
    status: str | None = None
    import_mpxn: str | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """The answer to 8.2: one to seventeen devices."""

    devices: tuple[InventoryDevice, ...]


@dataclass(frozen=True, slots=True)
class ResponseMessage:
    """Answer to a service request.

    Attributes:
        service_reference: of the request answered.
        variant: ServiceReferenceVariant of the request answered.
        gbcs_payload: the device's response, octets, where there is one.
        content: another kind of content in its place.
    """

    service_reference: str
    variant: str
    gbcs_payload: bytes | None = None
    content: PreCommand | FutureDatedAlert | Inventory | None = None

    @property
    def empty(self) -> bool:
        """Whether it says nothing but what it answers."""
        return self.gbcs_payload is None and self.content is None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Synchronous answer: the request was taken (I99) or refused; nothing came from a device.

    On the wire a ResponseMessage without content in a Response without ResponseID
    (docs/sources.md#service-requests, from a published sample).
    """

    service_reference: str
    variant: str


@dataclass(frozen=True, slots=True)
class DeviceAlert:
    """A device's alert passed on: two-octet code as a number, and the GBCS message."""

    alert_code: int
    gbcs_payload: bytes


ResponseBody = ResponseMessage | Acknowledgement | DeviceAlert | DccAlert


@dataclass(frozen=True, slots=True)
class Response:
    """A whole Response document, signature apart.

    Attributes:
        request_id: the request answered; None for alerts nobody asked for.
        response_id: identifier of this answer; None in an acknowledgement.
        code: one of `duis.codes.RESPONSE_CODES`.
        at: ResponseDateTime, UTC.
        body: what is said.
    """

    request_id: RequestId | None
    response_id: RequestId | None
    code: str
    at: datetime
    body: ResponseBody
