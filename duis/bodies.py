"""Where every field of every body lives. Source: DUIS 5.4 (docs/sources.md#services, #codes)."""

from __future__ import annotations

from duis import alerts, model
from duis.layout import Group, Layout, Leaf, Leaves, Record
from duis.text_forms import (
    ALERT_CODE,
    BOOLEAN,
    CREDENTIAL_TYPE,
    DATE_TIME,
    EUI,
    INTEGER,
    OCTETS,
    REQUEST_ID,
    ROLE,
    TEXT,
)

_EXECUTION = Leaf("ExecutionDateTime", "execution_date_time", DATE_TIME)
_CERTIFICATES = (
    Leaf("DigitalSigningCertificate", "digital_signing", OCTETS),
    Leaf("KeyAgreementCertificate", "key_agreement", OCTETS),
    Leaf("KeyAgreementTopUpCertificate", "key_agreement_top_up", OCTETS),
)
_PATH = Group(
    "CertificationPathCertificates", (Leaves("Certificate", "path_certificates", OCTETS),)
)
_TIME_CHECKS = Leaf("ApplyTimeBasedCPVChecks", "apply_time_checks", BOOLEAN)
_REMOTE_PARTY = (
    Leaf("RemotePartyRole", "remote_party_role", ROLE),
    Leaf("RemotePartyFloorSeqNumber", "floor", INTEGER),
    Leaf("RemotePartyPrepaymentTopUpFloorSeqNumber", "prepayment_top_up_floor", INTEGER),
)

REQUEST_BODIES: dict[str, Layout] = {
    "UpdateSecurityCredentialsCoS": Layout(
        model.UpdateSecurityCredentialsCoS,
        (
            _EXECUTION,
            Leaf("SupplierFloorSeqNumber", "supplier_floor", INTEGER),
            Leaf("SupplierPrepaymentTopUpFloorSeqNumber", "prepayment_top_up_floor", INTEGER),
            Group("SupplierReplacementCertificates", _CERTIFICATES),
            _PATH,
            _TIME_CHECKS,
            Leaf("ImportMPxN", "import_mpxn", TEXT),
        ),
    ),
    "UpdateSecurityCredentialsKRP": Layout(
        model.UpdateSecurityCredentialsKRP,
        (
            _EXECUTION,
            *_REMOTE_PARTY,
            Group(
                "ReplacementCertificates",
                (Group("SupplierOrNetworkOperatorCertificates", _CERTIFICATES),),
            ),
            _PATH,
            _TIME_CHECKS,
        ),
    ),
    "RequestHandoverOfDCCControlledDevice": Layout(
        model.RequestHandoverOfDCCControlledDevice,
        (
            _EXECUTION,
            *_REMOTE_PARTY,
            Group("ReplacementCertificates", _CERTIFICATES),
            _PATH,
            _TIME_CHECKS,
        ),
    ),
    "UpdateSecurityCredentialsDevice": Layout(
        model.UpdateSecurityCredentialsDevice,
        (Leaf("DeviceCertificate", "device_certificate", OCTETS),),
    ),
    "IssueSecurityCredentials": Layout(
        model.IssueSecurityCredentials,
        (Leaf("CredentialType", "credential_type", CREDENTIAL_TYPE),),
    ),
    "RetrieveDeviceSecurityCredentialsKRP": Layout(
        model.RetrieveDeviceSecurityCredentialsKRP,
        (Leaves("RemotePartyRole", "roles", ROLE),),
    ),
    "RetrieveDeviceSecurityCredentialsDevice": Layout(
        model.RetrieveDeviceSecurityCredentialsDevice,
        (Leaf("CredentialType", "credential_type", CREDENTIAL_TYPE),),
    ),
    "ReadInventory": Layout(
        model.ReadInventory,
        (
            Leaf("UPRN", "uprn", INTEGER),
            Leaf("DeviceID", "device", EUI),
            Leaf("MPxN", "mpxn", TEXT),
            Group(
                "PropertyFilter",
                (
                    Leaf("PostCode", "post_code", TEXT),
                    Leaf("AddressIdentifier", "address_identifier", TEXT),
                ),
                optional=True,
            ),
        ),
    ),
    "SignedPreCommand": Layout(
        model.SignedPreCommand,
        (_EXECUTION, Leaf("GBCSPayload", "gbcs_payload", OCTETS)),
    ),
}

RESPONSE_CONTENTS: dict[str, Layout] = {
    "PreCommand": Layout(
        model.PreCommand,
        (Leaf("GBCSVersion", "gbcs_version", TEXT), Leaf("GBCSPayload", "gbcs_payload", OCTETS)),
    ),
    "FutureDatedDeviceAlertMessage": Layout(
        model.FutureDatedAlert,
        (
            Leaf("FutureDatedAlertCode", "alert_code", ALERT_CODE),
            Leaf("GBCSPayload", "gbcs_payload", OCTETS),
            Leaf("InstructionNumber", "instruction_number", INTEGER),
            Leaf("TotalCommandInstructions", "total_instructions", INTEGER),
        ),
    ),
    "DSPInventory": Layout(
        model.Inventory,
        (
            Record(
                "Device",
                "devices",
                Layout(
                    model.InventoryDevice,
                    (
                        Leaf("DeviceID", "device", EUI),
                        Leaf("DeviceType", "device_type", TEXT),
                        Leaf("DeviceStatus", "status", TEXT),
                        Leaf("DeviceManufacturer", "manufacturer", TEXT),
                        Leaf("DeviceModel", "model", TEXT),
                        Leaf("ImportMPxN", "import_mpxn", TEXT),
                    ),
                ),
                many=True,
            ),
        ),
    ),
}

DEVICE_ALERT = Layout(
    model.DeviceAlert,
    (Leaf("AlertCode", "alert_code", ALERT_CODE), Leaf("GBCSPayload", "gbcs_payload", OCTETS)),
)

_BREACH = Layout(
    alerts.AnomalyBreach,
    (
        Leaf("RequestID", "request_id", REQUEST_ID),
        Leaf("QuarantineEventRef", "event_reference", INTEGER),
    ),
)

DCC_ALERT_CONTENTS: dict[str, Layout] = {
    "ChangeOfSupplier": Layout(
        alerts.ChangeOfSupplier,
        (
            Leaf("ChangeOfSupplierServiceRequestID", "request_id", REQUEST_ID),
            Leaf("ECoSErrorCode", "ecos_error_code", TEXT),
            Record(
                "DeviceChangeOfSupplier",
                "device",
                Layout(
                    alerts.DeviceChangeOfSupplier,
                    (
                        Leaf("DeviceID", "device", EUI),
                        Leaf("DeviceType", "device_type", TEXT),
                        Group(
                            "MPxNs",
                            (
                                Leaf("ImportMPxN", "import_mpxn", TEXT),
                                Leaf("SecondaryImportMPAN", "secondary_import_mpan", TEXT),
                                Leaf("ExportMPAN", "export_mpan", TEXT),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    ),
    "SecurityCredentialsUpdated": Layout(
        alerts.SecurityCredentialsUpdated,
        (
            Leaf("DeviceID", "device", EUI),
            Leaf("RemotePartyRole", "remote_party_role", ROLE),
            Group(
                "RemotePartySeqNumberChange",
                (
                    Leaf("RemotePartyFloorSeqNumber", "floor", INTEGER),
                    Leaf(
                        "RemotePartyPrepaymentTopUpFloorSeqNumber",
                        "prepayment_top_up_floor",
                        INTEGER,
                    ),
                ),
                optional=True,
            ),
            Record(
                "Certificates",
                "certificates",
                Layout(
                    alerts.UpdatedCertificate,
                    (
                        Leaf("CertificateType", "certificate_type", TEXT),
                        Leaf("CertificateHash", "certificate_hash", OCTETS),
                    ),
                ),
                many=True,
            ),
        ),
    ),
    "ECoSAlert": Layout(
        alerts.EcosAlert,
        (
            Leaf("AlertID", "alert_id", REQUEST_ID),
            Leaf("RequestID", "request_id", REQUEST_ID),
            Leaf("ECoSAlertCode", "alert_code", TEXT),
            Leaf("DeviceID", "device", EUI),
            Leaf("AdditionalInformation", "additional_information", TEXT),
        ),
    ),
    "CoSCertificateAlert": Layout(
        alerts.CosCertificateAlert,
        (
            Leaf("DeviceID", "device", EUI),
            Leaf("CertificateSerialNumber", "certificate_serial", INTEGER),
        ),
    ),
    "QuarantinedRequest": Layout(
        alerts.QuarantinedRequest,
        (
            Record("ADUserThresholdBreach", "user_threshold", _BREACH),
            Record("ADDCCThresholdBreach", "dcc_threshold", _BREACH),
            Record("ADAttributeLimitsBreach", "attribute_limits", _BREACH),
        ),
    ),
    "DSPScheduleRemoval": Layout(
        alerts.ScheduleRemoval,
        (
            Leaf("DeviceID", "device", EUI),
            Leaf("DSPScheduleID", "schedule_id", INTEGER),
        ),
    ),
}

HEADER = Layout(
    model.Header,
    (
        Leaf("RequestID", "request_id", REQUEST_ID),
        Leaf("FirstInSequence", "first_in_sequence", BOOLEAN),
        Leaf("PrecedingServiceRequestID", "preceding_request", REQUEST_ID),
        Leaf("CommandVariant", "command_variant", INTEGER),
        Leaf("ServiceReference", "service_reference", TEXT),
        Leaf("ServiceReferenceVariant", "service_reference_variant", TEXT),
    ),
)
