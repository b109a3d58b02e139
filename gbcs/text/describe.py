"""A message as a JSON object a person can read and edit, and back to octets.

message_code "0x0107"      use_case      cra command|response|alert
originator, recipient      16 lower-case hexadecimal digits
originator_counter         whole number; beyond 2^53-1 its digits as text (both are read)
signature, mac             valid | invalid | absent | unknown-key
payload                    object, with the standard's names (see gbcs.text.payload)
payload_read               whether its values are shown; else only its octets
reencoded_identical        whether decoding and encoding gives the same octets
date_time                  12 octets in hexadecimal, or null
supplementary              object, only if the other information says more than the code
signature_octets           hexadecimal; "" for length 0; null if even the length octet is missing
mac_octets                 hexadecimal, or null if there is no MAC header

A frame that is a block of a longer message: see gbcs.text.blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from gbcs.block_transfer import is_block
from gbcs.codes import USE_CASES, Cra
from gbcs.errors import EncodeError, GbcsError, MacInvalid, ParseError, SignatureInvalid
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.numbers import to_json
from gbcs.protect import add_mac, sign, verify_mac, verify_signature
from gbcs.text.blocks import build_block, describe_block
from gbcs.text.fields import Fields
from gbcs.text.payload import CODECS, build_payload, describe_payload

VALID, INVALID, ABSENT, UNKNOWN_KEY = "valid", "invalid", "absent", "unknown-key"
DEVICE_TO_DEVICE = frozenset({0x0090, 0x009B})
"""Commands from device to device: PCS02, PCS01. The broker has no part in their MAC."""
_VERDICTS = (VALID, INVALID, ABSENT, UNKNOWN_KEY)


class KeyLookup(Protocol):
    """Where describe and build find keys. Each method gives None for what it does not know."""

    def signing_certificate(self, entity: str) -> bytes | None:
        """The digital signing certificate (DER) of an entity."""

    def shared_secret(self, one: str, other: str) -> bytes | None:
        """Z (32 octets) of two entities' key agreement keys, if either private one is held."""

    def signer(self, entity: str) -> Callable[[bytes], bytes] | None:
        """What signs for an entity: ECDSA P-256 / SHA-256, raw 64 octets."""


def describe(data: bytes, keys: KeyLookup | None = None, acb: str | None = None) -> dict[str, Any]:
    """The message, or the block of one, as an object.

    `acb` is the Access Control Broker's entity identifier: the MAC of a command is made with its
    key, whoever the originator is. Without it, or without keys, MACs or signatures that are there
    are `unknown-key`.

    Raises:
        ParseError: the octets are neither. A payload that cannot be read does not matter.
    """
    if is_block(data):
        return describe_block(data)
    message = decode(data)
    header = message.header
    payload = describe_payload(message.message_code, header.cra, message.payload)
    shown: dict[str, Any] = {
        "message_code": f"0x{message.message_code:04x}",
        "use_case": USE_CASES.get(message.message_code, "unknown"),
        "cra": header.cra.label,
        "originator": header.originator,
        "recipient": header.recipient,
        "originator_counter": to_json(header.counter),
        "signature": _signature_verdict(message, keys),
        "mac": _mac_verdict(message, keys, acb),
        "payload": payload,
        "payload_read": "octets" not in payload,
        "reencoded_identical": _reencoded(message) == data,
        "date_time": None if header.date_time is None else header.date_time.hex(),
        "signature_octets": None if message.signature is None else message.signature.hex(),
        "mac_octets": None if message.mac is None else message.mac.hex(),
    }
    supplementary = _other_to_json(header.other)
    if supplementary:
        shown["supplementary"] = supplementary
    return shown


def build(
    description: dict[str, Any], keys: KeyLookup | None = None, acb: str | None = None
) -> bytes:
    """The octets of an object as describe gives it.

    Without keys, signature and MAC are the octets given. With keys, a signature that is not
    `absent` is made anew with the originator's key, and a MAC that is not `absent` with the shared
    secret, whatever octets are given: so a description can be edited and made valid again.
    `use_case`, `payload_read` and `reencoded_identical` are for the reader.

    Raises:
        EncodeError: the object does not describe a message, or octets or a key are missing.
    """
    fields = Fields(description, "message")
    if fields.has("block"):
        return build_block(description)
    code = fields.hexadecimal_number("message_code")
    cra = fields.label("cra", Cra)
    date_time = fields.hexadecimal("date_time") if fields.has("date_time") else None
    header = GroupingHeader(
        cra,
        fields.number("originator_counter"),
        fields.text("originator"),
        fields.text("recipient"),
        _other_from_json(code, fields),
        date_time,
    )
    payload = build_payload(code, cra, fields.take("payload"))
    signature, signed = _protection(fields, "signature")
    mac, maced = _protection(fields, "mac")
    for name in ("use_case", "reencoded_identical", "payload_read"):
        fields.take(name)
    fields.done()
    if keys is None:
        if (signed and not signature) or (maced and not mac):
            raise EncodeError("message: there are neither octets of its protection nor keys")
        return encode(Message(header, payload, signature, mac))
    message = Message(header, payload, signature)
    if signed:
        message = sign(message, _signer(header, keys))
    if maced:
        message = add_mac(message, _needed_secret(header, keys, acb))
    return encode(message)


def mac_parties(header: GroupingHeader, acb: str | None) -> tuple[str, str] | None:
    """Whose key agreement keys make the MAC: broker and device, or originator and recipient.

    The latter for what a device says, also for what it commands another one. None for any other
    command if the broker is not known.
    """
    if header.cra is not Cra.COMMAND or header.other.message_code in DEVICE_TO_DEVICE:
        return header.originator, header.recipient
    return None if acb is None else (acb, header.recipient)


def _signature_verdict(message: Message, keys: KeyLookup | None) -> str:
    if not message.signature:
        return ABSENT
    certificate = keys.signing_certificate(message.header.originator) if keys else None
    if certificate is None:
        return UNKNOWN_KEY
    try:
        verify_signature(message, certificate)
    except SignatureInvalid:
        return INVALID
    return VALID


def _mac_verdict(message: Message, keys: KeyLookup | None, acb: str | None) -> str:
    if message.mac is None:
        return ABSENT
    secret = _secret(message.header, keys, acb)
    if secret is None:
        return UNKNOWN_KEY
    try:
        verify_mac(message, secret)
    except MacInvalid:
        return INVALID
    return VALID


def _secret(header: GroupingHeader, keys: KeyLookup | None, acb: str | None) -> bytes | None:
    parties = mac_parties(header, acb)
    return None if keys is None or parties is None else keys.shared_secret(*parties)


def _signer(header: GroupingHeader, keys: KeyLookup) -> Callable[[bytes], bytes]:
    signer = keys.signer(header.originator)
    if signer is None:
        raise EncodeError("the originator's signing key is not known")
    return signer


def _needed_secret(header: GroupingHeader, keys: KeyLookup, acb: str | None) -> bytes:
    secret = _secret(header, keys, acb)
    if secret is None:
        raise EncodeError("the shared secret for the MAC is not known")
    return secret


def _protection(fields: Fields, name: str) -> tuple[bytes | None, bool]:
    """The octets given for a protection, and whether the message shall have it."""
    verdict = fields.take(name)
    if verdict is not None and verdict not in _VERDICTS:
        raise EncodeError(f"message.{name}: one of {', '.join(_VERDICTS)} is needed")
    octets = f"{name}_octets"
    value = fields.hexadecimal(octets) if fields.has(octets) else None
    if value and verdict == ABSENT:
        raise EncodeError(f"message.{name} is absent, but there are {octets}")
    return value, bool(value) or verdict not in (None, ABSENT)


def _reencoded(message: Message) -> bytes | None:
    codec = CODECS.get((message.message_code, message.header.cra))
    payload = message.payload
    try:
        if codec is not None:
            payload = codec.encode(codec.decode(payload))
    except ParseError:
        pass  # not read, so it is written as it came
    except GbcsError:
        return None
    try:
        return encode(replace(message, payload=payload))
    except GbcsError:
        return None


def _other_to_json(other: OtherInformation) -> dict[str, Any]:
    certificate = other.key_agreement_certificate
    party, own = other.supplementary_remote_party_counter, other.supplementary_originator_counter
    shown = {
        "remote_party_id": other.supplementary_remote_party_id,
        "remote_party_counter": None if party is None else to_json(party),
        "originator_counter": None if own is None else to_json(own),
        "key_agreement_certificate": None if certificate is None else certificate.hex(),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _other_from_json(code: int, fields: Fields) -> OtherInformation:
    if not fields.has("supplementary"):
        return OtherInformation(code)
    inner = fields.inner("supplementary")
    party, counter = "remote_party_id", "remote_party_counter"
    own, certificate = "originator_counter", "key_agreement_certificate"
    other = OtherInformation(
        code,
        inner.text(party) if inner.has(party) else None,
        inner.number(counter) if inner.has(counter) else None,
        inner.number(own) if inner.has(own) else None,
        inner.hexadecimal(certificate) if inner.has(certificate) else None,
    )
    inner.done()
    return other
