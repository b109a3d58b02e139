"""How a signed message is written: one check for each question that needs no key. Pure.

Their order is in `services.link.checks`. Details never hold more than the sender wrote or the
profile says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import wraps

from services.chassis.checks import CheckFailed, check
from services.link.envelope import Envelope
from services.link.rules.sources import PROFILE, SIGNATURES
from services.link.wire import profile
from services.link.wire.fields import write_dictionary
from services.link.wire.message import HttpRequest


def not_exact(rule: Callable[[Envelope], None]) -> Callable[[Envelope], None]:
    """A rule that a message of the exact form cannot break (`services.link.wire.exact`)."""

    @wraps(rule)
    def asked(envelope: Envelope) -> None:
        if envelope.exact is None:
            rule(envelope)

    return asked


@check("header_once", source=PROFILE, status=400)
@not_exact
def header_once(envelope: Envelope) -> None:
    """No header of the profile is repeated."""
    for name in envelope.shape.headers:
        count = len(envelope.message.values(name))
        if count > 1:
            raise CheckFailed(
                f"header {name} is there {count} times", expected="1", found=str(count)
            )


@check("header_present", source=PROFILE, status=401)
@not_exact
def header_present(envelope: Envelope) -> None:
    """Every header of the profile is there."""
    for name in envelope.shape.headers:
        if not envelope.message.values(name):
            raise CheckFailed(f"header {name} is missing", expected=name)


@check("content_encoding", source=PROFILE, status=400)
def content_encoding(envelope: Envelope) -> None:
    """The body is sent as it is: what is signed is what is read."""
    if envelope.message.values(profile.CONTENT_ENCODING):
        raise CheckFailed("the body has a content coding", expected="no Content-Encoding header")


@check("path", source=PROFILE, status=400)
def path(envelope: Envelope) -> None:
    """The path can be written in one way only."""
    message = envelope.message
    if isinstance(message, HttpRequest) and not profile.PATH_FORM.fullmatch(message.path):
        raise CheckFailed("the path is not in plain segments")


@check("query", source=PROFILE, status=400)
def query(envelope: Envelope) -> None:
    """There is no query: it would not be covered by the signature."""
    message = envelope.message
    if isinstance(message, HttpRequest) and message.query:
        raise CheckFailed("the request has a query", expected="no query")


@check("signature_input_form", source=f"{SIGNATURES} section 4.1", status=400)
@not_exact
def signature_input_form(envelope: Envelope) -> None:
    """Signature-Input is readable and canonically written."""
    canonical(envelope, profile.SIGNATURE_INPUT)
    if any(not isinstance(item.value, str) for item in envelope.covered.items):
        raise CheckFailed("a covered component is not a string")


@check("signature_form", source=f"{SIGNATURES} section 4.2", status=400)
@not_exact
def signature_form(envelope: Envelope) -> None:
    """Signature is readable, canonically written, 64 octets of the one form, nothing beside them.

    Parameters of the signature itself are covered by nothing, so anybody on the wire could add
    them (RFC 9421 4.2 gives the member none). And anybody could write the other signature that
    verifies alike: see `profile.ORDER`.
    """
    canonical(envelope, profile.SIGNATURE)
    if envelope.signature_parameters:
        raise CheckFailed("the signature has parameters, which nothing covers")
    found = len(envelope.signature)
    if found != profile.SIGNATURE_OCTETS:
        raise CheckFailed(
            "the signature is not r and s",
            expected=f"{profile.SIGNATURE_OCTETS} octets",
            found=f"{found} octets",
        )
    if int.from_bytes(envelope.signature[32:], "big") > profile.ORDER // 2:
        raise CheckFailed("the signature has the larger s", expected="the smaller of s and n - s")


def canonical(envelope: Envelope, name: str) -> None:
    """A structured field is readable, and written in the one canonical way."""
    written = write_dictionary(envelope.dictionary(name))
    if written != ", ".join(envelope.message.values(name)):
        raise CheckFailed(f"{name} is not canonically written")


@check("one_signature", source=f"{SIGNATURES} section 7.2.6", status=400)
@not_exact
def one_signature(envelope: Envelope) -> None:
    """There is exactly one signature, and one input to it."""
    for name in (profile.SIGNATURE_INPUT, profile.SIGNATURE):
        count = len(envelope.dictionary(name))
        if count != 1:
            raise CheckFailed(f"{name} has {count} members", expected="1", found=str(count))


@check("label", source=f"{SIGNATURES} section 7.2.5", status=400)
@not_exact
def label(envelope: Envelope) -> None:
    """The signature has the label of this profile."""
    for name in (profile.SIGNATURE_INPUT, profile.SIGNATURE):
        labels = [key for key, _ in envelope.dictionary(name)]
        if profile.LABEL not in labels:
            raise CheckFailed(
                f"{name} has another label", expected=profile.LABEL, found=", ".join(labels)
            )


@check("component_missing", source=f"{SIGNATURES} section 7.2.1", status=401)
@not_exact
def component_missing(envelope: Envelope) -> None:
    """Nothing that the profile covers is left out."""
    missing = [shown for shown in envelope.shape.shown if shown not in envelope.shown]
    if missing:
        raise CheckFailed(f"not covered: {' '.join(missing)}", expected=" ".join(missing))


@check("component_extra", source=PROFILE, status=401)
@not_exact
def component_extra(envelope: Envelope) -> None:
    """Nothing else is covered, and nothing twice."""
    extra = [
        shown
        for shown, count in Counter(envelope.shown).items()
        if count > 1 or shown not in envelope.shape.shown
    ]
    if extra:
        raise CheckFailed(
            f"covered and not of this profile: {' '.join(extra)}", found=" ".join(extra)
        )


@check("component_order", source=PROFILE, status=401)
@not_exact
def component_order(envelope: Envelope) -> None:
    """What is covered is in the order of the profile."""
    if envelope.shown == envelope.shape.shown:
        return
    expected = [shown for shown in envelope.shape.shown if shown in envelope.shown]
    found = [shown for shown in envelope.shown if shown in envelope.shape.shown]
    if expected != list(dict.fromkeys(found)):
        raise CheckFailed(
            "the components are in another order",
            expected=" ".join(expected),
            found=" ".join(found),
        )


@check("parameter_missing", source=f"{SIGNATURES} section 2.3", status=401)
@not_exact
def parameter_missing(envelope: Envelope) -> None:
    """Every required parameter is there, of its type."""
    for name, kind in profile.REQUIRED_PARAMETERS.items():
        if type(envelope.covered.parameter(name)) is not kind:
            raise CheckFailed(f"parameter {name} is missing or of another type", expected=name)


@check("parameter_unknown", source=PROFILE, status=401)
@not_exact
def parameter_unknown(envelope: Envelope) -> None:
    """No parameter is there that the profile does not know."""
    known = profile.REQUIRED_PARAMETERS | profile.OPTIONAL_PARAMETERS
    for name, value in envelope.covered.params:
        if type(value) is not known.get(name):
            raise CheckFailed(f"parameter {name} is not of this profile", found=name)


@check("algorithm", source=f"{SIGNATURES} section 7.3.6", status=401)
@not_exact
def algorithm(envelope: Envelope) -> None:
    """The algorithm, if named, is the profile's."""
    named = envelope.covered.parameter("alg")
    if named is not None and named != profile.ALGORITHM:
        raise CheckFailed(
            "another algorithm is named", expected=profile.ALGORITHM, found=str(named)
        )


@check("tag", source=f"{SIGNATURES} section 7.2.7", status=401)
@not_exact
def tag(envelope: Envelope) -> None:
    """The signature was made for this application and this kind of message."""
    named = envelope.parameter("tag", str)
    if named is not None and named != envelope.shape.tag:
        raise CheckFailed("another tag", expected=envelope.shape.tag, found=named)


@check("nonce_form", source=f"{SIGNATURES} section 7.2.2", status=401)
@not_exact
def nonce_form(envelope: Envelope) -> None:
    """The nonce is long enough to be unique."""
    named = envelope.parameter("nonce", str)
    if named is not None and not profile.NONCE_FORM.fullmatch(named):
        raise CheckFailed(
            "the nonce is not base64url of 128 to 512 bits", found=f"{len(named)} characters"
        )


@check("lifetime", source=PROFILE, status=401)
def lifetime(envelope: Envelope) -> None:
    """The signature expires after it was created, and soon."""
    created, expires = envelope.parameter("created", int), envelope.parameter("expires", int)
    if created is None or expires is None:
        return
    if not 0 < expires - created <= profile.MAX_LIFETIME:
        raise CheckFailed(
            "the signature does not expire within its time",
            expected=f"1 to {profile.MAX_LIFETIME} seconds",
            found=f"{expires - created} seconds",
        )


@check("future", source=f"{SIGNATURES} section 3.2", status=401)
def future(envelope: Envelope) -> None:
    """The signature was not created after now, give or take the clocks' difference."""
    created = envelope.parameter("created", int)
    if created is not None and created > envelope.now_seconds + profile.MAX_SKEW:
        raise CheckFailed("the signature was created in the future")


@check("stale", source=f"{SIGNATURES} section 3.2", status=401)
def stale(envelope: Envelope) -> None:
    """The signature has not expired, give or take the clocks' difference."""
    expires = envelope.parameter("expires", int)
    if expires is not None and expires < envelope.now_seconds - profile.MAX_SKEW:
        raise CheckFailed("the signature has expired")
