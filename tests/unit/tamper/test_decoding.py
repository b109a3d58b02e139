"""What the proxy shows of a message: everything it can read, and never a failure to read."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbcs.codes import Cra
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from services.link.wire.message import Headers
from services.link.wire.signing import Address, Stamp, sign_request
from tamper.decoding import decode_body, decode_message
from tamper.mitmproxy_addon import ChangeOfSupplierView

COMMAND = encode(
    Message(
        GroupingHeader(
            Cra.COMMAND, 7, "0253494d00000005", "0253494dd0000002", OtherInformation(0x0107)
        ),
        b"\x30\x00",
        b"\x01" * 64,
    )
)


def signed(body: bytes) -> Headers:
    stamp = Stamp("4f020bff764b148d", "A" * 22, 1_790_000_000)
    address = Address("cos-command", "m-1", "acb", "ecos_party")
    return sign_request("/link/cos-command", body, address, stamp, lambda _: b"\x02" * 64).headers


def test_a_link_message_is_taken_apart() -> None:
    body = json.dumps({"version": 1, "message": base64.b64encode(COMMAND).decode()}).encode()
    told = decode_message(signed(body), body)
    assert told["link"]["purpose"] == "cos-command"
    assert (told["link"]["sender"], told["link"]["recipient"]) == ("acb", "ecos_party")
    signature = told["link"]["signatures"]["cos"]
    assert signature["components"][:2] == ['"@method"', '"@path"']
    assert signature["parameters"]["keyid"] == "4f020bff764b148d"
    message = told["json"]["message"]["gbcs"]
    assert (message["originator_counter"], message["recipient"]) == (7, "0253494dd0000002")
    assert message["message_code"] == "0x0107"


def test_a_bare_gbcs_message_is_read() -> None:
    assert decode_body(COMMAND)["gbcs"]["originator"] == "0253494d00000005"


def test_what_begins_like_a_message_and_is_none_is_told_with_the_reason() -> None:
    told = decode_body(COMMAND[:-1])
    assert told["not_gbcs"]
    assert told["length"] == len(COMMAND) - 1


@pytest.mark.parametrize("text", [b"<", b"<a/>", b"<?xml version='1.0'?><!DOCTYPE a []><a/>"])
def test_xml_that_is_no_document_is_told_as_it_stands(text: bytes) -> None:
    told = decode_body(text)
    assert (told["text"], bool(told["not_duis"])) == (text.decode(), True)


def test_base64_that_says_nothing_stays_text() -> None:
    text = base64.b64encode(b"nothing in particular, really").decode()
    assert decode_body(json.dumps([text]).encode()) == {"json": [text]}


def test_an_unreadable_signature_input_is_told_as_it_stands() -> None:
    told = decode_message((("signature-input", "cos=("),), b"")
    assert told["link"]["signatures"]["text"] == "cos=("


def test_a_signature_input_that_is_no_list_is_told() -> None:
    told = decode_message((("signature-input", "cos=1"),), b"")
    assert told["link"]["signatures"] == {"cos": {"not_a_list": "1"}}


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xdd", b"\xdf\x09", b"<", b'{"a":']))
def test_any_octets_can_be_shown(octets: bytes, start: bytes) -> None:
    json.dumps(decode_body(start + octets))


@given(st.text(max_size=60))
def test_any_header_can_be_shown(text: str) -> None:
    json.dumps(decode_message((("signature-input", text), ("cos-purpose", text)), b""))


@dataclass
class Fields:
    fields: list[tuple[bytes, bytes]]


@dataclass
class Carried:
    headers: Fields


@dataclass
class Shown:
    http_message: Carried | None = field(default=None)


def test_mitmproxys_view_shows_the_same() -> None:
    body = json.dumps({"message": base64.b64encode(COMMAND).decode()}).encode()
    headers = [(name.title().encode(), value.encode()) for name, value in signed(body)]
    view, carried = ChangeOfSupplierView(), Shown(Carried(Fields(headers)))
    assert json.loads(view.prettify(body, carried)) == decode_message(signed(body), body)
    assert view.render_priority(body, carried) > 1
    # And as versions before 12 ask for it.
    title, lines = view(body, http_message=carried.http_message, content_type="application/json")
    assert title == view.name
    assert "\n".join(text for line in lines for _, text in line) == view.prettify(body, carried)
    assert view.render_priority(body, http_message=carried.http_message, flow=None) > 1


def test_mitmproxys_view_is_not_chosen_for_what_it_cannot_read() -> None:
    view = ChangeOfSupplierView()
    assert view.render_priority(b"hello", Shown()) < 0
    assert view.render_priority(COMMAND, Shown()) > 1
