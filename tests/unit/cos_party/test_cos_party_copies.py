"""The party's own copies: what is taken in, what is not, and what serves when nobody answers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cos_party import copies
from cos_party.outbound import Sources, SourceUnavailable
from duis.signature import SignatureReference
from keys.crl import read_crl
from services.chassis.checks import Refused
from services.link.errors import PeerUnavailable
from services.link.trust import LinkTrust
from tests.unit.cos_party import pki
from tests.unit.cos_party.estate import (
    DEVICE,
    SUPPLIER_B,
    Estate,
    Party,
    Published,
    extract,
    open_party,
)
from tests.unit.cos_party.pki import NOW
from tests.unit.link.estate import NOW as LINK_NOW
from tests.unit.link.estate import Authority


async def lists_held(party: Party) -> dict[str, int]:
    async with party.base.database.connect() as conn:
        return await copies.known_lists(conn)


async def test_registration_is_asked_before_every_decision(ecos: Party, estate: Estate) -> None:
    for number in range(3):
        await ecos.command(estate.ask(counter=number).signed)
    assert ecos.published.asked.count("registration") == 3


async def test_a_change_at_registration_counts_at_once(ecos: Party, estate: Estate) -> None:
    await ecos.command(estate.ask(counter=1).signed)
    points = extract().model_dump()["meter_points"]
    points[0]["registrations"] = [
        {"participant": "SUPC", "effective_from": NOW - timedelta(days=9), "effective_to": None}
    ]
    ecos.published.extract = extract(number=2, meter_points=points)
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask(counter=2).signed)
    assert refusal.value.check == "ecos.registration.incoming_supplier"
    assert refusal.value.expected == "SUPC"


async def test_the_copy_serves_for_a_day(ecos: Party, estate: Estate) -> None:
    await ecos.command(estate.ask(counter=1).signed)
    ecos.published.down.add("registration")
    ecos.clock.step(timedelta(hours=24))
    assert (await ecos.command(estate.ask(counter=2).signed))["counter"] == 6002
    ecos.clock.step(timedelta(seconds=1))
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask(counter=3).signed)
    assert refusal.value.check == "ecos.registration.fresh"
    assert "registration: no answer" in refusal.value.detail


async def test_unchanged_confirms_the_copy(ecos: Party, estate: Estate) -> None:
    await ecos.command(estate.ask(counter=1).signed)
    ecos.clock.step(timedelta(hours=23))
    await ecos.command(estate.ask(counter=2).signed)
    ecos.published.down.add("registration")
    ecos.clock.step(timedelta(hours=23))
    assert (await ecos.command(estate.ask(counter=3).signed))["counter"] == 6003


async def test_unchanged_about_another_extract_confirms_nothing(
    ecos: Party, estate: Estate
) -> None:
    nothing: dict[str, Any] = {"unchanged": True, "participants": [], "meter_points": []}
    ecos.published.extract = extract(number=7, **nothing)
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask().signed)
    assert refusal.value.check == "ecos.registration.fresh"
    assert "registration calls 7 unchanged, but None is held" in refusal.value.detail


async def test_a_revocation_counts_at_once(ecos: Party, estate: Estate) -> None:
    await ecos.command(estate.ask(counter=1).signed)
    serial = estate.xml_signer(SUPPLIER_B).certificate.serial
    ecos.published.revoke(estate.issuing, "organisation", serial)
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask(counter=2).signed)
    assert refusal.value.check == "ecos.request.certificate_revoked"


async def test_an_older_list_does_not_take_the_place_of_a_newer(
    ecos: Party, estate: Estate
) -> None:
    serial = estate.xml_signer(SUPPLIER_B).certificate.serial
    ecos.published.revoke(estate.issuing, "organisation", serial, number=5)
    await ecos.gatherer.puller.sync()
    older = read_crl(estate.issuing.revocation_list(number=4))
    async with ecos.base.database.begin() as conn:
        await copies.keep_list(conn, "organisation", older)
    assert (await lists_held(ecos))["organisation"] == 5


async def test_a_list_no_trusted_authority_signed_is_not_taken_in(
    ecos: Party, estate: Estate
) -> None:
    ecos.published.lists = {"organisation": estate.stranger_issuing.revocation_list()}
    pulled = await ecos.gatherer.puller.sync()
    assert pulled.revocation == "lists taken: none newer"
    assert await lists_held(ecos) == {}


async def test_unreadable_lists_and_certificates_are_passed_over(
    ecos: Party, estate: Estate
) -> None:
    ecos.published.lists["zz"] = b"\x30\x00"
    await ecos.gatherer.puller.sync()
    assert "zz" not in await lists_held(ecos)

    async def nonsense(_: object) -> tuple[bytes, ...]:
        return (b"\x30\x00",)

    ecos.published.certificates_named = nonsense  # type: ignore[assignment]
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask().signed)
    assert refusal.value.check == "ecos.request.certificate_known"


async def test_a_certificate_of_another_name_is_not_taken_in(ecos: Party, estate: Estate) -> None:
    """A repository that answers with somebody else's certificate brings nothing."""
    wrong = estate.xml_signer("0253494d30000000").certificate

    async def other(_: object) -> tuple[bytes, ...]:
        return (wrong.der,)

    ecos.published.certificates_named = other  # type: ignore[assignment]
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask().signed)
    assert refusal.value.check == "ecos.request.certificate_known"
    async with ecos.base.database.connect() as conn:
        held = SignatureReference(wrong.issuer, wrong.serial)
        assert await copies.certificate_named(conn, held) is None


async def test_the_repository_being_down_is_said(ecos: Party, estate: Estate) -> None:
    ecos.published.down.add("smki")
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask().signed)
    assert refusal.value.check == "ecos.request.certificate_known"
    assert "the SMKI repository was not available (smki: no answer)" in refusal.value.detail


class Peer:
    """A link client that answers with one body, or fails."""

    def __init__(self, body: object) -> None:
        self.body = body
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    async def call(self, path: str, purpose: str, message_id: str, body: dict[str, Any]) -> Any:
        assert message_id
        self.calls.append((path, purpose, body))
        if isinstance(self.body, Exception):
            raise self.body
        return self


async def test_each_question_has_its_purpose_and_its_body(estate: Estate) -> None:
    certificate = estate.xml_signer(SUPPLIER_B).certificate
    registration = Peer(extract().model_dump(mode="json"))
    repository = Peer({"version": 1, "certificates": []})
    sources = Sources(registration, repository)  # type: ignore[arg-type]
    assert (await sources.registration_extract(4)).number == 1
    reference = SignatureReference(certificate.issuer, certificate.serial)
    assert await sources.certificates_named(reference) == ()
    assert await sources.certificates_of(DEVICE) == ()
    repository.body = {"version": 1, "lists": {"device": None, "organisation": "AAAA"}}
    assert await sources.revocation_lists({"device": 3}) == {"organisation": bytes(3)}
    asked = {"version": 1, "by": "issuer_serial", "issuer": "CN=SIM-Z1,OU=07"}
    certificates = ("/link/smki-certificates", "smki-certificates")
    assert registration.calls == [
        ("/link/registration-extract", "registration-extract", {"version": 1, "known": 4})
    ]
    assert repository.calls == [
        (*certificates, {**asked, "serial": str(certificate.serial)}),
        (*certificates, {"version": 1, "by": "eui", "eui": DEVICE}),
        ("/link/smki-revocation", "smki-revocation", {"version": 1, "known": {"device": 3}}),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        PeerUnavailable("registration", "no answer"),
        {"version": True, "number": 1, "unchanged": True, "participants": [], "meter_points": []},
        {"version": 1.0, "number": 1, "unchanged": True, "participants": [], "meter_points": []},
        {"version": 2, "number": 1, "unchanged": True, "participants": [], "meter_points": []},
        {"version": 1, "number": 1, "unchanged": True, "participants": []},
        {"version": 1, "number": "1", "unchanged": True, "participants": [], "meter_points": []},
        {**extract().model_dump(mode="json"), "more": 1},
        {"version": 1, "number": 1, "unchanged": False, "meter_points": [], "participants": [1]},
    ],
)
async def test_an_answer_that_does_not_fit_is_no_answer(answer: object) -> None:
    sources = Sources(Peer(answer), Peer(answer))  # type: ignore[arg-type]
    with pytest.raises(SourceUnavailable):
        await sources.registration_extract(None)


async def test_two_certificates_of_one_name_are_none(ecos: Party, estate: Estate) -> None:
    """Issuer and serial must name one certificate; where they name two, neither is believed."""
    signer = estate.xml_signer(SUPPLIER_B)
    twin = pki.reissued_with_serial(estate.issuing, signer, SUPPLIER_B)
    ecos.published.certificates.append(twin.certificate)
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask().signed)
    assert refusal.value.check == "ecos.request.certificate_known"


async def test_a_list_of_link_certificates_is_taken_in_and_heeded(
    tmp_path: Path, estate: Estate
) -> None:
    """The link says "not revoked": it must be told, at once and again after a start."""
    held = estate.link.issue("acb")
    trust = LinkTrust(estate.link.certificate, {"acb": held.certificate})

    def failure() -> str | None:
        return trust.failure(held.certificate, LINK_NOW)

    published = Published(estate)
    first = await open_party(tmp_path, estate, published=published, heed=trust.offer)
    await first.command(estate.ask(counter=1).signed)
    assert failure() is None
    published.lists["infrastructure"] = estate.link.revocation_list(held.certificate.serial)
    await first.command(estate.ask(counter=2).signed)
    assert failure() == "revoked"
    assert (await lists_held(first))["infrastructure"] == 1
    published.lists["infrastructure"] = Authority().revocation_list(number=2)
    await first.command(estate.ask(counter=3).signed)
    assert (failure(), (await lists_held(first))["infrastructure"]) == ("revoked", 1)
    await first.base.close()

    published.down.add("smki")
    trust = LinkTrust(estate.link.certificate, {"acb": held.certificate})
    second = await open_party(tmp_path, estate, published=published, heed=trust.offer)
    assert failure() is None
    await second.gatherer.puller.recall()
    assert failure() == "revoked"
    await second.base.close()
