"""Every check on what a device sends back, at both CoS Parties, each with its twin."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from cos_party.checks import RETURN
from cos_party.store import decisions as store
from gbcs.codes import Cra, CredentialsReplacementMode, RemotePartyRole, StatusCode
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.credentials import (
    CellOutcome,
    CredentialsAlert,
    CredentialsOutcome,
    CredentialsResponse,
    SeqNumberChange,
    decode_update,
    encode_alert,
    encode_response,
)
from gbcs.protect import sign
from keys.certificate import Certificate
from services.chassis.checks import Refused
from tests.unit.cos_party import pki
from tests.unit.cos_party.estate import (
    DEVICE,
    OTHER_DEVICE,
    PARTIES,
    SUPPLIER_A,
    Estate,
    Party,
)
from tests.unit.cos_party.pki import NOW, Identity

NO_DATE_TIME = bytes.fromhex("07df0101ff000000008000ff")
RESPONSE, ALERT = "device-response", "device-alert"
LATER = NOW + timedelta(days=10)


@dataclass(frozen=True)
class Answering:
    """A device's answer to a command; what is not said otherwise is as an honest device has it."""

    command: bytes
    signer: Identity
    old: Estate
    purpose: str = RESPONSE
    header: dict[str, Any] = field(default_factory=dict)
    outcome: dict[str, Any] = field(default_factory=dict)
    statuses: tuple[StatusCode, ...] = ()
    accept_only: bool = False
    alert_code: int = 0x8F66
    executed_at: str = "20261201120000Z"
    message_code: int | None = None
    payload: bytes | None = None
    cells: Callable[[tuple[CellOutcome, ...]], tuple[CellOutcome, ...]] = tuple

    def but(self, **changes: Any) -> Answering:
        return replace(self, **changes)

    @property
    def result(self) -> CredentialsOutcome:
        update = decode_update(decode(self.command).payload)
        cells = []
        for index, replacement in enumerate(update.replacements):
            new = Certificate.from_der(replacement.certificate)
            status = self.statuses[index] if self.statuses else StatusCode.SUCCESS
            before = (bytes.fromhex(SUPPLIER_A), bytes([0x40, index]) + bytes(6))
            after = (new.subject_unique_id, new.key_identifier)
            holds = after if status == StatusCode.SUCCESS else before
            cells.append(CellOutcome(replacement.cell, status, *before, *holds))
        said: dict[str, Any] = {
            "authorising_counter": update.authorising_counter,
            "mode": update.mode,
            "changes": update.other_changes or (),
            "outcomes": self.cells(tuple(cells)),
        }
        return CredentialsOutcome(**{**said, **self.outcome})

    @property
    def message(self) -> Message:
        asked = decode(self.command).header
        alerting = self.purpose == ALERT
        if alerting:
            payload = encode_alert(CredentialsAlert(self.alert_code, self.executed_at, self.result))
        else:
            payload = encode_response(
                CredentialsResponse(None if self.accept_only else self.result)
            )
        code = 0x00CB if alerting else 0x0107
        header = GroupingHeader(
            cra=Cra.ALERT if alerting else Cra.RESPONSE,
            counter=2000 if alerting else asked.counter,
            originator=asked.recipient,
            recipient=asked.originator,
            other=OtherInformation(self.message_code or code),
            date_time=None if alerting else NO_DATE_TIME,
        )
        said = self.payload if self.payload is not None else payload
        return sign(Message(replace(header, **self.header), said, b""), self.signer.sign)

    @property
    def content(self) -> bytes:
        return encode(self.message)


async def command_signed(
    party: Party, estate: Estate, transaction: str = "t-1", **changes: Any
) -> bytes:
    answer = await party.command(estate.ask(**changes).signed, transaction)
    return base64.b64decode(answer["signed_command"])


async def answering(party: Party, estate: Estate, **changes: Any) -> Answering:
    """The honest answer to a command just signed; future-dated if an alert is to be sent."""
    asked: dict[str, Any] = {}
    if changes.get("purpose") == ALERT or changes.get("accept_only"):
        asked["execution_date_time"] = LATER
    command = await command_signed(party, estate, **asked)
    return Answering(command, estate.device, estate).but(**changes)


async def test_a_response_is_recorded_cell_by_cell(party: Party, estate: Estate) -> None:
    device = await answering(party, estate)
    answer = await party.bring(RESPONSE, device.content, "t-1")
    assert (answer["version"], answer["transaction"], answer["accepted"]) == (1, "t-1", True)
    assert answer["outcome"]["summary"] == "3 of 3 cells replaced"
    async with party.base.database.connect() as conn:
        cells = await store.device_cells(conn, DEVICE)
    supplier = estate.ask().requester
    assert {name: cell["subject"] for name, cell in cells.items()} == {
        "supplier/digitalSignature/management": supplier,
        "supplier/keyAgreement/management": supplier,
        "supplier/keyAgreement/prePaymentTopUp": supplier,
    }
    entries = await party.base.traces.read(str(estate.ask().request.header.request_id))
    assert entries[-1]["kind"] == "recorded"
    assert entries[-1]["gbcs_ref"] == f"{DEVICE}:{PARTIES[party.prefix][1]}:6001"


async def test_a_cell_that_failed_holds_what_it_held(ecos: Party, estate: Estate) -> None:
    statuses = (StatusCode.SUCCESS, StatusCode.NO_TRUST_ANCHOR, StatusCode.SUCCESS)
    device = await answering(ecos, estate, statuses=statuses)
    answer = await ecos.bring(RESPONSE, device.content, "t-1")
    assert answer["outcome"]["summary"] == "2 of 3 cells replaced"
    async with ecos.base.database.connect() as conn:
        cell = (await store.device_cells(conn, DEVICE))["supplier/keyAgreement/management"]
    assert (cell["subject"], cell["status"]) == (SUPPLIER_A, "noTrustAnchor")


async def test_a_future_dated_command_is_accepted_first_and_reported_by_alert(
    ecos: Party, estate: Estate
) -> None:
    device = await answering(ecos, estate, accept_only=True)
    first = await ecos.bring(RESPONSE, device.content, "t-1")
    assert first["outcome"] == {
        "summary": "accepted, nothing replaced yet",
        "accepted": True,
        "cells": [],
    }
    alert = device.but(purpose=ALERT, accept_only=False)
    second = await ecos.bring(ALERT, alert.content, "t-1")
    assert second["outcome"]["alert_code"] == "0x8f66"
    assert second["outcome"]["summary"] == "3 of 3 cells replaced"


async def test_an_alert_of_failure_is_recorded(ecos: Party, estate: Estate) -> None:
    statuses = (StatusCode.SUCCESS, StatusCode.SUCCESS, StatusCode.BAD_CERTIFICATE)
    device = await answering(ecos, estate, purpose=ALERT, statuses=statuses, alert_code=0x8F67)
    answer = await ecos.bring(ALERT, device.content, "t-1")
    assert answer["outcome"]["summary"] == "2 of 3 cells replaced"


async def test_the_same_bytes_again_are_recorded_once(ecos: Party, estate: Estate) -> None:
    device = await answering(ecos, estate)
    content = device.content
    first = await ecos.bring(RESPONSE, content, "t-1")
    before = await ecos.effects()
    assert await ecos.bring(RESPONSE, content, "t-1") == first
    assert await ecos.effects() == before


async def test_a_response_of_a_repeated_transaction_is_known(ecos: Party, estate: Estate) -> None:
    asked = estate.ask().signed
    first = await ecos.command(asked, "t-1")
    await ecos.command(asked, "t-2")
    device = Answering(base64.b64decode(first["signed_command"]), estate.device, estate)
    assert (await ecos.bring(RESPONSE, device.content, "t-2"))["accepted"] is True


async def as_it_is(party: Party, estate: Estate) -> None:
    """An estate in which nothing is out of order."""


async def forget_device(party: Party, estate: Estate) -> None:
    party.published.certificates.remove(estate.device.certificate)


async def revoke_device(party: Party, estate: Estate) -> None:
    party.published.revoke(estate.device_issuing, "device", estate.device.certificate.serial)


async def organisation_poses_as_device(party: Party, estate: Estate) -> None:
    """The repository offers, for the device, a certificate of a stranger's device authority."""
    party.published.certificates.append(stranger(estate).certificate)


async def later_alert_taken(party: Party, estate: Estate) -> None:
    """The device's alert number 2500, about an earlier command, was taken already."""
    command = await command_signed(party, estate, "t-0", counter=1, execution_date_time=LATER)
    alert = Answering(command, estate.device, estate, ALERT, {"counter": 2500})
    await party.bring(ALERT, alert.content, "t-0")


def stranger(estate: Estate) -> Identity:
    root = pki.authority("SIM-E8", "00", policy=pki.DEVICE)
    return pki.device(pki.authority("SIM-E9", "07", root, pki.DEVICE), DEVICE)


def swapped(cells: tuple[CellOutcome, ...]) -> tuple[CellOutcome, ...]:
    return cells[::-1]


def other_certificate(cells: tuple[CellOutcome, ...]) -> tuple[CellOutcome, ...]:
    return (replace(cells[0], replacing_key_id=b"\x4f" + bytes(7)), *cells[1:])


@dataclass(frozen=True)
class Case:
    """One way to be refused; `twin` says what the act leads to with the check off."""

    check: str
    twin: str | None
    said: Callable[[Estate], dict[str, Any]] = lambda _: {}
    content: Callable[[Answering], bytes] = lambda a: a.content
    world: Callable[[Party, Estate], Any] = as_it_is
    transaction: str = "t-1"
    label: str = ""


CASES = [
    Case("response.known_command", "response.originator", transaction="t-9"),
    Case("response.decode", "response.originator", content=lambda a: a.content[:-1]),
    Case(
        "response.decode",
        "response.outcome",
        said=lambda _: {"payload": b"\x30\x03\x05\x00\x00"},
        label="payload",
    ),
    Case(
        "response.originator",
        None,
        said=lambda e: {"header": {"originator": OTHER_DEVICE}, "signer": e.other_device},
    ),
    Case("response.recipient", None, said=lambda _: {"header": {"recipient": "0253494d00000002"}}),
    Case(
        "response.message_code",
        "response.outcome",
        said=lambda _: {"message_code": 0x0106},
        label="mode 6",
    ),
    Case(
        "response.message_code",
        None,
        said=lambda _: {"header": {"cra": Cra.COMMAND}},
        label="command",
    ),
    Case("response.counter", None, said=lambda _: {"header": {"counter": 6002}}, label="header"),
    Case(
        "response.counter",
        None,
        said=lambda _: {"outcome": {"authorising_counter": 6002}},
        label="outcome",
    ),
    Case(
        "response.counter",
        None,
        said=lambda _: {"purpose": ALERT, "header": {"counter": 2500}},
        world=later_alert_taken,
        label="alert",
    ),
    Case("response.signature", None, said=lambda e: {"signer": e.other_device}, label="other key"),
    Case("response.signature", None, world=forget_device, label="unknown device"),
    Case("response.signature", None, world=revoke_device, label="revoked device"),
    Case(
        "response.signature",
        None,
        said=lambda e: {"signer": stranger(e)},
        world=organisation_poses_as_device,
        label="stranger's authority",
    ),
    Case(
        "response.signature",
        None,
        content=lambda a: encode(replace(a.message, signature=b"")),
        label="none",
    ),
    Case(
        "response.outcome",
        None,
        said=lambda _: {"outcome": {"mode": CredentialsReplacementMode.TRANS_COS_BY_TRANS_COS}},
        label="mode",
    ),
    Case("response.outcome", None, said=lambda _: {"cells": swapped}, label="cells"),
    Case("response.outcome", None, said=lambda _: {"cells": other_certificate}, label="holds"),
    Case(
        "response.outcome",
        None,
        said=lambda _: {"cells": other_certificate, "statuses": (StatusCode.OTHER,) * 3},
        label="failed and changed",
    ),
    Case(
        "response.outcome",
        None,
        said=lambda _: {"outcome": {"changes": (SeqNumberChange(RemotePartyRole.RECOVERY, 9),)}},
        label="floors",
    ),
    Case(
        "response.outcome",
        None,
        said=lambda _: {"purpose": ALERT, "executed_at": "20261201120001Z"},
        label="alert time",
    ),
    Case(
        "response.outcome",
        None,
        said=lambda _: {"purpose": ALERT, "alert_code": 0x8F67},
        label="alert code",
    ),
    Case(
        "response.outcome",
        None,
        said=lambda _: {"accept_only": True},
        content=lambda a: a.but(accept_only=False).content,
        label="too early",
    ),
    Case(
        "response.outcome",
        None,
        content=lambda a: a.but(accept_only=True).content,
        label="missing",
    ),
]

each_case = pytest.mark.parametrize(
    "case", CASES, ids=[f"{c.check} {c.label}".strip().replace(" ", "_") for c in CASES]
)


def test_every_check_has_a_case() -> None:
    names = {check.id for check in RETURN}
    assert {case.check for case in CASES} == names


async def brought(party: Party, estate: Estate, case: Case) -> tuple[str, bytes]:
    await case.world(party, estate)
    device = await answering(party, estate, **case.said(estate))
    return device.purpose, case.content(device)


@each_case
async def test_refused_by_exactly_that_check_and_nothing_recorded(
    party: Party, estate: Estate, case: Case
) -> None:
    purpose, content = await brought(party, estate, case)
    before = await party.effects()
    with pytest.raises(Refused) as refusal:
        await party.bring(purpose, content, case.transaction)
    assert refusal.value.check == f"{party.prefix}.{case.check}"
    assert refusal.value.code == party.base.book.get(refusal.value.check).code
    assert await party.effects() == before
    async with party.base.database.connect() as conn:
        decision = (await store.list_decisions(conn, after=0, limit=100))[-1]
    assert (decision["outcome"], decision["check"]) == ("refused", refusal.value.check)


@each_case
async def test_twin_with_that_check_off(party: Party, estate: Estate, case: Case) -> None:
    purpose, content = await brought(party, estate, case)
    party.base.book.turn_off(f"{party.prefix}.{case.check}")
    if case.twin is not None:
        with pytest.raises(Refused) as refusal:
            await party.bring(purpose, content, case.transaction)
        assert refusal.value.check == f"{party.prefix}.{case.twin}"
        return
    answer = await party.bring(purpose, content, case.transaction)
    assert answer["accepted"] is True
