"""A device given the published credentials hears the published CS02c, CS02d and CS02e Commands.

No device's private key is published. A stand-in answers for the device: its public key is that of
the published certificate, its request is the published one, and it signs with a key of the test.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gbcs.codes import KeyUsage, RemotePartyRole
from gbcs.message import decode, encode
from gbcs.payloads.device_certificates import decode_certificate_update, decode_issue_response
from gbcs.protect import verify_signature
from keys.certificate import Certificate, key_identifier
from keys.roles import Usage
from keys.stores.device_keys import DeviceKeys
from keys.stores.private import agree, sign_raw
from meter_sim.checks import meter_checks
from meter_sim.device.device_types import ACB_KA, SUPPLIER_DS, DeviceType
from meter_sim.device.model import DeviceContext, DeviceState, OwnKey, Reaction
from meter_sim.device.processing import process
from services.chassis.checks import CheckBook, Refused

ESME = "00db1234567890a0"
DS = KeyUsage.DIGITAL_SIGNATURE
OWN_KEY = ec.derive_private_key(0x51A7E, ec.SECP256R1())
ISSUE, UPDATE, PROVIDE = "CS02c_6.17_SUCCESS", "CS02d_6.15.2_SUCCESS", "CS02e_6.24.2_SUCCESS"


class StandIn:
    """What the device would do with the private keys that are not published."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[Usage, int]] = []

    def octets(self, name: str) -> bytes:
        return bytes.fromhex((self.folder / f"{name}_GBCS.HEX").read_text().strip())

    def certificate(self, name: str) -> Certificate:
        return Certificate.from_pem((self.folder / "keystore" / f"{name}.pem").read_bytes())

    def sign(self, data: bytes) -> bytes:
        return sign_raw(OWN_KEY, data)

    def shared_secret(self, peer: Certificate) -> bytes:
        file = self.folder / "keystore" / f"{peer.subject_eui}-ka.key"
        key = load_pem_private_key(file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return agree(key, self.certificate(f"{ESME}-ka"))

    def public_key(self, usage: Usage, generation: int) -> ec.EllipticCurvePublicKey:
        self.asked.append((usage, generation))
        return self.certificate(f"{ESME}-ds").public_key

    def certification_request(self, usage: Usage, generation: int) -> bytes:
        self.asked.append((usage, generation))
        answer = decode_issue_response(decode(self.octets(f"{ISSUE}_RESPONSE")).payload).answer
        assert isinstance(answer, bytes)
        return answer

    def device(self) -> DeviceState:
        cells = {
            SUPPLIER_DS: self.certificate("90b3d51f30010000-ds"),
            ACB_KA: self.certificate("90b3d51f30000002-ka"),
        }
        return DeviceState(ESME, DeviceType.ESME, cells)

    def hear(self, data: bytes, state: DeviceState) -> Reaction:
        means = DeviceContext(
            self, datetime(2018, 6, 1, tzinfo=UTC), CheckBook("meter_sim", meter_checks())
        )
        return process(state, data, means, means.book.start("published", section="request"))


@pytest.fixture(scope="module")
def published(shared_dir: Path) -> StandIn:
    return StandIn(shared_dir / "rtds")


def answered_alike(published: StandIn, name: str, state: DeviceState) -> Reaction:
    """The published answer, but for the value of a signature that only the device can make."""
    reaction = published.hear(published.octets(f"{name}_COMMAND"), state)
    theirs = decode(published.octets(f"{name}_RESPONSE"))
    mine = decode(reaction.response)
    verify_signature(mine, OWN_KEY.public_key())
    verify_signature(theirs, published.certificate(f"{ESME}-ds").public_key)
    assert replace(mine, signature=None) == replace(theirs, signature=None)
    assert len(reaction.response) == len(encode(theirs))
    assert reaction.state.counters.commands == {RemotePartyRole.SUPPLIER: 1000}
    return reaction


def test_the_published_request_for_a_key_pair(published: StandIn):
    reaction = answered_alike(published, ISSUE, published.device())
    assert reaction.state.own == {DS: OwnKey(0, 1)}
    assert published.asked[-1] == (Usage.DIGITAL_SIGNATURE, 1)


def test_the_published_certificate_is_taken_for_the_key_that_waits(published: StandIn):
    state = replace(published.device(), own={DS: OwnKey(0, 1)})
    reaction = answered_alike(published, UPDATE, state)
    own = reaction.state.own[DS]
    assert (own.generation, own.generated) == (1, None)
    assert own.certificate == published.certificate(f"{ESME}-ds")
    assert {verdict.outcome for verdict in reaction.verdicts} == {"passed"}


def test_the_published_certificate_is_shown(published: StandIn):
    held = published.certificate(f"{ESME}-ds")
    answered_alike(published, PROVIDE, replace(published.device(), own={DS: OwnKey(0, None, held)}))


def test_the_certificate_published_for_one_vector_fits_the_request_of_the_other(
    published: StandIn,
):
    answer = decode_issue_response(decode(published.octets(f"{ISSUE}_RESPONSE")).payload).answer
    assert isinstance(answer, bytes)
    key = x509.load_der_x509_csr(answer).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    update = decode_certificate_update(decode(published.octets(f"{UPDATE}_COMMAND")).payload)
    assert Certificate.from_der(update.certificate).key_identifier == key_identifier(key)


def test_a_simulated_request_has_the_published_ones_shape(published: StandIn):
    """Same extensions, as critical; hwType, and so the octets, are the simulation's own."""
    ours = x509.load_der_x509_csr(
        DeviceKeys(bytes(32)).certification_request("0253494dd0000001", Usage.DIGITAL_SIGNATURE)
    )
    theirs = x509.load_der_x509_csr(published.certification_request(Usage.DIGITAL_SIGNATURE, 1))
    for one in (ours, theirs):
        assert one.is_signature_valid
        assert one.subject == x509.Name([])
    assert [(e.oid, e.critical) for e in ours.extensions] == [
        (e.oid, e.critical) for e in theirs.extensions
    ]


@pytest.mark.parametrize("name", [ISSUE, UPDATE, PROVIDE])
def test_without_signature_or_mac_a_published_command_is_not_heard(published: StandIn, name: str):
    data = published.octets(f"{name}_COMMAND")
    message = decode(data)
    forged = replace(message, signature=bytes(64))
    for bad, check in (
        (replace(message, mac=None), "meter.mac"),
        (replace(message, mac=bytes(12)), "meter.mac"),
        (forged, "meter.mac"),
    ):
        assert refusal(published, encode(bad)) == check
    assert refusal(published, published.octets(f"{name}_PRECOMMAND")) == "meter.mac"
    after = published.hear(data, published.device()).state
    assert refusal(published, data, after) == "meter.counter"


def refusal(published: StandIn, data: bytes, state: DeviceState | None = None) -> str:
    with pytest.raises(Refused) as refused:
        published.hear(data, state or published.device())
    return refused.value.check
