"""The one door to `cryptography.hazmat.asn1`: the payloads as ASN.1 writes them.

The declarative interface of the library is marked unstable, so nothing else imports it. The
classes below are the wire form; gbcs.payloads.credentials, gbcs.payloads.details and
gbcs.payloads.device_certificates turn them into the values the rest of the project uses. Field
order, tags and optionality: docs/sources.md
#update-payload, #device-credentials (confirmed byte for byte by RTDS vectors; the identifiers are
partly reconstructions, which does not touch the encoding).

What the library does not have: ENUMERATED (made of TLV here), and the ways in which what devices
write is not DER (`30 82 00 CA`), which `read` takes only where it is told `as_devices_write`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, TypeVar

from cryptography.hazmat import asn1

from gbcs.date_time import from_generalized_time, to_generalized_time
from gbcs.errors import EncodeError, ParseError
from gbcs.octets import Octets, length_octets
from gbcs.payloads.device_ber import as_der, with_short_outer_lengths

T = TypeVar("T")

TLV = asn1.TLV
BitString = asn1.BitString
GeneralizedTime = asn1.GeneralizedTime
Null = asn1.Null

_SEQUENCE = b"\x30"
_ENUMERATED = b"\x0a"


@asn1.sequence
class CellIdentifier:
    """TrustAnchorCellIdentifier."""

    remote_party_role: int
    key_usage: BitString
    cell_usage: Annotated[int, asn1.Default(0)]


@asn1.sequence
class SpecialistNumber:
    """SpecialistSeqNumber."""

    usage: int
    number: int


@asn1.sequence
class NumberChange:
    """RemotePartySeqNumberChange."""

    remote_party_role: int
    floor: int
    specialist: list[SpecialistNumber] | None


@asn1.sequence
class CellReplacement:
    """TrustAnchorReplacement."""

    certificate: TLV
    cell: CellIdentifier


@asn1.sequence
class AuthorisingControl:
    """AuthorisingRemotePartyControl."""

    mode: int
    plaintext_symmetric_key: Annotated[bytes | None, asn1.Implicit(0)]
    time_checks: Annotated[int, asn1.Implicit(1), asn1.Default(0)]
    authorising_cell: Annotated[CellIdentifier | None, asn1.Implicit(2)]
    authorising_counter: Annotated[int, asn1.Implicit(3)]
    new_floor: Annotated[int | None, asn1.Implicit(4)]
    new_specialist_floors: Annotated[list[SpecialistNumber] | None, asn1.Implicit(5)]
    other_changes: Annotated[list[NumberChange] | None, asn1.Implicit(6)]


@asn1.sequence
class UpdateCommand:
    """CommandPayload of CS02b and CS02g."""

    control: AuthorisingControl
    replacements: list[CellReplacement]
    path_certificates: list[TLV]
    execution_date_time: GeneralizedTime | None


@asn1.sequence
class ReplacementOutcome:
    """ReplacementOutcome. The status is an ENUMERATED."""

    cell: CellIdentifier
    status: TLV
    existing_subject: bytes
    existing_key_id: bytes
    replacing_subject: bytes
    replacing_key_id: bytes


@asn1.sequence
class ExecutionOutcome:
    """ExecutionOutcome."""

    authorising_counter: int
    mode: int
    changes: list[NumberChange]
    outcomes: list[ReplacementOutcome]


@asn1.sequence
class UpdateResponse:
    """ResponsePayload of CS02b and CS02g."""

    accepted: Null
    outcome: ExecutionOutcome | None


@asn1.sequence
class UpdateAlert:
    """AlertPayload of CS02b and CS02g."""

    alert_code: int
    execution_date_time: GeneralizedTime
    outcome: ExecutionOutcome


@asn1.sequence
class ReadCommand:
    """CommandPayload of CS02a and CS02f."""

    authorising_cell: CellIdentifier
    roles: list[int]


@asn1.sequence
class CellContents:
    """TrustAnchorCellContents: what one cell of a role holds."""

    key_usage: BitString
    cell_usage: Annotated[int, asn1.Default(0)]
    subject: bytes
    key_id: bytes


@asn1.sequence
class RoleDetails:
    """RemotePartyDetails. The status is an ENUMERATED."""

    remote_party_role: int
    status: TLV
    current_counter: int | None
    cells: list[CellContents] | None


@asn1.sequence
class ReadResponse:
    """ResponsePayload of CS02a and CS02f: on the wire a bare SEQUENCE OF, see `read_list`."""

    roles: list[RoleDetails]


@asn1.sequence
class KeyUsageRequest:
    """CommandPayload of CS02c and CS02e."""

    key_usage: BitString


def read(cls: type[T], data: bytes, name: str, *, as_devices_write: bool = False) -> T:
    """Read one DER value, and nothing after it.

    With `as_devices_write`, so is what devices are known to write instead (see
    gbcs.payloads.device_ber).

    Raises:
        ParseError: it is not that.
    """
    if as_devices_write:
        return _read_of_devices(cls, data, name, lambda der: der)
    return _read_strict(cls, data, name)


def write(value: object, name: str) -> bytes:
    """Write one value in DER.

    Raises:
        EncodeError: a field has the wrong type or does not fit.
    """
    try:
        return asn1.encode_der(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise EncodeError(f"{name}: cannot be written in DER: {error}") from None


def read_list(cls: type[T], data: bytes, name: str, *, as_devices_write: bool = False) -> T:
    """Read a bare SEQUENCE OF into a class whose one field is that list.

    The library reads only SEQUENCEs at the top, so the list is put inside one.

    Raises:
        ParseError: it is not that.
    """
    if as_devices_write:
        return _read_of_devices(cls, data, name, _inside_sequence)
    return _read_strict(cls, _inside_sequence(data), name)


def write_list(value: object, name: str) -> bytes:
    """Write the one list of a class as a bare SEQUENCE OF.

    Raises:
        EncodeError: a field has the wrong type or does not fit.
    """
    wrapped = Octets(write(value, name), at=1)
    return wrapped.take(wrapped.length(name), name)


def whole(data: bytes, name: str) -> TLV:
    """A SEQUENCE carried as it stands, as certificates are.

    Raises:
        EncodeError: it is not exactly one SEQUENCE.
    """
    return _whole(data, name) if type(data) is bytes else _whole_afresh(data, name)


def octets_of(value: TLV, name: str) -> bytes:
    """The octets of a SEQUENCE carried as it stands.

    Raises:
        ParseError: it is something other than a SEQUENCE.
    """
    if value.tag_bytes != _SEQUENCE:
        raise ParseError(f"{name}: not a SEQUENCE")
    return asn1.encode_der(value)


def enumerated(number: int) -> TLV:
    """An ENUMERATED of this value (0 to 127, which is all the standard defines).

    Raises:
        EncodeError: it is outside that range.
    """
    if not 0 <= number <= 0x7F:
        raise EncodeError("an enumerated value must be 0 to 127")
    return _ENUMERATED_VALUES[number]


def number_of(value: TLV, name: str) -> int:
    """The value of an ENUMERATED of one octet.

    Raises:
        ParseError: it is something else.
    """
    content = bytes(value.data)
    if value.tag_bytes != _ENUMERATED or len(content) != 1 or content[0] > 0x7F:
        raise ParseError(f"{name}: not an ENUMERATED of 0 to 127")
    return content[0]


def time_to_wire(text: str, name: str) -> GeneralizedTime:
    """A GeneralizedTime from `YYYYMMDDHHMMSSZ`.

    Raises:
        EncodeError: it is not written so, or no such time exists.
    """
    try:
        return GeneralizedTime(from_generalized_time(text))
    except (ParseError, ValueError):
        raise EncodeError(f"{name}: not a time written YYYYMMDDHHMMSSZ") from None


def time_from_wire(value: GeneralizedTime, name: str) -> str:
    """`YYYYMMDDHHMMSSZ` from a GeneralizedTime.

    Raises:
        ParseError: it has fractions of a second.
    """
    moment = value.as_datetime()
    if moment.microsecond:
        raise ParseError(f"{name}: fractions of a second are not used")
    return to_generalized_time(moment)


_ENUMERATED_VALUES = [asn1.decode_der(TLV, _ENUMERATED + bytes((1, n))) for n in range(0x80)]


def _whole_afresh(data: bytes, name: str) -> TLV:
    try:
        value = asn1.decode_der(TLV, data)
    except (ValueError, TypeError) as error:
        raise EncodeError(f"{name}: not one DER value: {error}") from None
    if value.tag_bytes != _SEQUENCE:
        raise EncodeError(f"{name}: not a SEQUENCE")
    return value


_whole = lru_cache(maxsize=256)(_whole_afresh)
"""A party writes few certificates, each many times; a value carried is a pure function of them."""


def _read_strict(cls: type[T], data: bytes, name: str) -> T:
    try:
        return asn1.decode_der(cls, data)
    except (ValueError, TypeError, OverflowError) as error:
        kind = str(error).removeprefix("error parsing asn1 value: ")
        raise ParseError(f"{name}: not the DER it should be: {kind}") from None


def _read_of_devices(cls: type[T], data: bytes, name: str, put: Callable[[bytes], bytes]) -> T:
    """Read what may be written in the ways of devices: first as it is, then with less and less."""
    try:
        return _read_strict(cls, put(data), name)
    except ParseError:
        shorter = with_short_outer_lengths(data)
    if shorter is not None and shorter != data:
        try:
            return _read_strict(cls, put(shorter), name)
        except ParseError:
            pass
    return _read_strict(cls, put(as_der(data)), name)


def _inside_sequence(content: bytes) -> bytes:
    return _SEQUENCE + length_octets(len(content)) + content
