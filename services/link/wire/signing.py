"""Making signed messages, and the one primitive that verifies a signature. Pure.

The signer is a callable that signs octets with ECDSA P-256 and SHA-256 and returns r||s, so that
a key in a hardware module serves as well as one in software.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from services.link.errors import BaseError, SignatureError
from services.link.wire import profile
from services.link.wire.base import Message, signature_base
from services.link.wire.digest import content_digest
from services.link.wire.fields import MAX_FIELD, InnerList, Item, write_dictionary
from services.link.wire.message import Headers, HttpRequest, HttpResponse
from services.link.wire.tally import COUNTS

Sign = Callable[[bytes], bytes]

_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())


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
    s = int.from_bytes(signature[32:], "big")
    if len(signature) != profile.SIGNATURE_OCTETS or s <= profile.ORDER // 2:
        return signature
    return signature[:32] + ((profile.ORDER - s) % profile.ORDER).to_bytes(32, "big")


def signature_fields(covered: InnerList, signature: bytes) -> Headers:
    """The two headers that carry a signature (r||s), under the label of this profile."""
    signature = smaller_form(signature)
    return (
        (profile.SIGNATURE_INPUT, write_dictionary(((profile.LABEL, covered),))),
        (profile.SIGNATURE, write_dictionary(((profile.LABEL, Item(signature)),))),
    )


def _signature(
    covered: InnerList, message: Message, request: HttpRequest | None, sign: Sign
) -> Headers:
    return signature_fields(covered, sign(signature_base(covered, message, request)))


def sign_request(path: str, body: bytes, address: Address, stamp: Stamp, sign: Sign) -> HttpRequest:
    """A signed POST of a JSON body.

    Raises:
        BaseError: the path or a part of the address cannot be signed.
    """
    plain = HttpRequest(
        "POST",
        path,
        "",
        (
            (profile.CONTENT_TYPE, profile.JSON),
            (profile.CONTENT_DIGEST, content_digest(body)),
            (profile.PURPOSE, address.purpose),
            (profile.MESSAGE_ID, address.message_id),
            (profile.SENDER, address.sender),
            (profile.RECIPIENT, address.recipient),
        ),
        body,
    )
    covered = stamp.cover(profile.REQUEST.components, profile.REQUEST_TAG)
    return plain.with_headers(_signature(covered, plain, None, sign))


def sign_response(
    request: HttpRequest, status: int, body: bytes, *, sender: str, stamp: Stamp, sign: Sign
) -> HttpResponse:
    """A signed response, bound to the very request it answers.

    Purpose and message identifier are repeated from the request; its sender is the recipient.

    Raises:
        BaseError: the request lacks something that the binding needs, or has it twice; see
            `sign_refusal`.
    """
    echoed = {
        name: _the_one(request, name)
        for name in (profile.PURPOSE, profile.MESSAGE_ID, profile.SENDER)
    }
    for bound in (profile.CONTENT_DIGEST, profile.SIGNATURE):
        _the_one(request, bound)
    plain = HttpResponse(
        status,
        (
            (profile.CONTENT_TYPE, content_type_for(status)),
            (profile.CONTENT_DIGEST, content_digest(body)),
            (profile.PURPOSE, echoed[profile.PURPOSE]),
            (profile.MESSAGE_ID, echoed[profile.MESSAGE_ID]),
            (profile.SENDER, sender),
            (profile.RECIPIENT, echoed[profile.SENDER]),
        ),
        body,
    )
    covered = stamp.cover(profile.RESPONSE.components, profile.RESPONSE_TAG)
    return plain.with_headers(_signature(covered, plain, request, sign))


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
    return plain.with_headers(_signature(covered, plain, None, sign))


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
