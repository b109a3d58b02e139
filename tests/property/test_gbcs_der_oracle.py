"""A second writer of the command payload, in plain Python, must agree octet for octet."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gbcs.codes import CellUsage, CredentialsReplacementMode, KeyUsage, RemotePartyRole
from gbcs.payloads.credentials import (
    CellId,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
    encode_update,
)

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def number(value: int, tag: int = 2) -> bytes:
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def cell(value: CellId, tag: int = 0x30) -> bytes:
    bits = {0: b"\x07\x80", 4: b"\x03\x08", 5: b"\x02\x04"}[value.key_usage]
    usage = number(1) if value.cell_usage == CellUsage.PREPAYMENT_TOP_UP else b""
    return tlv(tag, number(value.role), tlv(3, bits), usage)


def specialists(values: tuple[SpecialistSeqNumber, ...], tag: int) -> bytes:
    return tlv(tag, *(tlv(0x30, number(0), number(value.number)) for value in values))


def change(value: SeqNumberChange) -> bytes:
    special = b"" if value.specialist is None else specialists(value.specialist, 0x30)
    return tlv(0x30, number(value.role), number(value.floor), special)


def by_hand(update: UpdateCredentials) -> bytes:
    control = [number(update.mode)]
    if update.plaintext_symmetric_key is not None:
        control.append(tlv(0x80, update.plaintext_symmetric_key))
    if not update.apply_time_checks:
        control.append(number(1, 0x81))
    if update.authorising_cell is not None:
        control.append(cell(update.authorising_cell, 0xA2))
    control.append(number(update.authorising_counter, 0x83))
    if update.new_floor is not None:
        control.append(number(update.new_floor, 0x84))
    if update.new_specialist_floors is not None:
        control.append(specialists(update.new_specialist_floors, 0xA5))
    if update.other_changes is not None:
        control.append(tlv(0xA6, *(change(value) for value in update.other_changes)))
    when = update.execution_date_time
    return tlv(
        0x30,
        tlv(0x30, *control),
        tlv(0x30, *(tlv(0x30, r.certificate, cell(r.cell)) for r in update.replacements)),
        tlv(0x30, *update.path_certificates),
        b"" if when is None else tlv(0x18, when.encode()),
    )


counters = st.integers(0, 2**64 - 1)
certificates = st.binary(max_size=600).map(lambda content: tlv(0x30, content))
cells = st.builds(
    CellId, st.sampled_from(RemotePartyRole), st.sampled_from(KeyUsage), st.sampled_from(CellUsage)
)
special = st.lists(st.builds(SpecialistSeqNumber, counters), max_size=2).map(tuple)
updates = st.builds(
    UpdateCredentials,
    st.sampled_from(CredentialsReplacementMode),
    counters,
    st.none() | cells,
    st.lists(st.builds(Replacement, certificates, cells), max_size=3).map(tuple),
    st.lists(certificates, max_size=2).map(tuple),
    st.booleans(),
    st.none() | counters,
    st.none() | special,
    st.none()
    | st.lists(
        st.builds(SeqNumberChange, st.sampled_from(RemotePartyRole), counters, st.none() | special),
        max_size=3,
    ).map(tuple),
    st.none() | st.sampled_from(["20300102000000Z", "99991231235959Z"]),
    st.none() | st.binary(max_size=200),
)


@unhurried
@given(update=updates)
def test_two_writers_agree(update: UpdateCredentials):
    assert encode_update(update) == by_hand(update)
