"""The constants of the signed link, version 1: what is covered, in what order, for how long.

A request and a response each have exactly one shape. Which components are covered is a constant
of the format, never the sender's choice; the algorithm is fixed by the version, never by a header.

Sources: RFC 9421 (signatures), RFC 9530 (Content-Digest). The separation that the link serves:
ECoS separation consultation (26 March 2020), paragraphs 4, 9 and 11(i). The headers, tags, label
and limits are this project's own; the interface between the real systems is not published.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from services.link.wire.fields import Item

LABEL: Final = "cos"
ALGORITHM: Final = "ecdsa-p256-sha256"
SIGNATURE_OCTETS: Final = 64
"""r and s, 32 octets each, one after the other (RFC 9421 section 3.3.4)."""
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256 (SP 800-186 3.2.1.3). Where (r, s) verifies, (r, ORDER - s) does
too, and anybody can write the one for the other: here a signature is the one with the smaller s."""

REQUEST_TAG: Final = "cos-link-v1"
RESPONSE_TAG: Final = "cos-link-v1-response"
REFUSAL_TAG: Final = "cos-link-v1-refusal"
"""On a refusal of a request so broken that no answer can be bound to it. No client takes one."""

MAX_LIFETIME: Final = 60
"""Seconds from `created` to `expires`, at most."""
MAX_SKEW: Final = 5
"""Seconds by which the clocks of two systems may differ."""
NONCE_OCTETS: Final = 16

PURPOSE: Final = "cos-purpose"
MESSAGE_ID: Final = "cos-message-id"
SENDER: Final = "cos-sender"
RECIPIENT: Final = "cos-recipient"
CONTENT_TYPE: Final = "content-type"
CONTENT_DIGEST: Final = "content-digest"
CONTENT_ENCODING: Final = "content-encoding"
SIGNATURE_INPUT: Final = "signature-input"
SIGNATURE: Final = "signature"

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"

NONCE_FORM: Final = re.compile(r"[A-Za-z0-9_-]{22,86}")
"""Base64url without padding, 128 to 512 bits."""
MESSAGE_ID_FORM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
PURPOSE_FORM: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
PATH_FORM: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+")
"""Nothing that could be written in two ways: no percent-encoding, no empty or dotted segment."""

REQUIRED_PARAMETERS: Final[dict[str, type]] = {
    "created": int,
    "expires": int,
    "nonce": str,
    "keyid": str,
    "tag": str,
}
OPTIONAL_PARAMETERS: Final[dict[str, type]] = {"alg": str}


def _req(name: str) -> Item:
    return Item(name, (("req", True),))


@dataclass(frozen=True)
class Shape:
    """What a kind of message must look like.

    Attributes:
        kind: "request" or "response"; the middle of a check's name.
        tag: the `tag` parameter.
        components: the covered components, in order.
        headers: headers that must be there exactly once.
    """

    kind: str
    tag: str
    components: tuple[Item, ...]
    headers: tuple[str, ...]

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The components as they are written, which is how they are compared."""
        return tuple(item.text for item in self.components)


_ENVELOPE_HEADERS = (CONTENT_TYPE, CONTENT_DIGEST, PURPOSE, MESSAGE_ID, SENDER, RECIPIENT)

REQUEST: Final = Shape(
    kind="request",
    tag=REQUEST_TAG,
    components=tuple(Item(name) for name in ("@method", "@path", *_ENVELOPE_HEADERS)),
    headers=(*_ENVELOPE_HEADERS, SIGNATURE_INPUT, SIGNATURE),
)

RESPONSE: Final = Shape(
    kind="response",
    tag=RESPONSE_TAG,
    components=(
        *(Item(name) for name in ("@status", *_ENVELOPE_HEADERS)),
        _req("@method"),
        _req("@path"),
        _req(CONTENT_DIGEST),
        _req(SIGNATURE),
    ),
    headers=(*_ENVELOPE_HEADERS, SIGNATURE_INPUT, SIGNATURE),
)

REFUSAL_COMPONENTS: Final = tuple(
    Item(name) for name in ("@status", CONTENT_TYPE, CONTENT_DIGEST, SENDER)
)
