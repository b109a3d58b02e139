"""How a signed message is written: one function for each question that needs no key. Pure.

Each function is satisfied (returns) or raises `StepFailed`. Their order is in
`services.link.verification`. Details never hold more than the sender wrote or the profile says.
"""

from __future__ import annotations

from collections import Counter

from services.link import profile
from services.link.envelope import Envelope
from services.link.errors import StepFailed
from services.link.fields import write_dictionary
from services.link.message import HttpRequest


def header_once(envelope: Envelope) -> None:
    """No header of the profile is repeated."""
    for name in envelope.shape.headers:
        count = len(envelope.message.values(name))
        if count > 1:
            raise StepFailed(
                f"header {name} is there {count} times", expected="1", found=str(count)
            )


def header_present(envelope: Envelope) -> None:
    """Every header of the profile is there."""
    for name in envelope.shape.headers:
        if not envelope.message.values(name):
            raise StepFailed(f"header {name} is missing", expected=name)


def content_encoding(envelope: Envelope) -> None:
    """The body is sent as it is: what is signed is what is read."""
    if envelope.message.values(profile.CONTENT_ENCODING):
        raise StepFailed("the body has a content coding", expected="no Content-Encoding header")


def path(envelope: Envelope) -> None:
    """The path can be written in one way only."""
    message = envelope.message
    if isinstance(message, HttpRequest) and not profile.PATH_FORM.fullmatch(message.path):
        raise StepFailed("the path is not in plain segments")


def query(envelope: Envelope) -> None:
    """There is no query: it would not be covered by the signature."""
    message = envelope.message
    if isinstance(message, HttpRequest) and message.query:
        raise StepFailed("the request has a query", expected="no query")


def signature_input_form(envelope: Envelope) -> None:
    """Signature-Input is readable and canonically written."""
    canonical(envelope, profile.SIGNATURE_INPUT)
    if any(not isinstance(item.value, str) for item in envelope.covered.items):
        raise StepFailed("a covered component is not a string")


def signature_form(envelope: Envelope) -> None:
    """Signature is readable, canonically written, 64 octets of the one form, nothing beside them.

    Parameters of the signature itself are covered by nothing, so anybody on the wire could add
    them (RFC 9421 4.2 gives the member none). And anybody could write the other signature that
    verifies alike: see `profile.ORDER`.
    """
    canonical(envelope, profile.SIGNATURE)
    if envelope.signature_parameters:
        raise StepFailed("the signature has parameters, which nothing covers")
    found = len(envelope.signature)
    if found != profile.SIGNATURE_OCTETS:
        raise StepFailed(
            "the signature is not r and s",
            expected=f"{profile.SIGNATURE_OCTETS} octets",
            found=f"{found} octets",
        )
    if int.from_bytes(envelope.signature[32:], "big") > profile.ORDER // 2:
        raise StepFailed("the signature has the larger s", expected="the smaller of s and n - s")


def canonical(envelope: Envelope, name: str) -> None:
    """A structured field is readable, and written in the one canonical way."""
    written = write_dictionary(envelope.dictionary(name))
    if written != ", ".join(envelope.message.values(name)):
        raise StepFailed(f"{name} is not canonically written")


def one_signature(envelope: Envelope) -> None:
    """There is exactly one signature, and one input to it."""
    for name in (profile.SIGNATURE_INPUT, profile.SIGNATURE):
        count = len(envelope.dictionary(name))
        if count != 1:
            raise StepFailed(f"{name} has {count} members", expected="1", found=str(count))


def label(envelope: Envelope) -> None:
    """The signature has the label of this profile."""
    for name in (profile.SIGNATURE_INPUT, profile.SIGNATURE):
        labels = [key for key, _ in envelope.dictionary(name)]
        if profile.LABEL not in labels:
            raise StepFailed(
                f"{name} has another label", expected=profile.LABEL, found=", ".join(labels)
            )


def component_missing(envelope: Envelope) -> None:
    """Nothing that the profile covers is left out."""
    missing = [shown for shown in envelope.shape.shown if shown not in envelope.shown]
    if missing:
        raise StepFailed(f"not covered: {' '.join(missing)}", expected=" ".join(missing))


def component_extra(envelope: Envelope) -> None:
    """Nothing else is covered, and nothing twice."""
    extra = [
        shown
        for shown, count in Counter(envelope.shown).items()
        if count > 1 or shown not in envelope.shape.shown
    ]
    if extra:
        raise StepFailed(
            f"covered and not of this profile: {' '.join(extra)}", found=" ".join(extra)
        )


def component_order(envelope: Envelope) -> None:
    """What is covered is in the order of the profile."""
    if envelope.shown == envelope.shape.shown:
        return
    expected = [shown for shown in envelope.shape.shown if shown in envelope.shown]
    found = [shown for shown in envelope.shown if shown in envelope.shape.shown]
    if expected != list(dict.fromkeys(found)):
        raise StepFailed(
            "the components are in another order",
            expected=" ".join(expected),
            found=" ".join(found),
        )


def parameter_missing(envelope: Envelope) -> None:
    """Every required parameter is there, of its type."""
    for name, kind in profile.REQUIRED_PARAMETERS.items():
        if type(envelope.covered.parameter(name)) is not kind:
            raise StepFailed(f"parameter {name} is missing or of another type", expected=name)


def parameter_unknown(envelope: Envelope) -> None:
    """No parameter is there that the profile does not know."""
    known = profile.REQUIRED_PARAMETERS | profile.OPTIONAL_PARAMETERS
    for name, value in envelope.covered.params:
        if type(value) is not known.get(name):
            raise StepFailed(f"parameter {name} is not of this profile", found=name)


def algorithm(envelope: Envelope) -> None:
    """The algorithm, if named, is the profile's."""
    named = envelope.covered.parameter("alg")
    if named is not None and named != profile.ALGORITHM:
        raise StepFailed("another algorithm is named", expected=profile.ALGORITHM, found=str(named))


def tag(envelope: Envelope) -> None:
    """The signature was made for this application and this kind of message."""
    named = envelope.parameter("tag", str)
    if named is not None and named != envelope.shape.tag:
        raise StepFailed("another tag", expected=envelope.shape.tag, found=named)


def nonce_form(envelope: Envelope) -> None:
    """The nonce is long enough to be unique."""
    named = envelope.parameter("nonce", str)
    if named is not None and not profile.NONCE_FORM.fullmatch(named):
        raise StepFailed(
            "the nonce is not base64url of 128 to 512 bits", found=f"{len(named)} characters"
        )


def lifetime(envelope: Envelope) -> None:
    """The signature expires after it was created, and soon."""
    created, expires = envelope.parameter("created", int), envelope.parameter("expires", int)
    if created is None or expires is None:
        return
    if not 0 < expires - created <= profile.MAX_LIFETIME:
        raise StepFailed(
            "the signature does not expire within its time",
            expected=f"1 to {profile.MAX_LIFETIME} seconds",
            found=f"{expires - created} seconds",
        )


def future(envelope: Envelope) -> None:
    """The signature was not created after now, give or take the clocks' difference."""
    created = envelope.parameter("created", int)
    if created is not None and created > envelope.now_seconds + profile.MAX_SKEW:
        raise StepFailed("the signature was created in the future")


def stale(envelope: Envelope) -> None:
    """The signature has not expired, give or take the clocks' difference."""
    expires = envelope.parameter("expires", int)
    if expires is not None and expires < envelope.now_seconds - profile.MAX_SKEW:
        raise StepFailed("the signature has expired")
