"""Whether a signed message is what it claims: who signed it, for whom, for what. Pure.

Their order is in `services.link.checks`. What only a store knows (is the nonce new, was the message
identifier used) has been asked before and stands in the `Envelope`.
"""

from __future__ import annotations

from dataclasses import replace

from services.chassis.checks import CheckFailed, check
from services.link.envelope import Envelope
from services.link.errors import BaseError, DigestError, SignatureError
from services.link.rules.form import canonical, not_exact
from services.link.rules.sources import PROFILE, SEPARATION, SIGNATURES
from services.link.wire import profile
from services.link.wire.digest import read_content_digest, same_digest
from services.link.wire.message import HttpRequest
from services.link.wire.signing import content_type_for, verify_signature


@check("key", source=f"{SIGNATURES} section 3.2", status=401)
def key(envelope: Envelope) -> None:
    """The key is one that is pinned here. Never one that came with the message."""
    _ = envelope.key


@check("certificate", source="RFC 5280 section 6", status=401)
def certificate(envelope: Envelope) -> None:
    """The key's certificate is of the infrastructure authority, in date and not revoked."""
    failure = envelope.key.failure(envelope.now)
    if failure is not None:
        raise CheckFailed(f"the link certificate is not trusted: {failure}")


@check("simulated", source="house rule: simulated material only", status=401)
def simulated(envelope: Envelope) -> None:
    """The key's certificate is marked as simulated material."""
    if not envelope.key.simulated:
        raise CheckFailed("the link certificate is not marked as simulated")


@check("signature", source=f"{SEPARATION} 11(i); {SIGNATURES} section 3.2", status=401)
def signature(envelope: Envelope) -> None:
    """The signature is that key's, over exactly this message (and the request it answers)."""
    try:
        base = envelope.base()
    except BaseError as error:
        raise CheckFailed(f"there is nothing that could have been signed: {error}") from error
    try:
        verify_signature(envelope.key.public_key, envelope.signature, base)
    except SignatureError as error:
        raise CheckFailed(f"the signature {error}") from error


@check("content_digest_form", source="RFC 9530 section 2", status=400)
@not_exact
def content_digest_form(envelope: Envelope) -> None:
    """Content-Digest is one sha-256 digest, canonically written."""
    canonical(envelope, profile.CONTENT_DIGEST)
    if len(envelope.dictionary(profile.CONTENT_DIGEST)) != 1:
        raise CheckFailed("there is more than one digest", expected="sha-256 alone")
    _digest(envelope)


@check("content_digest", source=f"{SEPARATION} 11(i); RFC 9530 section 2", status=401)
def content_digest(envelope: Envelope) -> None:
    """The body is the one that was signed."""
    if not same_digest(_digest(envelope), envelope.message.body_digest):
        raise CheckFailed("the digest is of another body")


def _digest(envelope: Envelope) -> bytes:
    if envelope.exact is not None:
        return envelope.exact.digest
    try:
        return read_content_digest(envelope.header(profile.CONTENT_DIGEST))
    except DigestError as error:
        raise CheckFailed(f"content-digest: {error}") from error


@check("peer", source=f"{SEPARATION} 11(i)", status=403)
def peer(envelope: Envelope) -> None:
    """The key is that of a system we deal with here, and its certificate names that system."""
    pinned = envelope.key
    if pinned.named != pinned.system:
        raise CheckFailed(
            "the certificate pinned for this system names another",
            expected=pinned.system,
            found=pinned.named,
        )
    if pinned.system not in envelope.peers:
        raise CheckFailed("a valid key of a system that has no business here", found=pinned.system)


@check("sender", source=f"{SEPARATION} 11(i)", status=403)
def sender(envelope: Envelope) -> None:
    """The sender named is the one whose key signed."""
    named, expected = envelope.header(profile.SENDER), envelope.key.system
    if named != expected:
        raise CheckFailed("the sender named is not the signer", expected=expected, found=named)


@check("recipient", source=PROFILE, status=403)
def recipient(envelope: Envelope) -> None:
    """The message is for this system."""
    named = envelope.header(profile.RECIPIENT)
    if named != envelope.own:
        raise CheckFailed("the message is for another system", expected=envelope.own, found=named)


@check("content_type", source=PROFILE, status=415)
def content_type(envelope: Envelope) -> None:
    """The body is of the one type that fits."""
    message = envelope.message
    expected = (
        profile.JSON if isinstance(message, HttpRequest) else content_type_for(message.status)
    )
    found = envelope.header(profile.CONTENT_TYPE)
    if found != expected:
        raise CheckFailed("another content type", expected=expected, found=found)


@check("message_id_form", source=PROFILE, status=400)
def message_id_form(envelope: Envelope) -> None:
    """The message identifier is of a form that can be kept and repeated."""
    if not profile.MESSAGE_ID_FORM.fullmatch(envelope.header(profile.MESSAGE_ID)):
        raise CheckFailed("the message identifier is not 1 to 128 of A-Z a-z 0-9 . _ : -")


@check("nonce", source=f"{SIGNATURES} section 7.2.2", status=409)
def nonce(envelope: Envelope) -> None:
    """The nonce has not been seen before."""
    if envelope.nonce_fresh is not True:
        raise CheckFailed("this very request was received before")


@check("purpose", source=f"{SEPARATION} 4, 9", status=403)
def purpose(envelope: Envelope) -> None:
    """Information flows only for a purpose that this system accepts from that one."""
    named = envelope.header(profile.PURPOSE)
    allowed = envelope.purposes.get(named)
    if allowed is None:
        raise CheckFailed("an unknown purpose")
    if envelope.key.system not in allowed:
        raise CheckFailed("not a purpose that this sender has here", found=named)


@check("route", source=f"{SEPARATION} 4, 9", status=403)
def route(envelope: Envelope) -> None:
    """The purpose is that of the route which was called."""
    named = envelope.header(profile.PURPOSE)
    if named != envelope.route:
        raise CheckFailed("the route serves another purpose", expected=envelope.route, found=named)


@check("message_id", source=PROFILE, status=409)
def message_id(envelope: Envelope) -> None:
    """A message identifier is used again only for the same message."""
    earlier = envelope.earlier
    if earlier is not None and not same_digest(earlier.body_digest, envelope.message.body_digest):
        raise CheckFailed("this message identifier was used for another message")


@check("body", source="RFC 8259", status=422)
def body(envelope: Envelope) -> None:
    """The body is one JSON object."""
    _ = envelope.document


answered_body = replace(body, status=401)
"""The same of a response."""


@check("purpose", source=PROFILE, status=401)
def answered_purpose(envelope: Envelope) -> None:
    """The response is for the purpose of the request."""
    _same_as_request(envelope, profile.PURPOSE)


@check("message_id", source=PROFILE, status=401)
def answered_message(envelope: Envelope) -> None:
    """The response is about the message that was sent."""
    _same_as_request(envelope, profile.MESSAGE_ID)


def _same_as_request(envelope: Envelope, name: str) -> None:
    asked = None if envelope.request is None else envelope.request.first(name)
    found = envelope.header(name)
    if asked is None or found != asked:
        raise CheckFailed(f"{name} is not the request's", expected=asked, found=found)
