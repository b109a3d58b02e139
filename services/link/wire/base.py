"""The signature base of RFC 9421 section 2.5: one line for each covered component.

Derived components: `@method`, `@path`, `@authority`, `@query`, `@status`. The one component
parameter is `req` (section 2.4), which takes the value from the request that a response answers.
Anything else is refused: this is a profile, not a general library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.link.errors import BaseError
from services.link.wire.fields import InnerList, Item, is_printable
from services.link.wire.message import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable

Message = HttpRequest | HttpResponse

_REQUEST_DERIVED: dict[str, Callable[[HttpRequest], str]] = {
    "@method": lambda request: request.method,
    "@path": lambda request: request.path or "/",
    "@query": lambda request: "?" + request.query,
    "@authority": lambda request: (request.first("host") or "").lower(),
}


def signature_base(covered: InnerList, message: Message, request: HttpRequest | None) -> bytes:
    """The octets that are signed.

    Args:
        covered: the covered components and the signature parameters, as in `Signature-Input`.
        message: the message that carries the signature.
        request: for a response, the request it answers.

    Raises:
        BaseError: a component that this profile does not know, that the message does not have, or
            whose value is not printable ASCII.
    """
    lines = [f"{item.text}: {component_value(item, message, request)}" for item in covered.items]
    lines.append(f'"@signature-params": {covered.text}')
    return "\n".join(lines).encode("ascii")


def _is_request(item: Item) -> bool:
    """Whether the one parameter is a bare `req`. Not `req=1`, though 1 equals True in Python."""
    return len(item.params) == 1 and item.params[0][0] == "req" and item.params[0][1] is True


def component_value(item: Item, message: Message, request: HttpRequest | None) -> str:
    """The value of one component.

    Raises:
        BaseError: as for `signature_base`.
    """
    name = item.value
    if not isinstance(name, str):
        raise BaseError("component", "not a string")
    shown = item.text
    source: Message | None = message
    if item.params:
        if not _is_request(item):
            raise BaseError(shown, "a component parameter other than req")
        if isinstance(message, HttpRequest):
            raise BaseError(shown, "a request does not answer a request")
        source = request
    if source is None:
        raise BaseError(shown, "the request this answers is not known")
    if name.startswith("@"):
        value = _derived(name, shown, source)
    else:
        found = source.values(name)
        if not found:
            raise BaseError(shown, "the message has no such header")
        value = ", ".join(found)
    if not is_printable(value):
        raise BaseError(shown, "a value that is not printable ASCII")
    return value


def _derived(name: str, shown: str, source: Message) -> str:
    if isinstance(source, HttpResponse):
        if name != "@status":
            raise BaseError(shown, "not a component of a response")
        return str(source.status)
    derive = _REQUEST_DERIVED.get(name)
    if derive is None:
        raise BaseError(shown, "not a component of a request that this profile knows")
    return derive(source)
