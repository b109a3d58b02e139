"""What a message between two systems says, for people: GBCS, DUIS, link signatures. Pure.

Nothing is verified here and nothing is refused: what cannot be read is told as it stands. A link
body is JSON with whole documents and messages in base64; each that can be read is read.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from duis.errors import DuisError
from duis.show import show
from gbcs.errors import GbcsError
from gbcs.text.describe import describe
from services.link.errors import FieldError
from services.link.wire import profile
from services.link.wire.fields import InnerList, read_dictionary
from services.link.wire.message import Headers, HttpRequest

_LINK_HEADERS = (profile.PURPOSE, profile.MESSAGE_ID, profile.SENDER, profile.RECIPIENT)


def decode_message(headers: Headers, body: bytes) -> dict[str, Any]:
    """All that can be read of one message.

    Args:
        headers: names in lower case.
        body: the octets after the headers.

    Returns:
        `link` (purpose, message_id, sender, recipient, signatures) where there are such headers,
        and one of `json`, `gbcs`, `duis`, `octets` (hexadecimal, the first 64) for the body.
    """
    told: dict[str, Any] = {}
    link = decode_link(headers)
    if link:
        told["link"] = link
    if body:
        told |= decode_body(body)
    return told


def decode_link(headers: Headers) -> dict[str, Any]:
    """The link's headers, with every signature input taken apart; empty where there are none."""
    message = HttpRequest("", "", "", headers)
    told: dict[str, Any] = {
        name.removeprefix("cos-").replace("-", "_"): value
        for name in _LINK_HEADERS
        if (value := message.first(name)) is not None
    }
    inputs = message.first(profile.SIGNATURE_INPUT)
    if inputs is not None:
        told["signatures"] = _signature_inputs(inputs)
    return told


def _signature_inputs(text: str) -> Any:
    try:
        members = read_dictionary(text)
    except FieldError as error:
        return {"unreadable": str(error), "text": text}
    return {
        label: {
            "components": [item.text for item in member.items],
            "parameters": dict(member.params),
        }
        if isinstance(member, InnerList)
        else {"not_a_list": member.text}
        for label, member in members
    }


def decode_body(body: bytes) -> dict[str, Any]:
    """A body as GBCS, DUIS or JSON, under the name of what it is; else its octets."""
    known = _document(body)
    if known is not None:
        return known
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {"octets": body[:64].hex(), "length": len(body)}
    return {"json": _inside(document, 0)}


def _document(octets: bytes) -> dict[str, Any] | None:
    if octets[:1] in (b"\xdd", b"\xdf"):
        try:
            return {"gbcs": describe(octets)}
        except GbcsError as error:
            return {"octets": octets[:64].hex(), "length": len(octets), "not_gbcs": error.reason}
    if octets.lstrip()[:1] == b"<":
        try:
            return {"duis": show(octets)}
        except DuisError as error:
            return {"text": octets.decode(errors="replace"), "not_duis": str(error)}
    return None


def _inside(value: Any, depth: int) -> Any:
    """JSON with every base64 text that holds a document or message replaced by what it says."""
    if depth > 16:
        return value
    if isinstance(value, dict):
        return {key: _inside(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list):
        return [_inside(one, depth + 1) for one in value]
    if isinstance(value, str) and len(value) >= 24:
        try:
            octets = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return value
        return _document(octets) or value
    return value
