"""CS02c, CS02d and CS02e: a device makes a key pair, is given its certificate, and uses it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gbcs.codes import (
    CertificateReadFailure,
    CertificateUpdateResult,
    CertificationRequestFailure,
    KeyUsage,
    RemotePartyRole,
)
from gbcs.errors import SignatureInvalid
from gbcs.message import Message, decode
from gbcs.payloads.device_certificates import (
    CertificateUpdate,
    KeyUsageRequest,
    decode_certificate_read_response,
    decode_certificate_update_response,
    decode_issue_response,
    encode_certificate_update,
    encode_key_usage_request,
)
from gbcs.protect import verify_signature
from keys.certificate import Certificate
from keys.roles import Usage
from meter_sim.checks import OWN_CERTIFICATE
from meter_sim.device.cells import STORE_FAULTS
from meter_sim.device.device_types import SUPPLIER_DS, DeviceType
from meter_sim.device.model import DeviceState, OwnKey, OwnKeyFault, Reaction
from services.chassis.checks import Refused
from tests.unit.meter_sim.estate import (
    DEVICE,
    NOW,
    SUPPLIER_A,
    SUPPLIER_B,
    Estate,
    about_own_keys,
    device_certificate,
    hear,
    make_book,
)
from tests.unit.meter_sim.running import Running

DS, KA = KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_AGREEMENT
BUILDER_NAME = {DS: "digital_signature", KA: "key_agreement"}
ISSUE, UPDATE, PROVIDE = 0x000A, 0x000B, 0x000C


def asking(usage: KeyUsage) -> bytes:
    return encode_key_usage_request(KeyUsageRequest(usage))


def giving(certificate: Certificate) -> bytes:
    return encode_certificate_update(CertificateUpdate(certificate.der))


def waiting(esme: DeviceState, usage: KeyUsage = DS) -> DeviceState:
    """A device that has made its next key pair and awaits the certificate."""
    esme = DeviceState(esme.eui, esme.device_type, esme.cells, own={usage: OwnKey(0, 1)})
    assert esme.own_key(usage).next == 2
    return esme


def result(reaction: Reaction) -> CertificateUpdateResult:
    return decode_certificate_update_response(decode(reaction.response).payload).result


def test_a_certification_request_is_for_a_new_key_pair(estate: Estate, esme: DeviceState):
    for usage, name in ((DS, Usage.DIGITAL_SIGNATURE), (KA, Usage.KEY_AGREEMENT)):
        reaction = hear(esme, about_own_keys(estate, ISSUE, asking(usage)), estate.means())
        said = decode(reaction.response)
        assert (said.message_code, said.header.counter) == (ISSUE, 8001)
        assert (said.header.date_time, said.mac) == (None, None)
        verify_signature(said, estate.fleet.public_key(DEVICE, Usage.DIGITAL_SIGNATURE))
        answer = decode_issue_response(said.payload).answer
        assert isinstance(answer, bytes)
        request = x509.load_der_x509_csr(answer)
        assert request.is_signature_valid
        new = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        made = estate.fleet.public_key(DEVICE, name, 1)
        assert new == made.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert reaction.state.own == {usage: OwnKey(0, 1)}
        assert reaction.state.counters.commands == {RemotePartyRole.SUPPLIER: 8001}
        assert reaction.state.counters.credentials == {}


def test_asking_again_gives_the_first_key_pair_up(estate: Estate, esme: DeviceState):
    first = hear(esme, about_own_keys(estate, ISSUE, asking(DS), 1), estate.means())
    second = hear(first.state, about_own_keys(estate, ISSUE, asking(DS), 2), estate.means())
    assert second.state.own == {DS: OwnKey(0, 2)}
    old = device_certificate(estate, DEVICE, "digital_signature", generation=1)
    late = hear(second.state, about_own_keys(estate, UPDATE, giving(old), 3), estate.means())
    assert result(late) is CertificateUpdateResult.WRONG_PUBLIC_KEY


@pytest.mark.parametrize("usage", [DS, KA])
def test_the_certificate_puts_the_new_key_into_use(
    estate: Estate, esme: DeviceState, usage: KeyUsage
):
    new = device_certificate(estate, DEVICE, BUILDER_NAME[usage], generation=1)
    done = hear(waiting(esme, usage), about_own_keys(estate, UPDATE, giving(new)), estate.means())
    assert result(done) is CertificateUpdateResult.SUCCESS
    assert done.state.own == {usage: OwnKey(1, None, new)}
    assert done.state.cells == esme.cells
    old_key = estate.fleet.public_key(DEVICE, Usage.DIGITAL_SIGNATURE)
    verify_signature(decode(done.response), old_key)
    assert {one.outcome for one in done.verdicts} == {"passed"}


def test_only_an_authentic_supplier_may_ask(estate: Estate, esme: DeviceState):
    ask = asking(DS)
    other = estate.holder(SUPPLIER_DS, SUPPLIER_B)
    assert refused(esme, about_own_keys(estate, ISSUE, ask, signer=other)) == "meter.signature"
    assert refused(esme, about_own_keys(estate, ISSUE, ask, mac=False)) == "meter.mac"
    assert refused(esme, about_own_keys(estate, ISSUE, ask, generation=1)) == "meter.mac"
    assert refused(esme, about_own_keys(estate, UPDATE, b"\x02\x01\x00")) == "meter.payload"
    assert refused(esme, about_own_keys(estate, PROVIDE, b"\x30\x00")) == "meter.payload"
    chf = estate.device(DeviceType.CHF)
    assert refused(chf, about_own_keys(estate, ISSUE, ask)) == "meter.message_code"
    heard = hear(esme, about_own_keys(estate, ISSUE, ask), estate.means()).state
    assert refused(heard, about_own_keys(estate, PROVIDE, ask)) == "meter.counter"
    # and each twin: with that one check off, the same octets are obeyed
    for check, data in (
        ("meter.signature", about_own_keys(estate, ISSUE, ask, signer=other)),
        ("meter.mac", about_own_keys(estate, ISSUE, ask, mac=False)),
    ):
        reaction = hear(esme, data, estate.means(make_book(check)))
        assert reaction.state.own == {DS: OwnKey(0, 1)}


def refused(state: DeviceState, data: bytes) -> str:
    with pytest.raises(Refused) as caught:
        hear(state, data, Estate().means(eui=state.eui))
    return caught.value.check


BAD: dict[str, tuple[CertificateUpdateResult, dict[str, Any], bool]] = {
    "meter.own_certificate.profile": (
        CertificateUpdateResult.INVALID_CERTIFICATE,
        {"generation": 1, "expires": NOW + timedelta(days=9)},
        True,
    ),
    "meter.own_certificate.identity": (
        CertificateUpdateResult.WRONG_DEVICE_IDENTITY,
        {"generation": 1, "names": "0253494dd0000002"},
        True,
    ),
    "meter.own_certificate.key_usage": (
        CertificateUpdateResult.INVALID_KEY_USAGE,
        {"generation": 1, "also": "key_agreement"},
        True,
    ),
    "meter.own_certificate.awaited": (
        CertificateUpdateResult.NO_CORRESPONDING_KEY_PAIR_GENERATED,
        {"generation": 0},
        False,
    ),
    "meter.own_certificate.public_key": (
        CertificateUpdateResult.WRONG_PUBLIC_KEY,
        {"generation": 0},
        True,
    ),
}


def test_every_check_has_a_case_here():
    assert list(BAD) == [check.id for check in OWN_CERTIFICATE]


@pytest.mark.parametrize("check", BAD)
def test_a_bad_certificate_is_refused_by_its_check_and_goes_in_without_it(
    estate: Estate, esme: DeviceState, check: str
):
    expected, changes, generated = BAD[check]
    bad = device_certificate(estate, DEVICE, "digital_signature", **changes)
    state = waiting(esme) if generated else esme
    data = about_own_keys(estate, UPDATE, giving(bad))

    reaction = hear(state, data, estate.means())

    assert result(reaction) is expected
    assert reaction.state.own == state.own
    assert [one.check for one in reaction.verdicts if one.outcome == "refused"] == [check]

    twin = hear(state, data, estate.means(make_book(check)))
    assert result(twin) is CertificateUpdateResult.SUCCESS
    assert twin.state.own[DS].certificate == bad


def test_what_is_no_certificate_never_goes_in(estate: Estate, esme: DeviceState):
    data = about_own_keys(estate, UPDATE, b"\x30\x03\x02\x01\x00")
    every = [check.id for check in OWN_CERTIFICATE]
    for off in ((), every):
        reaction = hear(waiting(esme), data, estate.means(make_book(*off)))
        assert result(reaction) is CertificateUpdateResult.INVALID_CERTIFICATE
        assert reaction.state.own == {DS: OwnKey(0, 1)}


def test_the_certificate_in_use_is_shown(estate: Estate, esme: DeviceState):
    def answer(state: DeviceState, usage: KeyUsage) -> bytes | CertificateReadFailure:
        said = hear(state, about_own_keys(estate, PROVIDE, asking(usage)), estate.means()).response
        return decode_certificate_read_response(decode(said).payload).answer

    assert answer(esme, DS) is CertificateReadFailure.NO_CERTIFICATE_HELD
    assert answer(esme, KeyUsage.KEY_CERT_SIGN) is CertificateReadFailure.INVALID_KEY_USAGE
    held = device_certificate(estate, DEVICE, "key_agreement")
    state = DeviceState(esme.eui, esme.device_type, esme.cells, own={KA: OwnKey(0, 1, held)})
    assert answer(state, KA) == held.der
    assert answer(state, DS) is CertificateReadFailure.NO_CERTIFICATE_HELD


def test_no_key_pair_for_what_a_device_has_no_key_for(estate: Estate, esme: DeviceState):
    asked = about_own_keys(estate, ISSUE, asking(KeyUsage.KEY_CERT_SIGN))
    reaction = hear(esme, asked, estate.means())
    answer = decode_issue_response(decode(reaction.response).payload).answer
    assert answer is CertificationRequestFailure.INVALID_KEY_USAGE
    assert reaction.state.own == {}


async def said(meters: Running, data: bytes) -> Message:
    answer = await meters.send(data)
    assert answer.status_code == 200
    return decode(answer.content)


async def test_both_keys_are_renewed_over_the_wan_and_outlive_a_restart(
    estate: Estate, tmp_path: Path
):
    meters = await Running.start(estate, tmp_path)
    await meters.install()
    counter = 0
    for usage in (DS, KA):
        await said(meters, about_own_keys(estate, ISSUE, asking(usage), counter := counter + 1))
        new = device_certificate(estate, DEVICE, BUILDER_NAME[usage], generation=1)
        data = about_own_keys(estate, UPDATE, giving(new), counter := counter + 1)
        assert decode_certificate_update_response((await said(meters, data)).payload).result == 0
    await meters.stop()
    meters = await Running.start(estate, tmp_path)
    try:
        device = await meters.device()
        assert {n: one["generation"] for n, one in device["own_keys"].items()} == {
            "digital-signing": 1,
            "key-agreement": 1,
        }
        old_z = about_own_keys(estate, PROVIDE, asking(DS), 9)
        assert (await meters.send(old_z)).status_code == 204
        refusals = (await meters.get(f"/lab/devices/{DEVICE}/refusals"))["refusals"]
        assert refusals[-1]["refused"]["check"] == "meter.mac"
        answer = await said(meters, about_own_keys(estate, PROVIDE, asking(DS), 9, generation=1))
        new_key = estate.fleet.public_key(DEVICE, Usage.DIGITAL_SIGNATURE, 1)
        verify_signature(answer, new_key)
        with pytest.raises(SignatureInvalid):
            verify_signature(answer, estate.fleet.public_key(DEVICE, Usage.DIGITAL_SIGNATURE))
        shown = decode_certificate_read_response(answer.payload).answer
        assert isinstance(shown, bytes)
        assert Certificate.from_der(shown).public_key == new_key
        assert device["cells"]["supplier/digitalSignature/management"]["subject"] == SUPPLIER_A
    finally:
        await meters.stop()


FAULTS = {
    OwnKeyFault.KEY_PAIR_GENERATION: (ISSUE, 2),
    OwnKeyFault.REQUEST_PRODUCTION: (ISSUE, 3),
    OwnKeyFault.CERTIFICATE_STORAGE: (UPDATE, 6),
    OwnKeyFault.PRIVATE_KEY_CHANGE: (UPDATE, 7),
    OwnKeyFault.CERTIFICATE_RETRIEVAL: (PROVIDE, 3),
}


def test_every_fault_of_its_own_keys_has_a_result():
    others = {fault for fault, _ in STORE_FAULTS}
    assert set(OwnKeyFault) == set(FAULTS) | others, "others: test_meter_store_faults"


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_key_store_at_fault_says_so_changes_nothing_and_is_mended_by_reset(
    meters: Running, estate: Estate, fault: OwnKeyFault
):
    code, expected = FAULTS[fault]
    await meters.install()
    for count, usage in enumerate((KA, DS, DS)):
        await said(meters, about_own_keys(estate, ISSUE, asking(usage), 1 + count))
    old = device_certificate(estate, DEVICE, "key_agreement", generation=1)
    await said(meters, about_own_keys(estate, UPDATE, giving(old), 4))
    before = await meters.device()
    order = {"fails": [fault.value]}
    path = f"/lab/devices/{DEVICE}/key-store"
    assert (await meters.lab.put(path, json=order)).json()["fails"] == [fault.value]
    new = device_certificate(estate, DEVICE, "digital_signature", generation=2)
    payload = giving(new) if code == UPDATE else asking(KA if code == PROVIDE else DS)

    failed = await said(meters, about_own_keys(estate, code, payload, 5, generation=1))

    assert failed.payload == bytes((2, 1, expected))
    after = await meters.device()
    for shown in ("own_keys", "certificates", "cells"):
        assert after[shown] == before[shown]
    await meters.lab.post("/lab/reset")
    meters.service.base.clock.set(NOW)
    good = await said(meters, about_own_keys(estate, code, payload, 6, generation=1))
    assert good.payload != failed.payload
    assert len(good.payload) > 3 or good.payload == b"\x02\x01\x00"


async def test_only_faults_that_exist_can_be_ordered(meters: Running):
    path = f"/lab/devices/{DEVICE}/key-store"
    assert (await meters.lab.put(path, json={"fails": []})).status_code == 404
    await meters.install()
    assert (await meters.lab.put(path, json={"fails": ["rust"]})).status_code == 422


async def test_which_check_refused_a_certificate_can_be_read_on_the_lab_port(
    meters: Running, estate: Estate
):
    await meters.install()
    unasked = device_certificate(estate, DEVICE, "digital_signature")
    answer = await said(meters, about_own_keys(estate, UPDATE, giving(unasked)))
    found = decode_certificate_update_response(answer.payload).result
    assert found is CertificateUpdateResult.NO_CORRESPONDING_KEY_PAIR_GENERATED
    entries = (await meters.get(f"/lab/devices/{DEVICE}/trace"))["entries"]
    refusing = [one for one in entries[-1]["verdicts"] if one["outcome"] == "refused"]
    assert [one["check"] for one in refusing] == ["meter.own_certificate.awaited"]
    assert (await meters.device())["certificates"] == {}
