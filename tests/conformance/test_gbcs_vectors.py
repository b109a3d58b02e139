"""The published vectors: read, verified, written again identically, rebuilt from values."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gbcs import answer_rules, rules
from gbcs.codes import Cra, RemotePartyRole
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.errors import MacInvalid, SignatureInvalid
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.credentials import (
    CellId,
    CredentialsAlert,
    CredentialsResponse,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
    decode_alert,
    decode_response,
    decode_update,
    encode_alert,
    encode_response,
    encode_update,
)
from gbcs.protect import (
    add_mac,
    mac_key,
    sign,
    signature_input,
    verify_mac,
    verify_signature,
)
from gbcs.text.describe import build, describe, mac_parties
from gbcs.text.payload import CODECS

ACB = "90b3d51f30000002"
COS_PARTY = "90b3d51f30000004"
ESME = "00db1234567890a0"
COS = "CS02bSupplierByTransCoS_6.23"
PUBLISHED_LENGTHS = 6
"""How many of the vectors here write lengths that are not minimal."""


class Keystore:
    """The published test keys, as describe and build want them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def signing_certificate(self, entity: str) -> bytes | None:
        path = self._folder / f"{entity}-ds.pem"
        if not path.exists():
            return None
        return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)

    def shared_secret(self, one: str, other: str) -> bytes | None:
        for own, peer in ((one, other), (other, one)):
            key = self._private(own, "ka")
            path = self._folder / f"{peer}-ka.pem"
            if key is not None and path.exists():
                public = x509.load_pem_x509_certificate(path.read_bytes()).public_key()
                assert isinstance(public, ec.EllipticCurvePublicKey)
                return key.exchange(ec.ECDH(), public)
        return None

    def signer(self, entity: str) -> Callable[[bytes], bytes] | None:
        key = self._private(entity, "ds")
        if key is None:
            return None

        def raw(data: bytes) -> bytes:
            r, s = decode_dss_signature(key.sign(data, ec.ECDSA(SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")

        return raw

    def _private(self, entity: str, kind: str) -> ec.EllipticCurvePrivateKey | None:
        path = self._folder / f"{entity}-{kind}.key"
        if not path.exists():
            return None
        key = load_pem_private_key(path.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key


@pytest.fixture(scope="module")
def vectors(shared_dir: Path) -> dict[str, bytes]:
    found = {
        path.name.removesuffix("_GBCS.HEX"): bytes.fromhex(path.read_text().strip())
        for path in sorted((shared_dir / "rtds").glob("*_GBCS.HEX"))
    }
    assert len(found) >= 27
    return found


@pytest.fixture(scope="module")
def keystore(shared_dir: Path) -> Keystore:
    return Keystore(shared_dir / "rtds" / "keystore")


def test_every_vector_is_read_and_written_again_identically(vectors: Any):
    for name, octets in vectors.items():
        assert encode(decode(octets)) == octets, name


def test_every_signature_holds_and_no_other_does(vectors: Any, keystore: Any):
    checked = 0
    for name, octets in vectors.items():
        message = decode(octets)
        if not message.signature:
            continue
        certificate = keystore.signing_certificate(message.header.originator)
        assert certificate is not None, name
        verify_signature(message, certificate)
        wrong = replace(message, payload=message.payload[:-1] + bytes((message.payload[-1] ^ 1,)))
        with pytest.raises(SignatureInvalid):
            verify_signature(wrong, certificate)
        checked += 1
    assert checked == 19


def test_every_mac_holds_and_no_other_does(vectors: Any, keystore: Any):
    checked = 0
    for name, octets in vectors.items():
        message = decode(octets)
        if message.mac is None:
            continue
        parties = mac_parties(message.header, ACB)
        assert parties is not None
        secret = keystore.shared_secret(*parties)
        assert secret is not None, name
        verify_mac(message, secret)
        with pytest.raises(MacInvalid):
            verify_mac(replace(message, signature=b"" if message.signature else bytes(64)), secret)
        checked += 1
    assert checked == 13


def test_the_known_answer(vectors: Any, keystore: Any):
    message = decode(vectors[f"{COS}_IMMEDIATE_SUCCESS_COMMAND"])
    secret = keystore.shared_secret(ACB, ESME)
    assert secret is not None
    assert secret.hex() == "ed342441df01551a6beaff3b54adc981f4c6a7e71dff4c3e1cc80b3c9f4e5ac0"
    assert mac_key(secret, message.header).hex() == "70e26964ff942ca0f84810d7af1575cd"
    remade = add_mac(replace(message, mac=None), secret)
    assert remade.mac is not None
    assert remade.mac.hex() == "54549002ebf82464f555964c"
    assert encode(remade) == vectors[f"{COS}_IMMEDIATE_SUCCESS_COMMAND"]


def test_every_pre_command_is_the_inside_of_its_command(vectors: Any):
    pairs = 0
    for name, octets in vectors.items():
        if not name.endswith("_PRECOMMAND"):
            continue
        pre_command = decode(octets)
        assert pre_command.is_pre_command, name
        command = decode(vectors[name.removesuffix("_PRECOMMAND") + "_COMMAND"])
        assert encode(replace(command, signature=None, mac=None)) == octets, name
        assert signature_input(command) == octets[1:], name
        pairs += 1
    assert pairs == 5


def test_every_payload_is_read_and_written_again_identically(vectors: Any):
    for name, octets in vectors.items():
        message = decode(octets)
        codec = CODECS[message.message_code, message.header.cra]
        assert codec.encode(codec.decode(message.payload)) == message.payload, name


def test_fresh_answers_are_der_and_shorter_where_the_published_are_not(vectors: Any):
    longer = 0
    for name, octets in vectors.items():
        message = decode(octets)
        if message.header.cra is Cra.COMMAND or not name.startswith("CS02b"):
            continue
        fresh: bytes
        if message.header.cra is Cra.RESPONSE:
            response = decode_response(message.payload)
            fresh = encode_response(CredentialsResponse(response.outcome))
            assert decode_response(fresh) == response
        else:
            alert = decode_alert(message.payload)
            fresh = encode_alert(
                CredentialsAlert(alert.alert_code, alert.execution_date_time, alert.outcome)
            )
            assert decode_alert(fresh) == alert
        assert len(fresh) <= len(message.payload)
        longer += fresh != message.payload
    assert longer == PUBLISHED_LENGTHS - 1  # the sixth is a CS02a response


def certificates_in(command: Message) -> list[bytes]:
    """The certificates of a command, found without our payload reader."""
    found, at = [], 0
    payload = command.payload
    while (at := payload.find(b"\x30\x82\x01", at)) >= 0:
        size = 4 + int.from_bytes(payload[at + 2 : at + 4], "big")
        try:
            x509.load_der_x509_certificate(payload[at : at + size])
        except ValueError:
            at += 1
            continue
        found.append(payload[at : at + size])
        at += size
    return found


TOP_UP = SpecialistSeqNumber(0)
SUPPLIER_CELLS = (
    "supplier/digitalSignature/management",
    "supplier/keyAgreement/management",
    "supplier/keyAgreement/prePaymentTopUp",
)
CHANGE = (SeqNumberChange(RemotePartyRole.SUPPLIER, 0, (TOP_UP,)),)
REBUILT: dict[str, tuple[int, str, str, Mode, tuple[str, ...], str | None, dict[str, object]]] = {
    f"{COS}_IMMEDIATE_SUCCESS": (
        6001, COS_PARTY, ESME, Mode.SUPPLIER_BY_TRANS_COS, SUPPLIER_CELLS,
        "transitionalCoS/digitalSignature/management", {"other_changes": CHANGE},
    ),
    f"{COS}_FUTURE_DATED_SUCCESS": (
        6002, COS_PARTY, ESME, Mode.SUPPLIER_BY_TRANS_COS, SUPPLIER_CELLS,
        "transitionalCoS/digitalSignature/management",
        {"other_changes": CHANGE, "execution_date_time": "20300102000000Z"},
    ),
    "CS02bTransCoSByTransCoS_NA_SUCCESS": (
        6000, COS_PARTY, ESME, Mode.TRANS_COS_BY_TRANS_COS,
        ("transitionalCoS/digitalSignature/management",),
        "transitionalCoS/digitalSignature/management", {"apply_time_checks": False},
    ),
    "CS02bSupplierBySupplier_6.15.1_IMMEDIATE_SUCCESS": (
        1000, "90b3d51f30010000", ESME, Mode.SUPPLIER_BY_SUPPLIER, SUPPLIER_CELLS,
        SUPPLIER_CELLS[0],
        {"apply_time_checks": False, "new_floor": 0, "new_specialist_floors": (TOP_UP,)},
    ),
    "CS02bSupplierBySupplierHandover_6.21_SUCCESS": (
        1300, ACB, "00db1234567890a3", Mode.SUPPLIER_BY_SUPPLIER, SUPPLIER_CELLS,
        SUPPLIER_CELLS[0], {"new_floor": 0, "new_specialist_floors": (TOP_UP,)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REBUILT)
def test_commands_rebuilt_from_values_are_the_published_octets(
    vectors: Any, keystore: Any, name: str
):
    counter, originator, recipient, mode, cells, authority, fields = REBUILT[name]
    published = decode(vectors[f"{name}_COMMAND"])
    certificates = certificates_in(published)
    assert len(certificates) == len(cells) + 1
    update = UpdateCredentials(
        mode,
        counter,
        CellId.from_name(str(authority)),
        tuple(
            Replacement(certificate, CellId.from_name(cell))
            for certificate, cell in zip(certificates, cells, strict=False)
        ),
        tuple(certificates[len(cells) :]),
        **fields,  # type: ignore[arg-type]
    )
    code = rules.MESSAGE_CODE_OF_MODE[mode]
    header = GroupingHeader(Cra.COMMAND, counter, originator, recipient, OtherInformation(code))
    pre_command = Message(header, encode_update(update), None)
    assert encode(pre_command) == encode(replace(published, signature=None, mac=None))
    assert decode_update(published.payload) == update
    # The signature is not repeatable; a new one with the published key must hold, and with the
    # published one the MAC comes out the same.
    signer = keystore.signer(originator)
    certificate = keystore.signing_certificate(originator)
    secret = keystore.shared_secret(ACB, recipient)
    assert signer is not None
    assert certificate is not None
    assert secret is not None
    verify_signature(sign(pre_command, signer), certificate)
    complete = add_mac(replace(pre_command, signature=published.signature), secret)
    assert encode(complete) == vectors[f"{name}_COMMAND"]


def test_no_rule_finds_anything_in_the_vectors(vectors: Any):
    pairs = 0
    for name, octets in vectors.items():
        if not name.startswith("CS02b") or not name.endswith("_COMMAND"):
            continue
        command = decode(octets)
        update = decode_update(command.payload)
        assert rules.command_findings(command.header, update) == (), name
        answer = decode(vectors[name.replace("_COMMAND", "_RESPONSE")])
        response = decode_response(answer.payload)
        findings = answer_rules.response_findings(command.header, update, answer, response)
        assert findings == (), name
        pairs += 1
    assert pairs == 6
    command = decode(vectors[f"{COS}_FUTURE_DATED_SUCCESS_COMMAND"])
    update = decode_update(command.payload)
    message = decode(vectors[f"{COS}_8F66_FUTURE_DATED_SUCCESS_ALERT"])
    alert = decode_alert(message.payload)
    assert answer_rules.alert_findings(command.header, update, message, alert) == ()


def test_the_error_vector_failed_one_cell_and_kept_it(vectors: Any):
    response = decode_response(
        decode(vectors["CS02bSupplierBySupplier_6.15.1_IMMEDIATE_ERROR_RESPONSE"]).payload
    )
    assert response.outcome is not None
    labels = [outcome.status.label for outcome in response.outcome.outcomes]
    assert labels == ["success", "noTrustAnchor", "success"]
    failed = response.outcome.outcomes[1]
    assert failed.existing_key_id == failed.replacing_key_id


def test_every_vector_is_described_and_built_again_identically(vectors: Any, keystore: Any):
    received = 0
    for name, octets in vectors.items():
        shown = json.loads(json.dumps(describe(octets, keystore, ACB)))
        message = decode(octets)
        assert shown["reencoded_identical"], name
        assert shown["signature"] == ("valid" if message.signature else "absent"), name
        assert shown["mac"] == ("valid" if message.mac else "absent"), name
        assert "octets" not in shown["payload"], name
        received += "as_received" in shown["payload"]
        assert build(shown) == octets, name
    assert received == PUBLISHED_LENGTHS


def test_without_keys_nothing_is_called_valid(vectors: Any):
    for octets in vectors.values():
        shown = describe(octets)
        assert shown["signature"] in ("absent", "unknown-key")
        assert shown["mac"] in ("absent", "unknown-key")


def test_what_the_change_of_supplier_looks_like_described(vectors: Any, keystore: Any):
    shown = describe(vectors[f"{COS}_IMMEDIATE_SUCCESS_COMMAND"], keystore, ACB)
    assert shown["message_code"] == "0x0107"
    assert shown["use_case"] == "CS02b Update Security Credentials (supplierByTransCoS)"
    assert shown["originator"] == COS_PARTY
    assert shown["originator_counter"] == 6001
    payload = shown["payload"]
    assert payload["credentialsReplacementMode"] == "supplierByTransCoS"
    targets = [r["targetTrustAnchorCell"] for r in payload["replacements"]]
    assert targets == list(SUPPLIER_CELLS)
    (authority,) = payload["certificationPathCertificates"]
    assert authority["subject"] == "CN=Z1,OU=07"
    assert authority["key_identifier"] == "4f5688d7ec933be2"
    published = decode(vectors[f"{COS}_IMMEDIATE_SUCCESS_COMMAND"])
    assert base64.b64decode(authority["base64"]) == certificates_in(published)[-1]
