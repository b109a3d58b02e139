"""Each check of a response: refused by it alone, never taken for an answer, and the twin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.link.checks import response_checks
from services.link.client import LinkClient
from services.link.errors import LinkRefused
from services.link.trust import LinkTrust
from services.link.wire import profile
from services.link.wire.digest import content_digest
from services.link.wire.fields import Item
from services.link.wire.message import HttpRequest, HttpResponse
from tests.unit.services.link.estate import NOW, Authority, Estate, HeldClock, Party, open_caller
from tests.unit.services.link.forge import AnswerForge, Wire, larger_form, swap_body, swap_header

COMPONENTS = profile.RESPONSE.components
SECONDS = int(NOW.timestamp())


@dataclass
class Caller:
    """The ACB calling an ECoS party whose answers the test forges."""

    link: LinkClient
    acb: Party
    wire: Wire
    forge: AnswerForge
    answered: list[HttpResponse] = field(default_factory=list)

    async def ask(self, message_id: str = "m-1"):
        return await self.link.call("/link/cos-command", "cos-command", message_id, {"version": 1})

    def answer_with(self, forge: AnswerForge) -> None:
        self.wire.answer = forge.response


@pytest.fixture
async def caller(tmp_path: Path, estate: Estate, clock: HeldClock) -> AsyncIterator[Caller]:
    forge = AnswerForge(estate.holders["ecos_party"])
    wire = Wire(forge.response)
    link, acb = await open_caller(tmp_path, estate, wire, clock=clock)
    yield Caller(link, acb, wire, forge)
    await acb.database.close()


async def assert_refused(caller: Caller, check: str) -> None:
    """Our check refuses their answer, by name; the evidence says so; nothing is returned."""
    with pytest.raises(LinkRefused) as refused:
        await caller.ask()
    assert refused.value.check == f"link.response.{check}"
    last = (await caller.acb.rows())[-1]
    assert last["kind"] == "link.response.refused"
    assert last["record"]["verdict"]["check"] == f"link.response.{check}"


@dataclass(frozen=True)
class Case:
    """One answer: the check that refuses it, how it is made, which checks stand behind."""

    check: str
    act: Callable[[AnswerForge], AnswerForge]
    behind: tuple[str, ...] = ()
    label: str = ""

    def __str__(self) -> str:
        return f"{self.check}{'-' if self.label else ''}{self.label}"


def _second(response: HttpResponse) -> HttpResponse:
    for name in ("signature-input", "signature"):
        response = swap_header(name, lambda v: v + ", " + v.replace("cos=", "other="))(response)
    return response


def _more(name: str, value: str) -> Callable[[HttpResponse], HttpResponse]:
    return lambda response: response.with_headers(((name, value),))


def _without(name: str, *, req: bool = False) -> tuple[Item, ...]:
    gone = Item(name, (("req", True),) if req else ())
    return tuple(item for item in COMPONENTS if item != gone)


CASES = [
    Case("header_once", lambda f: f.but(extra_headers=(("cos-recipient", "acb"),))),
    Case(
        "header_present",
        lambda f: f.but(drop_headers=("cos-recipient",), components=_without("cos-recipient")),
        ("component_missing", "recipient"),
    ),
    Case("content_encoding", lambda f: f.but(extra_headers=(("content-encoding", "identity"),))),
    Case(
        "signature_input_form",
        lambda f: f.but(after=swap_header("signature-input", lambda v: v.replace(" ", "  "))),
    ),
    Case(
        "signature_form",
        lambda f: f.but(after=swap_header("signature", lambda v: v + ";  x")),
        label="spaces",
    ),
    Case(
        "signature_form",
        lambda f: f.but(after=swap_header("signature", lambda v: v + ";x")),
        label="parameter",
    ),
    Case(
        "signature_form",
        lambda f: f.but(after=larger_form),
        label="the larger s",
    ),
    Case("one_signature", lambda f: f.but(after=_second)),
    Case("label", lambda f: f.but(label="sig1")),
    Case(
        "component_missing",
        lambda f: f.but(components=_without("signature", req=True)),
        label="binding",
    ),
    Case("component_missing", lambda f: f.but(components=_without("@status")), label="status"),
    Case(
        "component_extra",
        lambda f: f.but(components=(*COMPONENTS, Item("cos-purpose", (("req", True),)))),
    ),
    Case("component_order", lambda f: f.but(components=(*COMPONENTS[1:], COMPONENTS[0]))),
    Case("parameter_missing", lambda f: f.but(dropped_params=("expires",))),
    Case("parameter_unknown", lambda f: f.but(added_params=(("x", True),))),
    Case("algorithm", lambda f: f.but(added_params=(("alg", "hmac-sha256"),))),
    Case("tag", lambda f: f.but(changed_params=(("tag", profile.REQUEST_TAG),)), label="request"),
    Case("tag", lambda f: f.but(changed_params=(("tag", profile.REFUSAL_TAG),)), label="refusal"),
    Case("nonce_form", lambda f: f.but(nonce="AAAA")),
    Case("lifetime", lambda f: f.but(changed_params=(("expires", SECONDS + 61),))),
    Case("future", lambda f: f.but(created=SECONDS + 6)),
    Case("stale", lambda f: f.but(created=SECONDS - 66)),
    Case(
        "signature",
        lambda f: f.but(after=lambda response: replace(response, status=201)),
        label="status",
    ),
    Case(
        "signature",
        lambda f: f.but(after=swap_header("cos-message-id", lambda _: "m-1")).but(message_id="m-2"),
        label="message-id",
    ),
    Case(
        "content_digest_form",
        lambda f: f.but(digest=content_digest(f.body) + ", sha-512=:AAAA:"),
    ),
    Case("content_digest", lambda f: f.but(after=swap_body(b'{"version":2}'))),
    Case("sender", lambda f: f.but(sender="tcos_party")),
    Case("recipient", lambda f: f.but(recipient="registration")),
    Case("content_type", lambda f: f.but(content_type="application/problem+json")),
    Case("purpose", lambda f: f.but(purpose="device-alert")),
    Case("message_id", lambda f: f.but(message_id="m-2")),
    Case("body", lambda f: f.but(body=b"[]")),
    Case("body", lambda f: f.but(body=b'{"more":[' + b",".join([b"0"] * 5_000) + b"]}")),
]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_refused_by_that_check_and_only_by_it(case: Case, caller: Caller):
    caller.answer_with(case.act(caller.forge))
    off = [case.check, *case.behind]
    for check in off:
        await assert_refused(caller, check)
        caller.acb.book.turn_off(f"link.response.{check}")
    answer = await caller.ask()
    assert 200 <= answer.status < 300


async def test_a_flag_that_is_written_as_a_number_is_not_that_flag(caller: Caller):
    """`"@method";req=1`: one and true are equal in Python, and nowhere else."""
    odd = tuple(
        Item("@method", (("req", 1),)) if item == Item("@method", (("req", True),)) else item
        for item in COMPONENTS
    )
    text = " ".join(item.text for item in odd)
    caller.answer_with(
        caller.forge.but(
            after=swap_header(
                "signature-input",
                lambda value: f"cos=({text}){value[value.index(';created') :]}",
            )
        )
    )
    await assert_refused(caller, "component_missing")


def test_every_check_of_a_response_has_a_case():
    elsewhere = {"key", "certificate", "simulated", "peer"}
    cased = {case.check for case in CASES}
    assert {check.id.rpartition(".")[2] for check in response_checks()} == cased | elsewhere


async def test_answers_of_two_exchanges_swapped_by_the_wire(caller: Caller):
    """The same message asked twice, so only the request's own signature tells the answers apart."""
    held: list[HttpResponse] = []

    def swap(request: HttpRequest) -> HttpResponse:
        held.append(caller.forge.response(request))
        return held[0]

    caller.wire.answer = swap
    assert (await caller.ask()).status == 200
    await assert_refused(caller, "signature")
    caller.acb.book.turn_off("link.response.signature")
    assert (await caller.ask()).status == 200


async def test_answers_to_two_messages_swapped_by_the_wire(caller: Caller):
    held: list[HttpResponse] = []

    def swap(request: HttpRequest) -> HttpResponse:
        held.append(caller.forge.but(message_id=request.first("cos-message-id")).response(request))
        return held[0]

    caller.wire.answer = swap
    assert (await caller.ask("m-1")).status == 200
    with pytest.raises(LinkRefused, match=r"link\.response\.signature"):
        await caller.ask("m-2")
    caller.acb.book.turn_off("link.response.signature")
    with pytest.raises(LinkRefused, match=r"link\.response\.message_id"):
        await caller.ask("m-3")
    caller.acb.book.turn_off("link.response.message_id")
    assert (await caller.ask("m-4")).status == 200


async def test_an_answer_from_a_valid_system_that_was_not_asked(caller: Caller, estate: Estate):
    caller.answer_with(caller.forge.but(signer=estate.holders["tcos_party"], sender="tcos_party"))
    await assert_refused(caller, "peer")
    caller.acb.book.turn_off("link.response.peer")
    assert (await caller.ask()).status == 200


async def test_an_answer_with_a_key_that_is_not_pinned(caller: Caller, estate: Estate):
    caller.answer_with(caller.forge.but(signer=estate.authority.issue("ecos_party")))
    await assert_refused(caller, "key")
    caller.acb.book.turn_off("link.response.key")
    await assert_refused(caller, "certificate")


@pytest.mark.parametrize("weaken", [False, True])
async def test_an_answer_under_an_expired_certificate(
    tmp_path: Path, estate: Estate, clock: HeldClock, weaken: bool
):
    old = estate.authority.issue("ecos_party", until=NOW - timedelta(hours=1))
    wire = Wire(AnswerForge(old).response)
    link, acb = await open_caller(
        tmp_path, estate, wire, clock=clock, trust=estate.trust(ecos_party=old)
    )
    caller = Caller(link, acb, wire, AnswerForge(old))
    if weaken:
        acb.book.turn_off("link.response.certificate")
        assert (await caller.ask()).status == 200
    else:
        await assert_refused(caller, "certificate")
    await acb.database.close()


@pytest.mark.parametrize("weaken", [False, True])
async def test_an_answer_under_unmarked_material(
    tmp_path: Path, estate: Estate, clock: HeldClock, weaken: bool
):
    real = Authority("I1")
    held = real.issue("ecos_party")
    pinned = {name: real.issue(name).certificate for name in ("acb", "registration")}
    trust = LinkTrust(real.certificate, {**pinned, "ecos_party": held.certificate})
    wire = Wire(AnswerForge(held).response)
    link, acb = await open_caller(tmp_path, estate, wire, clock=clock, trust=trust)
    caller = Caller(link, acb, wire, AnswerForge(held))
    if weaken:
        acb.book.turn_off("link.response.simulated")
        assert (await caller.ask()).status == 200
    else:
        await assert_refused(caller, "simulated")
    await acb.database.close()
