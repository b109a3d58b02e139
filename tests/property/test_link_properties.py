"""Whatever arrives, the link returns or refuses by name; and no change of a message is accepted."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.chassis.checks import CheckFailed
from services.link.checks import (
    ENVELOPE_RULES,
    REQUEST_RULES,
    RESPONSE_RULES,
    verify,
)
from services.link.envelope import Envelope, read_json_object
from services.link.errors import (
    BaseError,
    DigestError,
    EvidenceError,
    FieldError,
    NotVerified,
)
from services.link.store.evidence import verify_evidence
from services.link.store.records import request_record, response_record
from services.link.wire import profile
from services.link.wire.digest import content_digest, read_content_digest
from services.link.wire.fields import Dictionary, InnerList, Item, read_dictionary, write_dictionary
from services.link.wire.message import Headers, HttpRequest, HttpResponse, fold_headers
from services.link.wire.signing import Stamp, sign_refusal, sign_response
from tests.unit.services.link.estate import NOW, Estate
from tests.unit.services.link.forge import NONCE, AnswerForge, Forge

ESTATE = Estate()
TRUST = ESTATE.trust()
FORGE = Forge(ESTATE.holders["acb"])
REQUEST = FORGE.request()
RESPONSE = AnswerForge(ESTATE.holders["ecos_party"]).response(REQUEST)
ECOS = ESTATE.holders["ecos_party"]
MANY = settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

names = st.one_of(
    st.sampled_from([*profile.REQUEST.headers, "content-encoding"]).map(str.encode),
    st.binary(max_size=12),
)
interesting = st.sampled_from(
    [
        b"",
        b"()",
        b"cos=()",
        b"cos=::",
        b'cos=("@method")',
        b"cos=1",
        b"sha-256=::",
        b"cos=(1 2)",
        *(value.encode() for _, value in REQUEST.headers),
    ]
)
values = st.one_of(st.binary(max_size=80), interesting)
headers = st.lists(st.tuples(names, values), max_size=12)
kept = st.sampled_from([(), REQUEST.headers, RESPONSE.headers])


def request_envelope(message: HttpRequest) -> Envelope:
    return Envelope(
        message=message,
        shape=profile.REQUEST,
        own="ecos_party",
        peers=("acb",),
        keys=TRUST,
        now=NOW,
        purposes={"cos-command": frozenset({"acb"})},
        route="cos-command",
        nonce_fresh=True,
    )


def response_envelope(message: HttpResponse, request: HttpRequest = REQUEST) -> Envelope:
    return Envelope(
        message=message,
        shape=profile.RESPONSE,
        own="acb",
        peers=("ecos_party",),
        keys=TRUST,
        now=NOW,
        request=request,
    )


def test_the_messages_these_tests_change_are_good():
    verify(request_envelope(REQUEST), REQUEST_RULES)
    verify(response_envelope(RESPONSE), RESPONSE_RULES)


@MANY
@given(headers, kept, st.binary(max_size=40), st.text(max_size=12), st.text(max_size=6))
def test_no_header_makes_the_verifier_of_requests_break(
    pairs: list[tuple[bytes, bytes]], also: Headers, body: bytes, path: str, query: str
):
    message = HttpRequest("POST", path, query, fold_headers(pairs) + also, body)
    envelope = request_envelope(message)
    for step in REQUEST_RULES:  # each of them alone too, as when those before it are turned off
        try:
            step(envelope)
        except CheckFailed:
            continue
    with pytest.raises(NotVerified):
        verify(envelope, REQUEST_RULES)
    stamp = Stamp(ECOS.key_id, NONCE, int(NOW.timestamp()))
    try:
        sign_response(message, 401, b"{}", sender="ecos_party", stamp=stamp, sign=ECOS.sign)
    except BaseError:
        sign_refusal(401, b"{}", "ecos_party", stamp, ECOS.sign)
    request_record(message)


@MANY
@given(headers, kept, st.binary(max_size=40), st.integers(0, 999))
def test_no_header_makes_the_verifier_of_responses_break(
    pairs: list[tuple[bytes, bytes]], also: Headers, body: bytes, status: int
):
    message = HttpResponse(status, fold_headers(pairs) + also, body)
    envelope = response_envelope(message)
    for step in RESPONSE_RULES:
        try:
            step(envelope)
        except CheckFailed:
            continue
    if message != RESPONSE:
        with pytest.raises(NotVerified):
            verify(envelope, RESPONSE_RULES)
    response_record(message, REQUEST)


def changed(text: str, position: int, character: str) -> str:
    position %= len(text) + 1
    return text[:position] + character + text[position + 1 :]


@MANY
@given(st.integers(0, 7), st.integers(0, 400), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_character_of_a_signed_header_can_be_changed(which: int, position: int, character: str):
    name, value = REQUEST.headers[which]
    other = changed(value, position, character)
    if other == value:
        return
    pairs = tuple((n, other if n == name else v) for n, v in REQUEST.headers)
    with pytest.raises(NotVerified):
        verify(request_envelope(replace(REQUEST, headers=pairs)), ENVELOPE_RULES)


@MANY
@given(st.integers(0, 7), st.integers(0, 400), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_character_of_a_signed_answer_can_be_changed(which: int, position: int, character: str):
    name, value = RESPONSE.headers[which]
    other = changed(value, position, character)
    if other == value:
        return
    pairs = tuple((n, other if n == name else v) for n, v in RESPONSE.headers)
    with pytest.raises(NotVerified):
        verify(response_envelope(replace(RESPONSE, headers=pairs)), RESPONSE_RULES)


@MANY
@given(st.binary(max_size=60))
def test_no_other_body_is_accepted(body: bytes):
    if body == REQUEST.body:
        return
    with pytest.raises(NotVerified) as refused:
        verify(request_envelope(replace(REQUEST, body=body)), REQUEST_RULES)
    assert refused.value.check == "content_digest"


@MANY
@given(st.integers(100, 599))
def test_no_other_status_is_accepted(status: int):
    if status == RESPONSE.status:
        return
    with pytest.raises(NotVerified) as refused:
        verify(response_envelope(replace(RESPONSE, status=status)), RESPONSE_RULES)
    assert refused.value.check == "signature"


@settings(max_examples=examples(40), deadline=None)
@given(st.binary(min_size=1, max_size=30), st.sampled_from(["PUT", "POST"]), st.integers(0, 1))
def test_an_answer_fits_no_request_but_its_own(body: bytes, method: str, nonce: int):
    """Not even one with the same content: the request's own signature is bound."""
    other = FORGE.but(body=b'{"b":"' + body.hex().encode() + b'"}', nonce=f"{nonce:022d}").request()
    for request in (replace(other, method=method), FORGE.request()):
        with pytest.raises(NotVerified) as refused:
            verify(response_envelope(RESPONSE, request), RESPONSE_RULES)
        assert refused.value.check == "signature"


keys = st.from_regex(r"[a-z*][a-z0-9_.*-]{0,8}", fullmatch=True)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
bare = st.one_of(texts, st.integers(-(10**15) + 1, 10**15 - 1), st.binary(max_size=20))
params = st.dictionaries(keys, st.one_of(bare, st.just(True)), max_size=3).map(
    lambda found: tuple(found.items())
)
items = st.builds(Item, bare, params)
members = st.one_of(items, st.builds(InnerList, st.lists(items, max_size=4).map(tuple), params))
dictionaries = st.dictionaries(keys, members, min_size=1, max_size=3).map(
    lambda found: tuple(found.items())
)


@MANY
@given(dictionaries)
def test_what_is_written_is_read_back(dictionary: Dictionary):
    text = write_dictionary(dictionary)
    assert read_dictionary(text) == dictionary
    assert write_dictionary(read_dictionary(text)) == text


@MANY
@given(st.one_of(st.text(max_size=40), st.text('a=()";:, \\1-x', max_size=40)))
def test_the_field_reader_returns_or_refuses(text: str):
    try:
        dictionary = read_dictionary(text)
    except FieldError as error:
        refused_at = error.offset
    else:
        assert read_dictionary(write_dictionary(dictionary)) == dictionary
        return
    assert 0 <= refused_at <= len(text)


@MANY
@given(st.binary(max_size=200))
def test_a_digest_is_read_back_and_any_text_returns_or_refuses(data: bytes):
    read_content_digest(content_digest(data))
    with contextlib.suppress(DigestError):
        assert len(read_content_digest(data.decode("latin-1"))) == 32


@MANY
@given(st.one_of(st.binary(max_size=60), st.text('{}[]":,0123eE.-aN', max_size=40).map(str.encode)))
def test_the_body_reader_returns_an_object_or_refuses(body: bytes):
    with contextlib.suppress(CheckFailed):
        assert isinstance(read_json_object(body), dict)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
RECORDS = (request_record(REQUEST), response_record(RESPONSE, REQUEST))


@MANY
@given(
    st.sampled_from(RECORDS),
    st.sampled_from(
        ["version", "kind", "status", "method", "path", "headers", "request", "signature_base"]
    ),
    json_values,
)
def test_evidence_with_any_member_replaced_is_refused_by_name(record: Any, name: str, value: Any):
    if name not in record or record[name] == value:
        return
    with pytest.raises(EvidenceError) as found:
        verify_evidence({"record": {**record, name: value}, "body": "e30="}, TRUST)
    assert found.value.part


@MANY
@given(json_values, json_values)
def test_anything_that_is_not_evidence_is_refused(record: Any, body: bytes):
    with pytest.raises(EvidenceError):
        verify_evidence({"record": record, "body": body}, TRUST)
