"""Interoperation with the library `http-message-signatures`, both ways, over generated messages.

It is written by others, reads structured fields with others' code, and builds its own signature
base: what both agree on is unlikely to be a mistake of ours alone.
"""

from __future__ import annotations

import datetime as dt
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Any

import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.link.checks import ENVELOPE_RULES, RESPONSE_RULES, verify
from services.link.envelope import Envelope
from services.link.errors import NotVerified
from services.link.wire import profile
from services.link.wire.fields import FieldError, InnerList, read_dictionary
from services.link.wire.message import HttpRequest, HttpResponse
from services.link.wire.signing import Address, Stamp, sign_request, sign_response, smaller_form
from tests.unit.services.link.estate import Estate, Held
from tests.unit.services.link.forge import NONCE

hms = pytest.importorskip(
    "http_message_signatures", reason="the library http-message-signatures is not installed"
)
http_sf = pytest.importorskip("http_sf", reason="the library http-sf is not installed")

pytestmark = pytest.mark.check

ESTATE = Estate()
ACB, ECOS = ESTATE.holders["acb"], ESTATE.holders["ecos_party"]
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

segments = st.text("abcXYZ019._~-", min_size=1, max_size=12).filter(
    lambda text: text not in {".", ".."}
)
paths = st.lists(segments, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
bodies = st.binary(min_size=1, max_size=300)
identifiers = st.from_regex(profile.MESSAGE_ID_FORM, fullmatch=True)
purposes = st.from_regex(profile.PURPOSE_FORM, fullmatch=True)


class Resolver(hms.HTTPSignatureKeyResolver):  # type: ignore[name-defined]
    """The library's view of the pinned keys."""

    def resolve_public_key(self, key_id: str) -> Any:
        found = ESTATE.trust().find(key_id)
        return None if found is None else found.public_key

    def resolve_private_key(self, key_id: str) -> Any:
        held = next(held for held in ESTATE.holders.values() if held.key_id == key_id)
        return held._private


@dataclass
class Theirs:
    """A message in the shape the library reads."""

    headers: dict[str, str]
    method: str = "POST"
    url: str = ""


@dataclass
class TheirResponse:
    """A response in the shape the library reads."""

    headers: dict[str, str]
    status_code: int
    request: Theirs
    url: str = field(default="")


def theirs(request: HttpRequest) -> Theirs:
    return Theirs(dict(request.headers), request.method, "http://ecos.invalid" + request.path)


def verifier() -> Any:
    return hms.HTTPMessageVerifier(
        signature_algorithm=hms.algorithms.ECDSA_P256_SHA256, key_resolver=Resolver()
    )


def signer() -> Any:
    return hms.HTTPMessageSigner(
        signature_algorithm=hms.algorithms.ECDSA_P256_SHA256, key_resolver=Resolver()
    )


def pairs_of(message: Any) -> tuple[tuple[str, str], ...]:
    """The headers they wrote, with the signature in the one form our link takes of the two.

    RFC 9421 allows either; half of theirs would be the other (docs/decisions/0010).
    """
    label, _, value = message.headers["Signature"].partition(":")
    signature = b64encode(smaller_form(b64decode(value.rstrip(":")))).decode()
    return tuple(
        (name.lower(), f"{label}:{signature}:" if name == "Signature" else value)
        for name, value in message.headers.items()
    )


def covered_by(result: Any) -> list[str]:
    """What the library says was covered, without its own last line."""
    *components, parameters = result.covered_components
    assert parameters == '"@signature-params"'
    return components


def now() -> dt.datetime:
    """Asked anew for each signature: the library reads the machine's clock when it verifies."""
    return dt.datetime.now(dt.UTC)  # noqa: TID251


def stamp(held: Held) -> Stamp:
    return Stamp(key_id=held.key_id, nonce=NONCE, created=int(now().timestamp()))


def ours(path: str, body: bytes, purpose: str, message_id: str) -> HttpRequest:
    address = Address(purpose, message_id, "acb", "ecos_party")
    return sign_request(path, body, address, stamp(ACB), ACB.sign)


def envelope(message: HttpRequest | HttpResponse, request: HttpRequest | None = None) -> Envelope:
    is_request = isinstance(message, HttpRequest)
    return Envelope(
        message=message,
        shape=profile.REQUEST if is_request else profile.RESPONSE,
        own="ecos_party" if is_request else "acb",
        peers=("acb",) if is_request else ("ecos_party",),
        keys=AT_ANY_TIME,
        now=now(),
        request=request,
    )


class _AtAnyTime:
    """The trust folder of the tests is of another year: dates aside, it is the same."""

    def find(self, key_id: str) -> Any:
        found = ESTATE.trust().find(key_id)
        return None if found is None else Undated(found)


class Undated:
    """A pinned key whose certificate is always in date."""

    def __init__(self, key: Any) -> None:
        self.system, self.named = key.system, key.named
        self.simulated, self.public_key = key.simulated, key.public_key

    def failure(self, at: dt.datetime) -> None:
        del at


AT_ANY_TIME = _AtAnyTime()


@SLOW
@given(paths, bodies, purposes, identifiers)
def test_they_verify_the_requests_we_sign(path: str, body: bytes, purpose: str, message_id: str):
    request = ours(path, body, purpose, message_id)
    (result,) = verifier().verify(theirs(request), expect_tag=profile.REQUEST_TAG, body=body)
    assert covered_by(result) == [item.text for item in profile.REQUEST.components]
    assert result.parameters["keyid"] == ACB.key_id
    assert result.nonce == NONCE


@SLOW
@given(paths, bodies, purposes, identifiers, st.sampled_from([200, 403, 422, 500]), bodies)
def test_they_verify_the_responses_we_sign(  # noqa: PLR0917
    path: str, body: bytes, purpose: str, message_id: str, status: int, answer: bytes
):
    request = ours(path, body, purpose, message_id)
    response = sign_response(
        request, status, answer, sender="ecos_party", stamp=stamp(ECOS), sign=ECOS.sign
    )
    message = TheirResponse(dict(response.headers), status, theirs(request))
    (result,) = verifier().verify(message, expect_tag=profile.RESPONSE_TAG, body=answer)
    assert covered_by(result) == [item.text for item in profile.RESPONSE.components]
    # and they agree that it answers no other request
    other = ours(path, body, purpose, message_id)
    message = TheirResponse(dict(response.headers), status, theirs(other))
    with pytest.raises(hms.InvalidSignature):
        verifier().verify(message, expect_tag=profile.RESPONSE_TAG, body=answer)


@SLOW
@given(paths, bodies, purposes, identifiers, st.booleans())
def test_we_verify_the_requests_they_sign(
    path: str, body: bytes, purpose: str, message_id: str, include_alg: bool
):
    message = Theirs(
        {
            "content-type": "application/json",
            "cos-purpose": purpose,
            "cos-message-id": message_id,
            "cos-sender": "acb",
            "cos-recipient": "ecos_party",
        },
        url="http://ecos.invalid" + path,
    )
    signer().sign(
        message,
        key_id=ACB.key_id,
        created=(at := now()),
        expires=at + dt.timedelta(seconds=60),
        nonce=NONCE,
        label=profile.LABEL,
        tag=profile.REQUEST_TAG,
        include_alg=include_alg,
        body=body,
        covered_component_ids=[str(item.value) for item in profile.REQUEST.components],
    )
    pairs = pairs_of(message)
    received = HttpRequest("POST", path, "", pairs, body)
    verify(envelope(received), ENVELOPE_RULES)
    with pytest.raises(NotVerified):
        verify(envelope(HttpRequest("POST", path + "x", "", pairs, body)), ENVELOPE_RULES)


@SLOW
@given(paths, st.sampled_from([200, 403]))
def test_we_verify_the_responses_they_sign(path: str, status: int):
    request = ours(path, b"{}", "cos-command", "m-1")
    kind = "application/json" if status < 400 else "application/problem+json"
    message = TheirResponse(
        {
            "content-type": kind,
            "cos-purpose": "cos-command",
            "cos-message-id": "m-1",
            "cos-sender": "ecos_party",
            "cos-recipient": "acb",
        },
        status,
        theirs(request),
    )
    signer().sign(
        message,
        key_id=ECOS.key_id,
        created=(at := now()),
        expires=at + dt.timedelta(seconds=60),
        nonce=NONCE,
        label=profile.LABEL,
        tag=profile.RESPONSE_TAG,
        body=b"{}",
        covered_component_ids=[item.text for item in profile.RESPONSE.components],
    )
    pairs = pairs_of(message)
    verify(envelope(HttpResponse(status, pairs, b"{}"), request), RESPONSE_RULES)


@settings(deadline=None, max_examples=examples(400))
@given(
    st.one_of(
        st.text('cos=()"@;:,abreq01- \\?', max_size=60),
        st.from_regex(
            r'\A[a-c]=\("[ -~]{0,8}"(;req)?( "[a-z@]{1,6}")?\)(;[a-c]="?[0-9]{1,3}"?){0,2}\Z'
        ),
    )
)
def test_what_our_reader_accepts_theirs_reads_alike(text: str):
    try:
        members = read_dictionary(text)
    except FieldError:
        return
    parsed = http_sf.parse(text.encode("ascii"), tltype="dictionary")
    assert list(parsed) == [name for name, _ in members]
    for name, member in members:
        value, params = parsed[name]
        assert dict(params) == dict(member.params)
        if isinstance(member, InnerList):
            assert [item for item, _ in value] == [item.value for item in member.items]
            assert [dict(p) for _, p in value] == [dict(item.params) for item in member.items]
        else:
            assert value == member.value
