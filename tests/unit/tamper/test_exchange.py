"""What a script may do to an exchange, each act alone; and the script that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.keys_commands import hold_ceremony
from services.chassis.time.clock import SystemClock
from services.link.checks import ENVELOPE_RULES, RESPONSE_RULES, verify
from services.link.envelope import Envelope
from services.link.errors import NotVerified
from services.link.trust import LinkTrust
from services.link.wire.message import HttpRequest
from services.link.wire.profile import REQUEST, RESPONSE
from tamper.errors import TamperError
from tamper.exchange import Exchange, Request, Response
from tamper.proxy import Proxy
from tamper.script import load_script

BODY = b'{"version":1}'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "data"
    hold_ceremony(folder)
    return folder


def asked(**headers: str) -> Request:
    named = {
        "cos-purpose": "cos-command",
        "cos-message-id": "m-1",
        "cos-sender": "acb",
        "cos-recipient": "ecos_party",
    }
    return Request([*(named | headers).items()], BODY, "POST", "/link/cos-command")


def exchange(request: Request | None = None) -> Exchange:
    request = request or asked()

    def send(sent: Request) -> Response:
        return Response([], b'{"check":"link.request.nonce"}', 409)

    return Exchange(1, request.frozen(), request, send)


def envelope(data: Path, one: Exchange, own: str, received: HttpRequest | None = None) -> Envelope:
    message = one.request.frozen() if one.response is None else one.response.frozen()
    return Envelope(
        message=message,
        shape=REQUEST if one.response is None else RESPONSE,
        own=own,
        peers=("acb", "ecos_party"),
        keys=LinkTrust.open(data / "acb" / "trust"),
        now=SystemClock().now(),
        request=received,
    )


def sign(data: Path, one: Exchange, whose: str, claim: str) -> None:
    one.resign(data / whose / "keys", data / whose / "passphrase", claim)


def test_a_request_is_signed_so_that_its_receiver_takes_it(data: Path) -> None:
    one = exchange()
    one.request.body = b'{"version":2}'
    sign(data, one, "acb", "acb")
    verify(envelope(data, one, "ecos_party"), ENVELOPE_RULES)
    assert one.acts == ["re-signed as acb with the key of acb"]


def test_a_request_under_anothers_key_is_that_others(data: Path) -> None:
    one = exchange()
    sign(data, one, "ecos_party", "acb")
    with pytest.raises(NotVerified) as caught:
        verify(envelope(data, one, "ecos_party"), ENVELOPE_RULES)
    assert caught.value.check == "sender"


def test_an_answer_is_bound_to_the_request_that_really_came(data: Path) -> None:
    first = exchange()
    sign(data, first, "acb", "acb")
    one = exchange(first.request)
    one.request.body = b"something else was passed on"
    one.response = Response([("cos-sender", "nobody")], b'{"made":"up"}', 200)
    sign(data, one, "ecos_party", "ecos_party")
    verify(envelope(data, one, "acb", one.received), RESPONSE_RULES)


def test_what_lacks_an_address_cannot_be_signed(data: Path) -> None:
    one = exchange()
    one.request.set_header("cos-purpose", "\u20ac")
    with pytest.raises(TamperError, match="cannot be signed"):
        sign(data, one, "acb", "acb")


def test_a_wrong_passphrase_opens_nothing(data: Path) -> None:
    with pytest.raises(TamperError, match="cannot be opened") as caught:
        exchange().resign(data / "acb" / "keys", "not the passphrase", "acb")
    assert "not the passphrase" not in str(caught.value)


def test_headers_are_replaced_in_their_place_and_removed() -> None:
    request = Request([("a", "1"), ("b", "2"), ("a", "3")])
    request.set_header("A", "4")
    assert request.headers == [("a", "4"), ("b", "2")]
    request.set_header("c", "5")
    assert request.headers[-1] == ("c", "5")
    request.set_header("b", None)
    assert (request.header("b"), request.header("C")) == (None, "5")


def test_a_flip_is_one_bit_and_within_the_body() -> None:
    request = Request(body=b"\x00\x00")
    request.flip(-1, 0x80)
    assert request.body == b"\x00\x80"
    for position in (2, -3):
        with pytest.raises(TamperError, match="2 octets"):
            request.flip(position)


def test_json_is_read_and_written() -> None:
    request = Request(body=BODY)
    told = request.json
    told["version"] = 9
    request.json = told
    assert request.body == b'{"version":9}'
    with pytest.raises(TamperError, match="not JSON"):
        Request(body=b"<").json  # noqa: B018 - reading is the act


def test_sending_again_tells_what_came_of_it() -> None:
    one = exchange()
    assert one.send_again().status == 409
    assert one.acts == ["sent again: 409 link.request.nonce"]


def test_a_dropped_exchange_gives_nothing_back() -> None:
    one = exchange()
    one.answer(200, b"made up")
    assert one.given_back is not None
    one.drop()
    assert one.given_back is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 1", "neither"),
        ("request = 1", "neither"),
        ("1/0", "ZeroDivisionError"),
        ("(", "Syntax"),
    ],
)
def test_a_script_that_cannot_be_used_is_refused(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "script.py"
    file.write_text(text)
    with pytest.raises(TamperError, match=why):
        load_script(file)


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TamperError):
        load_script(tmp_path / "none.py")


@pytest.mark.parametrize("url", ["", "127.0.0.1:1", "ftp://x", "http://", "http://["])
def test_only_an_http_origin_can_be_behind(url: str) -> None:
    with pytest.raises(TamperError, match="origin"):
        Proxy(url)
