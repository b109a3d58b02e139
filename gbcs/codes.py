"""The numbers of the standard and the identifiers it gives them.

Message codes, modes, roles and usages: docs/sources.md#modes, #update-payload, #device-credentials
(confirmed by RTDS vectors, except where a line says otherwise). Status codes are a subset of RFC
5934's. Of the alert codes only those that the change of credentials can cause are named; any 16-bit
code can be carried.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self

from gbcs.use_case_names import NAMES


class _Labelled(IntEnum):
    """An integer of the standard with the standard's own identifier in `label`.

    The label has a default only so that looking a member up by its number takes one argument.
    """

    label: str

    def __new__(cls, value: int, label: str = "") -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member

    @classmethod
    def from_label(cls, label: str) -> Self:
        """The member with this identifier.

        Raises:
            KeyError: no member is called so. (Parsers catch it; it never leaves the room.)
        """
        for member in cls:
            if member.label == label:
                return member
        raise KeyError(label)


class Cra(_Labelled):
    """The Command, Response or Alert flag: first octet of the transaction identifier."""

    COMMAND = 1, "command"
    RESPONSE = 2, "response"
    ALERT = 3, "alert"


class CredentialsReplacementMode(_Labelled):
    """Who replaces whose credentials (docs/sources.md#modes; 0, 1 and 9 have no command vector)."""

    ROOT_BY_SUPPLIER = 0, "rootBySupplier"
    ROOT_BY_WAN_PROVIDER = 1, "rootByWanProvider"
    SUPPLIER_BY_SUPPLIER = 2, "supplierBySupplier"
    NETWORK_OPERATOR_BY_NETWORK_OPERATOR = 3, "networkOperatorByNetworkOperator"
    ACCESS_CONTROL_BROKER_BY_ACB = 4, "accessControlBrokerByACB"
    WAN_PROVIDER_BY_WAN_PROVIDER = 5, "wanProviderByWanProvider"
    TRANS_COS_BY_TRANS_COS = 6, "transCoSByTransCoS"
    SUPPLIER_BY_TRANS_COS = 7, "supplierByTransCoS"
    ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY = 8, "anyExceptAbnormalRootByRecovery"
    ANY_BY_CONTINGENCY = 9, "anyByContingency"
    LOAD_CONTROLLER_BY_LOAD_CONTROLLER = 10, "loadControllerByLoadController"
    LOAD_CONTROLLER_BY_SUPPLIER = 11, "loadControllerBySupplier"


class MessageCode(_Labelled):
    """Message codes of the security credentials use cases and the alerts they cause."""

    PROVIDE_SECURITY_CREDENTIAL_DETAILS = 0x0008, "CS02a Provide Security Credential Details"
    ISSUE_SECURITY_CREDENTIALS = 0x000A, "CS02c Issue Security Credentials"
    UPDATE_DEVICE_CERTIFICATE = 0x000B, "CS02d Update Device Certificates on Device"
    PROVIDE_DEVICE_CERTIFICATE = 0x000C, "CS02e Provide Device Certificates from Device"
    UPDATE_SECURITY_CREDENTIALS_ALERT = (
        0x00CB,
        "CS02b Future Dated Update Security Credentials Alert",
    )
    ROOT_BY_SUPPLIER = 0x0100, "CS02b Update Security Credentials (rootBySupplier)"
    ROOT_BY_WAN_PROVIDER = 0x0101, "CS02b Update Security Credentials (rootByWanProvider)"
    SUPPLIER_BY_SUPPLIER = 0x0102, "CS02b Update Security Credentials (supplierBySupplier)"
    NETWORK_OPERATOR_BY_NETWORK_OPERATOR = (
        0x0103,
        "CS02b Update Security Credentials (networkOperatorByNetworkOperator)",
    )
    ACCESS_CONTROL_BROKER_BY_ACB = (
        0x0104,
        "CS02b Update Security Credentials (accessControlBrokerByACB)",
    )
    WAN_PROVIDER_BY_WAN_PROVIDER = (
        0x0105,
        "CS02b Update Security Credentials (wanProviderByWanProvider)",
    )
    TRANS_COS_BY_TRANS_COS = 0x0106, "CS02b Update Security Credentials (transCoSByTransCoS)"
    SUPPLIER_BY_TRANS_COS = 0x0107, "CS02b Update Security Credentials (supplierByTransCoS)"
    ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY = (
        0x0108,
        "CS02b Update Security Credentials (anyExceptAbnormalRootByRecovery)",
    )
    ANY_BY_CONTINGENCY = 0x0109, "CS02b Update Security Credentials (anyByContingency)"
    PROVIDE_SECURITY_CREDENTIAL_DETAILS_ROLE_8 = (
        0x011B,
        "CS02f Provide Security Credential Details (with loadController)",
    )
    UPDATE_LOAD_CONTROLLER_CREDENTIALS_ALERT = (
        0x0124,
        "CS02g Future Dated Update Security Credentials Alert",
    )
    LOAD_CONTROLLER_BY_LOAD_CONTROLLER = (
        0x0125,
        "CS02g Update Security Credentials (loadControllerByLoadController)",
    )
    LOAD_CONTROLLER_BY_SUPPLIER = (
        0x0126,
        "CS02g Update Security Credentials (loadControllerBySupplier)",
    )
    GENERIC_CRITICAL_ALERT = 0x1000, "Generic Critical Alert"
    GENERIC_NON_CRITICAL_ALERT = 0x1001, "Generic Non Critical Alert"


USE_CASES: dict[int, str] = NAMES | {int(code): code.label for code in MessageCode}
"""Message code to the name of its use case: the standard's own title for those spoken here."""

MODE_OF_MESSAGE_CODE: dict[int, CredentialsReplacementMode] = {
    **{0x0100 + mode: CredentialsReplacementMode(mode) for mode in range(10)},
    0x0125: CredentialsReplacementMode.LOAD_CONTROLLER_BY_LOAD_CONTROLLER,
    0x0126: CredentialsReplacementMode.LOAD_CONTROLLER_BY_SUPPLIER,
}
"""The one mode that each CS02b / CS02g message code may carry."""

MESSAGE_CODE_OF_MODE: dict[CredentialsReplacementMode, MessageCode] = {
    mode: MessageCode(code) for code, mode in MODE_OF_MESSAGE_CODE.items()
}
"""The inverse of MODE_OF_MESSAGE_CODE."""


class RemotePartyRole(_Labelled):
    """Whose credentials a trust anchor cell holds."""

    ROOT = 0, "root"
    RECOVERY = 1, "recovery"
    SUPPLIER = 2, "supplier"
    NETWORK_OPERATOR = 3, "networkOperator"
    ACCESS_CONTROL_BROKER = 4, "accessControlBroker"
    TRANSITIONAL_COS = 5, "transitionalCoS"
    WAN_PROVIDER = 6, "wanProvider"
    ISSUING_AUTHORITY = 7, "issuingAuthority"
    LOAD_CONTROLLER = 8, "loadController"
    OTHER = 127, "other"


class KeyUsage(_Labelled):
    """What the key of a cell is for. The value is the bit number in X.509 KeyUsage."""

    DIGITAL_SIGNATURE = 0, "digitalSignature"
    KEY_AGREEMENT = 4, "keyAgreement"
    KEY_CERT_SIGN = 5, "keyCertSign"


class CellUsage(_Labelled):
    """Which of two cells of one role and usage: the ordinary one or the one for top-ups."""

    MANAGEMENT = 0, "management"
    PREPAYMENT_TOP_UP = 1, "prePaymentTopUp"


class SeqNumberUsage(_Labelled):
    """What a specialist sequence number counts."""

    PREPAYMENT_TOP_UP = 0, "prepaymentTopUp"


class StatusCode(_Labelled):
    """What became of one cell (names as in RFC 5934, of which this is a subset)."""

    SUCCESS = 0, "success"
    BAD_CERTIFICATE = 5, "badCertificate"
    NO_TRUST_ANCHOR = 10, "noTrustAnchor"
    INSUFFICIENT_MEMORY = 17, "insufficientMemory"
    TRUST_ANCHOR_NOT_FOUND = 25, "trustAnchorNotFound"
    RESOURCES_BUSY = 30, "resourcesBusy"
    OTHER = 127, "other"


class CertificationRequestFailure(_Labelled):
    """Why a device made no certification request (CS02c)."""

    INVALID_KEY_USAGE = 1, "invalidKeyUsage"
    KEY_PAIR_GENERATION_FAILED = 2, "keyPairGenerationFailed"
    CR_PRODUCTION_FAILED = 3, "crProductionFailed"


class CertificateUpdateResult(_Labelled):
    """What became of a new device certificate (CS02d)."""

    SUCCESS = 0, "success"
    INVALID_CERTIFICATE = 1, "invalidCertificate"
    WRONG_DEVICE_IDENTITY = 2, "wrongDeviceIdentity"
    INVALID_KEY_USAGE = 3, "invalidKeyUsage"
    NO_CORRESPONDING_KEY_PAIR_GENERATED = 4, "noCorrespondingKeyPairGenerated"
    WRONG_PUBLIC_KEY = 5, "wrongPublicKey"
    CERTIFICATE_STORAGE_FAILED = 6, "certificateStorageFailed"
    PRIVATE_KEY_CHANGE_FAILED = 7, "privateKeyChangeFailed"


class CertificateReadFailure(_Labelled):
    """Why a device gave no certificate (CS02e)."""

    INVALID_KEY_USAGE = 1, "invalidKeyUsage"
    NO_CERTIFICATE_HELD = 2, "noCertificateHeld"
    RETRIEVAL_FAILURE = 3, "certificateRetrievalFailure"


class AlertCode(_Labelled):
    """Alert and event codes of credentials (docs/sources.md#device-checks, #outcomes)."""

    TRUSTED_SOURCE_AUTHENTICATION_FAILURE = 0x8F3D, "Trusted Source Authentication Failure"
    UNAUTHORISED_COMMUNICATION_ACCESS = 0x8F3E, "Unauthorised Communication Access attempted"
    AUTHENTICATION_FAILURE = 0x8F53, "Failed authentication or authorisation not otherwise covered"
    UNUSUAL_COMMANDS = 0x8F60, "Unusual numbers of malformed or unexpected commands received"
    FUTURE_DATED_SUCCESS = 0x8F66, "Future-dated command successfully actioned"
    FUTURE_DATED_FAILURE = 0x8F67, "Future-dated command not successfully actioned"
    CREDENTIALS_UPDATED = 0x8F70, "Update Security Credentials"
