"""Writing the command payload of the usual form, without going through the ASN.1 library.

Nearly every command has no symmetric key, no specialist floors and no date, and differs from the
last in its counter. That form is put together here out of octets; whatever differs, right or wrong,
is left to gbcs.payloads.asn1, which also says what does not fit. Nothing is refused here.

```
30  control       02 mode | 81 01 01 disapply | A2 cell | 83 counter | 84 floor | A6 changes
30  replacements  30 certificate | 30 cell
30  path          certificates
```
Layout: docs/sources.md#update-payload; held octet for octet to the library's by a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gbcs.codes import CellUsage, CredentialsReplacementMode, KeyUsage, RemotePartyRole
from gbcs.errors import EncodeError
from gbcs.octets import length_octets
from gbcs.payloads import asn1
from gbcs.payloads.cells import ALL_CELLS, CellId, cell_to_wire

if TYPE_CHECKING:
    from gbcs.payloads.credentials import UpdateCredentials

_DISAPPLY = bytes.fromhex("810101")
_INTEGER, _SEQUENCE, _CELL, _COUNTER, _FLOOR, _CHANGES = 0x02, 0x30, 0xA2, 0x83, 0x84, 0xA6
_HIGHEST = (1 << 64) - 1
_LONG, _TWO_OCTETS_FROM, _TWO_OCTETS_TO = 0x80, 0x100, 0xFFFF
_OCTETS_OF_CELL = {
    cell.role << 8 | cell.key_usage << 4 | cell.cell_usage: asn1.write(cell_to_wire(cell), "cell")
    for cell in ALL_CELLS
}


class _Unusual(Exception):  # noqa: N818 - it is no error
    """Something is not of the usual form."""


def write_usual(update: UpdateCredentials) -> bytes | None:
    """The payload of a command of the usual form; None if it is not of that form."""
    if (
        type(update.mode) is not CredentialsReplacementMode
        or update.plaintext_symmetric_key is not None
        or update.new_specialist_floors is not None
        or update.execution_date_time is not None
    ):
        return None
    try:
        return _value(
            _SEQUENCE,
            _control(update)
            + _value(
                _SEQUENCE,
                b"".join(
                    [
                        _value(_SEQUENCE, _whole(item.certificate) + _cell(item.cell))
                        for item in update.replacements
                    ]
                ),
            )
            + _value(_SEQUENCE, b"".join([_whole(item) for item in update.path_certificates])),
        )
    except (_Unusual, EncodeError, AttributeError, TypeError):
        return None


def _control(update: UpdateCredentials) -> bytes:
    parts = [_number(_INTEGER, int(update.mode))]
    if not update.apply_time_checks:
        parts.append(_DISAPPLY)
    if update.authorising_cell is not None:
        cell = _cell(update.authorising_cell)
        parts.append(bytes((_CELL,)) + cell[1:])
    parts.append(_number(_COUNTER, update.authorising_counter))
    if update.new_floor is not None:
        parts.append(_number(_FLOOR, update.new_floor))
    if update.other_changes is not None:
        changes = []
        for change in update.other_changes:
            if change.specialist is not None or type(change.role) is not RemotePartyRole:
                raise _Unusual
            content = _number(_INTEGER, int(change.role)) + _number(_INTEGER, change.floor)
            changes.append(bytes((_SEQUENCE, len(content))) + content)  # at most 14 octets
        parts.append(_value(_CHANGES, b"".join(changes)))
    return _value(_SEQUENCE, b"".join(parts))


def _cell(cell: CellId) -> bytes:
    if (
        type(cell.role) is not RemotePartyRole
        or type(cell.key_usage) is not KeyUsage
        or type(cell.cell_usage) is not CellUsage
    ):
        raise _Unusual
    return _OCTETS_OF_CELL[cell.role << 8 | cell.key_usage << 4 | cell.cell_usage]


def _whole(certificate: bytes) -> bytes:
    asn1.whole(certificate, "certificate")
    return bytes(certificate)


def _number(tag: int, value: int) -> bytes:
    if type(value) is not int or not 0 <= value <= _HIGHEST:
        raise _Unusual
    size = value.bit_length() // 8 + 1
    return bytes((tag, size)) + value.to_bytes(size, "big")


def _value(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < _LONG:
        return bytes((tag, size)) + content
    if _TWO_OCTETS_FROM <= size <= _TWO_OCTETS_TO:
        return bytes((tag, 0x82, size >> 8, size & 0xFF)) + content
    return bytes((tag,)) + length_octets(size) + content
