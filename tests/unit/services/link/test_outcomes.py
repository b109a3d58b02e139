"""What a caller is told: a verified yes, a verified no, or that nothing is settled."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.chassis.checks import Refused
from services.chassis.web.problems import Problem
from services.link import client, envelope
from services.link.client import LinkClient
from services.link.errors import (
    EnvelopeRefused,
    LinkRefused,
    LinkSetupError,
    PeerRefused,
    PeerUnavailable,
)
from services.link.store.nonces import LEASE
from services.link.wire.message import HttpRequest, HttpResponse
from tests.unit.services.link.estate import Estate, HeldClock, open_caller, open_party
from tests.unit.services.link.forge import AnswerForge, Forge, Wire, swap_header


async def call(link: LinkClient, message_id: str = "m-1"):
    return await link.call("/link/cos-command", "cos-command", message_id, {"version": 1})


def refuse(_opened: object) -> None:
    raise Refused(
        party="ecos_party",
        check="ecos.registration.incoming_supplier",
        title="The requester is the registered supplier",
        detail="it is not",
        expected="A",
        found="B",
        source="reconstruction",
        status=403,
    )


async def test_a_no_of_the_peers_rules_is_a_proven_no(
    tmp_path: Path, estate: Estate, clock: HeldClock
):
    ecos = await open_party(tmp_path, estate, clock=clock, answer=refuse)
    link, acb = await open_caller(tmp_path, estate, ecos.transport(), clock=clock)
    with pytest.raises(PeerRefused) as refused:
        await call(link)
    no = refused.value
    assert (no.party, no.check, no.status) == (
        "ecos_party",
        "ecos.registration.incoming_supplier",
        403,
    )
    assert (no.problem["expected"], no.problem["found"]) == ("A", "B")
    assert (await acb.rows())[-1]["kind"] == "link.response.received"
    assert (await acb.rows())[-1]["seq"] == no.evidence
    await acb.database.close()
    await ecos.database.close()


async def test_a_no_is_repeated_as_given_and_the_rules_are_not_asked_again(
    tmp_path: Path, estate: Estate, clock: HeldClock
):
    ecos = await open_party(tmp_path, estate, clock=clock, answer=refuse)
    link, acb = await open_caller(tmp_path, estate, ecos.transport(), clock=clock)
    for _ in range(2):
        with pytest.raises(PeerRefused, match="it is not"):
            await call(link)
    assert len(ecos.handled) == 1
    await acb.database.close()
    await ecos.database.close()


async def test_a_handlers_problem_is_signed_and_names_the_party(
    tmp_path: Path, estate: Estate, clock: HeldClock
):
    def answer(_opened: object) -> None:
        raise Problem(404, "Not here", "no such transaction")

    ecos = await open_party(tmp_path, estate, clock=clock, answer=answer)
    link, acb = await open_caller(tmp_path, estate, ecos.transport(), clock=clock)
    with pytest.raises(PeerRefused) as refused:
        await call(link)
    assert (refused.value.status, refused.value.party) == (404, "ecos_party")
    await acb.database.close()
    await ecos.database.close()


async def test_a_bug_of_the_peer_settles_nothing_and_shows_nothing(
    tmp_path: Path, estate: Estate, clock: HeldClock
):
    attempts: list[int] = []

    def answer(_opened: object) -> dict[str, int]:
        attempts.append(1)
        if len(attempts) == 1:
            raise RuntimeError("the password is 1234")
        return {"done": 1}

    ecos = await open_party(tmp_path, estate, clock=clock, answer=answer)
    wire = ecos.transport()
    link, acb = await open_caller(tmp_path, estate, wire, clock=clock)
    with pytest.raises(PeerUnavailable, match="answered 500") as failed:
        await call(link)
    assert not isinstance(failed.value, LinkRefused | EnvelopeRefused)
    assert b"1234" not in b"".join(str(row).encode() for row in await ecos.rows())
    # the same message may be sent again, and is now acted on
    assert (await call(link)).body == {"done": 1}
    await acb.database.close()
    await ecos.database.close()


@pytest.mark.parametrize(
    "error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError]
)
async def test_no_answer_is_not_a_no(
    tmp_path: Path, estate: Estate, clock: HeldClock, error: type[httpx.TransportError]
):
    def fail(_request: HttpRequest) -> HttpResponse:
        raise error("gone")

    link, acb = await open_caller(tmp_path, estate, Wire(fail), clock=clock)
    with pytest.raises(PeerUnavailable, match=error.__name__):
        await call(link)
    assert [row["kind"] for row in await acb.rows()] == ["link.request.sent"]
    await acb.database.close()


@pytest.mark.parametrize("status", [200, 302, 403, 404, 413, 500])
async def test_an_unsigned_answer_is_not_an_answer(
    tmp_path: Path, estate: Estate, clock: HeldClock, status: int
):
    problem = json.dumps({"party": "ecos_party", "check": "ecos.request", "detail": "no"}).encode()
    plain = HttpResponse(status, (("content-type", "application/problem+json"),), problem)
    link, acb = await open_caller(tmp_path, estate, Wire(lambda _: plain), clock=clock)
    with pytest.raises(LinkRefused) as refused:
        await call(link)
    assert refused.value.check == "link.response.header_present"
    await acb.database.close()


async def test_an_endless_answer_is_cut_off(tmp_path: Path, estate: Estate, clock: HeldClock):
    plain = HttpResponse(200, (), b"x" * (8 * 1024 * 1024 + 1))
    link, acb = await open_caller(tmp_path, estate, Wire(lambda _: plain), clock=clock)
    with pytest.raises(PeerUnavailable, match="more than"):
        await call(link)
    await acb.database.close()


class Dripping(httpx.AsyncBaseTransport):
    """Begins to answer, and sends another octet whenever the last has been read, without end."""

    def __init__(self) -> None:
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        del request
        return httpx.Response(200, stream=self._Drops(self))

    class _Drops(httpx.AsyncByteStream):
        def __init__(self, wire: Dripping) -> None:
            self._wire = wire

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b""
                await asyncio.sleep(0)

        async def aclose(self) -> None:
            self._wire.closed = True


async def test_an_answer_that_drips_is_cut_off(
    tmp_path: Path, estate: Estate, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
):
    """No single piece is late, so the HTTP client would wait for ever."""
    monkeypatch.setattr(client, "MAX_SECONDS", 0.05)
    wire = Dripping()
    link, acb = await open_caller(tmp_path, estate, wire, clock=clock)
    with pytest.raises(PeerUnavailable, match="TimeoutError") as nothing:
        await call(link)
    assert not isinstance(nothing.value, LinkRefused | EnvelopeRefused)
    assert wire.closed
    await acb.database.close()


def test_an_attempt_ends_before_another_may_take_its_message_over():
    """A handler asks others while it holds its message; `LEASE` promises to outlast it."""
    assert timedelta(seconds=client.MAX_SECONDS) < LEASE


async def test_a_refusal_provoked_by_the_wire_is_not_taken_for_a_no(
    tmp_path: Path, estate: Estate, clock: HeldClock
):
    """The wire delivers the request, keeps the answer, replays it, and hands over that refusal."""
    ecos = await open_party(tmp_path, estate, clock=clock)

    class Replaying(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await request.aread()
            inner = ecos.transport()
            await inner.handle_async_request(request)
            return await inner.handle_async_request(request)

    link, acb = await open_caller(tmp_path, estate, Replaying(), clock=clock)
    with pytest.raises(EnvelopeRefused) as refused:
        await call(link)
    assert refused.value.check == "link.request.nonce"
    assert len(ecos.handled) == 1
    # asking again with the same message identifier brings what was answered
    again, restarted = await open_caller(tmp_path, estate, ecos.transport(), clock=clock)
    assert (await call(again)).body == {"version": 1, "acts": 1}
    assert len(ecos.handled) == 1
    await restarted.database.close()
    await acb.database.close()
    await ecos.database.close()


async def test_a_request_to_which_nothing_can_be_bound_gets_a_signed_refusal_no_client_takes(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    ecos = await open_party(tmp_path, estate, clock=clock)
    twice = forge.but(extra_headers=(("cos-message-id", "m-9"),)).request()
    response = await ecos.send(twice)
    assert response.status == 400
    assert 'tag="cos-link-v1-refusal"' in (response.first("signature-input") or "")
    link, acb = await open_caller(tmp_path, estate, Wire(lambda _: response), clock=clock)
    with pytest.raises(LinkRefused, match="header_present"):
        await call(link)
    await acb.database.close()
    await ecos.database.close()


@pytest.mark.parametrize("name", ["signature", "content-digest", "cos-purpose", "cos-sender"])
async def test_an_answer_is_bound_only_where_there_is_one_thing_to_bind_it_to(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge, name: str
):
    ecos = await open_party(tmp_path, estate, clock=clock)
    request = forge.request()
    twice = request.with_headers(((name, request.first(name) or ""),))
    response = await ecos.send(twice)
    assert json.loads(response.body)["check"] == "link.request.header_once"
    assert 'tag="cos-link-v1-refusal"' in (response.first("signature-input") or "")
    await ecos.database.close()


async def test_an_unverified_caller_learns_no_expected_value(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    ecos = await open_party(tmp_path, estate, clock=clock)
    unverified = await ecos.send(forge.but(added_params=(("alg", "ed25519"),)).request())
    assert "expected" not in json.loads(unverified.body)
    verified = await ecos.send(forge.but(recipient="tcos_party").request())
    assert json.loads(verified.body)["expected"] == "ecos_party"
    kept = await ecos.rows("link.request.refused")
    assert [row["body"] is None for row in kept] == [True, False]
    await ecos.database.close()


async def test_what_a_weakened_party_did_not_verify_is_not_kept_as_evidence(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
):
    """With the signature's check off nobody knows who wrote it: no proof, no expected value."""
    ecos = await open_party(tmp_path, estate, clock=clock)
    ecos.book.turn_off("link.request.signature")
    refused = await ecos.send(forge.but(recipient="tcos_party").request())
    assert "expected" not in json.loads(refused.body)
    assert (await ecos.rows())[-1]["body"] is None
    await ecos.database.close()


async def test_both_ends_hand_on_what_each_check_said(
    tmp_path: Path, estate: Estate, clock: HeldClock
):
    ecos = await open_party(tmp_path, estate, clock=clock)
    link, acb = await open_caller(tmp_path, estate, ecos.transport(), clock=clock)
    ecos.book.turn_off("link.request.query")
    answer = await call(link)
    said = {verdict.check: verdict.outcome for verdict in ecos.handled[0].verdicts}
    assert said.pop("link.request.query") == "off"
    assert set(said.values()) == {"passed"}
    assert [verdict.check for verdict in answer.verdicts] == [
        check.id for check in acb.book.section("link.response")
    ]
    await acb.database.close()
    await ecos.database.close()


async def test_peer_settles_only_what_the_nonce_was_spent_for(
    tmp_path: Path, estate: Estate, clock: HeldClock
):
    """A signed, bound refusal: by a check of the envelope unsettled, by a later one settled."""
    forge = AnswerForge(estate.holders["ecos_party"], status=409)

    def saying(check: str) -> Callable[[HttpRequest], HttpResponse]:
        body = json.dumps({"check": check, "detail": "no", "party": "ecos_party"}).encode()
        return forge.but(body=body).response

    wire = Wire(saying("link.request.stale"))
    link, acb = await open_caller(tmp_path, estate, wire, clock=clock)
    with pytest.raises(EnvelopeRefused):
        await call(link)
    wire.answer = saying("link.request.purpose")
    with pytest.raises(PeerRefused):
        await call(link)
    await acb.database.close()


@pytest.mark.parametrize(
    ("path", "purpose", "message_id"),
    [
        ("/link/x?y", "cos-command", "m"),
        ("//x", "cos-command", "m"),
        ("/x", "Cos", "m"),
        ("/x", "cos", "m m"),
        ("/x", "cos", "m\r\nx: y"),
        ("/x", "cos", ""),
    ],
)
async def test_a_call_that_is_not_of_the_profile_is_a_mistake_here(  # noqa: PLR0917
    tmp_path: Path, estate: Estate, clock: HeldClock, path: str, purpose: str, message_id: str
):
    wire = Wire(lambda _: HttpResponse(200))
    link, acb = await open_caller(tmp_path, estate, wire, clock=clock)
    with pytest.raises(LinkSetupError):
        await link.call(path, purpose, message_id, {})
    assert wire.seen == []
    assert await acb.rows() == []
    await acb.database.close()


@pytest.mark.parametrize(
    "base_url", ["ftp://x", "x", "http://x/prefix", "http://x?y=1", "http://me@x", ""]
)
async def test_a_peer_address_that_is_not_an_origin(
    tmp_path: Path, estate: Estate, clock: HeldClock, base_url: str
):
    link, acb = await open_caller(tmp_path, estate, Wire(lambda _: HttpResponse(200)), clock=clock)
    with pytest.raises(LinkSetupError):
        LinkClient(
            identity=estate.identity("acb"),
            trust=estate.trust(),
            peer="ecos_party",
            base_url=base_url,
            http=httpx.AsyncClient(transport=Wire(lambda _: HttpResponse(200))),
            evidence=acb.evidence,
            clock=clock,
            book=acb.book,
        )
    del link
    await acb.database.close()


async def test_the_body_is_sent_byte_for_byte(tmp_path: Path, estate: Estate, clock: HeldClock):
    ecos = await open_party(tmp_path, estate, clock=clock)
    wire = Wire(AnswerForge(estate.holders["ecos_party"]).response)
    link, acb = await open_caller(tmp_path, estate, wire, clock=clock)
    await call(link)
    sent = (await acb.audit.export())[0]
    assert wire.seen[0].body == b'{"version":1}'
    assert sent["record"]["path"] == "/link/cos-command"
    tampered = swap_header("cos-recipient", lambda _: "tcos_party")(wire.seen[0])
    assert (await ecos.send(tampered)).status == 401
    await acb.database.close()
    await ecos.database.close()


@pytest.mark.parametrize("length", [10, client.LONG_BODY])
async def test_a_long_answer_is_read_beside_the_loop_and_once(
    tmp_path: Path,
    estate: Estate,
    clock: HeldClock,
    monkeypatch: pytest.MonkeyPatch,
    length: int,
):
    ecos = await open_party(tmp_path, estate, clock=clock, answer=lambda _: {"a": "x" * length})
    link, acb = await open_caller(tmp_path, estate, ecos.transport(), clock=clock)
    read, threads = envelope.read_json_object, []

    def watched(body: bytes, most: int) -> dict[str, Any]:
        if body.startswith(b'{"a"'):
            threads.append(threading.get_ident() != threading.main_thread().ident)
        return read(body, most)

    monkeypatch.setattr(envelope, "read_json_object", watched)
    assert len((await call(link)).body["a"]) == length
    assert threads == [length == client.LONG_BODY]
    await acb.database.close()
    await ecos.database.close()
