"""Messages as objects a person can read and edit, and back."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type

from gbcs.codes import CellUsage, Cra, KeyUsage, RemotePartyRole, StatusCode
from gbcs.errors import EncodeError, ParseError
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.alerts import GenericAlert, encode_generic_alert
from gbcs.payloads.credentials import (
    CellId,
    CellOutcome,
    CredentialsAlert,
    CredentialsOutcome,
    CredentialsResponse,
    UpdateCredentials,
    decode_update,
    encode_alert,
    encode_response,
    encode_update,
)
from gbcs.payloads.details import CredentialDetails, HeldCredential, RoleDetails, encode_details
from gbcs.protect import verify_mac, verify_signature
from gbcs.text.certificate import certificate_from_json, certificate_to_json
from gbcs.text.describe import build, describe, mac_parties


class Keys:
    """The keys of some parties."""

    def __init__(self, *parties: Any) -> None:
        self._parties = {party.entity: party for party in parties}

    def signing_certificate(self, entity: str) -> bytes | None:
        party = self._parties.get(entity)
        return party.certificate if party else None

    def shared_secret(self, one: str, other: str) -> bytes | None:
        if one not in self._parties or other not in self._parties:
            return None
        return self._parties[one].shared_secret(self._parties[other])

    def signer(self, entity: str) -> Any:
        party = self._parties.get(entity)
        return party.sign if party else None


@pytest.fixture(scope="session")
def keys(cos_party: Any, acb: Any, meter: Any) -> Keys:
    return Keys(cos_party, acb, meter)


def test_a_command(command: Message, keys: Any, acb: Any):
    shown = describe(encode(command), keys, acb.entity)
    payload = shown.pop("payload")
    assert shown == {
        "message_code": "0x0107",
        "use_case": "CS02b Update Security Credentials (supplierByTransCoS)",
        "cra": "command",
        "originator": command.header.originator,
        "recipient": command.header.recipient,
        "originator_counter": 6001,
        "signature": "valid",
        "mac": "valid",
        "reencoded_identical": True,
        "payload_read": True,
        "date_time": None,
        "signature_octets": command.signature.hex(),
        "mac_octets": command.mac.hex(),
    }
    assert list(payload) == [
        "credentialsReplacementMode",
        "applyTimeBasedCPVChecks",
        "authorisingRemotePartyTACellIdentifier",
        "authorisingRemotePartySeqNumber",
        "otherRemotePartySeqNumberChanges",
        "replacements",
        "certificationPathCertificates",
    ]
    certificate = payload["replacements"][0]["replacementCertificate"]
    assert certificate["subject"] == "CN=digitalSignature/management"
    assert certificate["serial"] == "7"
    assert len(bytes.fromhex(certificate["key_identifier"])) == 20
    der = decode_update(command.payload).replacements[0].certificate
    assert base64.b64decode(certificate["base64"]) == der


def test_verdicts(command: Message, pre_command: Message, keys: Any, cos_party: Any, acb: Any):
    def verdicts(message: Message, *args: Any) -> tuple[str, str]:
        shown = describe(encode(message), *args)
        return shown["signature"], shown["mac"]

    assert verdicts(command) == ("unknown-key", "unknown-key")
    assert verdicts(command, keys) == ("valid", "unknown-key")
    assert verdicts(command, Keys(acb), acb.entity) == ("unknown-key", "unknown-key")
    assert verdicts(pre_command, keys, acb.entity) == ("absent", "absent")
    forged = replace(command, header=replace(command.header, counter=1))
    assert verdicts(forged, keys, acb.entity) == ("invalid", "invalid")
    empty = replace(pre_command, signature=b"")
    assert verdicts(empty, keys, acb.entity) == ("absent", "absent")


def test_whose_keys_make_the_mac(header: GroupingHeader, acb: Any):
    assert mac_parties(header, acb.entity) == (acb.entity, header.recipient)
    assert mac_parties(header, None) is None
    response = replace(header, cra=Cra.RESPONSE)
    assert mac_parties(response, acb.entity) == (header.originator, header.recipient)


def full_update(update: UpdateCredentials):
    return replace(
        update,
        apply_time_checks=False,
        new_floor=0,
        new_specialist_floors=(),
        execution_date_time="20300102000000Z",
        plaintext_symmetric_key=b"\x01\x02",
    )


def messages(header: GroupingHeader, update: UpdateCredentials) -> dict[str, Message]:
    """One of every kind of payload, and some nobody can read."""
    cell = CellId(RemotePartyRole.SUPPLIER, KeyUsage.DIGITAL_SIGNATURE)
    failed = CellOutcome(cell, StatusCode.NO_TRUST_ANCHOR, bytes(8), bytes(8), bytes(8), bytes(8))
    outcome = CredentialsOutcome(6001, update.mode, update.other_changes, (failed,) * 3)
    response = encode_response(CredentialsResponse(outcome))
    alert = encode_alert(CredentialsAlert(0x8F67, "20300102000000Z", outcome))
    held = HeldCredential(KeyUsage.KEY_AGREEMENT, CellUsage.PREPAYMENT_TOP_UP, bytes(8), bytes(8))
    details = CredentialDetails(
        (
            RoleDetails(RemotePartyRole.SUPPLIER, StatusCode.SUCCESS, 7, (held,)),
            RoleDetails(RemotePartyRole.LOAD_CONTROLLER, StatusCode.OTHER),
        )
    )
    event = GenericAlert(0x8F3D, bytes(12), b"more", 5)
    certificate = update.path_certificates[0]
    made = {
        "update": (1, 0x0107, encode_update(update)),
        "full update": (1, 0x0109, encode_update(full_update(update))),
        "response": (2, 0x0107, response),
        "published response": (2, 0x0107, b"\x30\x82\x00" + response[2:]),
        "accepted": (2, 0x0126, encode_response(CredentialsResponse(None))),
        "alert": (3, 0x00CB, alert),
        "load controller alert": (3, 0x0124, alert),
        "read": (1, 0x0008, bytes.fromhex("300e30070201040302030830030201" + "02")),
        "read f": (1, 0x011B, bytes.fromhex("300e30070201040302030830030201" + "08")),
        "details": (2, 0x0008, encode_details(details)),
        "empty details": (2, 0x011B, encode_details(CredentialDetails(()))),
        "request": (1, 0x000A, bytes.fromhex("300403020780")),
        "request failed": (2, 0x000A, b"\x02\x01\x02"),
        "requested": (2, 0x000A, certificate),
        "new certificate": (1, 0x000B, certificate),
        "stored": (2, 0x000B, b"\x02\x01\x00"),
        "ask": (1, 0x000C, bytes.fromhex("300403020308")),
        "held": (2, 0x000C, certificate),
        "unreadable certificate": (2, 0x000C, b"\x30\x00"),
        "not held": (2, 0x000C, b"\x02\x01\x02"),
        "event": (3, 0x1000, encode_generic_alert(event)),
        "quiet event": (3, 0x1001, encode_generic_alert(replace(event, content=None))),
        "unknown code": (1, 0x0012, b"anything"),
        "unknown code, empty": (1, 0x0012, b""),
        "unreadable": (1, 0x0107, b"nonsense"),
        "wrong flag": (3, 0x0107, response),
    }
    return {
        name: Message(
            replace(header, cra=Cra(cra), other=OtherInformation(code)), payload, bytes(64)
        )
        for name, (cra, code, payload) in made.items()
    }


def test_build_is_the_inverse_of_describe_for_every_kind(
    header: GroupingHeader, update: UpdateCredentials
):
    for name, message in messages(header, update).items():
        octets = encode(message)
        shown = json.loads(json.dumps(describe(octets)))
        assert build(shown) == octets, name
        readable = name not in ("unknown code", "unknown code, empty", "unreadable", "wrong flag")
        assert ("octets" in shown["payload"]) is not readable, name
        assert ("unreadable" in shown["payload"]) is (name == "unreadable"), name
        assert shown["payload_read"] is readable, name
        assert shown["reencoded_identical"], name
        assert ("as_received" in shown["payload"]) is (name == "published response"), name


def test_every_header(command: Message):
    other = OtherInformation(
        0x0107, "0011223344556677", 2**64 - 1, 7, b"\x30\x82\x01\x00" + bytes(256)
    )
    date_time = bytes.fromhex("07df0101ff000000008000ff")
    for header in (
        replace(command.header, other=other),
        replace(command.header, other=replace(other, supplementary_originator_counter=None)),
        replace(command.header, other=OtherInformation(0x0107, "0011223344556677")),
        replace(command.header, date_time=date_time, counter=2**64 - 1),
    ):
        for message in (
            replace(command, header=header),
            replace(command, header=header, mac=None),
            replace(command, header=header, mac=None, signature=b""),
            replace(command, header=header, mac=None, signature=None),
        ):
            octets = encode(message)
            assert build(json.loads(json.dumps(describe(octets)))) == octets


def test_an_edited_description_is_signed_anew(
    command: Message, keys: Any, cos_party: Any, acb: Any, meter: Any
):
    shown = describe(encode(command), keys, acb.entity)
    shown["originator_counter"] = 6002
    shown["payload"]["authorisingRemotePartySeqNumber"] = 6002
    forged = decode(build(shown))
    assert (forged.signature, forged.mac) == (command.signature, command.mac)
    made = decode(build(shown, keys, acb.entity))
    assert decode_update(made.payload).authorising_counter == 6002
    verify_signature(made, cos_party.certificate)
    verify_mac(made, acb.shared_secret(meter))


def test_a_description_written_by_hand_is_protected(command: Message, keys: Any, acb: Any):
    shown = describe(encode(command), keys, acb.entity)
    for name in ("signature_octets", "mac_octets", "use_case", "reencoded_identical", "date_time"):
        del shown[name]
    with pytest.raises(EncodeError, match="neither octets of its protection nor keys"):
        build(shown)
    again = describe(build(shown, keys, acb.entity), keys, acb.entity)
    assert (again["signature"], again["mac"]) == ("valid", "valid")
    shown["mac"] = "absent"
    assert describe(build(shown, keys), keys)["mac"] == "absent"
    del shown["signature"]
    assert decode(build(shown)).is_pre_command


def test_keys_that_are_not_known(command: Message, cos_party: Any, acb: Any, meter: Any):
    shown = describe(encode(command))
    with pytest.raises(EncodeError, match="signing key is not known"):
        build(shown, Keys(acb, meter), acb.entity)
    with pytest.raises(EncodeError, match="shared secret for the MAC is not known"):
        build(shown, Keys(cos_party, meter), acb.entity)
    with pytest.raises(EncodeError, match="shared secret for the MAC is not known"):
        build(shown, Keys(cos_party, acb, meter))


def test_received_octets_are_used_only_while_they_say_the_same(
    header: GroupingHeader, update: UpdateCredentials
):
    octets = encode(messages(header, update)["published response"])
    shown = describe(octets)
    assert build(shown) == octets
    shown["payload"]["executionOutcome"]["authorisingRemotePartySeqNumber"] = 1
    assert len(build(shown)) < len(octets)
    shown["payload"]["as_received"] = "00"
    assert len(build(shown)) < len(octets)


def test_certificates_are_shown_in_brief(command: Message, certificate_for: Any, cos_party: Any):
    key = cos_party.signing
    unique = [
        x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "02"),
        x509.NameAttribute(
            x509.NameOID.X500_UNIQUE_IDENTIFIER,
            bytes.fromhex("00") + bytes.fromhex(cos_party.entity),
            _ASN1Type.BitString,
        ),
    ]
    shown = certificate_to_json(certificate_for(key, subject=x509.Name(unique), key_id=False))
    assert shown["subject"] == f"UniqueIdentifier=00{cos_party.entity},OU=02"
    assert shown["issuer"] == "CN=SIM-test"
    assert shown["key_identifier"] is None
    assert certificate_from_json(shown, "it") == base64.b64decode(shown["base64"])
    assert certificate_to_json(b"\x30\x00") == {"unreadable": True, "base64": "MAA="}


def test_a_certificate_that_is_not_positive_is_unreadable_or_shown(
    certificate_for: Any, cos_party: Any
):
    der = certificate_for(cos_party.signing, serial=1)
    zero = der.replace(b"\x02\x01\x01", b"\x02\x01\x00", 1)
    assert certificate_to_json(zero)["base64"] == base64.b64encode(zero).decode()


@pytest.mark.parametrize("value", [{"base64": ""}, {"base64": "%%"}, {"base64": 5}, {}, "text"])
def test_a_certificate_needs_its_octets(value: Any):
    with pytest.raises(EncodeError):
        certificate_from_json(value, "it")


def test_octets_that_are_no_message():
    with pytest.raises(ParseError):
        describe(b"nonsense")


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a description."""
    found = [at] if at else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += paths(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += paths(inner, (*at, index))
    return found


def edited(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    place = copy
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = new
    return copy


@pytest.mark.parametrize("new", [None, 5, -1, "nonsense", [], {}, [1], {"unknown": 1}, True, 2**70])
def test_any_edit_builds_or_is_refused(header: GroupingHeader, update: UpdateCredentials, new: Any):
    for message in messages(header, update).values():
        shown = json.loads(json.dumps(describe(encode(message))))
        for at in paths(shown):
            try:
                built = build(edited(shown, at, new))
            except EncodeError:
                continue
            decode(built)


def test_an_unknown_field_is_refused_wherever_it_is(
    header: GroupingHeader, update: UpdateCredentials
):
    for message in messages(header, update).values():
        shown = json.loads(json.dumps(describe(encode(message))))
        places = [at for at in [(), *paths(shown)] if isinstance(value_at(shown, at), dict)]
        for at in places:
            with pytest.raises(EncodeError, match="unknown field 'surprise'"):
                build(edited(shown, (*at, "surprise"), 1))


def value_at(value: Any, at: tuple[Any, ...]) -> Any:
    for key in at:
        value = value[key]
    return value


@pytest.mark.parametrize("description", [None, [], "text", {}, {1: 2}])
def test_what_is_no_description_is_refused(description: Any):
    with pytest.raises(EncodeError):
        build(description)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("message_code", "0107", "0x"),
        ("message_code", "0xzz", "0x"),
        ("message_code", 0x0107, "text"),
        ("cra", "Command", "Cra"),
        ("signature", "perhaps", "one of"),
        ("signature", "absent", "absent, but there are signature_octets"),
        ("mac_octets", "zz", "hexadecimal"),
        ("originator", "ABCDEF", "16 lower-case"),
        ("originator_counter", 2**64, "2.64"),
    ],
)
def test_fields_say_what_they_need(command: Message, field: Any, value: Any, reason: str):
    shown = describe(encode(command))
    with pytest.raises(EncodeError, match=reason):
        build({**shown, field: value})


def test_a_command_from_device_to_device_has_no_mac_of_the_broker(
    command: Message, keys: Any, acb: Any
):
    """PCS01 and PCS02: whose MAC it is, is not known here, so it is not called invalid."""
    for code in (0x0090, 0x009B):
        other = OtherInformation(code)
        header = replace(command.header, other=other, originator="00db1234567890a7")
        octets = encode(replace(command, header=header))
        assert describe(octets, keys, acb.entity)["mac"] == "unknown-key"
        assert mac_parties(header, acb.entity) == (header.originator, header.recipient)
