"""What is kept proves who said what, to someone who has only the log and the certificates."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.chassis.data.audit import verify_chain
from services.link.errors import EvidenceError
from services.link.store.evidence import verify_evidence
from services.link.trust import LinkTrust
from services.link.wire.fields import Item, write_dictionary
from tests.unit.services.link.estate import Estate, HeldClock, open_caller, open_party
from tests.unit.services.link.forge import Forge

Entry = dict[str, Any]
Logs = tuple[list[Entry], list[Entry]]


@pytest.fixture
async def logs(tmp_path: Path, estate: Estate, clock: HeldClock) -> tuple[list[Entry], list[Entry]]:
    """The exported logs of the ACB and of the ECoS party after one exchange."""
    ecos = await open_party(tmp_path, estate, clock=clock)
    link, acb = await open_caller(tmp_path, estate, ecos.transport(), clock=clock)
    await link.call("/link/cos-command", "cos-command", "m-1", {"version": 1})
    exported = await acb.audit.export(), await ecos.audit.export()
    for party in (acb, ecos):
        await party.audit.verify()
        await party.database.close()
    return exported


async def test_either_log_proves_what_the_other_said(logs: Logs, estate: Estate):
    trust = LinkTrust(estate.authority.certificate, estate.without_private())
    for log in logs:
        verify_chain(log)
        asked, answered = (verify_evidence(entry, trust) for entry in log)
        assert (asked.kind, asked.signer, asked.recipient) == ("request", "acb", "ecos_party")
        assert (answered.kind, answered.signer, answered.recipient) == (
            "response",
            "ecos_party",
            "acb",
        )
        assert (asked.purpose, asked.message_id, asked.body) == (
            "cos-command",
            "m-1",
            b'{"version":1}',
        )
        assert (answered.status, answered.body) == (200, b'{"version":1,"acts":1}')
    sent, received = logs[0][0], logs[1][0]
    assert sent["record"] == received["record"]
    assert sent["body"] == received["body"]


def header(name: str, value: str, where: Callable[[Entry], Entry] = lambda e: e["record"]):
    def act(entry: Entry) -> None:
        for pair in where(entry)["headers"]:
            if pair[0] == name:
                pair[1] = value

    return act


def record(name: str, value: object) -> Callable[[Entry], None]:
    return lambda entry: entry["record"].__setitem__(name, value)


def base_line(old: str, new: str) -> Callable[[Entry], None]:
    return lambda entry: record(
        "signature_base", entry["record"]["signature_base"].replace(old, new)
    )(entry)


def body(value: bytes) -> Callable[[Entry], None]:
    return lambda entry: entry.__setitem__("body", base64.b64encode(value).decode())


def both(*acts: Callable[[Entry], None]) -> Callable[[Entry], None]:
    def act(entry: Entry) -> None:
        for each in acts:
            each(entry)

    return act


OTHER_SIGNATURE = write_dictionary((("cos", Item(b"\x01" * 64)),))

CHANGES = [
    (0, body(b'{"version":2}'), "body"),
    (0, lambda e: e.__setitem__("body", None), "body"),
    (0, lambda e: e.__setitem__("body", "%"), "body"),
    (0, header("cos-purpose", "device-alert"), '"cos-purpose"'),
    (0, header("cos-message-id", "m-2"), '"cos-message-id"'),
    (0, header("cos-recipient", "tcos_party"), '"cos-recipient"'),
    (0, record("method", "PUT"), '"@method"'),
    (0, record("path", "/link/device-alert"), '"@path"'),
    (0, base_line("m-1", "m-2"), "signature_base"),
    (0, header("signature", OTHER_SIGNATURE), "signature"),
    (
        0,
        both(header("cos-message-id", "m-2"), base_line("m-1", "m-2")),
        "signature",
    ),
    (0, record("version", 2), "record"),
    (0, record("kind", "letter"), "record"),
    (0, record("headers", [["a"]]), "headers"),
    (0, record("headers", "a"), "headers"),
    (0, record("path", 1), "path"),
    (0, lambda e: e.__setitem__("record", []), "record"),
    (0, lambda e: e["record"]["headers"].pop(), "header_present"),
    (1, body(b'{"version":1,"acts":2}'), "body"),
    (1, record("status", 201), '"@status"'),
    (1, header("signature", OTHER_SIGNATURE, lambda e: e["record"]["request"]), '"signature";req'),
    (
        1,
        lambda e: e["record"]["request"].__setitem__("path", "/link/device-alert"),
        '"@path";req',
    ),
    (1, record("request", None), "record"),
    (1, record("status", "200"), "record"),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
async def test_the_changed_part_is_named(logs: Logs, estate: Estate, number: int):
    which, change, part = CHANGES[number]
    for log in logs:
        entry = copy.deepcopy(log[which])
        verify_evidence(entry, estate.trust())
        change(entry)
        with pytest.raises(EvidenceError) as found:
            verify_evidence(entry, estate.trust())
        assert found.value.part == part


async def test_evidence_under_a_key_that_is_not_pinned(logs: Logs, estate: Estate):
    stranger = estate.trust(acb=estate.authority.issue("acb"))
    with pytest.raises(EvidenceError) as found:
        verify_evidence(logs[1][0], stranger)
    assert found.value.part == "key"


async def test_evidence_is_judged_at_the_time_it_was_made(
    tmp_path: Path, estate: Estate, forge: Forge
):
    """Years later, when the certificate has expired, it still proves what was said."""
    party = await open_party(tmp_path, estate, clock=HeldClock())
    await party.send(forge.request())
    proof = verify_evidence((await party.rows())[0], estate.trust())
    assert proof.created == party.clock.at
    await party.database.close()


async def test_evidence_of_a_refused_request_proves_who_asked(
    tmp_path: Path, estate: Estate, forge: Forge
):
    party = await open_party(tmp_path, estate, clock=HeldClock())
    await party.send(forge.but(recipient="tcos_party").request())
    refused = (await party.rows("link.request.refused"))[0]
    proof = verify_evidence(refused, estate.trust())
    assert (proof.signer, proof.recipient) == ("acb", "tcos_party")
    await party.database.close()


async def test_evidence_that_says_a_time_outside_the_calendar(
    tmp_path: Path, estate: Estate, forge: Forge
):
    """A weakened party took it; its signer did say that. It is named, and nothing falls over."""
    party = await open_party(tmp_path, estate, clock=HeldClock())
    party.book.turn_off("link.request.future")
    await party.send(forge.but(created=10**15 - 100).request())
    with pytest.raises(EvidenceError) as found:
        verify_evidence((await party.rows())[0], estate.trust())
    assert found.value.part == "created"
    await party.database.close()
