"""Once is once: crashes, races, thresholds under load, and the way to the key."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cos_party.model import Intent, Thresholds
from cos_party.steps.signing import NotApprovedError, sign_intent
from cos_party.store import decisions as store
from gbcs.message import decode
from gbcs.protect import verify_signature
from services.chassis.checks import Approved, Check, CheckBook, Refused
from services.chassis.web.problems import Problem
from tests.unit.cos_party.estate import PARTIES, Estate, Party, open_party
from tests.unit.cos_party.pki import NOW


class Crash(BaseException):
    """The process dies here."""


async def test_a_crash_after_the_intent_leads_to_the_same_counter(
    tmp_path: Path, estate: Estate
) -> None:
    """The intent is on the disk, the signature is not: after a restart it is that intent's."""
    first = await open_party(tmp_path, estate)
    content = estate.ask().signed

    def die(data: bytes) -> bytes:
        raise Crash(len(data))

    first.signer.sign = die  # type: ignore[method-assign]
    with pytest.raises(Crash):
        await first.command(content, "t-1")
    await first.base.close()

    second = await open_party(tmp_path, estate)
    answer = await second.command(content, "t-1")
    assert answer["counter"] == 6001
    assert (await second.command(estate.ask(counter=1007).signed))["counter"] == 6002
    await second.base.close()


async def test_a_crash_after_signing_lets_nothing_out_twice(
    tmp_path: Path, estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was signed but not yet kept never left; the next signature is over the same bytes."""
    first = await open_party(tmp_path, estate)
    content = estate.ask().signed

    async def die(*_: Any) -> bytes:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(store, "record_signed", die)
        with pytest.raises(Crash):
            await first.command(content, "t-1")
    assert first.signer.used == 1
    intended = (await first.effects())["cos_command"][0].pre_command
    await first.base.close()

    second = await open_party(tmp_path, estate)
    answer = await second.command(content, "t-1")
    assert base64.b64decode(answer["signed_command"])[: len(intended)] == intended
    assert (await second.effects())["counter"] == 6001
    await second.base.close()


async def test_an_intent_left_by_a_crash_is_judged_again(tmp_path: Path, estate: Estate) -> None:
    """A certificate revoked in between: the intent stays unsigned."""
    first = await open_party(tmp_path, estate)
    content = estate.ask().signed

    def die(data: bytes) -> bytes:
        raise Crash(len(data))

    first.signer.sign = die  # type: ignore[method-assign]
    with pytest.raises(Crash):
        await first.command(content, "t-1")
    published = first.published
    await first.base.close()

    second = await open_party(tmp_path, estate, published=published)
    serial = estate.supplier(estate.ask().requester, "key_agreement").certificate.serial
    published.revoke(estate.issuing, "organisation", serial)
    with pytest.raises(Refused) as refusal:
        await second.command(content, "t-1")
    assert refusal.value.check == "ecos.certificates.revoked"
    assert second.signer.used == 0
    await second.base.close()


async def test_the_same_request_many_times_at_once_is_one_command(
    ecos: Party, estate: Estate
) -> None:
    content = estate.ask().signed
    answers = await asyncio.gather(*(ecos.command(content, f"t-{n}") for n in range(5)))
    assert {answer["counter"] for answer in answers} == {6001}
    assert len({answer["signed_command"] for answer in answers}) == 1
    assert (await ecos.effects())["counter"] == 6001


async def test_requests_at_once_have_counters_of_their_own(ecos: Party, estate: Estate) -> None:
    ecos.base.book.turn_off("ecos.request.order")  # at once, they come in any order
    contents = [estate.ask(counter=n).signed for n in range(5)]
    answers = await asyncio.gather(*(ecos.command(content) for content in contents))
    assert sorted(answer["counter"] for answer in answers) == [6001, 6002, 6003, 6004, 6005]


async def test_one_identifier_with_two_contents_at_once_is_signed_once(
    ecos: Party, estate: Estate
) -> None:
    contents = [estate.ask(supplier_floor=n).signed for n in range(3)]
    results = await asyncio.gather(
        *(ecos.command(content) for content in contents), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, Refused)]
    assert [one.check for one in refused] == ["ecos.request.duplicate"] * 2
    assert ecos.signer.used == 1


async def test_a_threshold_holds_under_requests_at_once(tmp_path: Path, estate: Estate) -> None:
    party = await open_party(tmp_path, estate, thresholds=Thresholds(per_requester=2))
    party.base.book.turn_off("ecos.request.order")  # at once, they come in any order
    contents = [estate.ask(counter=n).signed for n in range(5)]
    results = await asyncio.gather(
        *(party.command(content) for content in contents), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, Refused)]
    assert {one.check for one in refused} == {"ecos.anomaly.threshold"}
    assert (len(refused), party.signer.used) == (3, 2)
    await party.base.close()


async def test_what_was_quarantined_goes_through_when_the_window_has_moved_on(
    tmp_path: Path, estate: Estate
) -> None:
    party = await open_party(tmp_path, estate, thresholds=Thresholds(per_requester=1))
    await party.command(estate.ask(counter=1).signed)
    held = estate.ask(counter=2).signed
    with pytest.raises(Refused):
        await party.command(held, "t-2")
    async with party.base.database.connect() as conn:
        decision = (await store.list_decisions(conn, after=0, limit=10))[-1]
    assert (decision["outcome"], decision["check"]) == ("quarantined", "ecos.anomaly.threshold")
    party.clock.step(Thresholds().window)
    assert (await party.command(held, "t-2"))["counter"] == 6002
    await party.base.close()


async def test_a_refused_request_may_be_corrected_under_its_own_identifier(
    ecos: Party, estate: Estate
) -> None:
    with pytest.raises(Refused):
        await ecos.command(estate.ask(import_mpxn="1399999999999").signed, "t-1")
    assert (await ecos.command(estate.ask().signed, "t-1"))["counter"] == 6001


@pytest.mark.parametrize(
    "content",
    [
        b"<nothing/>",
        pytest.param("no certificate", id="no_certificate"),
    ],
)
async def test_a_party_with_every_check_off_cannot_sign_what_cannot_be_built(
    ecos: Party, estate: Estate, content: bytes | str
) -> None:
    """Nothing is counted or signed, and the answer is no bug."""
    for check in ecos.base.book.section("request"):
        ecos.base.book.turn_off(check.id)
    asked = content if isinstance(content, bytes) else estate.ask(key_agreement=b"no").signed
    before = await ecos.effects()
    with pytest.raises(Problem) as problem:
        await ecos.command(asked)
    assert (problem.value.status, problem.value.party) == (422, "ecos_party")
    assert await ecos.effects() == before


def an_intent() -> Intent:
    return Intent("r-1", "00", "0" * 16, "1" * 16, 6001, NOW, b"\xdf")


def approval(section: str, subject: str, digest: str = "00") -> Approved:
    check: Check[object] = Check("x.y", "x", "x", lambda _: None, section=section)
    run = CheckBook("x", [check]).start(subject, section=section)
    return run.judge(SimpleNamespace(incoming=SimpleNamespace(digest=digest)))


@pytest.mark.parametrize(
    ("section", "subject", "digest"),
    [("response", "r-1", "00"), ("request", "r-2", "00"), ("request", "r-1", "01")],
)
def test_an_approval_of_something_else_does_not_reach_the_key(
    estate: Estate, section: str, subject: str, digest: str
) -> None:
    signer = estate.cos_signer(PARTIES["ecos"][1])
    with pytest.raises(NotApprovedError):
        sign_intent(approval(section, subject, digest), an_intent(), signer)


async def test_an_approval_signs_exactly_what_was_intended(ecos: Party, estate: Estate) -> None:
    await ecos.command(estate.ask().signed)
    row = (await ecos.effects())["cos_command"][0]
    intent = replace(an_intent(), pre_command=row.pre_command)
    signed = sign_intent(approval("request", "r-1"), intent, ecos.signer)
    assert signed.command[: len(row.pre_command)] == row.pre_command
    assert len(signed.command) == len(row.pre_command) + 65
    verify_signature(decode(signed.command), ecos.signer.certificate.der)


async def test_evidence_is_kept_for_intent_and_signature(ecos: Party, estate: Estate) -> None:
    await ecos.command(estate.ask().signed)
    rows = await ecos.base.audit.export()
    assert [row["kind"] for row in rows] == ["cos.intent", "cos.signed"]
    assert await ecos.base.audit.verify() == 2
    intended, signed = (base64.b64decode(row["body"]) for row in rows)
    assert signed[: len(intended)] == intended


async def test_a_refusal_is_kept_as_evidence_without_the_request(
    ecos: Party, estate: Estate
) -> None:
    with pytest.raises(Refused):
        await ecos.command(estate.ask(import_mpxn="1399999999999").signed, "t-1")
    (row,) = await ecos.base.audit.export()
    assert row["kind"] == "cos.refused"
    assert row["record"]["check"] == "ecos.registration.mpxn_known"
    assert row["body"] is None
