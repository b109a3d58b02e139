"""What the broker read back from a device that kept silent: kept as its word, and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cos_party.checks import READ_BACK
from cos_party.store.decisions import BY_BROKER, device_cells
from gbcs.codes import Cra, MessageCode, RemotePartyRole, StatusCode
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.cells import CellId
from gbcs.payloads.credentials import decode_update
from gbcs.payloads.details import CredentialDetails, HeldCredential, RoleDetails, encode_details
from gbcs.protect import add_mac
from keys.certificate import Certificate
from services.chassis.checks import Refused
from tests.unit.cos_party.estate import DEVICE, OTHER_DEVICE, SUPPLIER_A, Estate, Party
from tests.unit.cos_party.pki import NOW
from tests.unit.cos_party.rules.test_return_checks import ALERT, Answering, command_signed

BROKER = "0253494d00000002"
RESPONSE = "device-response"
SIGNING = "supplier/digitalSignature/management"
CODE = MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS
HELD_BEFORE = (bytes.fromhex(SUPPLIER_A), bytes(8))

Change = Callable[[Message], Message]


def cells_told(command: bytes, *, changed: bool = True) -> RoleDetails:
    """What the supplier's cells hold, after the command or before it."""

    def held(cell: CellId, der: bytes) -> HeldCredential:
        new = Certificate.from_der(der)
        what = (new.subject_unique_id, new.key_identifier) if changed else HELD_BEFORE
        return HeldCredential(cell.key_usage, cell.cell_usage, *what)

    update = decode_update(decode(command).payload)
    return RoleDetails(
        RemotePartyRole.SUPPLIER,
        StatusCode.SUCCESS,
        0,
        tuple(held(one.cell, one.certificate) for one in update.replacements),
    )


def read_back(command: bytes, *roles: RoleDetails, **header: Any) -> bytes:
    """A device's answer to the broker's question, under a MAC that nobody here can verify."""
    plain = GroupingHeader(Cra.RESPONSE, 77, DEVICE, BROKER, OtherInformation(CODE))
    details = CredentialDetails(roles or (cells_told(command),))
    message = Message(replace(plain, **header), encode_details(details), signature=b"")
    return encode(add_mac(message, bytes(32)))


async def known(party: Party) -> dict[str, dict[str, Any]]:
    async with party.base.database.connect() as conn:
        return await device_cells(conn, DEVICE)


async def test_it_is_recorded_as_the_brokers_word(party: Party, estate: Estate) -> None:
    command = await command_signed(party, estate)
    said = read_back(command)

    answer = await party.bring(RESPONSE, said, "t-1")

    assert answer["outcome"]["summary"] == "what its cells hold, by the broker's word"
    cells = await known(party)
    new = Certificate.from_der(decode_update(decode(command).payload).replacements[0].certificate)
    assert cells[SIGNING]["key_identifier"] == new.key_identifier.hex()
    assert {cell["status"] for cell in cells.values()} == {BY_BROKER}
    assert await party.bring(RESPONSE, said, "t-1") == answer


async def test_the_devices_own_word_counts_for_more(ecos: Party, estate: Estate) -> None:
    """Before or after: what the device signed stands."""
    command = await command_signed(ecos, estate)
    lie = read_back(command, cells_told(command, changed=False))
    await ecos.bring(RESPONSE, lie, "t-1")
    assert (await known(ecos))[SIGNING]["subject"] == SUPPLIER_A

    await ecos.bring(RESPONSE, Answering(command, estate.device, estate).content, "t-1")
    signed = await known(ecos)
    assert {cell["status"] for cell in signed.values()} == {"success"}
    again = read_back(command, cells_told(command, changed=False), counter=78)
    await ecos.bring(RESPONSE, again, "t-1")
    assert await known(ecos) == signed


async def test_word_of_an_older_command_changes_nothing_of_a_newer(
    ecos: Party, estate: Estate
) -> None:
    first = await command_signed(ecos, estate, "t-1", counter=1)
    second = await command_signed(ecos, estate, "t-2", counter=2)
    await ecos.bring(RESPONSE, read_back(second, counter=79), "t-2")
    newer = await known(ecos)
    await ecos.bring(RESPONSE, read_back(first, cells_told(first, changed=False)), "t-1")
    assert await known(ecos) == newer


NETWORK = RoleDetails(RemotePartyRole.NETWORK_OPERATOR, StatusCode.TRUST_ANCHOR_NOT_FOUND)
CASES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "known_command": ("t-other", read_back),
    "decode": ("t-1", lambda c: with_payload(c, b"\x05\x00")),
    "originator": ("t-1", lambda c: read_back(c, originator=OTHER_DEVICE)),
    "answer": ("t-1", lambda c: read_back(c, cra=Cra.COMMAND)),
    "role": ("t-1", lambda c: read_back(c, NETWORK)),
}


def with_payload(command: bytes, payload: bytes) -> bytes:
    message = replace(decode(read_back(command)), payload=payload, mac=None)
    return encode(add_mac(message, bytes(32)))


def test_every_check_has_a_case() -> None:
    assert [f"read_back.{name}" for name in CASES] == [check.id for check in READ_BACK]


@pytest.mark.parametrize("name", CASES)
async def test_refused_by_exactly_that_check(party: Party, estate: Estate, name: str) -> None:
    transaction, make = CASES[name]
    command = await command_signed(party, estate)
    before = await party.effects()
    with pytest.raises(Refused) as refusal:
        await party.bring(RESPONSE, make(command), transaction)
    assert refusal.value.check == f"{party.prefix}.read_back.{name}"
    assert await party.effects() == before


@pytest.mark.parametrize("name", ["originator", "answer", "role"])
async def test_twin_with_that_check_off(ecos: Party, estate: Estate, name: str) -> None:
    transaction, make = CASES[name]
    command = await command_signed(ecos, estate)
    ecos.base.book.turn_off(f"ecos.read_back.{name}")
    assert (await ecos.bring(RESPONSE, make(command), transaction))["accepted"]


@pytest.mark.parametrize(("name", "then"), [("known_command", "originator"), ("decode", "role")])
async def test_twin_that_the_next_check_stops(
    ecos: Party, estate: Estate, name: str, then: str
) -> None:
    """There is nothing to judge by: whatever comes next says no."""
    transaction, make = CASES[name]
    command = await command_signed(ecos, estate)
    ecos.base.book.turn_off(f"ecos.read_back.{name}")
    with pytest.raises(Refused) as refusal:
        await ecos.bring(RESPONSE, make(command), transaction)
    assert refusal.value.check == f"ecos.read_back.{then}"


async def test_an_alert_counter_of_all_64_bits_is_taken(party: Party, estate: Estate) -> None:
    """The device counts in 64 unsigned bits, of which a database's integers hold 63."""
    at = NOW + timedelta(days=10)
    command = await command_signed(party, estate, execution_date_time=at)
    device = Answering(command, estate.device, estate, purpose=ALERT)
    largest = device.but(header={"counter": 2**64 - 1}).content
    assert (await party.bring(ALERT, largest, "t-1"))["accepted"]
    with pytest.raises(Refused) as refusal:
        await party.bring(ALERT, device.but(header={"counter": 2**63 + 5}).content, "t-1")
    assert refusal.value.check == f"{party.prefix}.response.counter"
