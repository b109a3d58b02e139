"""Where every field of every body lives. Source: DUIS 5.4 (docs/sources.md#services, #codes)."""

from __future__ import annotations

from duis import alerts, model
from duis.codes import RESPONSE_CODES
from duis.layout import Choice, Group, Layout, Leaf, Leaves, Record
from duis.text_forms import (
    ALERT_CODE,
    BOOLEAN,
    CREDENTIAL_TYPE,
    DATE_TIME,
    DEVICE_TYPE,
    ELECTRICITY_METER_POINT,
    EUI,
    FLOOR,
    INTEGER,
    METER_POINT,
    OCTETS,
    REQUEST_ID,
    ROLE,
    SERVICE,
    SHORT_TEXT,
    TEXT,
    exactly,
    number_of,
    one_of,
)

_EXECUTION = Leaf("ExecutionDateTime", "execution_date_time", DATE_TIME)
_AGREEMENTS = (
    Leaf("KeyAgreementCertificate", "key_agreement", OCTETS),
    Leaf("KeyAgreementTopUpCertificate", "key_agreement_top_up", OCTETS),
)
_SIGNING = Leaf("DigitalSigningCertificate", "digital_signing", OCTETS)
_CERTIFICATES = (
    Leaf("DigitalSigningCertificate", "digital_signing", OCTETS, needed=True),
    *_AGREEMENTS,
)
_PATH = Group(
    "CertificationPathCertificates", (Leaves("Certificate", "path_certificates", OCTETS, 3),)
)
_TIME_CHECKS = Leaf("ApplyTimeBasedCPVChecks", "apply_time_checks", BOOLEAN, needed=True)
_STATUS = exactly(
    "Pending|Whitelisted|InstalledNotCommissioned|Commissioned|Decommissioned"
    "|Withdrawn|Suspended|Recovery|Recovered"
)
_CERTIFICATE_TYPE = exactly("DigitalSigning|KeyAgreement|KeyAgreementTopUp")
_ORDINAL = number_of(r"0|[1-9][0-9]{0,3}")
_REMOTE_PARTY = (
    Leaf("RemotePartyRole", "remote_party_role", ROLE, needed=True),
    Leaf("RemotePartyFloorSeqNumber", "floor", FLOOR),
    Leaf("RemotePartyPrepaymentTopUpFloorSeqNumber", "prepayment_top_up_floor", FLOOR),
)

REQUEST_BODIES: dict[str, Layout] = {
    "UpdateSecurityCredentialsCoS": Layout(
        model.UpdateSecurityCredentialsCoS,
        (
            _EXECUTION,
            Leaf("SupplierFloorSeqNumber", "supplier_floor", FLOOR, needed=True),
            Leaf("SupplierPrepaymentTopUpFloorSeqNumber", "prepayment_top_up_floor", FLOOR),
            Group("SupplierReplacementCertificates", _CERTIFICATES),
            _PATH,
            _TIME_CHECKS,
            Leaf("ImportMPxN", "import_mpxn", METER_POINT, needed=True),
        ),
    ),
    "UpdateSecurityCredentialsKRP": Layout(
        model.UpdateSecurityCredentialsKRP,
        (
            _EXECUTION,
            *_REMOTE_PARTY,
            Group(
                "ReplacementCertificates",
                (Group("SupplierOrNetworkOperatorCertificates", (_SIGNING, *_AGREEMENTS)),),
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
        (Leaf("DeviceCertificate", "device_certificate", OCTETS, needed=True),),
    ),
    "IssueSecurityCredentials": Layout(
        model.IssueSecurityCredentials,
        (Leaf("CredentialType", "credential_type", CREDENTIAL_TYPE, needed=True),),
    ),
    "RetrieveDeviceSecurityCredentialsKRP": Layout(
        model.RetrieveDeviceSecurityCredentialsKRP,
        (Leaves("RemotePartyRole", "roles", ROLE, 7),),
    ),
    "RetrieveDeviceSecurityCredentialsDevice": Layout(
        model.RetrieveDeviceSecurityCredentialsDevice,
        (Leaf("CredentialType", "credential_type", CREDENTIAL_TYPE, needed=True),),
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
        (_EXECUTION, Leaf("GBCSPayload", "gbcs_payload", OCTETS, needed=True)),
    ),
}

RESPONSE_CONTENTS: dict[str, Layout] = {
    "PreCommand": Layout(
        model.PreCommand,
        (
            Leaf("GBCSVersion", "gbcs_version", exactly(r"[0-9A-Za-z.]{1,30}"), needed=True),
            Leaf("GBCSPayload", "gbcs_payload", OCTETS, needed=True),
        ),
    ),
    "FutureDatedDeviceAlertMessage": Layout(
        model.FutureDatedAlert,
        (
            Leaf("FutureDatedAlertCode", "alert_code", ALERT_CODE, needed=True),
            Leaf("GBCSPayload", "gbcs_payload", OCTETS, needed=True),
            Leaf("InstructionNumber", "instruction_number", _ORDINAL, needed=True),
            Leaf("TotalCommandInstructions", "total_instructions", _ORDINAL, needed=True),
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
                        Leaf("DeviceID", "device", EUI, needed=True),
                        Leaf("DeviceType", "device_type", DEVICE_TYPE, needed=True),
                        Leaf("DeviceStatus", "status", _STATUS),
                        Leaf("DeviceManufacturer", "manufacturer", SHORT_TEXT, needed=True),
                        Leaf("DeviceModel", "model", SHORT_TEXT, needed=True),
                        Leaf("ImportMPxN", "import_mpxn", METER_POINT),
                    ),
                ),
                most=17,
            ),
        ),
    ),
}

DEVICE_ALERT = Layout(
    model.DeviceAlert,
    (
        Leaf("AlertCode", "alert_code", ALERT_CODE, needed=True),
        Leaf("GBCSPayload", "gbcs_payload", OCTETS, needed=True),
    ),
)

_BREACH = Layout(
    alerts.AnomalyBreach,
    (
        Leaf("RequestID", "request_id", REQUEST_ID, needed=True),
        Leaf(
            "QuarantineEventRef", "event_reference", number_of(r"0|[1-9][0-9]{0,17}"), needed=True
        ),
    ),
)

_CHANGED_DEVICE = Layout(
    alerts.DeviceChangeOfSupplier,
    (
        Leaf("DeviceID", "device", EUI, needed=True),
        Leaf("DeviceType", "device_type", DEVICE_TYPE, needed=True),
        Group(
            "MPxNs",
            (
                Leaf("ImportMPxN", "import_mpxn", METER_POINT, needed=True),
                Leaf("SecondaryImportMPAN", "secondary_import_mpan", ELECTRICITY_METER_POINT),
                Leaf("ExportMPAN", "export_mpan", ELECTRICITY_METER_POINT),
            ),
        ),
    ),
)
_REQUEST_REFUSED = (
    Leaf("ChangeOfSupplierServiceRequestID", "request_id", REQUEST_ID, needed=True),
    Leaf("ECoSErrorCode", "ecos_error_code", exactly("[A-Z0-9]{3}")),
)

DCC_ALERT_CONTENTS: dict[str, Layout] = {
    "ChangeOfSupplier": Layout(
        alerts.ChangeOfSupplier,
        (
            Choice(
                (
                    _REQUEST_REFUSED,
                    (Record("DeviceChangeOfSupplier", "device", _CHANGED_DEVICE, needed=True),),
                )
            ),
        ),
    ),
    "SecurityCredentialsUpdated": Layout(
        alerts.SecurityCredentialsUpdated,
        (
            Leaf("DeviceID", "device", EUI, needed=True),
            Leaf("RemotePartyRole", "remote_party_role", ROLE, needed=True),
            Group(
                "RemotePartySeqNumberChange",
                (
                    Leaf("RemotePartyFloorSeqNumber", "floor", FLOOR, needed=True),
                    Leaf(
                        "RemotePartyPrepaymentTopUpFloorSeqNumber",
                        "prepayment_top_up_floor",
                        FLOOR,
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
                        Leaf("CertificateType", "certificate_type", _CERTIFICATE_TYPE, needed=True),
                        Leaf("CertificateHash", "certificate_hash", OCTETS, needed=True),
                    ),
                ),
                most=3,
            ),
        ),
    ),
    "ECoSAlert": Layout(
        alerts.EcosAlert,
        (
            Leaf("AlertID", "alert_id", REQUEST_ID, needed=True),
            Leaf("RequestID", "request_id", REQUEST_ID),
            Leaf("ECoSAlertCode", "alert_code", exactly("[A-Z0-9]{1,30}"), needed=True),
            Leaf("DeviceID", "device", EUI, needed=True),
            Leaf("AdditionalInformation", "additional_information", SHORT_TEXT),
        ),
    ),
    "CoSCertificateAlert": Layout(
        alerts.CosCertificateAlert,
        (
            Leaf("DeviceID", "device", EUI, needed=True),
            Leaf("CertificateSerialNumber", "certificate_serial", number_of("0|[1-9][0-9]{0,46}")),
        ),
    ),
    "QuarantinedRequest": Layout(
        alerts.QuarantinedRequest,
        (
            Choice(
                (
                    (Record("ADUserThresholdBreach", "user_threshold", _BREACH, needed=True),),
                    (Record("ADDCCThresholdBreach", "dcc_threshold", _BREACH, needed=True),),
                    (Record("ADAttributeLimitsBreach", "attribute_limits", _BREACH, needed=True),),
                )
            ),
        ),
    ),
    "DSPScheduleRemoval": Layout(
        alerts.ScheduleRemoval,
        (
            Leaf("DeviceID", "device", EUI, needed=True),
            Leaf("DSPScheduleID", "schedule_id", number_of("0|[1-9][0-9]{0,11}"), needed=True),
        ),
    ),
}

HEADER = Layout(
    model.Header,
    (
        Leaf("RequestID", "request_id", REQUEST_ID, needed=True),
        Leaf("FirstInSequence", "first_in_sequence", BOOLEAN),
        Leaf("PrecedingServiceRequestID", "preceding_request", REQUEST_ID),
        Leaf("CommandVariant", "command_variant", number_of("[1-8]"), needed=True),
        Leaf("ServiceReference", "service_reference", SERVICE, needed=True),
        Leaf("ServiceReferenceVariant", "service_reference_variant", SERVICE, needed=True),
    ),
)

RESPONSE_HEADER = Layout(
    dict,
    (
        Leaf("RequestID", "request_id", REQUEST_ID),
        Leaf("ResponseID", "response_id", REQUEST_ID),
        Leaf("ResponseCode", "code", exactly(one_of(sorted(RESPONSE_CODES))), needed=True),
        Leaf("ResponseDateTime", "at", DATE_TIME, needed=True),
    ),
)
_ANSWERED = (
    Leaf("ServiceReference", "service_reference", SERVICE, needed=True),
    Leaf("ServiceReferenceVariant", "variant", SERVICE, needed=True),
)
_ALERT_CODE = Leaf(
    "DCCAlertCode",
    "alert_code",
    exactly("AD1|N999|N(?:[1-9]|[12][0-9]|3[013-9]|[45][0-9]|6[0-5])"),
    needed=True,
)

RESPONSE_BODIES: dict[tuple[str, str], Layout] = {
    ("ResponseMessage", ""): Layout(model.ResponseMessage, _ANSWERED),
    ("ResponseMessage", "GBCSPayload"): Layout(
        model.ResponseMessage,
        (*_ANSWERED, Leaf("GBCSPayload", "gbcs_payload", OCTETS, needed=True)),
    ),
    **{
        ("ResponseMessage", name): Layout(
            model.ResponseMessage, (*_ANSWERED, Record(name, "content", layout, needed=True))
        )
        for name, layout in RESPONSE_CONTENTS.items()
    },
    ("DeviceAlertMessage", ""): DEVICE_ALERT,
    **{
        ("DCCAlertMessage", name): Layout(
            alerts.DccAlert,
            (_ALERT_CODE, Group("DCCAlert", (Record(name, "content", layout, needed=True),))),
        )
        for name, layout in DCC_ALERT_CONTENTS.items()
    },
}
"""Each kind of response by its body's element and what is in it, for its exact spelling."""
