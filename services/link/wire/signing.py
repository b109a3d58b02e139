"""Making signed messages, and the one primitive that verifies a signature. Pure.

The signer is a callable that signs octets with ECDSA P-256 and SHA-256 and returns r||s, so that
a key in a hardware module serves as well as one in software.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from services.link.errors import BaseError, SignatureError
from services.link.wire import profile
from services.link.wire.base import signature_base
from services.link.wire.digest import content_digest, state_digest
from services.link.wire.exact import request_base, response_base, write_input
from services.link.wire.fields import MAX_FIELD, InnerList, Item
from services.link.wire.message import Headers, HttpRequest, HttpResponse
from services.link.wire.profile import Shape
from services.link.wire.tally import COUNTS

Sign = Callable[[bytes], bytes]

_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())
_HALF_ORDER = (profile.ORDER // 2).to_bytes(32, "big")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is new in each signature.

    Attributes:
        key_id: key identifier of the signer's link certificate, hexadecimal.
        nonce: at least 128 random bits, base64url.
        created: seconds since 1970.
        lifetime: seconds until the signature expires.
    """

    key_id: str
    nonce: str
    created: int
    lifetime: int = profile.MAX_LIFETIME

    def cover(self, components: Iterable[Item], tag: str) -> InnerList:
        """The signature input that covers these components."""
        return InnerList(
            tuple(components),
            (
                ("created", self.created),
                ("expires", self.created + self.lifetime),
                ("nonce", self.nonce),
                ("keyid", self.key_id),
                ("tag", tag),
            ),
        )


@dataclass(frozen=True, slots=True)
class Address:
    """What a request is for, and between whom."""

    purpose: str
    message_id: str
    sender: str
    recipient: str


def smaller_form(signature: bytes) -> bytes:
    """Of the two signatures that verify alike, the one this profile takes (r||s)."""
    if len(signature) != profile.SIGNATURE_OCTETS or signature[32:] <= _HALF_ORDER:
        return signature
    s = int.from_bytes(signature[32:], "big")
    return signature[:32] + ((profile.ORDER - s) % profile.ORDER).to_bytes(32, "big")


def signature_fields(written: str, signature: bytes) -> Headers:
    """The two headers that carry a signature (r||s), under the label of this profile.

    Args:
        written: covered components and parameters, as they were signed.
        signature: r||s.
    """
    octets = b2a_base64(smaller_form(signature), newline=False).decode("ascii")
    return (
        (profile.SIGNATURE_INPUT, f"{profile.LABEL}={written}"),
        (profile.SIGNATURE, f"{profile.LABEL}=:{octets}:"),
    )


def _exact_input(shape: Shape, stamp: Stamp) -> str | None:
    return write_input(
        shape, stamp.created, stamp.created + stamp.lifetime, stamp.nonce, stamp.key_id
    )


def sign_request(path: str, body: bytes, address: Address, stamp: Stamp, sign: Sign) -> HttpRequest:
    """A signed POST of a JSON body. Its signature base is kept with it.

    Raises:
        BaseError: the path or a part of the address cannot be signed.
    """
    digest = sha256(body).digest()
    headers = (
        (profile.CONTENT_TYPE, profile.JSON),
        (profile.CONTENT_DIGEST, state_digest(digest)),
        (profile.PURPOSE, address.purpose),
        (profile.MESSAGE_ID, address.message_id),
        (profile.SENDER, address.sender),
        (profile.RECIPIENT, address.recipient),
    )
    written = _exact_input(profile.REQUEST, stamp)
    base = None
    if written is not None:
        base = request_base("POST", path, [value.strip(" \t") for _, value in headers], written)
    if written is None or base is None:  # what cannot be written exactly, or not at all
        covered = stamp.cover(profile.REQUEST.components, profile.REQUEST_TAG)
        plain = HttpRequest("POST", path, "", headers, body)
        written, base = covered.text, signature_base(covered, plain, None)
    carried = signature_fields(written, sign(base))
    signed = HttpRequest("POST", path, "", headers + carried, body)
    signed.know(base, None, digest)
    return signed


def sign_response(
    request: HttpRequest, status: int, body: bytes, *, sender: str, stamp: Stamp, sign: Sign
) -> HttpResponse:
    """A signed response, bound to the very request it answers. Its signature base is kept with it.

    Purpose and message identifier are repeated from the request; its sender is the recipient.

    Raises:
        BaseError: the request lacks something that the binding needs, or has it twice; see
            `sign_refusal`.
    """
    purpose, message_id, asker = _echoed(request)
    digest = sha256(body).digest()
    headers = (
        (profile.CONTENT_TYPE, content_type_for(status)),
        (profile.CONTENT_DIGEST, state_digest(digest)),
        (profile.PURPOSE, purpose),
        (profile.MESSAGE_ID, message_id),
        (profile.SENDER, sender),
        (profile.RECIPIENT, asker),
    )
    written = _exact_input(profile.RESPONSE, stamp)
    base = None
    if written is not None:
        kind, stated = headers[0][1], headers[1][1]
        values = (kind, stated, purpose, message_id, sender.strip(" \t"), asker)
        base = response_base(status, values, written, request)
    if written is None or base is None:  # what cannot be written exactly, or not at all
        covered = stamp.cover(profile.RESPONSE.components, profile.RESPONSE_TAG)
        plain = HttpResponse(status, headers, body)
        written, base = covered.text, signature_base(covered, plain, request)
    carried = signature_fields(written, sign(base))
    signed = HttpResponse(status, headers + carried, body)
    signed.know(base, request, digest)
    return signed


_ECHOED = (profile.PURPOSE, profile.MESSAGE_ID, profile.SENDER)
_BOUND = (profile.CONTENT_DIGEST, profile.SIGNATURE)
_NEEDED = itemgetter(*_ECHOED, *_BOUND)


def _echoed(request: HttpRequest) -> tuple[str, str, str]:
    """Purpose, message identifier and sender of the request, if an answer can be bound to it."""
    try:
        purpose, message_id, asker, digest, signature = _NEEDED(request.single)
    except KeyError:
        pass  # said below which
    else:
        if max(map(len, (purpose, message_id, asker, digest, signature))) <= MAX_FIELD:
            return purpose, message_id, asker
    purpose, message_id, asker = [_the_one(request, name) for name in _ECHOED]
    for name in _BOUND:
        _the_one(request, name)
    return purpose, message_id, asker


def _the_one(request: HttpRequest, name: str) -> str:
    found = request.values(name)
    if len(found) != 1:
        raise BaseError(name, f"the request has {len(found)} of them")
    if len(found[0]) > MAX_FIELD:
        raise BaseError(name, "too long to repeat")
    return found[0]


def sign_refusal(status: int, body: bytes, sender: str, stamp: Stamp, sign: Sign) -> HttpResponse:
    """A signed refusal of a request to which nothing can be bound.

    It carries its own tag, so it can never pass for an answer: our client refuses it. It lets
    whoever keeps it prove who refused.
    """
    plain = HttpResponse(
        status,
        (
            (profile.CONTENT_TYPE, content_type_for(status)),
            (profile.CONTENT_DIGEST, content_digest(body)),
            (profile.SENDER, sender),
        ),
        body,
    )
    covered = stamp.cover(profile.REFUSAL_COMPONENTS, profile.REFUSAL_TAG)
    base = signature_base(covered, plain, None)
    return plain.with_headers(signature_fields(covered.text, sign(base)))


def content_type_for(status: int) -> str:
    """JSON for an answer, a problem document for a refusal or a failure."""
    return profile.JSON if status < 400 else profile.PROBLEM_JSON


def verify_signature(key: ec.EllipticCurvePublicKey, signature: bytes, base: bytes) -> None:
    """Verify r||s over the signature base with ECDSA P-256 and SHA-256.

    Raises:
        SignatureError: it does not verify, is not 64 octets, or the key is on another curve.
    """
    if not isinstance(key.curve, ec.SECP256R1):
        raise SignatureError("the key is not on P-256")
    if len(signature) != profile.SIGNATURE_OCTETS:
        raise SignatureError(f"{len(signature)} octets instead of {profile.SIGNATURE_OCTETS}")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    COUNTS["verify"] += 1
    try:
        key.verify(encode_dss_signature(r, s), base, _ECDSA_SHA256)
    except InvalidSignature as error:
        raise SignatureError("does not verify") from error
