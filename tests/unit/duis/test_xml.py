"""Values to documents and back, and what is refused on either way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from duis.alerts import (
    AnomalyBreach,
    ChangeOfSupplier,
    CosCertificateAlert,
    DccAlert,
    DeviceChangeOfSupplier,
    EcosAlert,
    QuarantinedRequest,
    ScheduleRemoval,
    SecurityCredentialsUpdated,
    UpdatedCertificate,
)
from duis.errors import DuisError, SchemaInvalid, UnsupportedService
from duis.gate import parse, validate
from duis.model import (
    CANCEL_DATE,
    Acknowledgement,
    CredentialType,
    DeviceAlert,
    FutureDatedAlert,
    Header,
    Inventory,
    InventoryDevice,
    IssueSecurityCredentials,
    PreCommand,
    ReadInventory,
    RemotePartyRole,
    RequestHandoverOfDCCControlledDevice,
    Response,
    ResponseMessage,
    RetrieveDeviceSecurityCredentialsDevice,
    RetrieveDeviceSecurityCredentialsKRP,
    ServiceRequest,
    SignedPreCommand,
    UpdateSecurityCredentialsDevice,
    UpdateSecurityCredentialsKRP,
)
from duis.request_id import RequestId
from duis.services import SERVICES
from duis.xml import request_from_xml, request_to_xml, response_from_xml, response_to_xml
from tests.unit.duis.documents import (
    METER,
    REQUEST_ID,
    SUPPLIER,
    Change,
    cos_request,
    put,
    unsigned,
)

AT = datetime(2026, 11, 21, 9, 30, 0, 125000, tzinfo=UTC)


def request(variant, body, command_variant=None):
    service = SERVICES[variant]
    header = Header(
        REQUEST_ID, command_variant or service.plain_variant, service.reference, variant
    )
    return ServiceRequest(header, body)


REQUESTS = {
    "6.23": cos_request(),
    "6.23 at a time": cos_request(execution_date_time=AT),
    "6.23 cancel": cos_request(execution_date_time=CANCEL_DATE),
    "6.23 least": cos_request(
        prepayment_top_up_floor=None, key_agreement=None, key_agreement_top_up=None
    ),
    "6.23 at its limits": cos_request(
        supplier_floor=2**63 - 1,
        prepayment_top_up_floor=0,
        apply_time_checks=False,
        import_mpxn="1",
    ),
    "6.23 in a sequence": replace(
        cos_request(),
        header=Header(REQUEST_ID, 1, "6.23", "6.23", True, RequestId(SUPPLIER, METER, 1005)),
    ),
    "6.15.1": request(
        "6.15.1",
        UpdateSecurityCredentialsKRP(
            RemotePartyRole.SUPPLIER, (b"path", b"root"), AT, 1, 2, b"ds", b"ka", b"top-up", False
        ),
    ),
    "6.15.1 least": request(
        "6.15.1", UpdateSecurityCredentialsKRP(RemotePartyRole.NETWORK_OPERATOR, (b"path",))
    ),
    "6.15.1 signed": request("6.15.1", SignedPreCommand(b"\xdf" * 90, AT), 5),
    "6.15.2": request("6.15.2", UpdateSecurityCredentialsDevice(b"device certificate")),
    "6.17": request("6.17", IssueSecurityCredentials(CredentialType.KEY_AGREEMENT)),
    "6.17 signed": request("6.17", SignedPreCommand(b"\xdf\x09"), 5),
    "6.21": request(
        "6.21",
        RequestHandoverOfDCCControlledDevice(RemotePartyRole.SUPPLIER, b"ds", (b"path",), floor=7),
    ),
    "6.24.1": request("6.24.1", RetrieveDeviceSecurityCredentialsKRP(tuple(RemotePartyRole)[:7])),
    "6.24.2": request(
        "6.24.2", RetrieveDeviceSecurityCredentialsDevice(CredentialType.DIGITAL_SIGNATURE)
    ),
    "8.2 device": request("8.2", ReadInventory(device=METER)),
    "8.2 mpxn": request("8.2", ReadInventory(mpxn="1234567890123")),
    "8.2 uprn": request("8.2", ReadInventory(uprn=999_999_999_999)),
    "8.2 address": request(
        "8.2", ReadInventory(post_code="AB1 2CD", address_identifier="1 & 2 <Mews>")
    ),
}

ANSWER = REQUEST_ID.response_id


def alert(content, code="N42"):
    return Response(None, None, "I0", AT, DccAlert(code, content))


RESPONSES = {
    "acknowledged": Response(REQUEST_ID, None, "I99", AT, Acknowledgement("6.23", "6.23")),
    "refused": Response(REQUEST_ID, None, "E4", AT, Acknowledgement("4.1", "4.1.1")),
    "answered": Response(
        REQUEST_ID, ANSWER, "I0", AT, ResponseMessage("6.23", "6.23", b"\xdf\x09\x02")
    ),
    "failed": Response(REQUEST_ID, ANSWER, "E20", AT, ResponseMessage("6.23", "6.23")),
    "pre-command": Response(
        REQUEST_ID,
        ANSWER,
        "I0",
        AT,
        ResponseMessage("6.15", "6.15.1", content=PreCommand("4.3", b"\xdf")),
    ),
    "future-dated": Response(
        REQUEST_ID,
        ANSWER,
        "I0",
        AT,
        ResponseMessage("6.23", "6.23", content=FutureDatedAlert(0x8F66, b"\xdf", 1, 1)),
    ),
    "inventory": Response(
        REQUEST_ID,
        ANSWER,
        "I0",
        AT,
        ResponseMessage(
            "8.2",
            "8.2",
            content=Inventory(
                (
                    InventoryDevice(
                        METER, "ESME", "0001", "00000001", "Commissioned", "1234567890123"
                    ),
                    InventoryDevice(SUPPLIER, "CHF", "", ""),
                )
            ),
        ),
    ),
    "device alert": Response(None, ANSWER, "I0", AT, DeviceAlert(0x8F3D, b"\xdf\x03")),
    "cos refused": alert(ChangeOfSupplier(REQUEST_ID, "C07"), "N26"),
    "cos refused without code": alert(ChangeOfSupplier(REQUEST_ID), "N26"),
    "cos notice": alert(
        ChangeOfSupplier(
            device=DeviceChangeOfSupplier(METER, "ESME", "1234567890123", "1" * 13, "2" * 13)
        ),
        "N27",
    ),
    "credentials": alert(
        SecurityCredentialsUpdated(
            METER,
            RemotePartyRole.SUPPLIER,
            (
                UpdatedCertificate("DigitalSigning", b"\x11" * 20),
                UpdatedCertificate("KeyAgreement", b"\x22" * 20),
            ),
            1000,
            2000,
        )
    ),
    "credentials without floor": alert(
        SecurityCredentialsUpdated(
            METER, RemotePartyRole.TRANS_COS, (UpdatedCertificate("DigitalSigning", b"\x11" * 20),)
        )
    ),
    "ecos alert": alert(EcosAlert(ANSWER, "A01", METER, REQUEST_ID, "late"), "N64"),
    "ecos alert least": alert(EcosAlert(ANSWER, "A01", METER), "N64"),
    "cos certificate": alert(CosCertificateAlert(METER, 2**159 - 1), "N63"),
    "no cos certificate": alert(CosCertificateAlert(METER), "N63"),
    "quarantined by user": alert(
        QuarantinedRequest(user_threshold=AnomalyBreach(REQUEST_ID, 10**20 - 1)), "AD1"
    ),
    "quarantined by dcc": alert(
        QuarantinedRequest(dcc_threshold=AnomalyBreach(REQUEST_ID, 0)), "AD1"
    ),
    "quarantined by value": alert(
        QuarantinedRequest(attribute_limits=AnomalyBreach(REQUEST_ID, 1)), "AD1"
    ),
    "schedule": alert(ScheduleRemoval(METER, 10**12), "N17"),
}


@pytest.mark.parametrize("value", REQUESTS.values(), ids=REQUESTS)
def test_requests_both_ways(value):
    document = request_to_xml(value)
    assert request_from_xml(document) == value
    assert request_to_xml(request_from_xml(document)) == document
    assert request_from_xml(parse(document)) == value


@pytest.mark.parametrize("value", RESPONSES.values(), ids=RESPONSES)
def test_responses_both_ways(value):
    document = response_to_xml(value)
    assert response_from_xml(document) == value
    assert response_to_xml(response_from_xml(document)) == document


def test_the_whole_document_of_an_acknowledgement():
    assert response_to_xml(RESPONSES["acknowledged"]) == (
        b'<?xml version="1.0" encoding="UTF-8"?>'
        b'<sr:Response xmlns:sr="http://www.dccinterface.co.uk/ServiceUserGateway" '
        b'schemaVersion="5.4">'
        b"<sr:Header><sr:RequestID>02-53-49-4D-10-00-00-00:02-53-49-4D-D0-00-00-01:1006</sr:RequestID>"
        b"<sr:ResponseCode>I99</sr:ResponseCode>"
        b"<sr:ResponseDateTime>2026-11-21T09:30:00.125Z</sr:ResponseDateTime></sr:Header>"
        b"<sr:Body><sr:ResponseMessage><sr:ServiceReference>6.23</sr:ServiceReference>"
        b"<sr:ServiceReferenceVariant>6.23</sr:ServiceReferenceVariant></sr:ResponseMessage></sr:Body>"
        b"</sr:Response>"
    )


def test_times_are_written_in_utc_as_templates_do():
    cancelled = request_to_xml(cos_request(execution_date_time=CANCEL_DATE))
    assert b"<sr:ExecutionDateTime>3000-12-31T00:00:00.00Z<" in cancelled
    elsewhere = datetime(2030, 1, 2, 1, tzinfo=timezone(timedelta(hours=1)))
    document = request_to_xml(cos_request(execution_date_time=elsewhere))
    assert b"<sr:ExecutionDateTime>2030-01-02T00:00:00.00Z<" in document
    assert request_from_xml(document).body.execution_date_time == elsewhere


def test_only_the_cancel_date_cancels():
    assert cos_request(execution_date_time=CANCEL_DATE).body.cancels
    assert not cos_request(execution_date_time=AT).body.cancels
    assert not cos_request().body.cancels


def test_a_response_code_is_read_as_one():
    read = response_from_xml(response_to_xml(RESPONSES["refused"]))
    assert read.code == "E4"
    assert read.code == "E4"


# What header and body must agree about


MISMATCHES = {
    "another reference": (put("Reference>6.23<", "Reference>6.21<"), "unsupported_service"),
    "another variant": (put("Variant>6.23<", "Variant>6.21<"), "unsupported_service"),
    "another service altogether": (
        lambda d: put("Variant>6.23<", "Variant>6.21<")(
            put("Reference>6.23<", "Reference>6.21<")(d)
        ),
        "service_body",
    ),
    "a service that does not exist": (
        lambda d: put("Variant>6.23<", "Variant>6.99<")(
            put("Reference>6.23<", "Reference>6.99<")(d)
        ),
        "unsupported_service",
    ),
    "a Pre-Command for a change of supplier": (
        put("<sr:CommandVariant>1<", "<sr:CommandVariant>4<"),
        "command_variant",
    ),
    "a Signed Pre-Command for it": (
        put("<sr:CommandVariant>1<", "<sr:CommandVariant>5<"),
        "command_variant",
    ),
}


@pytest.mark.parametrize(("change", "reason"), MISMATCHES.values(), ids=MISMATCHES)
def test_parts_of_different_services_are_refused(change, reason):
    with pytest.raises(UnsupportedService) as refused:
        request_from_xml(change(unsigned()))
    assert refused.value.reason == reason


def test_the_body_of_variant_5_is_a_signed_pre_command_and_of_variant_4_it_is_not():
    for variant, body in (
        (4, SignedPreCommand(b"\xdf")),
        (5, IssueSecurityCredentials(CredentialType.KEY_AGREEMENT)),
    ):
        with pytest.raises(UnsupportedService) as refused:
            request_to_xml(request("6.17", body, variant))
        assert refused.value.reason == "service_body"


def test_a_request_is_not_read_as_a_response_nor_the_reverse():
    with pytest.raises(SchemaInvalid, match="document_kind"):
        response_from_xml(unsigned())
    with pytest.raises(SchemaInvalid, match="document_kind"):
        request_from_xml(response_to_xml(RESPONSES["acknowledged"]))


# What the schema lets through and the calendar, base64 or the counter does not


def executed(text: str) -> Change:
    """The request with this text for an execution time."""
    return put(
        "<sr:SupplierFloor", f"<sr:ExecutionDateTime>{text}</sr:ExecutionDateTime><sr:SupplierFloor"
    )


SUBTLE = {
    "a counter of 2^64": (put(":1006<", ":18446744073709551616<"), "request_id_counter"),
    "a time without its zone": (executed("2030-01-02T00:00:00"), "time_zone"),
    "midnight as 24 o'clock without its zone": (executed("2030-01-02T24:00:00"), "time_zone"),
    "a tenth of a microsecond": (executed("2030-01-02T00:00:00.0000001Z"), "time_precision"),
    "a year of five figures": (executed("12030-01-02T00:00:00Z"), "time_range"),
    "a year before Christ": (executed("-2030-01-02T00:00:00Z"), "time_range"),
    "a time before year 1 in UTC": (executed("0001-01-01T00:00:00+00:01"), "time_range"),
    "a time after year 9999 in UTC": (executed("9999-12-31T23:59:59-00:01"), "time_range"),
    "the end of year 9999": (executed("9999-12-31T24:00:00Z"), "time_range"),
}


@pytest.mark.parametrize(("change", "reason"), SUBTLE.values(), ids=SUBTLE)
def test_values_a_schema_cannot_judge_are_judged(change, reason):
    validate(parse(change(unsigned())))
    with pytest.raises(SchemaInvalid) as refused:
        request_from_xml(change(unsigned()))
    assert refused.value.reason == reason
    assert refused.value.detail


def test_a_response_code_nobody_listed_is_refused():
    document = put(">I99<", ">E9<")(response_to_xml(RESPONSES["acknowledged"]))
    with pytest.raises(SchemaInvalid, match="response_code"):
        response_from_xml(document)


# Writing


UNWRITABLE = {
    "a floor of 2^63": (cos_request(supplier_floor=2**63), "schema"),
    "a floor below zero": (cos_request(supplier_floor=-1), "schema"),
    "no path": (cos_request(path_certificates=()), "schema"),
    "four on the path": (cos_request(path_certificates=(b"a",) * 4), "schema"),
    "an empty certificate": (cos_request(digital_signing=b""), "schema"),
    "an MPxN with letters": (cos_request(import_mpxn="12A"), "schema"),
    "an MPxN that would be markup": (cos_request(import_mpxn="<a/>"), "schema"),
    "a control character": (cos_request(import_mpxn="12\x01"), "value_not_writable"),
    "only white space": (cos_request(import_mpxn="  "), "value_not_writable"),
    "octets for text": (cos_request(import_mpxn=b"12"), "schema"),
    "text for octets": (cos_request(digital_signing="text"), "value_not_writable"),
    "a number for a path": (cos_request(path_certificates=3), "value_not_writable"),
    "a time without zone": (
        cos_request(execution_date_time=datetime(2030, 1, 1)),  # noqa: DTZ001 - the point of it
        "time_zone",
    ),
    "a time before time": (
        cos_request(execution_date_time=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
        "value_not_writable",
    ),
    "no key for the inventory": (request("8.2", ReadInventory()), "schema"),
    "two keys for the inventory": (request("8.2", ReadInventory(device=METER, mpxn="1")), "schema"),
    "half an address": (request("8.2", ReadInventory(post_code="AB1 2CD")), "schema"),
    "an identifier in another form": (
        request("8.2", ReadInventory(device="02-53-49-4D-D0-00-00-01")),
        "entity_identifier",
    ),
    "no role": (request("6.24.1", RetrieveDeviceSecurityCredentialsKRP(())), "schema"),
    "eight roles": (
        request("6.24.1", RetrieveDeviceSecurityCredentialsKRP((RemotePartyRole.ROOT,) * 8)),
        "schema",
    ),
    "no body at all": (replace(cos_request(), body=None), "schema"),
}


@pytest.mark.parametrize(("value", "reason"), UNWRITABLE.values(), ids=UNWRITABLE)
def test_nothing_is_written_that_could_not_be_read(value, reason):
    with pytest.raises(SchemaInvalid) as refused:
        request_to_xml(value)
    assert refused.value.reason == reason


UNWRITABLE_RESPONSES = {
    "a code nobody listed": (replace(RESPONSES["refused"], code="E9"), "response_code"),
    "an acknowledgement with a ResponseID": (
        replace(RESPONSES["refused"], response_id=ANSWER),
        "acknowledgement",
    ),
    "an empty answer without one": (
        replace(RESPONSES["failed"], response_id=None),
        "acknowledgement",
    ),
    "two contents": (
        replace(
            RESPONSES["answered"],
            body=ResponseMessage("6.23", "6.23", b"\xdf", PreCommand("4.3", b"\xdf")),
        ),
        "schema",
    ),
    "a reason of four characters": (alert(ChangeOfSupplier(REQUEST_ID, "C070")), "schema"),
    "a notice for nobody": (alert(ChangeOfSupplier()), "schema"),
    "a notice for two": (
        alert(ChangeOfSupplier(REQUEST_ID, None, DeviceChangeOfSupplier(METER, "ESME", "1"))),
        "schema",
    ),
    "an alert number that is not used": (alert(CosCertificateAlert(METER), "N32"), "schema"),
    "an alert about nothing known": (alert(Acknowledgement("6.23", "6.23")), "schema"),
    "an alert code of three octets": (
        replace(RESPONSES["device alert"], body=DeviceAlert(0x18F3D, b"\xdf")),
        "schema",
    ),
    "a breach of two kinds": (
        alert(QuarantinedRequest(AnomalyBreach(REQUEST_ID, 1), AnomalyBreach(REQUEST_ID, 1))),
        "schema",
    ),
    "a kind of device nobody knows": (
        alert(ChangeOfSupplier(device=DeviceChangeOfSupplier(METER, "TOASTER", "1"))),
        "schema",
    ),
}


@pytest.mark.parametrize(
    ("value", "reason"), UNWRITABLE_RESPONSES.values(), ids=UNWRITABLE_RESPONSES
)
def test_no_response_is_written_that_could_not_be_read(value, reason):
    with pytest.raises(SchemaInvalid) as refused:
        response_to_xml(value)
    assert refused.value.reason == reason


def test_an_empty_content_is_left_out_where_it_is_optional():
    document = response_to_xml(RESPONSES["credentials without floor"])
    assert b"RemotePartySeqNumberChange" not in document


def test_every_service_of_the_catalogue_can_be_asked_for():
    asked = {value.header.service_reference_variant for value in REQUESTS.values()}
    assert asked == set(SERVICES)


def test_a_refusal_is_of_this_room():
    assert issubclass(SchemaInvalid, DuisError)
    with pytest.raises(DuisError):
        request_from_xml(b"")
