"""The frame of a GBCS message: MAC header, grouping header, payload, signature, MAC.

    MAC header  DD 00 00 00 00 00 00 | len | 11 00 00 00 00     general-ciphering; len = 5+inner+12
    Grouping    DF
                09 | CRA (1) | originator counter (8)
                08 | business originator (8)
                08 | business target (8)
                00, or 0C | date-time (12)
                len | other information (2-octet message code first)
                len | payload
    Signature   00, or 40 | r (32) | s (32)      a Pre-Command ends before this octet
    MAC         12 octets, only after a MAC header; no length octet

Source: GBCS 0.8.1 p163 and docs/sources.md#message-layout; confirmed by RTDS vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

from gbcs.codes import Cra
from gbcs.entity import entity_to_bytes
from gbcs.errors import EncodeError, ParseError
from gbcs.numbers import unsigned
from gbcs.octets import Octets, length_octets
from gbcs.tally import COUNTS

MAC_HEADER_START = bytes.fromhex("dd000000000000")
"""general-ciphering with six empty fields."""

SECURITY_HEADER = bytes.fromhex("1100000000")
"""Security control 0x11 (authentication only), invocation counter 0."""

SIGNING_TAG = 0xDF
MAC_LENGTH = 12
SIGNATURE_LENGTH = 64


@dataclass(frozen=True, slots=True)
class OtherInformation:
    """The other-information field: message code (2 octets) and what supplements it.

    Order on the wire: code, supplementary remote party identifier (8), its counter (8), then
    supplementary originator counter (8) or key agreement certificate (DER) or both.
    Each field needs those before it, save that a certificate may follow the remote party counter
    directly; if what follows that counter is one SEQUENCE to the end, it is the certificate. CS02b
    uses the message code alone. Source: docs/sources.md#message-layout; that both orders occur is a
    reconstruction (published readers differ).
    """

    message_code: int
    supplementary_remote_party_id: str | None = None
    supplementary_remote_party_counter: int | None = None
    supplementary_originator_counter: int | None = None
    key_agreement_certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class GroupingHeader:
    """Who says what to whom, and which of their messages it is.

    `originator` and `recipient` are EUI-64s in 16 lower-case hexadecimal digits; `counter` is
    0 to 2^64-1; `date_time` is the 12-octet DLMS form or None (see gbcs.date_time).
    """

    cra: Cra
    counter: int
    originator: str
    recipient: str
    other: OtherInformation
    date_time: bytes | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One GBCS message.

    `signature`: 64 octets r||s; b"" for a signature of length 0; None if even the length octet
    is missing (a Pre-Command). `mac`: 12 octets; if present the message has a MAC header.
    """

    header: GroupingHeader
    payload: bytes
    signature: bytes | None
    mac: bytes | None = None

    @property
    def reference(self) -> str:
        """`originator:recipient:counter`, how this project names a message."""
        return f"{self.header.originator}:{self.header.recipient}:{self.header.counter}"

    @property
    def message_code(self) -> int:
        """The message code of the other information."""
        return self.header.other.message_code

    @property
    def is_pre_command(self) -> bool:
        """Whether it ends at the payload, as what is given to a party to be signed does."""
        return self.signature is None and self.mac is None


def decode(data: bytes) -> Message:
    """Read one whole message, strictly.

    Raises:
        ParseError: not exactly one message; `offset` counts from the start of `data`.
    """
    COUNTS["gbcs.decode"] += 1
    data = bytes(data)
    if data[:1] == MAC_HEADER_START[:1]:
        return _decode_with_mac(data)
    return _decode_signing(data, Octets(data), mac=None)


def reference_of(data: bytes) -> str | None:
    """`originator:recipient:counter` of a message; None if these octets are none."""
    try:
        return decode(data).reference
    except ParseError:
        return None


def encode(message: Message) -> bytes:
    """Write a message.

    Raises:
        EncodeError: a field cannot be written, or a MAC without a signature length octet.
    """
    inner = encode_signed_part(message)
    if message.mac is None:
        return inner
    if len(message.mac) != MAC_LENGTH:
        raise EncodeError(f"a MAC has {MAC_LENGTH} octets, not {len(message.mac)}")
    if message.signature is None:
        raise EncodeError("a message with a MAC needs a signature, if only one of length 0")
    length = length_octets(len(SECURITY_HEADER) + len(inner) + MAC_LENGTH)
    return MAC_HEADER_START + length + SECURITY_HEADER + inner + message.mac


def encode_header(header: GroupingHeader) -> bytes:
    """Write a grouping header, from DF to the end of the other information.

    Raises:
        EncodeError: a field cannot be written.
    """
    if not isinstance(header.cra, Cra):
        raise EncodeError("CRA flag must be a Cra")
    date_time = header.date_time if header.date_time is not None else b""
    if header.date_time is not None and len(date_time) != 12:
        raise EncodeError("date-time must have 12 octets")
    other = _encode_other(header.other)
    return b"".join(
        (
            bytes((SIGNING_TAG, 9, header.cra)),
            _counter(header.counter, "originator counter"),
            b"\x08",
            entity_to_bytes(header.originator, "business originator"),
            b"\x08",
            entity_to_bytes(header.recipient, "business target"),
            bytes((len(date_time),)),
            date_time,
            length_octets(len(other)),
            other,
        )
    )


def encode_signed_part(message: Message) -> bytes:
    """Write everything but MAC header and MAC: DF to the end of the signature.

    Raises:
        EncodeError: a field cannot be written.
    """
    return encode_content(message) + _encode_signature(message.signature)


def encode_content(message: Message) -> bytes:
    """Write grouping header and payload: DF to the end of the payload, as in a Pre-Command.

    Raises:
        EncodeError: a field cannot be written.
    """
    head = encode_header(message.header)
    return head + length_octets(len(message.payload)) + message.payload


def _decode_with_mac(data: bytes) -> Message:
    octets = Octets(data)
    octets.expect(MAC_HEADER_START, "MAC header")
    at = octets.at
    length = octets.length("MAC header")
    if length != octets.left:
        raise ParseError(f"MAC header: says {length} octets follow, {octets.left} do", at)
    octets.expect(SECURITY_HEADER, "security header")
    end = len(data) - MAC_LENGTH
    if end < octets.at:
        raise ParseError("no room for a MAC", octets.at)
    return _decode_signing(data, Octets(data, octets.at, end), mac=data[end:])


def _decode_signing(data: bytes, octets: Octets, mac: bytes | None) -> Message:
    octets.expect(bytes((SIGNING_TAG,)), "grouping header")
    octets.expect(b"\x09", "transaction identifier length")
    at = octets.at
    flag = octets.octet("CRA flag")
    if flag not in (Cra.COMMAND, Cra.RESPONSE, Cra.ALERT):
        raise ParseError(f"CRA flag {flag:02x} is none of command, response, alert", at)
    counter = octets.number(8, "originator counter")
    octets.expect(b"\x08", "business originator length")
    originator = octets.take(8, "business originator").hex()
    octets.expect(b"\x08", "business target length")
    recipient = octets.take(8, "business target").hex()
    at = octets.at
    size = octets.octet("date-time length")
    if size not in (0, 12):
        raise ParseError(f"date-time has 0 or 12 octets, not {size}", at)
    date_time = octets.take(size, "date-time") or None
    other_end = octets.length("other information") + octets.at
    if other_end > octets.at + octets.left:
        raise ParseError("other information runs past the end", octets.at)
    other = _decode_other(data, Octets(data, octets.at, other_end))
    octets.at = other_end
    payload = octets.take(octets.length("payload"), "payload")
    signature = _decode_signature(octets, needed=mac is not None)
    octets.end("message")
    header = GroupingHeader(Cra(flag), counter, originator, recipient, other, date_time)
    return Message(header, payload, signature, mac)


def _decode_signature(octets: Octets, *, needed: bool) -> bytes | None:
    if not octets.left and not needed:
        return None
    at = octets.at
    size = octets.octet("signature length")
    if size not in (0, SIGNATURE_LENGTH):
        raise ParseError(f"a signature has 0 or {SIGNATURE_LENGTH} octets, not {size}", at)
    return octets.take(size, "signature")


def _encode_signature(signature: bytes | None) -> bytes:
    if signature is None:
        return b""
    if len(signature) not in (0, SIGNATURE_LENGTH):
        raise EncodeError(f"a signature has 0 or {SIGNATURE_LENGTH} octets, not {len(signature)}")
    return bytes((len(signature),)) + signature


def _decode_other(data: bytes, octets: Octets) -> OtherInformation:
    code = octets.number(2, "message code")
    if not octets.left:
        return OtherInformation(code)
    party = octets.take(8, "supplementary remote party identifier").hex()
    if not octets.left:
        return OtherInformation(code, party)
    party_counter = octets.number(8, "supplementary remote party counter")
    own_counter = certificate = None
    if octets.left and not _one_sequence(data, octets):
        own_counter = octets.number(8, "supplementary originator counter")
    if octets.left:
        if not _one_sequence(data, octets):
            raise ParseError("key agreement certificate: not one DER SEQUENCE", octets.at)
        certificate = octets.take(octets.left, "key agreement certificate")
    return OtherInformation(code, party, party_counter, own_counter, certificate)


def _one_sequence(data: bytes, octets: Octets) -> bool:
    """Whether what is left is one SEQUENCE longer than a counter."""
    if octets.left <= 8:
        return False
    ahead = Octets(data, octets.at, octets.at + octets.left)
    try:
        ahead.expect(b"\x30", "certificate")
        return ahead.length("certificate") == ahead.left
    except ParseError:
        return False


def _encode_other(other: OtherInformation) -> bytes:
    parts = [unsigned(other.message_code, 16, "message code").to_bytes(2, "big")]
    party = other.supplementary_remote_party_id
    party_counter = other.supplementary_remote_party_counter
    own_counter = other.supplementary_originator_counter
    certificate = other.key_agreement_certificate
    if party is not None:
        parts.append(entity_to_bytes(party, "supplementary remote party identifier"))
    elif (party_counter, own_counter, certificate) != (None, None, None):
        raise EncodeError("supplementary counters need a supplementary remote party identifier")
    if party_counter is not None:
        parts.append(_counter(party_counter, "supplementary remote party counter"))
    elif (own_counter, certificate) != (None, None):
        raise EncodeError("what follows needs a supplementary remote party counter")
    if own_counter is not None:
        parts.append(_counter(own_counter, "supplementary originator counter"))
    if certificate is not None:
        if not _one_sequence(certificate, Octets(certificate)):
            raise EncodeError("key agreement certificate must be one DER SEQUENCE")
        parts.append(certificate)
    written = b"".join(parts)
    if certificate is not None and _decode_other(written, Octets(written)) != other:
        raise EncodeError("supplementary originator counter would be read as a certificate")
    return written


def _counter(value: int, name: str) -> bytes:
    return unsigned(value, 64, name).to_bytes(8, "big")
