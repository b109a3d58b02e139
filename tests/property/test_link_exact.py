"""The exact form is only a shorter way: verdict and refusal are those of the general reader."""

from __future__ import annotations

from dataclasses import replace

import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.chassis.checks import CheckFailed
from services.link.checks import REQUEST_RULES, RESPONSE_RULES, Rules, verify
from services.link.envelope import Envelope
from services.link.errors import BaseError, NotVerified
from services.link.store.records import request_record, response_record
from services.link.wire import profile
from services.link.wire.base import signature_base
from services.link.wire.digest import read_content_digest
from services.link.wire.message import Headers, HttpRequest, HttpResponse
from services.link.wire.signing import Address, Stamp, sign_request, sign_response
from tests.property.test_link_properties import request_envelope, response_envelope
from tests.unit.services.link.estate import NOW, Estate
from tests.unit.services.link.forge import NONCE

ESTATE = Estate()
ACB, ECOS = ESTATE.holders["acb"], ESTATE.holders["ecos_party"]
TRUST = ESTATE.trust()
CREATED = int(NOW.timestamp())
MANY = settings(
    max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def asked(body: bytes = b'{"version":1}', message_id: str = "m-1") -> HttpRequest:
    address = Address("cos-command", message_id, "acb", "ecos_party")
    return sign_request(
        "/link/cos-command", body, address, Stamp(ACB.key_id, NONCE, CREATED), ACB.sign
    )


def answered(request: HttpRequest, status: int = 200, body: bytes = b"{}") -> HttpResponse:
    stamp = Stamp(ECOS.key_id, NONCE, CREATED)
    return sign_response(request, status, body, sender="ecos_party", stamp=stamp, sign=ECOS.sign)


REQUEST = asked()
RESPONSE = answered(REQUEST)


def envelope(message: HttpRequest | HttpResponse, *, general: bool) -> Envelope:
    arrived = replace(message)  # a value of its own: nothing is known of it
    made = (
        request_envelope(arrived)
        if isinstance(arrived, HttpRequest)
        else response_envelope(arrived, replace(REQUEST))
    )
    made.keys = TRUST
    if general:
        made.exact = None
    return made


def said(message: HttpRequest | HttpResponse, *, general: bool) -> tuple[str, ...]:
    """Each rule's own answer, and the verdict of them all in order."""
    rules: Rules = REQUEST_RULES if isinstance(message, HttpRequest) else RESPONSE_RULES
    found: list[str] = []
    for rule in rules:
        try:
            rule(envelope(message, general=general))
            found.append(f"{rule.id}: passed")
        except CheckFailed as failed:
            found.append(f"{rule.id}: {failed.detail} {failed.expected} {failed.found}")
    try:
        verify(envelope(message, general=general), rules)
    except NotVerified as failed:
        found.append(f"refused by {failed.check}: {failed.detail}")
    return tuple(found)


def base_of(message: HttpRequest | HttpResponse, *, general: bool) -> bytes | str:
    try:
        return envelope(message, general=general).base()
    except (CheckFailed, BaseError) as error:
        return str(error)


def same(message: HttpRequest | HttpResponse) -> None:
    assert said(message, general=False) == said(message, general=True)
    assert base_of(message, general=False) == base_of(message, general=True)


@pytest.mark.parametrize("message", [REQUEST, RESPONSE], ids=["request", "response"])
def test_what_we_write_is_of_the_exact_form_and_says_what_the_general_reader_reads(
    message: HttpRequest | HttpResponse,
):
    quick, slow = envelope(message, general=False), envelope(message, general=True)
    assert quick.exact is not None
    assert quick.exact.parameters == dict(slow.covered.params)
    assert quick.signature == slow.signature
    assert quick.exact.digest == read_content_digest(slow.header(profile.CONTENT_DIGEST))
    assert quick.exact.base == signature_base(slow.covered, slow.message, slow.request)
    assert said(message, general=False)[-1].endswith(": passed")
    same(message)


text = st.text(st.characters(max_codepoint=255), max_size=4)
pieces = st.one_of(
    text,
    st.sampled_from(
        [
            '"', ";", "=", " ", ",", ":", "(", ")", "0", "-1", "\t", "\n", '"@method"', ";req",
            ';alg="ecdsa-p256-sha256"', ';alg="none"', "cos=", ", cos=()", "sha-256=:",
            ";created=1", "A", "=", "==", "\x7f", "é",
        ]
    ),
)  # fmt: skip


def changed(value: str, at: int, gone: int, put: str) -> str:
    at %= len(value) + 1
    return value[:at] + put + value[at + gone :]


@MANY
@given(
    st.booleans(),
    st.integers(0, 7),
    st.integers(0, 600),
    st.integers(0, 3),
    pieces,
)
def test_a_header_changed_anywhere_is_judged_alike(
    answer: bool, which: int, at: int, gone: int, put: str
):
    message: HttpRequest | HttpResponse = RESPONSE if answer else REQUEST
    headers = list(message.headers)
    name, value = headers[which]
    headers[which] = (name, changed(value, at, gone, put))
    same(replace(message, headers=tuple(headers)))


@MANY
@given(
    st.booleans(),
    st.lists(st.integers(0, 7), max_size=10),
    st.lists(st.tuples(st.sampled_from(profile.REQUEST.headers), text), max_size=2),
)
def test_headers_left_out_repeated_or_moved_are_judged_alike(
    answer: bool, order: list[int], more: list[tuple[str, str]]
):
    message: HttpRequest | HttpResponse = RESPONSE if answer else REQUEST
    kept: Headers = tuple(message.headers[number] for number in order)
    same(replace(message, headers=kept + tuple(more)))


@MANY
@given(
    st.sampled_from(["created", "expires", "nonce", "keyid", "tag"]),
    st.one_of(st.integers(-(10**15) + 1, 10**15 - 1).map(str), text, st.just('"' + NONCE + '"')),
    st.booleans(),
)
def test_parameters_changed_are_judged_alike(name: str, value: str, answer: bool):
    message: HttpRequest | HttpResponse = RESPONSE if answer else REQUEST
    said_now = dict(message.headers)[profile.SIGNATURE_INPUT]
    head, _, tail = said_now.partition(f";{name}=")
    rest = tail.partition(";")
    written = f"{head};{name}={value}{rest[1]}{rest[2]}"
    pairs = tuple(
        (header, written if header == profile.SIGNATURE_INPUT else old)
        for header, old in message.headers
    )
    same(replace(message, headers=pairs))


@MANY
@given(
    st.sampled_from(["POST", "GET", "p\n", ""]),
    st.one_of(text, st.just("/link/cos-command")),
    st.one_of(st.just(""), text),
    st.binary(max_size=20),
)
def test_another_target_or_body_is_judged_alike(method: str, path: str, query: str, body: bytes):
    same(HttpRequest(method, path, query, REQUEST.headers, body))
    same(HttpResponse(len(path), RESPONSE.headers, body))


values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)


@MANY
@given(values, values, st.text(max_size=5), st.integers(-5, 10**15), st.binary(max_size=8))
def test_what_is_signed_is_the_base_of_the_general_writer(
    message_id: str, purpose: str, key_id: str, created: int, body: bytes
):
    bases: list[bytes] = []

    def sign(base: bytes) -> bytes:
        bases.append(base)
        return bytes(64)

    address = Address(purpose, message_id, "acb", "ecos_party")
    stamp = Stamp(key_id, NONCE, created)
    components, tag = profile.REQUEST.components, profile.REQUEST_TAG
    plain = HttpRequest(
        "POST",
        "/link/x",
        "",
        (
            ("content-type", "application/json"),
            ("content-digest", dict(asked(body).headers)["content-digest"]),
            ("cos-purpose", purpose),
            ("cos-message-id", message_id),
            ("cos-sender", "acb"),
            ("cos-recipient", "ecos_party"),
        ),
        body,
    )
    try:
        expected = signature_base(stamp.cover(components, tag), plain, None)
    except Exception as error:  # noqa: BLE001 - whatever the general writer says
        with pytest.raises(type(error)):
            sign_request("/link/x", body, address, stamp, sign)
        return
    sent = sign_request("/link/x", body, address, stamp, sign)
    assert bases == [expected]
    assert sent.base_with(None) == expected
    assert request_record(sent)["signature_base"] == expected.decode()
    assert request_record(replace(sent)) == request_record(sent)
    answer = sign_response(sent, 200, body, sender="ecos_party", stamp=stamp, sign=sign)
    assert response_record(replace(answer), sent) == response_record(answer, sent)


def test_a_changed_message_keeps_nothing_of_what_was_known():
    """The base goes with one value and one request: any other value is read anew."""
    assert REQUEST.base_with(None) is not None
    assert replace(REQUEST, path="/link/other").base_with(None) is None
    assert RESPONSE.base_with(REQUEST) is not None
    assert RESPONSE.base_with(replace(REQUEST)) is None
    assert RESPONSE.base_with(None) is None
    longer = replace(REQUEST, body=b"x")
    assert longer.body_digest != REQUEST.body_digest
