"""Signature and MAC: made, checked, and refused when anything else was signed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gbcs.codes import Cra
from gbcs.errors import EncodeError, MacInvalid, SignatureInvalid
from gbcs.message import Message, encode
from gbcs.protect import add_mac, mac_key, sign, signature_input, verify_mac, verify_signature


def test_the_signature_leaves_out_the_leading_df(pre_command: Message):
    assert signature_input(pre_command) == encode(pre_command)[1:]


def test_signature_and_length_octet_are_not_signed(command: Message, pre_command: Message):
    assert signature_input(command) == signature_input(pre_command)


def test_a_signature_holds_with_certificate_and_with_key(command: Message, cos_party: Any):
    verify_signature(command, cos_party.certificate)
    verify_signature(command, cos_party.signing.public_key())


def test_signing_drops_a_mac_that_would_no_longer_hold(command: Message, cos_party: Any):
    assert sign(command, cos_party.sign).mac is None


def test_a_signer_that_gives_der_is_refused(pre_command: Message):
    with pytest.raises(EncodeError, match="64 octets"):
        sign(pre_command, lambda _: b"\x30" * 70)


def test_another_key_is_refused(command: Message, acb: Any):
    with pytest.raises(SignatureInvalid, match="not made over this message by this key"):
        verify_signature(command, acb.certificate)


@pytest.mark.parametrize("signature", [None, b""])
def test_no_signature_is_refused(pre_command: Message, cos_party: Any, signature: Any):
    with pytest.raises(SignatureInvalid, match="carries no signature"):
        verify_signature(replace(pre_command, signature=signature), cos_party.certificate)


@pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64, bytes(32) + b"\x01" * 32])
def test_numbers_out_of_range_are_refused(pre_command: Message, cos_party: Any, signature: Any):
    with pytest.raises(SignatureInvalid):
        verify_signature(replace(pre_command, signature=signature), cos_party.certificate)


@pytest.mark.parametrize("spoil", [lambda s: s + b"\x00", lambda s: b"\x00" + s, lambda s: s[:-1]])
def test_a_signature_of_another_length_is_refused(command: Message, cos_party: Any, spoil: Any):
    other = replace(command, signature=spoil(command.signature))
    with pytest.raises(SignatureInvalid, match="has 64 octets"):
        verify_signature(other, cos_party.certificate)


@pytest.mark.parametrize("field", ["counter", "originator", "recipient", "cra", "date_time"])
def test_every_field_of_the_header_is_signed_and_in_the_mac(
    command: Message, cos_party: Any, acb: Any, meter: Any, field: Any
):
    other = {
        "counter": 6002,
        "originator": acb.entity,
        "recipient": acb.entity,
        "cra": Cra.RESPONSE,
        "date_time": bytes(12),
    }[field]
    changed = replace(command, header=replace(command.header, **{field: other}))
    with pytest.raises(SignatureInvalid):
        verify_signature(changed, cos_party.certificate)
    with pytest.raises(MacInvalid):
        verify_mac(changed, acb.shared_secret(meter))


@pytest.mark.parametrize("certificate", [b"", b"\x30\x00", b"nonsense"])
def test_octets_that_are_no_certificate_are_refused(command: Message, certificate: Any):
    with pytest.raises(SignatureInvalid, match="certificate cannot be read"):
        verify_signature(command, certificate)


def test_a_key_on_another_curve_is_refused(command: Message, certificate_for: Any):
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(SignatureInvalid, match="not on curve P-256"):
        verify_signature(command, certificate_for(key))


def test_a_key_of_another_kind_is_refused(
    command: Message, cos_party: Any, certificate_for: Any, monkeypatch: pytest.MonkeyPatch
):
    class Holder:
        def public_key(self) -> ed25519.Ed25519PublicKey:
            return ed25519.Ed25519PrivateKey.generate().public_key()

    monkeypatch.setattr("gbcs.protect.load_certificate", lambda _: Holder())
    with pytest.raises(SignatureInvalid, match="no elliptic curve key"):
        verify_signature(command, b"a certificate that nobody has asked for")


def test_the_mac_holds_for_both_ends(command: Message, acb: Any, meter: Any):
    verify_mac(command, acb.shared_secret(meter))
    verify_mac(command, meter.shared_secret(acb))


def test_the_mac_by_hand(command: Message, acb: Any, meter: Any):
    z = acb.shared_secret(meter)
    header = command.header
    other_info = (
        bytes.fromhex("60857406080300")
        + bytes.fromhex(header.originator)
        + b"\x09\x01"
        + header.counter.to_bytes(8, "big")
        + bytes.fromhex(header.recipient)
    )
    key = hashlib.sha256(bytes.fromhex("00000001") + z + other_info).digest()[:16]
    assert mac_key(z, header) == key
    covered = bytes.fromhex("110000000000") + encode(replace(command, mac=None))
    tag = AESGCM(key).encrypt(bytes.fromhex(header.originator) + bytes(4), b"", covered)
    assert command.mac == tag[:12]


def test_another_secret_is_refused(command: Message, acb: Any, cos_party: Any):
    with pytest.raises(MacInvalid, match="not made over this message"):
        verify_mac(command, acb.shared_secret(cos_party))


def test_a_signature_swapped_under_the_mac_is_refused(
    command: Message, cos_party: Any, acb: Any, meter: Any
):
    other = replace(sign(command, cos_party.sign), mac=command.mac)
    verify_signature(other, cos_party.certificate)
    with pytest.raises(MacInvalid):
        verify_mac(other, acb.shared_secret(meter))


def test_no_mac_is_refused(command: Message, acb: Any, meter: Any):
    with pytest.raises(MacInvalid, match="carries no MAC"):
        verify_mac(replace(command, mac=None), acb.shared_secret(meter))


def test_a_message_without_signature_can_have_a_mac(pre_command: Message, acb: Any, meter: Any):
    z = acb.shared_secret(meter)
    message = add_mac(replace(pre_command, signature=b""), z)
    verify_mac(message, z)


def test_a_pre_command_takes_no_mac(pre_command: Message, acb: Any, meter: Any):
    with pytest.raises(EncodeError, match="Pre-Command takes no MAC"):
        add_mac(pre_command, acb.shared_secret(meter))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_secret_of_another_length_is_refused(command: Message, size: int):
    with pytest.raises(EncodeError, match="32 octets"):
        mac_key(bytes(size), command.header)


def test_no_refusal_shows_the_secret(command: Message, acb: Any, cos_party: Any):
    z = acb.shared_secret(cos_party)
    with pytest.raises(MacInvalid) as refused:
        verify_mac(command, z)
    assert z.hex() not in repr(refused.value)
    assert mac_key(z, command.header).hex() not in repr(refused.value)
