"""A device given the published test credentials hears the published Commands.

The published device keys are public halves only, so what a device does with its private keys is
stood in for: Z is agreed with the Broker's published private key, and answers are signed with a
key of the test. Root ZA is not published either; its one published child, Z1, stands in the root
cell, so that paths are really built and verified to a certificate the device holds.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gbcs.codes import RemotePartyRole, StatusCode
from gbcs.message import Message, decode, encode
from gbcs.payloads.credentials import (
    CellId,
    UpdateCredentials,
    decode_alert,
    decode_response,
    decode_update,
)
from gbcs.payloads.details import decode_details
from gbcs.protect import verify_mac, verify_signature
from keys.certificate import Certificate
from keys.stores.private import agree, sign_raw
from meter_sim.checks import meter_checks
from meter_sim.device.device_types import (
    ACB_DS,
    ACB_KA,
    NETWORK_DS,
    NETWORK_KA,
    RECOVERY_DS,
    ROOT,
    SUPPLIER_CELLS,
    SUPPLIER_DS,
    SUPPLIER_KA,
    SUPPLIER_TOP_UP,
    TRANS_COS_DS,
    WAN_PROVIDER_DS,
    DeviceType,
)
from meter_sim.device.future import execute
from meter_sim.device.model import Counters, DeviceContext, DeviceState, Reaction
from meter_sim.device.processing import process
from services.chassis.checks import CheckBook, Refused

ESME = "00db1234567890a0"
CHF = "00db1234567890a2"
GPF = "00db1234567890a3"
ACB = "90b3d51f30000002"
SUPPLIER_1 = "90b3d51f30010000"
SUPPLIER_2 = "90b3d51f30030000"
WHEN = datetime(2018, 6, 1, tzinfo=UTC)  # within the validity of all published certificates
OWN_KEY = ec.derive_private_key(0x51A7E, ec.SECP256R1())

COS = "CS02bSupplierByTransCoS_6.23_IMMEDIATE_SUCCESS"
COS_LATER = "CS02bSupplierByTransCoS_6.23_FUTURE_DATED_SUCCESS"
COS_ALERT = "CS02bSupplierByTransCoS_6.23_8F66_FUTURE_DATED_SUCCESS_ALERT"
MIGRATION = "CS02bTransCoSByTransCoS_NA_SUCCESS"
RENEWAL = "CS02bSupplierBySupplier_6.15.1_IMMEDIATE_SUCCESS"
RENEWAL_ERROR = "CS02bSupplierBySupplier_6.15.1_IMMEDIATE_ERROR"
HANDOVER = "CS02bSupplierBySupplierHandover_6.21_SUCCESS"

CELLS = {
    RECOVERY_DS: "90b3d51f30000001-ds",
    SUPPLIER_DS: f"{SUPPLIER_1}-ds",
    SUPPLIER_KA: f"{SUPPLIER_1}-ka",
    SUPPLIER_TOP_UP: f"{SUPPLIER_1}-pp-ka",
    NETWORK_DS: "90b3d51f30020000-ds",
    NETWORK_KA: "90b3d51f30020000-ka",
    ACB_KA: f"{ACB}-ka",
    TRANS_COS_DS: "90b3d51f30000004-ds",
}


class Published:
    """The published vectors and credentials."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def octets(self, name: str) -> bytes:
        return bytes.fromhex((self.folder / f"{name}_GBCS.HEX").read_text().strip())

    def certificate(self, name: str) -> Certificate:
        return Certificate.from_pem((self.folder / "keystore" / f"{name}.pem").read_bytes())

    def private(self, name: str) -> ec.EllipticCurvePrivateKey:
        key = load_pem_private_key((self.folder / "keystore" / f"{name}.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def update(self, name: str) -> UpdateCredentials:
        return decode_update(decode(self.octets(f"{name}_COMMAND")).payload)

    def issuing(self) -> Certificate:
        """Z1, as the published Commands carry it."""
        return Certificate.from_der(self.update(COS).path_certificates[0])

    def device(self, eui: str = ESME, kind: DeviceType = DeviceType.ESME) -> DeviceState:
        cells: dict[CellId, Certificate] = {ROOT: self.issuing()}
        cells |= {cell: self.certificate(name) for cell, name in CELLS.items()}
        if kind is DeviceType.GPF:  # as installed: the Broker holds the supplier's cells
            cells[SUPPLIER_DS] = self.certificate(f"{ACB}-ds")
            cells[SUPPLIER_KA] = cells[SUPPLIER_TOP_UP] = self.certificate(f"{ACB}-ka")
        if kind is DeviceType.CHF:
            cells[ACB_DS] = self.certificate(f"{ACB}-ds")
            cells[WAN_PROVIDER_DS] = self.certificate("90b3d51f30000007-ds")
        return DeviceState(eui, kind, cells)

    def z(self, eui: str) -> bytes:
        return agree(self.private(f"{ACB}-ka"), self.certificate(f"{eui}-ka"))


class StandIn:
    """What the device would do with the private keys that are not published."""

    def __init__(self, z: bytes) -> None:
        self.z = z

    def sign(self, data: bytes) -> bytes:
        return sign_raw(OWN_KEY, data)

    def shared_secret(self, peer: Certificate) -> bytes:
        assert peer.subject_eui == ACB
        return self.z


@pytest.fixture(scope="module")
def published(shared_dir: Path) -> Published:
    return Published(shared_dir / "rtds")


def means(published: Published, eui: str, at: datetime, *off: str) -> DeviceContext:
    book = CheckBook("meter_sim", meter_checks())
    for check in off:
        book.turn_off(check)
    return DeviceContext(StandIn(published.z(eui)), at, book)


def hear(
    published: Published,
    data: bytes,
    state: DeviceState | None = None,
    *off: str,
    at: datetime = WHEN,
) -> Reaction:
    device = state or published.device()
    with_means = means(published, device.eui, at, *off)
    run = with_means.book.start("published", section="request")
    return process(device, data, with_means, run)


def same_but_for_what_only_the_device_can_make(ours: bytes, theirs: bytes) -> None:
    """Same header, form and payload values; the time, and the signature's value, are its own."""
    mine, published = decode(ours), decode(theirs)
    assert (mine.header.date_time is None) == (published.header.date_time is None)
    assert replace(mine.header, date_time=None) == replace(published.header, date_time=None)
    assert (mine.mac is None) == (published.mac is None)
    assert len(mine.signature or b"") == len(published.signature or b"") == 64
    verify_signature(mine, OWN_KEY.public_key())


def test_the_published_change_of_supplier_is_obeyed_and_answered_alike(published: Published):
    state = published.device()
    reaction = hear(published, published.octets(f"{COS}_COMMAND"))

    assert {state.cells[cell].subject_eui for cell in SUPPLIER_CELLS} == {SUPPLIER_1}
    assert {reaction.state.cells[cell].subject_eui for cell in SUPPLIER_CELLS} == {SUPPLIER_2}
    assert reaction.state.counters.credentials == {
        RemotePartyRole.TRANSITIONAL_COS: 6001,
        RemotePartyRole.SUPPLIER: 0,
    }
    theirs = published.octets(f"{COS}_RESPONSE")
    same_but_for_what_only_the_device_can_make(reaction.response, theirs)
    assert decode_response(decode(reaction.response).payload) == decode_response(
        decode(theirs).payload
    )


@pytest.mark.parametrize("name", [RENEWAL, RENEWAL_ERROR])
def test_a_suppliers_renewal_and_the_one_that_fails_in_one_cell(published: Published, name: str):
    """The failing one names an authority that it does not supply: noTrustAnchor in that cell."""
    reaction = hear(published, published.octets(f"{name}_COMMAND"))
    theirs = published.octets(f"{name}_RESPONSE")
    same_but_for_what_only_the_device_can_make(reaction.response, theirs)
    assert decode_response(decode(reaction.response).payload) == decode_response(
        decode(theirs).payload
    )


def test_the_published_migration_of_the_cos_cell(published: Published):
    theirs = published.octets(f"{MIGRATION}_RESPONSE")
    reaction = hear(published, published.octets(f"{MIGRATION}_COMMAND"))
    same_but_for_what_only_the_device_can_make(reaction.response, theirs)
    assert decode(reaction.response).payload == decode(theirs).payload
    outcome = decode_response(decode(theirs).payload).outcome
    assert outcome is not None
    assert [one.status for one in outcome.outcomes] == [StatusCode.SUCCESS]


def test_the_published_handover_of_a_gas_proxy(published: Published):
    command = published.octets(f"{HANDOVER}_COMMAND")
    state = published.device(decode(command).header.recipient, DeviceType.GPF)
    reaction = hear(published, command, state)
    theirs = published.octets(f"{HANDOVER}_RESPONSE")
    same_but_for_what_only_the_device_can_make(reaction.response, theirs)
    ours = decode_response(decode(reaction.response).payload)
    assert ours == decode_response(decode(theirs).payload)
    assert ours.outcome is not None
    assert {one.status for one in ours.outcome.outcomes} == {StatusCode.SUCCESS}
    assert {one.existing_subject.hex() for one in ours.outcome.outcomes} == {ACB}


ANSWERED = [COS, COS_LATER, MIGRATION, RENEWAL, RENEWAL_ERROR, HANDOVER]
AS_DER = {COS_LATER, MIGRATION}  # the others' lengths are not minimal


@pytest.mark.parametrize("name", ANSWERED)
def test_a_device_that_writes_lengths_as_published_writes_the_published_octets(
    published: Published, name: str
):
    command = published.octets(f"{name}_COMMAND")
    eui = decode(command).header.recipient
    state = published.device(eui, DeviceType.GPF if name == HANDOVER else DeviceType.ESME)
    theirs = decode(published.octets(f"{name}_RESPONSE")).payload
    odd = replace(means(published, eui, WHEN), long_lengths=True)
    run = odd.book.start("published", section="request")
    assert decode(process(state, command, odd, run).response).payload == theirs
    assert (decode(hear(published, command, state).response).payload == theirs) is (name in AS_DER)


def test_every_published_answer_is_compared(published: Published):
    """Each Response and Alert that is published is one that a test here or beside this compares."""
    details = {"CS02aMAC_6.24.1_SUCCESS", "CS02aSignature_NA_SUCCESS"}
    own_keys = {"CS02c_6.17_SUCCESS", "CS02d_6.15.2_SUCCESS", "CS02e_6.24.2_SUCCESS"}
    compared = {f"{name}_RESPONSE" for name in {*ANSWERED, *details, *own_keys}} | {COS_ALERT}
    files = [file.name.removesuffix("_GBCS.HEX") for file in published.folder.glob("*.HEX")]
    answers = {name for name in files if name.endswith(("_RESPONSE", "_ALERT"))}
    assert answers == compared
    commands = {name for name in files if name.endswith("_COMMAND")}
    assert commands == {name.replace("_RESPONSE", "_COMMAND") for name in compared - {COS_ALERT}}


def test_the_published_future_dated_change_and_its_alert(published: Published):
    reaction = hear(published, published.octets(f"{COS_LATER}_COMMAND"))
    theirs = published.octets(f"{COS_LATER}_RESPONSE")
    same_but_for_what_only_the_device_can_make(reaction.response, theirs)
    assert decode(reaction.response).payload == decode(theirs).payload
    assert reaction.state.cells == published.device().cells

    alert = published.octets(COS_ALERT)
    state = replace(reaction.state, alert_counter=decode(alert).header.counter - 1)
    # The published date is after the published certificates expired: time is what is off here.
    due = datetime(2030, 1, 2, tzinfo=UTC)
    late = means(published, ESME, due, "meter.certificate.validity")
    done = execute(state, RemotePartyRole.TRANSITIONAL_COS, late)

    same_but_for_what_only_the_device_can_make(done.response, alert)
    assert decode_alert(decode(done.response).payload) == decode_alert(decode(alert).payload)
    odd = execute(state, RemotePartyRole.TRANSITIONAL_COS, replace(late, long_lengths=True))
    assert decode(odd.response).payload == decode(alert).payload
    on_time = execute(state, RemotePartyRole.TRANSITIONAL_COS, means(published, ESME, due))
    assert decode_alert(decode(on_time.response).payload).alert_code == 0x8F67


@pytest.mark.parametrize(("eui", "kind"), [(ESME, DeviceType.ESME), (CHF, DeviceType.CHF)])
def test_published_questions_about_credentials_are_answered_alike(
    published: Published, eui: str, kind: DeviceType
):
    name = "CS02aMAC_6.24.1_SUCCESS" if eui == ESME else "CS02aSignature_NA_SUCCESS"
    theirs = decode(published.octets(f"{name}_RESPONSE"))
    counted = {
        role.role: role.current_counter or 0 for role in decode_details(theirs.payload).roles
    }
    state = replace(published.device(eui, kind), counters=Counters(credentials=counted))

    reaction = hear(published, published.octets(f"{name}_COMMAND"), state)

    ours = decode(reaction.response)
    assert ours.header == theirs.header
    assert decode_details(ours.payload) == decode_details(theirs.payload)
    assert (ours.signature, len(ours.mac or b"")) == (theirs.signature, 12)
    verify_mac(ours, published.z(eui))
    # Where lengths are not minimal the MAC is over other octets. Written alike, the whole answer is
    # what was published, with its MAC.
    verify_mac(theirs, published.z(eui))
    assert (reaction.response == encode(theirs)) is (kind is DeviceType.CHF)
    as_written = replace(means(published, eui, WHEN), long_lengths=True)
    run = as_written.book.start("published", section="request")
    data = published.octets(f"{name}_COMMAND")
    assert process(state, data, as_written, run).response == encode(theirs)


@pytest.mark.parametrize("name", [COS, COS_LATER, MIGRATION, RENEWAL, RENEWAL_ERROR])
def test_published_commands_are_for_one_device_and_one_time(published: Published, name: str):
    data = published.octets(f"{name}_COMMAND")
    after = hear(published, data).state
    # A renewal sets a floor of 0 and a new key, so that it is the key that no longer fits.
    renewed = name in {RENEWAL, RENEWAL_ERROR}
    assert refusal(published, data, after) == ("meter.signature" if renewed else "meter.counter")
    assert refusal(published, data, published.device(GPF, DeviceType.GPF)) == "meter.recipient"


@pytest.mark.parametrize("name", [COS, COS_LATER, MIGRATION, RENEWAL])
def test_a_published_command_without_the_brokers_mac_is_not_heard(published: Published, name: str):
    message = decode(published.octets(f"{name}_COMMAND"))
    assert refusal(published, encode(replace(message, mac=None))) == "meter.mac"
    assert refusal(published, pre_command(message)) in {"meter.mac", "meter.signature"}
    swapped = decode(published.octets(f"{RENEWAL_ERROR}_COMMAND")).mac
    assert refusal(published, encode(replace(message, mac=swapped))) == "meter.mac"


def test_the_published_pre_command_is_nothing_to_a_device(published: Published):
    assert refusal(published, published.octets(f"{RENEWAL}_PRECOMMAND")) == "meter.mac"


def test_without_a_root_that_signed_it_no_published_certificate_goes_in(published: Published):
    """The published root ZA is not to be had: with any other in its place every path ends."""
    state = published.device()
    state = replace(state, cells={**state.cells, ROOT: state.cells[RECOVERY_DS]})
    reaction = hear(published, published.octets(f"{COS}_COMMAND"), state)
    assert {cell.status for cell in reaction.cells} == {StatusCode.NO_TRUST_ANCHOR}
    assert reaction.state.cells == state.cells


def refusal(published: Published, data: bytes, state: DeviceState | None = None) -> str:
    with pytest.raises(Refused) as refused:
        hear(published, data, state)
    return refused.value.check


def pre_command(message: Message) -> bytes:
    return encode(replace(message, mac=None, signature=None))
