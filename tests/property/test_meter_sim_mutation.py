"""Whatever is done to a message on its way, no device obeys it, and none falls over."""

from __future__ import annotations

import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import KeyUsage
from gbcs.codes import RemotePartyRole as Role
from gbcs.errors import EncodeError
from gbcs.message import encode
from gbcs.payloads.credentials import SeqNumberChange, SpecialistSeqNumber, encode_update
from gbcs.payloads.device_certificates import (
    CertificateUpdate,
    KeyUsageRequest,
    encode_certificate_update,
    encode_key_usage_request,
)
from meter_sim.checks import meter_checks
from meter_sim.device.contingency import wrap
from meter_sim.device.device_types import TRANS_COS_DS
from meter_sim.device.model import NotUnderstood, OwnKey
from services.chassis.checks import Refused
from tests.unit.meter_sim.estate import (
    TCOS,
    Estate,
    Identity,
    about_own_keys,
    ask_details,
    device_certificate,
    hear,
    key,
    make_book,
)

ESTATE = Estate()
APEX = key("contingency")
SYMMETRIC = bytes(range(16))
ESME = ESTATE.device(
    own={KeyUsage.DIGITAL_SIGNATURE: OwnKey(0, 1)},
    wrapped_contingency=wrap(APEX.public_key(), SYMMETRIC),
)
NEXT = device_certificate(ESTATE, ESME.eui, "digital_signature", generation=1)
HONEST = [
    about_own_keys(
        ESTATE, 0x000A, encode_key_usage_request(KeyUsageRequest(KeyUsage.KEY_AGREEMENT))
    ),
    about_own_keys(ESTATE, 0x000B, encode_certificate_update(CertificateUpdate(NEXT.der))),
    about_own_keys(
        ESTATE, 0x000C, encode_key_usage_request(KeyUsageRequest(KeyUsage.DIGITAL_SIGNATURE))
    ),
    ESTATE.command(Mode.ANY_BY_CONTINGENCY, signer=Identity(APEX, ESTATE.root.certificate))
    .with_fields(plaintext_symmetric_key=SYMMETRIC)
    .data,
    ESTATE.command()
    .with_fields(other_changes=(SeqNumberChange(Role.SUPPLIER, 3, (SpecialistSeqNumber(4),)),))
    .data,
    ESTATE.command(Mode.ACCESS_CONTROL_BROKER_BY_ACB).data,
    ESTATE.command(Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY).with_fields(new_floor=1).data,
    ESTATE.command().with_fields(execution_date_time="20270101000000Z").data,
    encode(ask_details(ESTATE, (Role.SUPPLIER,))),
    encode(
        ask_details(
            ESTATE,
            (Role.SUPPLIER,),
            by=ESTATE.holder(TRANS_COS_DS),
            cell=TRANS_COS_DS,
            originator=TCOS,
        )
    ),
]
EVERY_CHECK = tuple(check.id for check in meter_checks())
ISSUED = {held.der for held in ESME.cells.values()} | {
    replacement.certificate for mode in Mode for replacement in ESTATE.command(mode).replacing()
}


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """An honest message, and the same with octets changed, added, taken away or moved."""
    honest = draw(st.sampled_from(HONEST))
    octets = bytearray(honest)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(octets) - 1)))
        match draw(st.sampled_from(["flip", "set", "insert", "delete", "cut", "repeat"])):
            case "flip":
                octets[at] ^= 1 << draw(st.integers(0, 7))
            case "set":
                octets[at] = draw(st.sampled_from([0x00, 0x7F, 0x80, 0xFF, 0x30, 0x81, 0x82]))
            case "insert":
                octets[at:at] = draw(st.binary(min_size=1, max_size=20))
            case "delete":
                del octets[at : at + draw(st.integers(1, 20))]
            case "cut":
                del octets[at:]
            case _:
                octets[at:at] = octets[at : at + draw(st.integers(1, 100))]
        if not octets:
            break
    return honest, bytes(octets)


def test_each_honest_message_is_obeyed_before_it_is_changed():
    for honest in HONEST:
        assert hear(ESME, honest, ESTATE.means()).response


@settings(max_examples=examples(400), deadline=None)
@given(mutated())
def test_no_mutated_message_is_obeyed(case: tuple[bytes, bytes]):
    honest, changed = case
    if changed == honest:
        return
    with pytest.raises(Refused):
        hear(ESME, changed, ESTATE.means())


@settings(max_examples=examples(150), deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: b"\xdd" + bytes(6) + b))
def test_no_noise_is_obeyed(noise: bytes):
    with pytest.raises(Refused):
        hear(ESME, noise, ESTATE.means())


@settings(max_examples=examples(250), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_even_the_weakest_device_never_falls_over(case: tuple[bytes, bytes]):
    """With every check off it may obey nonsense; what it cannot act on it leaves alone."""
    try:
        reaction = hear(ESME, case[1], ESTATE.means(make_book(*EVERY_CHECK)))
    except NotUnderstood:
        return
    assert reaction.response


@settings(max_examples=examples(250), deadline=None)
@given(st.data())
def test_no_mutated_certificate_becomes_a_devices_own_but_for_what_nobody_can_see(
    data: st.DataObject,
):
    """The supplier itself signs what was done to the certificate, and the Broker vouches for it.

    A device holds no root for it, so its signature and serial may be anything; whom it names, which
    key it certifies and what for are seen.
    """
    changed = bytearray(NEXT.der)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    update = CertificateUpdate(bytes(changed))
    try:
        signed = about_own_keys(ESTATE, 0x000B, encode_certificate_update(update))
    except EncodeError:
        return  # not even one SEQUENCE
    own = hear(ESME, signed, ESTATE.means()).state.own[KeyUsage.DIGITAL_SIGNATURE]
    held = own.certificate
    if held is None:
        assert own == OwnKey(0, 1)
        return
    assert (own.generation, held.der) == (1, bytes(changed))
    assert (held.subject_eui, held.usage, held.public_key) == (
        ESME.eui,
        NEXT.usage,
        NEXT.public_key,
    )


@settings(max_examples=examples(250), deadline=None)
@given(st.data())
def test_no_mutated_payload_puts_anything_but_issued_certificates_into_a_cell(data: st.DataObject):
    """The CoS Party itself signs what was done to the payload, and the Broker vouches for it."""
    command = ESTATE.command()
    payload = bytearray(encode_update(command.update))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at] ^= 1 << data.draw(st.integers(0, 7))
    signed = command.but(payload=bytes(payload)).data
    try:
        reaction = hear(ESME, signed, ESTATE.means())
    except Refused:
        return
    assert {held.der for held in reaction.state.cells.values()} <= ISSUED
