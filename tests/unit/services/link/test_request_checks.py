"""Each check of a request: who refuses, by which check, that nothing changed, and the twin.

The twin is the same act with that one check off. Where another check stands behind it, the twin
first shows that one refusing, then turns it off as well: nothing else stood in the way.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.link.checks import request_checks
from services.link.trust import LinkTrust
from services.link.wire import profile
from services.link.wire.digest import content_digest
from services.link.wire.fields import Item
from services.link.wire.message import HttpRequest
from tests.unit.services.link.estate import (
    NOW,
    Authority,
    Estate,
    Held,
    HeldClock,
    Party,
    open_party,
)
from tests.unit.services.link.forge import Forge, larger_form, problem_of, swap_body, swap_header

MANY = b'{"version":1,"transaction":[' + b",".join([b"0"] * 5_000) + b"]}"
"""More values than any body has that a party sends."""
SPENDS_NONCE = {"nonce", "purpose", "route", "body", "message_id"}
"""Checks asked after the nonce is spent."""


@dataclass(frozen=True)
class Case:
    """One act: the check that refuses it, how it is made, and which checks stand behind."""

    check: str
    act: Callable[[Forge], HttpRequest]
    behind: tuple[str, ...] = ()
    label: str = ""

    def __str__(self) -> str:
        return f"{self.check}{'-' if self.label else ''}{self.label}"


def _drop_header(name: str) -> Callable[[HttpRequest], HttpRequest]:
    return lambda request: replace(
        request, headers=tuple(pair for pair in request.headers if pair[0] != name)
    )


def _add_header(name: str, value: str) -> Callable[[HttpRequest], HttpRequest]:
    return lambda request: request.with_headers(((name, value),))


def _second(name: str) -> Callable[[HttpRequest], HttpRequest]:
    """Append a member to both signature fields."""

    def act(request: HttpRequest) -> HttpRequest:
        request = swap_header(
            "signature-input", lambda v: v + ", " + v.replace("cos=", f"{name}=")
        )(request)
        changed: HttpRequest = swap_header(
            "signature", lambda v: v + ", " + v.replace("cos=", f"{name}=")
        )(request)
        return changed

    return act


def _flip_signature(request: HttpRequest) -> HttpRequest:
    """One bit of the signature's first octet, in whatever letters it happens to be written."""
    label, _, encoded = (request.first("signature") or "").partition("=:")
    octets = bytearray(base64.b64decode(encoded.removesuffix(":"), validate=True))
    octets[0] ^= 1
    return swap_header("signature", lambda _: f"{label}=:{base64.b64encode(octets).decode()}:")(
        request
    )


COMPONENTS = profile.REQUEST.components
WITHOUT_MESSAGE_ID = tuple(item for item in COMPONENTS if item.value != "cos-message-id")
WITHOUT_RECIPIENT = tuple(item for item in COMPONENTS if item.value != "cos-recipient")
SECONDS = int(NOW.timestamp())

CASES = [
    Case(
        "header_once",
        lambda f: f.but(extra_headers=(("cos-recipient", "ecos_party"),)).request(),
        label="recipient",
    ),
    Case(
        "header_once",
        lambda f: f.but(after=_add_header("content-type", "text/plain")).request(),
        ("signature",),
        label="content-type",
    ),
    Case(
        "header_present",
        lambda f: f.but(drop_headers=("cos-recipient",), components=WITHOUT_RECIPIENT).request(),
        ("component_missing", "recipient"),
        label="recipient",
    ),
    Case(
        "content_encoding",
        lambda f: f.but(extra_headers=(("content-encoding", "identity"),)).request(),
    ),
    Case("path", lambda f: f.but(path="/link/cos%2Dcommand").request()),
    Case("query", lambda f: f.but(query="to=tcos_party").request()),
    Case(
        "signature_input_form",
        lambda f: f.but(
            after=swap_header("signature-input", lambda v: v.replace("( ", "(").replace(" ", "  "))
        ).request(),
    ),
    Case(
        "signature_form",
        lambda f: f.but(after=swap_header("signature", lambda v: v + ";  x")).request(),
        label="spaces",
    ),
    Case(
        "signature_form",
        lambda f: f.but(after=swap_header("signature", lambda v: v + ";x")).request(),
        label="parameter",
    ),
    Case(
        "signature_form",
        lambda f: f.but(after=swap_header("signature", lambda _: "cos=:AAAA:")).request(),
        ("signature",),
        label="length",
    ),
    Case(
        "signature_form",
        lambda f: f.but(after=larger_form).request(),
        label="the larger s",
    ),
    Case("one_signature", lambda f: f.but(after=_second("other")).request()),
    Case("label", lambda f: f.but(label="sig1").request()),
    Case("component_missing", lambda f: f.but(components=WITHOUT_MESSAGE_ID).request()),
    Case(
        "component_extra",
        lambda f: f.but(
            extra_headers=(("cos-more", "1"),), components=(*COMPONENTS, Item("cos-more"))
        ).request(),
        label="header",
    ),
    Case(
        "component_extra",
        lambda f: f.but(components=(*COMPONENTS, COMPONENTS[0])).request(),
        label="twice",
    ),
    Case("component_order", lambda f: f.but(components=(*COMPONENTS[1:], COMPONENTS[0])).request()),
    Case(
        "parameter_missing", lambda f: f.but(dropped_params=("expires",)).request(), label="expires"
    ),
    Case("parameter_missing", lambda f: f.but(dropped_params=("tag",)).request(), label="tag"),
    Case(
        "parameter_missing",
        lambda f: f.but(dropped_params=("nonce",)).request(),
        ("nonce",),
        label="nonce",
    ),
    Case(
        "parameter_missing",
        lambda f: f.but(changed_params=(("created", str(SECONDS)),)).request(),
        ("parameter_unknown",),
        label="type",
    ),
    Case("parameter_unknown", lambda f: f.but(added_params=(("x", "1"),)).request()),
    Case("algorithm", lambda f: f.but(added_params=(("alg", "ed25519"),)).request()),
    Case(
        "tag",
        lambda f: f.but(changed_params=(("tag", profile.RESPONSE_TAG),)).request(),
    ),
    Case("nonce_form", lambda f: f.but(nonce="AAAA").request()),
    Case("lifetime", lambda f: f.but(changed_params=(("expires", SECONDS + 61),)).request()),
    Case(
        "lifetime",
        lambda f: f.but(changed_params=(("expires", SECONDS),)).request(),
        label="none",
    ),
    Case("future", lambda f: f.but(created=SECONDS + 6).request()),
    Case("stale", lambda f: f.but(created=SECONDS - 66).request()),
    Case("signature", lambda f: f.but(after=_flip_signature).request(), label="bit"),
    Case(
        "signature",
        lambda f: f.but(after=swap_header("cos-message-id", lambda _: "m-2")).request(),
        label="message-id",
    ),
    Case(
        "content_digest_form",
        lambda f: f.but(digest=content_digest(f.body) + ", sha-512=:AAAA:").request(),
    ),
    Case("content_digest", lambda f: f.but(after=swap_body(b'{"version":2}')).request()),
    Case("sender", lambda f: f.but(sender="tcos_party").request()),
    Case("recipient", lambda f: f.but(recipient="tcos_party").request()),
    Case("content_type", lambda f: f.but(content_type="text/plain").request()),
    Case("message_id_form", lambda f: f.but(message_id="m 1").request()),
    Case("purpose", lambda f: f.but(purpose="cos-commands").request(), ("route",), label="unknown"),
    Case("route", lambda f: f.but(purpose="device-alert").request()),
    Case("body", lambda f: f.but(body=b"[]").request(), label="list"),
    Case("body", lambda f: f.but(body=b'{"a":1,"a":2}').request(), label="twice"),
    Case("body", lambda f: f.but(body=b'{"a":NaN}').request(), label="nan"),
    Case("body", lambda f: f.but(body=b"\xff").request(), label="octets"),
    Case("body", lambda f: f.but(body=b'{"a":"\\uD800"}').request(), label="surrogate"),
    Case("body", lambda f: f.but(body=b"[" * 100_000).request(), label="deep"),
    Case("body", lambda f: f.but(body=MANY).request(), label="many"),
]


async def assert_refused(party: Party, request: HttpRequest, check: str) -> None:
    """Refused by exactly this check, signed, and nothing changed."""
    before = await party.state()
    response = await party.send(request)
    problem = problem_of(response)
    assert problem["check"] == f"link.request.{check}"
    assert problem["party"] == party.system
    assert response.status == party.book.get(f"link.request.{check}").status == problem["status"]
    assert response.first("content-type") == "application/problem+json"
    assert response.first("signature") is not None
    handled, nonces, messages = await party.state()
    assert handled == before[0]
    assert messages == before[2]
    if check not in SPENDS_NONCE:
        assert nonces == before[1]
    last = (await party.rows())[-1 if check not in SPENDS_NONCE else -2]
    assert last["kind"] == "link.request.refused"
    assert last["record"]["verdict"]["check"] == f"link.request.{check}"


async def assert_twin(party: Party, make: Callable[[], HttpRequest], case: Case) -> None:
    """With the check off, and those that stand behind it one by one, the act succeeds."""
    off = [case.check, *case.behind]
    for position, check in enumerate(off):
        party.book.turn_off(f"link.request.{check}")
        if position + 1 < len(off):
            await assert_refused(party, make(), off[position + 1])
    response = await party.send(make())
    assert response.status == 200, response.body
    assert len(party.handled) == 1


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_refused_by_that_check_and_only_by_it(case: Case, party: Party, forge: Forge):
    await assert_refused(party, case.act(forge), case.check)
    # a nonce of its own: the refused act may have spent the first
    await assert_twin(
        party, fresh(lambda nonce: case.act(forge.but(nonce=nonce)), case, forge), case
    )


def fresh(
    make: Callable[[str], HttpRequest], case: Case, forge: Forge
) -> Callable[[], HttpRequest]:
    """A maker of the same act with another nonce each time (unless the nonce is the act)."""
    counter = iter(range(1, 10))

    def act() -> HttpRequest:
        number = next(counter)
        if case.check == "nonce_form":
            return make("BBBB")
        return make(f"{number:022d}")

    del forge
    return act


def test_every_check_of_a_request_has_a_case():
    elsewhere = {"key", "certificate", "simulated", "peer", "nonce", "message_id"}
    cased = {case.check for case in CASES}
    assert {check.id.rpartition(".")[2] for check in request_checks()} == cased | elsewhere


async def test_a_replay_is_refused_and_the_twin_gets_the_first_answer(party: Party, forge: Forge):
    request = forge.request()
    first = await party.send(request)
    assert first.status == 200
    await assert_refused(party, request, "nonce")
    party.book.turn_off("link.request.nonce")
    again = await party.send(request)
    assert (again.status, again.body) == (200, first.body)
    assert len(party.handled) == 1


async def test_a_message_identifier_used_for_another_message(party: Party, forge: Forge):
    await party.send(forge.request())
    other = forge.but(body=b'{"version":1,"transaction":"t-2"}')
    await assert_refused(party, other.but(nonce="B" * 22).request(), "message_id")
    party.book.turn_off("link.request.message_id")
    response = await party.send(other.but(nonce="C" * 22).request())
    assert response.status == 200
    assert len(party.handled) == 2
    # the first message keeps its answer
    repeated = await party.send(forge.but(nonce="D" * 22).request())
    assert problem_of(repeated) == {"version": 1, "acts": 1}


async def test_a_key_that_is_not_pinned(tmp_path: Path, estate: Estate, forge: Forge, party: Party):
    """No check turned off makes up for a key that nobody knows: there is nobody to believe."""
    stranger = estate.authority.issue("acb")
    act = forge.but(signer=stranger)
    await assert_refused(party, act.request(), "key")
    party.book.turn_off("link.request.key")
    await assert_refused(party, act.but(nonce="B" * 22).request(), "certificate")
    for check in ("certificate", "simulated", "signature", "peer", "sender"):
        party.book.turn_off(f"link.request.{check}")
    await assert_refused(party, act.but(nonce="C" * 22).request(), "key")
    other = tmp_path / "pinned"
    other.mkdir()
    pinning = await open_party(other, estate, trust=estate.trust(acb=stranger))
    assert (await pinning.send(act.request())).status == 200
    await pinning.database.close()


async def _party_that_pins(
    tmp_path: Path, estate: Estate, trust: LinkTrust, clock: HeldClock
) -> Party:
    other = tmp_path / "other"
    other.mkdir()
    return await open_party(other, estate, trust=trust, clock=clock)


@pytest.mark.parametrize(
    ("issue", "failure"),
    [
        (lambda a: a.issue("acb", until=NOW - timedelta(hours=1)), "expired"),
        (lambda a: a.issue("acb", since=NOW + timedelta(hours=1)), "not_yet_valid"),
        (lambda _: Authority().issue("acb"), "unknown_issuer"),
        (lambda a: a.issue("acb", unit="SIM-OTHER"), "wrong_profile"),
        (lambda a: a.issue("acb", extended=False), "wrong_profile"),
    ],
    ids=["expired", "not-yet", "other-authority", "unit", "not-a-link-certificate"],
)
async def test_a_certificate_that_is_not_trusted(  # noqa: PLR0917
    tmp_path: Path,
    estate: Estate,
    forge: Forge,
    clock: HeldClock,
    issue: Callable[[Authority], Held],
    failure: str,
):
    bad = issue(estate.authority)
    party = await _party_that_pins(tmp_path, estate, estate.trust(acb=bad), clock)
    act = forge.but(signer=bad)
    await assert_refused(party, act.request(), "certificate")
    assert failure in (await party.rows())[-1]["record"]["verdict"]["detail"]
    party.book.turn_off("link.request.certificate")
    assert (await party.send(act.request())).status == 200
    assert len(party.handled) == 1
    await party.database.close()


async def test_a_revoked_certificate(
    tmp_path: Path, estate: Estate, forge: Forge, clock: HeldClock
):
    authority = estate.authority
    serial = estate.holders["acb"].certificate.serial
    trust = LinkTrust(
        authority.certificate, estate.without_private(), [authority.revocation_list(serial)]
    )
    party = await _party_that_pins(tmp_path, estate, trust, clock)
    await assert_refused(party, forge.request(), "certificate")
    assert "revoked" in (await party.rows())[-1]["record"]["verdict"]["detail"]
    party.book.turn_off("link.request.certificate")
    assert (await party.send(forge.request())).status == 200
    await party.database.close()


async def test_material_that_is_not_simulated(
    tmp_path: Path, estate: Estate, forge: Forge, clock: HeldClock
):
    real = Authority("I1")
    unmarked = real.issue("acb")
    pinned = estate.without_private() | {"acb": unmarked.certificate}
    trust = LinkTrust(real.certificate, pinned)
    party = await _party_that_pins(tmp_path, estate, trust, clock)
    act = forge.but(signer=unmarked)
    await assert_refused(party, act.request(), "simulated")
    party.book.turn_off("link.request.simulated")
    assert (await party.send(act.request())).status == 200
    await party.database.close()


async def test_a_valid_certificate_of_a_system_without_business_here(
    party: Party, estate: Estate, forge: Forge
):
    act = forge.but(signer=estate.holders["tcos_party"], sender="tcos_party")
    await assert_refused(party, act.request(), "peer")
    party.book.turn_off("link.request.peer")
    await assert_refused(party, act.but(nonce="B" * 22).request(), "purpose")
    party.book.turn_off("link.request.purpose")
    assert (await party.send(act.but(nonce="C" * 22).request())).status == 200


async def test_a_pinned_certificate_that_names_another_system(
    tmp_path: Path, estate: Estate, forge: Forge, clock: HeldClock
):
    wrong = estate.authority.issue("registration")
    party = await _party_that_pins(tmp_path, estate, estate.trust(acb=wrong), clock)
    act = forge.but(signer=wrong)
    await assert_refused(party, act.request(), "peer")
    party.book.turn_off("link.request.peer")
    assert (await party.send(act.request())).status == 200
    await party.database.close()


async def test_a_purpose_that_another_sender_has(party: Party, estate: Estate, forge: Forge):
    act = forge.but(signer=estate.holders["registration"], sender="registration")
    await assert_refused(party, act.request(), "purpose")
    party.book.turn_off("link.request.purpose")
    assert (await party.send(act.but(nonce="B" * 22).request())).status == 200
    assert party.handled[0].sender == "registration"


async def test_an_unknown_purpose_is_refused_before_the_body_is_parsed(party: Party, forge: Forge):
    await assert_refused(party, forge.but(purpose="cos-x", body=b"not JSON").request(), "purpose")


async def test_a_request_to_one_party_cannot_be_replayed_to_another(
    tmp_path: Path, estate: Estate, forge: Forge, party: Party
):
    """Neither verbatim nor with the recipient changed."""
    folder = tmp_path / "tcos"
    folder.mkdir()
    tcos = await open_party(folder, estate, system="tcos_party")
    request = forge.request()
    assert (await party.send(request)).status == 200
    await assert_refused(tcos, request, "recipient")
    changed = swap_header("cos-recipient", lambda _: "tcos_party")(request)
    await assert_refused(tcos, changed, "signature")
    await tcos.database.close()


async def test_a_whole_surrogate_pair_is_a_character(party: Party, forge: Forge):
    request = forge.but(body=b'{"a":"\\ud83d\\ude00"}').request()
    assert (await party.send(request)).status == 200


@pytest.mark.parametrize("seconds", [-65, 5])
async def test_the_edges_of_the_window_are_inside(party: Party, forge: Forge, seconds: int):
    response = await party.send(forge.but(created=SECONDS + seconds).request())
    assert response.status == 200


async def test_a_named_algorithm_that_is_the_profiles(party: Party, forge: Forge):
    request = forge.but(added_params=(("alg", profile.ALGORITHM),)).request()
    assert (await party.send(request)).status == 200
