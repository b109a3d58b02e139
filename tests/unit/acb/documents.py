"""One of every kind of document that the broker signs for users, made by what makes them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from acb.model import DeviceRecord, State, Tracked
from acb.peers.replies import Replies
from duis.model import Header, Inventory, InventoryDevice, PreCommand
from duis.request_id import RequestId
from gbcs.codes import AlertCode, Cra, CredentialsReplacementMode
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.payloads.alerts import GenericAlert, encode_generic_alert
from gbcs.payloads.credentials import CellId, Replacement, UpdateCredentials
from gbcs.protect import sign
from tests.unit.meter_sim.estate import Estate, Identity

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ACB = "0253494d00000002"
DEVICE = "0253494dd0000001"
A, B = "0253494d10000000", "0253494d20000000"
REQUEST = RequestId(B, DEVICE, 7)
SIGNING = "supplier/digitalSignature/management"


@cache
def xml_signer() -> Identity:
    """What signs for the broker: a key whose certificate has role 89."""
    return Estate().identity(ACB, "89")


def tracked() -> Tracked:
    return Tracked(
        request_id=REQUEST.text,
        sequence=1,
        originator=B,
        target=DEVICE,
        counter=7,
        service_reference="6.23",
        service_reference_variant="6.23",
        state=State.COMPLETED,
        transaction="transaction",
        cos_party="tcos_party",
        body=b"",
        acknowledgement=None,
        signed_command=None,
        command=None,
        command_counter=None,
        device_response=None,
        response=None,
        response_code=None,
        refusal=None,
        attempts=0,
        quarantine_ref=None,
        accepted_at=AT,
    )


def security_alert() -> Message:
    header = GroupingHeader(Cra.ALERT, 4, DEVICE, A, OtherInformation(0x1000))
    told = GenericAlert.at(AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE, AT, header.counter)
    return sign(Message(header, encode_generic_alert(told), signature=None), xml_signer().sign)


@cache
def documents() -> dict[str, bytes]:
    """By kind: acknowledgement to alert."""
    replies, held = Replies(ACB, xml_signer()), xml_signer().certificate
    header = Header(REQUEST, 1, "6.23", "6.23")
    written = Header(REQUEST, 4, "6.15", "6.15.1")
    device = DeviceRecord(DEVICE, "ESME", "Commissioned", ("1" * 13, "2" * 13, "3" * 13), {}, {})
    alert = security_alert()
    update = UpdateCredentials(
        mode=CredentialsReplacementMode.SUPPLIER_BY_SUPPLIER,
        authorising_counter=7,
        authorising_cell=CellId.from_name(SIGNING),
        replacements=(Replacement(held.der, CellId.from_name(SIGNING)),),
        path_certificates=(held.der,),
        new_floor=9,
    )
    inventory = Inventory((InventoryDevice(DEVICE, "ESME", "", "", "Commissioned", "1" * 13),))
    return {
        "acknowledgement": replies.acknowledgement(header, AT),
        "refusal": replies.refusal(header, "E4", AT),
        "answer": replies.answer(tracked(), "I0", b"\xdf\x09", AT),
        "answer without a device": replies.answer(tracked(), "E20", None, AT),
        "executed": replies.executed(tracked(), AlertCode.FUTURE_DATED_SUCCESS, b"\xdf", AT),
        "pre-command": replies.served(written, PreCommand("4.3", b"\xdf"), AT),
        "inventory": replies.served(Header(REQUEST, 8, "8.2", "8.2"), inventory, AT),
        "security alert": replies.device_alert(alert, 0x8F3D, encode(alert), AT),
        "change refused by the CoS Party": replies.cos_rejected(tracked(), "E00", B, 1, AT),
        "device changed supplier": replies.device_changed_supplier(device, A, 2, AT),
        "credentials updated": replies.credentials_updated(
            DEVICE, update, {SIGNING: held}, A, number=3, at=AT
        ),
        "cos certificate": replies.cos_certificate(DEVICE, held.serial, A, 4, AT),
        "no cos certificate known": replies.cos_certificate(DEVICE, None, A, 5, AT),
        "quarantined": replies.quarantined(REQUEST, 1, everyone=False, number=6, at=AT),
        "quarantined by all": replies.quarantined(REQUEST, 1, everyone=True, number=7, at=AT),
    }
