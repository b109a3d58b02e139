"""A good request is signed for: what the command says, what is counted, recorded and traced."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from duis.model import CANCEL_DATE
from gbcs.codes import Cra, CredentialsReplacementMode
from gbcs.message import Message, decode
from gbcs.payloads.credentials import UpdateCredentials, decode_update
from gbcs.protect import verify_signature
from tests.unit.cos_party.estate import (
    DEVICE,
    PARTIES,
    SUPPLIER_B_TOO,
    SUPPLIER_C,
    Estate,
    Party,
)
from tests.unit.cos_party.pki import NOW


def message_of(answer: dict[str, Any]) -> Message:
    return decode(base64.b64decode(answer["signed_command"]))


def update_of(answer: dict[str, Any]) -> UpdateCredentials:
    return decode_update(message_of(answer).payload)


async def test_a_good_request_becomes_a_command_signed_by_this_cos_party(
    party: Party, estate: Estate
) -> None:
    answer = await party.command(estate.ask().signed, "t-1")
    eui = PARTIES[party.prefix][1]
    command = message_of(answer)
    assert (answer["version"], answer["transaction"]) == (1, "t-1")
    assert (answer["originator"], answer["counter"]) == (eui, 6001)
    assert command.header.originator == eui
    assert command.header.recipient == DEVICE
    assert command.header.counter == 6001
    assert command.header.cra == Cra.COMMAND
    assert command.header.date_time is None
    assert command.message_code == 0x0107
    assert command.mac is None
    verify_signature(command, party.signer.certificate.der)


async def test_the_command_says_what_the_supplier_asked(party: Party, estate: Estate) -> None:
    asked = estate.ask(supplier_floor=41, prepayment_top_up_floor=7, apply_time_checks=False)
    update = update_of(await party.command(asked.signed))
    body: Any = asked.request.body
    assert update.mode == CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS
    assert update.authorising_counter == 6001
    assert update.authorising_cell is not None
    assert update.authorising_cell.name == "transitionalCoS/digitalSignature/management"
    assert [(r.cell.name, r.certificate) for r in update.replacements] == [
        ("supplier/digitalSignature/management", body.digital_signing),
        ("supplier/keyAgreement/management", body.key_agreement),
        ("supplier/keyAgreement/prePaymentTopUp", body.key_agreement_top_up),
    ]
    assert update.path_certificates == body.path_certificates
    assert update.apply_time_checks is False
    assert update.execution_date_time is None
    assert update.new_floor is None
    assert update.new_specialist_floors is None
    assert update.other_changes is not None
    (change,) = update.other_changes
    assert (int(change.role), change.floor) == (2, 41)
    assert change.specialist is not None
    assert [s.number for s in change.specialist] == [7]


async def test_the_counter_is_the_party_s_own_and_never_used_twice(
    ecos: Party, estate: Estate
) -> None:
    counters = [
        (await ecos.command(estate.ask(counter=10**15 + n).signed))["counter"] for n in range(3)
    ]
    assert counters == [6001, 6002, 6003]


@pytest.mark.parametrize(
    ("absent", "cells"),
    [
        (("key_agreement",), ["digitalSignature/management", "keyAgreement/prePaymentTopUp"]),
        (
            ("key_agreement_top_up", "prepayment_top_up_floor"),
            ["digitalSignature/management", "keyAgreement/management"],
        ),
        (
            ("key_agreement", "key_agreement_top_up", "prepayment_top_up_floor"),
            ["digitalSignature/management"],
        ),
    ],
)
async def test_only_cells_with_a_certificate_are_replaced(
    ecos: Party, estate: Estate, absent: tuple[str, ...], cells: list[str]
) -> None:
    asked = estate.ask(**dict.fromkeys(absent))
    update = update_of(await ecos.command(asked.signed))
    assert [r.cell.name for r in update.replacements] == [f"supplier/{cell}" for cell in cells]


async def test_a_future_date_goes_into_the_command(ecos: Party, estate: Estate) -> None:
    asked = estate.ask(execution_date_time=NOW + timedelta(days=10))
    update = update_of(await ecos.command(asked.signed))
    assert update.execution_date_time == "20261201120000Z"


async def test_who_will_be_the_supplier_then_may_ask_now(ecos: Party, estate: Estate) -> None:
    asked = estate.ask(requester=SUPPLIER_C, execution_date_time=NOW + timedelta(days=25))
    assert (await ecos.command(asked.signed))["counter"] == 6001


async def test_a_cancellation_leaves_out_the_floors(ecos: Party, estate: Estate) -> None:
    update = update_of(await ecos.command(estate.ask(execution_date_time=CANCEL_DATE).signed))
    assert update.execution_date_time == "99991231235959Z"
    assert update.other_changes is None
    assert len(update.replacements) == 3


async def test_a_supplier_to_be_may_cancel_what_it_asked_for(ecos: Party, estate: Estate) -> None:
    asked = estate.ask(requester=SUPPLIER_C, execution_date_time=CANCEL_DATE)
    assert (await ecos.command(asked.signed))["counter"] == 6001


async def test_certificates_may_be_of_another_identifier_of_the_same_participant(
    ecos: Party, estate: Estate
) -> None:
    asked = estate.ask(
        digital_signing=estate.digital_signing(SUPPLIER_B_TOO),
        key_agreement=estate.key_agreement(SUPPLIER_B_TOO),
        key_agreement_top_up=estate.top_up(SUPPLIER_B_TOO),
    )
    assert (await ecos.command(asked.signed))["counter"] == 6001


async def test_the_decision_and_every_verdict_can_be_read(party: Party, estate: Estate) -> None:
    asked = estate.ask()
    await party.command(asked.signed, "t-1")
    request_id = f"{asked.request.header.request_id}"
    entries = await party.base.traces.read(request_id)
    assert [entry["kind"] for entry in entries] == ["received", "checked", "signed"]
    checked = entries[1]["verdicts"]
    section = [check.id for check in party.base.book.section("request")]
    assert [verdict["check"] for verdict in checked] == section
    assert {verdict["outcome"] for verdict in checked} == {"passed"}
    reference = f"{PARTIES[party.prefix][1]}:{DEVICE}:6001"
    assert entries[2]["gbcs_ref"] == reference


async def test_intent_is_recorded_before_the_key_is_used(ecos: Party, estate: Estate) -> None:
    """When the key fails, the intent is there with its counter; asked again, it is that one."""

    class BrokenKeyError(Exception):
        pass

    def fail(data: bytes) -> bytes:
        raise BrokenKeyError(len(data))

    asked = estate.ask().signed
    working = ecos.signer.sign
    ecos.signer.sign = fail  # type: ignore[method-assign]
    with pytest.raises(BrokenKeyError):
        await ecos.command(asked, "t-1")
    effects = await ecos.effects()
    assert effects["counter"] == 6001
    assert [(row.counter, row.command) for row in effects["cos_command"]] == [(6001, None)]
    intended = effects["cos_command"][0].pre_command
    ecos.signer.sign = working  # type: ignore[method-assign]
    answer = await ecos.command(asked, "t-1")
    assert answer["counter"] == 6001
    assert base64.b64decode(answer["signed_command"])[: len(intended)] == intended
    assert (await ecos.effects())["counter"] == 6001


async def test_the_same_bytes_again_get_the_same_command(party: Party, estate: Estate) -> None:
    asked = estate.ask().signed
    first = await party.command(asked, "t-1")
    before = await party.effects()
    again = await party.command(asked, "t-1")
    other_transaction = await party.command(asked, "t-2")
    assert again == first
    assert other_transaction == {**first, "transaction": "t-2"}
    after = await party.effects()
    assert (after["counter"], after["signed"]) == (before["counter"], before["signed"])
    assert after["cos_command"] == before["cos_command"]


async def test_the_answer_is_kept_with_the_command(ecos: Party, estate: Estate) -> None:
    answer = await ecos.command(estate.ask().signed)
    assert len(ecos.remembered) == 1
    assert answer["signed_command"].encode() in ecos.remembered[0]


async def test_a_cached_signing_certificate_serves_when_the_repository_is_down(
    ecos: Party, estate: Estate
) -> None:
    await ecos.command(estate.ask(counter=1).signed)
    ecos.published.down = {"smki"}
    assert (await ecos.command(estate.ask(counter=2).signed))["counter"] == 6002
