"""The form in which our own peers write a message: written in one step, and read in one. Pure.

What `signing` writes has one spelling for each message: its parameters in one order, no `alg`, a
key identifier in hexadecimal. A message of exactly that spelling is matched as a whole here, and
its signature base is put together from the parts that matched. Whatever is written otherwise, be it
permitted, is not exact: `fields` reads it, piece by piece, and the checks in
`services.link.rules.form` say what they say of it.

What `read_exact` gives is only ever a shorter way to what the general reader would have given: a
message that is exact has passed, by its very form, each check decorated with
`services.link.rules.form.not_exact`. tests/property/test_link_exact.py holds the two together.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from services.link.wire import profile
from services.link.wire.message import HttpRequest, HttpResponse
from services.link.wire.profile import Shape

_TIME: Final = "(0|[1-9][0-9]{0,14})"
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{22,86}")
_KEY_ID: Final = re.compile(r"[0-9a-f]{2,64}")
_SIGNATURE: Final = re.compile(r"cos=:([A-Za-z0-9+/]{85}[AQgw]==):")
_DIGEST: Final = re.compile(r"sha-256=:([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=):")
_HEADERS: Final = itemgetter(*profile.REQUEST.headers)
"""Of a request and of a response: they have the same."""
_HALF_ORDER: Final = (profile.ORDER // 2).to_bytes(32, "big")

COVERED: Final = {
    shape.kind: f"({' '.join(shape.shown)})" for shape in (profile.REQUEST, profile.RESPONSE)
}
"""The list of covered components as it is written, by kind of message."""

_INPUT: Final = {
    shape.kind: re.compile(
        f"{profile.LABEL}=({re.escape(COVERED[shape.kind])};created={_TIME};expires={_TIME};"
        f'nonce="({_NONCE.pattern})";keyid="({_KEY_ID.pattern})";tag="{re.escape(shape.tag)}")'
    )
    for shape in (profile.REQUEST, profile.RESPONSE)
}


@dataclass(frozen=True, slots=True)
class Exact:
    """A message of the exact form.

    Attributes:
        parameters: of its signature, by name.
        signature: r||s, 64 octets, with the smaller s.
        digest: the sha-256 that Content-Digest states, 32 octets.
        base: the octets that were signed, if the signature is genuine.
    """

    parameters: dict[str, int | str]
    signature: bytes
    digest: bytes
    base: bytes


def read_exact(
    message: HttpRequest | HttpResponse, request: HttpRequest | None, shape: Shape
) -> Exact | None:
    """Read a message that is of the exact form of its kind; None if it is of any other.

    Args:
        message: what arrived.
        request: for a response, the request that it must answer.
        shape: what the message should be.
    """
    try:
        values = _HEADERS(message.single)
    except KeyError:
        return None
    stated = _INPUT[shape.kind].fullmatch(values[6])
    signature = _SIGNATURE.fullmatch(values[7])
    digest = _DIGEST.fullmatch(values[1])
    if stated is None or signature is None or digest is None:
        return None
    octets = a2b_base64(signature[1])
    if octets[32:] > _HALF_ORDER:
        return None
    written, created, expires, nonce, key_id = stated.groups()
    base: bytes | None = None
    if shape is profile.REQUEST and isinstance(message, HttpRequest):
        base = request_base(message.method, message.path, values, written)
    elif shape is profile.RESPONSE and isinstance(message, HttpResponse) and request is not None:
        base = response_base(message.status, values, written, request)
    if base is None:
        return None
    parameters: dict[str, int | str] = {
        "created": int(created),
        "expires": int(expires),
        "nonce": nonce,
        "keyid": key_id,
        "tag": shape.tag,
    }
    return Exact(parameters, octets, a2b_base64(digest[1]), base)


def write_input(shape: Shape, created: int, expires: int, nonce: str, key_id: str) -> str | None:
    """Covered components and parameters of a signature; None if the exact form cannot say them."""
    if not (0 <= created <= _MOST and 0 <= expires <= _MOST):
        return None
    if _NONCE.fullmatch(nonce) is None or _KEY_ID.fullmatch(key_id) is None:
        return None
    return (
        f'{COVERED[shape.kind]};created={created};expires={expires};nonce="{nonce}";'
        f'keyid="{key_id}";tag="{shape.tag}"'
    )


_MOST: Final = 10**15 - 1


def request_base(method: str, path: str, values: Sequence[str], written: str) -> bytes | None:
    """The signature base of a request; None where a value could not be signed.

    Args:
        method: its method.
        path: its path.
        values: of its headers, in the order of `profile.REQUEST.headers`.
        written: covered components and parameters.
    """
    kind, digest, purpose, message_id, sender, recipient = values[:6]
    path = path or "/"
    if not _signable(f"{method}{path}{kind}{digest}{purpose}{message_id}{sender}{recipient}"):
        return None
    return (
        f'"@method": {method}\n"@path": {path}\n"content-type": {kind}\n'
        f'"content-digest": {digest}\n"cos-purpose": {purpose}\n"cos-message-id": {message_id}\n'
        f'"cos-sender": {sender}\n"cos-recipient": {recipient}\n"@signature-params": {written}'
    ).encode("ascii")


def response_base(
    status: int, values: Sequence[str], written: str, request: HttpRequest
) -> bytes | None:
    """The signature base of a response; None where a value could not be signed or is not there.

    Args:
        status: its status.
        values: of its headers, in the order of `profile.RESPONSE.headers`.
        written: covered components and parameters.
        request: what it answers.
    """
    asked = request.single.get(profile.CONTENT_DIGEST)
    signed = request.single.get(profile.SIGNATURE)
    if asked is None or signed is None:
        return None
    kind, digest, purpose, message_id, sender, recipient = values[:6]
    method, path = request.method, request.path or "/"
    if not _signable(
        f"{kind}{digest}{purpose}{message_id}{sender}{recipient}{method}{path}{asked}{signed}"
    ):
        return None
    return (
        f'"@status": {status}\n"content-type": {kind}\n"content-digest": {digest}\n'
        f'"cos-purpose": {purpose}\n"cos-message-id": {message_id}\n"cos-sender": {sender}\n'
        f'"cos-recipient": {recipient}\n"@method";req: {method}\n"@path";req: {path}\n'
        f'"content-digest";req: {asked}\n"signature";req: {signed}\n'
        f'"@signature-params": {written}'
    ).encode("ascii")


def _signable(values: str) -> bool:
    """Whether there is nothing but printable ASCII and spaces."""
    return values.isascii() and values.isprintable()
