"""The party's own copies: what is taken in, what is not, and what serves when nobody answers."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cos_party.model import Limits
from cos_party.peers import copies
from cos_party.peers.outbound import KnownExtract, RegistrationClient
from cos_party.peers.wire import Position
from cos_party.store import decisions as store
from duis.signature import SignatureReference
from keys.crl import read_crl
from services.chassis.checks import Refused
from services.chassis.time.refresh import Refresher
from services.link.errors import PeerUnavailable
from services.link.repository import RepositoryClient, keep_list, read_lists
from services.link.sources import SourceUnavailable
from services.link.trust import LinkTrust
from services.registration.model import Register
from tests.unit.cos_party import pki
from tests.unit.cos_party.estate import (
    DEVICE,
    SUPPLIER_A,
    SUPPLIER_B,
    Estate,
    Party,
    Published,
    extract,
    open_party,
)
from tests.unit.cos_party.pki import NOW
from tests.unit.services.link.estate import NOW as LINK_NOW
from tests.unit.services.link.estate import Authority


def key_of(authority: pki.Authority | Authority) -> str:
    certificate = authority.certificate
    return certificate.authority_id


async def lists_held(party: Party) -> dict[str, int]:
    async with party.base.database.connect() as conn:
        return {key: item.number for key, item in (await read_lists(conn)).items()}


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


async def test_nothing_is_decided_on_registration_data_known_to_be_old(
    ecos: Party, estate: Estate
) -> None:
    """Neither yes, as the former supplier would have it, nor no: until it has lasted too long."""
    await ecos.command(estate.ask(counter=1).signed)
    before = await ecos.effects()
    ecos.published.down.add("registration")
    ecos.clock.step(timedelta(hours=3))  # however long nobody asked: it begins with the first try
    for step, status in ((0, 503), (600, 503), (1, 403)):
        ecos.clock.step(timedelta(seconds=step))
        for caller in (SUPPLIER_B, SUPPLIER_A):
            with pytest.raises(Refused) as refusal:
                await ecos.command(estate.ask(requester=caller, counter=2).signed)
            assert (refusal.value.check, refusal.value.status) == (
                "ecos.registration.fresh",
                status,
            )
            assert "registration: no answer" in refusal.value.detail
    assert await ecos.effects() == before
    assert "registration data could not be refreshed" in (
        await ecos.gatherer.puller.not_ready() or ""
    )
    ecos.published.down.clear()
    assert (
        await Refresher(ecos.gatherer.puller.needs_refresh, ecos.gatherer.puller.sync).once()
        is False
    )
    assert await ecos.gatherer.puller.not_ready() is None
    assert (await ecos.command(estate.ask(counter=2).signed))["counter"] == 6002


async def test_its_twin_with_the_check_off_decides_on_old_data(ecos: Party, estate: Estate) -> None:
    """What the former supplier got: registration has named B since, and could not say so."""
    points = extract().model_dump()["meter_points"]
    points[0]["registrations"] = [
        {"participant": "SUPA", "effective_from": NOW - timedelta(days=9), "effective_to": None}
    ]
    ecos.published.extract = extract(meter_points=points)
    await ecos.gatherer.puller.sync()
    ecos.published.extract = extract(number=2)
    ecos.published.down.add("registration")
    own = {
        "digital_signing": estate.digital_signing(SUPPLIER_A),
        "key_agreement": estate.key_agreement(SUPPLIER_A),
        "key_agreement_top_up": estate.top_up(SUPPLIER_A),
    }
    former = estate.ask(requester=SUPPLIER_A, counter=2, **own).signed
    with pytest.raises(Refused) as refusal:
        await ecos.command(former)
    assert refusal.value.check == "ecos.registration.fresh"
    ecos.base.book.turn_off("ecos.registration.fresh")
    assert (await ecos.command(former))["counter"] == 6001


async def test_a_party_may_be_told_to_decide_for_a_while(tmp_path: Path, estate: Estate) -> None:
    limits = Limits(registration_max_age=timedelta(seconds=30))
    party = await open_party(tmp_path, estate, limits=limits)
    await party.command(estate.ask(counter=1).signed)
    party.published.down.add("registration")
    party.clock.step(timedelta(seconds=30))
    assert (await party.command(estate.ask(counter=2).signed))["counter"] == 6002
    party.clock.step(timedelta(seconds=1))
    with pytest.raises(Refused) as refusal:
        await party.command(estate.ask(counter=3).signed)
    assert (refusal.value.check, refusal.value.status) == ("ecos.registration.fresh", 503)
    await party.base.close()


async def test_what_was_not_decided_is_in_the_record_as_that(ecos: Party, estate: Estate) -> None:
    ecos.published.down.add("registration")
    with pytest.raises(Refused):
        await ecos.command(estate.ask().signed)
    async with ecos.base.database.connect() as conn:
        (decision,) = await store.list_decisions(conn, after=0, limit=9)
    assert (decision["outcome"], decision["check"]) == ("deferred", "ecos.registration.fresh")
    assert [row["kind"] for row in await ecos.base.audit.export()] == ["cos.deferred"]


@pytest.mark.parametrize("number", [2**62, 2**63 - 1, 1])
async def test_a_lie_of_registration_does_not_outlive_it(
    tmp_path: Path, estate: Estate, number: int
) -> None:
    """Whatever number it bore: the next honest answer is the truth of now, also after a restart."""
    published = Published(estate)
    first = await open_party(tmp_path, estate, published=published)
    points = extract().model_dump()["meter_points"]
    points[0]["registrations"] = [
        {"participant": "SUPC", "effective_from": NOW - timedelta(days=9), "effective_to": None}
    ]
    published.extract = extract(number=number, meter_points=points)
    await first.gatherer.puller.sync()
    await first.base.close()

    published.extract = extract(number=1)
    second = await open_party(tmp_path, estate, published=published)
    assert (await second.command(estate.ask().signed))["counter"] == 6001
    async with second.base.database.connect() as conn:
        held = await second.gatherer.puller.registration.known(conn)
    assert held == KnownExtract(1, extract(number=1).digest)
    await second.base.close()


@pytest.mark.parametrize("number", [2**63, -1])
async def test_a_number_that_no_store_holds_is_no_answer(number: int) -> None:
    told = {**extract().model_dump(mode="json"), "number": number}
    sources = RegistrationClient(Peer(told))
    with pytest.raises(SourceUnavailable):
        await sources.registration_extract(None)


async def test_unchanged_confirms_the_copy(ecos: Party, estate: Estate) -> None:
    await ecos.command(estate.ask(counter=1).signed)
    ecos.clock.step(timedelta(hours=23))
    pulled = await ecos.gatherer.puller.sync()
    assert pulled.registration == "extract 1 is current"
    async with ecos.base.database.connect() as conn:
        held = await ecos.gatherer.puller.registration.read(conn, [])
    assert held is not None
    assert held.confirmed_at == ecos.clock.now()


def test_registration_and_its_asker_name_what_an_extract_says_alike() -> None:
    """Else every answer would be a whole register, though nothing changed."""
    said = extract().model_dump(mode="json")
    register = Register.model_validate_json(json.dumps(said))
    assert register.digest == extract().digest


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
        await keep_list(conn, older, NOW)
    assert (await lists_held(ecos))[key_of(estate.issuing)] == 5


async def test_a_list_no_trusted_authority_signed_is_not_taken_in(
    ecos: Party, estate: Estate
) -> None:
    ecos.published.lies = {"organisation": estate.stranger_issuing.revocation_list(number=2**150)}
    pulled = await ecos.gatherer.puller.sync()
    assert "no genuine organisation list was offered" in pulled.revocation
    assert await lists_held(ecos) == {}
    assert "no genuine organisation list" in (await ecos.gatherer.puller.not_ready() or "")
    ecos.published.lies = None
    await ecos.gatherer.puller.sync()
    assert await ecos.gatherer.puller.not_ready() is None


async def test_a_genuine_list_under_another_name_locks_nobody_out(
    tmp_path: Path, estate: Estate
) -> None:
    """Kept by who signed it, asked for by the party's own names: what comes next is heard."""
    published = Published(estate)
    first = await open_party(tmp_path, estate, published=published)
    published.lies = {
        "everything": estate.second_issuing.revocation_list(),
        "organisation": estate.device_issuing.revocation_list(number=7),
        "device": estate.issuing.revocation_list(number=1),
    }
    await first.gatherer.puller.sync()
    await first.base.close()

    published.lies = None
    serial = estate.xml_signer(SUPPLIER_B).certificate.serial
    published.revoke(estate.issuing, "organisation", serial, number=7)
    published.revoke(estate.device_issuing, "device", number=7)
    second = await open_party(tmp_path, estate, published=published)
    with pytest.raises(Refused) as refusal:
        await second.command(estate.ask().signed)
    assert refusal.value.check == "ecos.request.certificate_revoked"
    await second.base.close()


async def test_a_repository_that_has_lost_a_list_is_still_heard(
    ecos: Party, estate: Estate
) -> None:
    ecos.published.revoke(estate.device_issuing, "device", number=9)
    await ecos.gatherer.puller.sync()
    ecos.published.revoke(estate.device_issuing, "device", number=1)
    serial = estate.xml_signer(SUPPLIER_B).certificate.serial
    ecos.published.revoke(estate.issuing, "organisation", serial)
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask().signed)
    assert refusal.value.check == "ecos.request.certificate_revoked"
    assert (await lists_held(ecos))[key_of(estate.device_issuing)] == 9
    assert "an older device list was offered" in (await ecos.gatherer.puller.not_ready() or "")


async def test_lists_that_are_not_refreshed_refuse_in_the_end(ecos: Party, estate: Estate) -> None:
    await ecos.command(estate.ask(counter=1).signed)
    ecos.published.lies = {}
    assert (await ecos.command(estate.ask(counter=2).signed))["counter"] == 6002
    assert "no genuine organisation list" in (await ecos.gatherer.puller.not_ready() or "")
    ecos.clock.step(timedelta(hours=1, seconds=1))
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask(counter=3).signed)
    assert refusal.value.check == "ecos.request.certificate_revoked"
    assert "not refreshed since" in refusal.value.detail
    for check in ("ecos.request.certificate_revoked", "ecos.certificates.revoked"):
        ecos.base.book.turn_off(check)
    assert (await ecos.command(estate.ask(counter=3).signed))["counter"] == 6003  # the twin


async def test_unreadable_lists_and_certificates_are_passed_over(
    ecos: Party, estate: Estate
) -> None:
    ecos.published.lists["zz"] = b"\x30\x00"
    await ecos.gatherer.puller.sync()
    assert "zz" not in await lists_held(ecos)

    async def nonsense(*_: object) -> tuple[bytes, ...]:
        return (b"\x30\x00",)

    ecos.published.certificates_named = nonsense  # type: ignore[assignment]
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask().signed)
    assert refusal.value.check == "ecos.request.certificate_known"


async def test_a_certificate_of_another_name_is_not_taken_in(ecos: Party, estate: Estate) -> None:
    """A repository that answers with somebody else's certificate brings nothing."""
    wrong = estate.xml_signer("0253494d30000000").certificate

    async def other(*_: object) -> tuple[bytes, ...]:
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
    assert (await RegistrationClient(registration).registration_extract(None)).number == 1
    after = Position(base=1, number=4, mpxn="~")
    known = KnownExtract(4, "ab")
    await RegistrationClient(registration).registration_extract(known, after, lease=True)
    client = RepositoryClient(repository)
    assert await client.certificates_named(certificate.issuer, certificate.serial) == ()
    assert await client.certificates_of(DEVICE) == ()
    repository.body = {
        "version": 1,
        "lists": {"device": None, "organisation": "AAAA"},
        "lease": 0.5,
    }
    told = await client.revocation_lists({"device": 3}, lease=True)
    assert (told.lists, told.lease) == ({"device": None, "organisation": bytes(3)}, 0.5)
    await client.revocation_lists({}, lease=False)
    asked = {"version": 1, "by": "issuer_serial", "issuer": "CN=SIM-Z1,OU=07"}
    certificates = ("/link/smki-certificates", "smki-certificates")
    lists = ("/link/smki-revocation", "smki-revocation")
    extract_of = ("/link/registration-extract", "registration-extract")
    paged = {"version": 1, "known": None, "paged": True}
    assert registration.calls == [
        (*extract_of, paged),
        (
            *extract_of,
            {**paged, "known": 4, "digest": "ab", "after": after.model_dump(), "lease": True},
        ),
    ]
    assert repository.calls == [
        (*certificates, {**asked, "serial": str(certificate.serial)}),
        (*certificates, {"version": 1, "by": "eui", "eui": DEVICE}),
        (*lists, {"version": 1, "known": {"device": 3}, "lease": True}),
        (*lists, {"version": 1, "known": {}}),
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
    sources = RegistrationClient(Peer(answer))
    with pytest.raises(SourceUnavailable):
        await sources.registration_extract(None)


async def test_two_authentic_certificates_of_one_name_are_none(ecos: Party, estate: Estate) -> None:
    """Issuer and serial must name one certificate; where they name two, neither is believed."""
    signer = estate.xml_signer(SUPPLIER_B)
    twin = pki.reissued_with_serial(estate.issuing, signer, SUPPLIER_B)
    ecos.published.certificates.append(twin.certificate)
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask().signed)
    assert refusal.value.check == "ecos.request.certificate_known"


async def test_a_forged_sibling_does_not_end_a_supplier(ecos: Party, estate: Estate) -> None:
    signer = estate.xml_signer(SUPPLIER_B)
    forger = dataclasses.replace(estate.issuing, private=pki.key("forger"))
    forged = pki.reissued_with_serial(forger, signer, SUPPLIER_B).certificate
    true = list(ecos.published.certificates)
    ecos.published.certificates = [forged]
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask(counter=1).signed)
    assert refusal.value.check == "ecos.request.certificate_path"
    ecos.published.certificates = [forged, *true]
    assert (await ecos.command(estate.ask(counter=1).signed))["counter"] == 6001
    async with ecos.base.database.connect() as conn:
        name = SignatureReference(forged.issuer, forged.serial)
        assert await copies.certificate_named(conn, name) == signer.certificate


async def test_a_list_of_link_certificates_is_taken_in_and_heeded(
    tmp_path: Path, estate: Estate
) -> None:
    """The link says "not revoked": it must be told, at once and again after a start."""
    held = estate.link.issue("acb")
    trust = LinkTrust(estate.link.certificate, {"acb": held.certificate})

    def failure() -> str | None:
        return trust.failure(held.certificate, LINK_NOW)

    published = Published(estate)
    first = await open_party(tmp_path, estate, published=published, use_list=trust.offer)
    await first.command(estate.ask(counter=1).signed)
    assert failure() is None
    published.lists["infrastructure"] = estate.link.revocation_list(
        held.certificate.serial, number=2
    )
    await first.command(estate.ask(counter=2).signed)
    assert failure() == "revoked"
    assert (await lists_held(first))[key_of(estate.link)] == 2
    published.lists["infrastructure"] = Authority().revocation_list(number=3)
    await first.command(estate.ask(counter=3).signed)
    assert (failure(), (await lists_held(first))[key_of(estate.link)]) == ("revoked", 2)
    await first.base.close()

    published.down.add("smki")
    trust = LinkTrust(estate.link.certificate, {"acb": held.certificate})
    second = await open_party(tmp_path, estate, published=published, use_list=trust.offer)
    assert failure() is None
    await second.gatherer.puller.lists.recall()
    assert failure() == "revoked"
    await second.base.close()
