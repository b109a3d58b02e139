"""Content-Digest (RFC 9530), sha-256 and nothing else."""

from __future__ import annotations

import hashlib
import hmac
from binascii import b2a_base64

from services.link.errors import DigestError, FieldError
from services.link.wire.fields import Item, read_dictionary

ALGORITHM = "sha-256"


def content_digest(body: bytes) -> str:
    """The value of the Content-Digest header for these octets."""
    return state_digest(hashlib.sha256(body).digest())


def state_digest(digest: bytes) -> str:
    """The value of the Content-Digest header for octets of that sha-256 digest."""
    return f"{ALGORITHM}=:{b2a_base64(digest, newline=False).decode('ascii')}:"


def read_content_digest(text: str) -> bytes:
    """The sha-256 digest that a Content-Digest header states, 32 octets.

    Other digests beside it are not looked at; that there are none is for the caller to ask.

    Raises:
        DigestError: unreadable, or no sha-256 digest of 32 octets in it.
    """
    try:
        members = dict(read_dictionary(text))
    except FieldError as error:
        raise DigestError(f"not readable: {error}") from error
    member = members.get(ALGORITHM)
    if not isinstance(member, Item) or not isinstance(member.value, bytes):
        raise DigestError(f"no {ALGORITHM} digest in it")
    if len(member.value) != hashlib.sha256().digest_size:
        raise DigestError(f"a {ALGORITHM} digest of {len(member.value)} octets")
    return member.value


def same_digest(stated: bytes, digest: bytes) -> bool:
    """Whether two digests are the same."""
    return hmac.compare_digest(stated, digest)
