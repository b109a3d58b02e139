"""Messages as JSON-ready records, for the audit log, and back again. Pure.

A record holds what the signature covers: the profile's headers, method and path or status, for a
response those parts of its request that it is bound to, and the signature base. The body is kept
beside it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from services.chassis.checks import CheckFailed
from services.link.envelope import Envelope, KeyDirectory
from services.link.errors import BaseError, EvidenceError
from services.link.wire import profile
from services.link.wire.message import Headers, HttpRequest, HttpResponse

VERSION: Final = 1

_KEPT_HEADERS = frozenset(profile.REQUEST.headers)


def request_record(request: HttpRequest) -> dict[str, Any]:
    """A request as JSON-ready facts; its body is kept beside them."""
    return {
        "version": VERSION,
        "kind": profile.REQUEST.kind,
        "method": request.method,
        "path": request.path,
        "headers": _kept(request.headers),
        "signature_base": _base_text(request, None),
    }


def response_record(response: HttpResponse, request: HttpRequest) -> dict[str, Any]:
    """A response as JSON-ready facts, with those parts of its request that it is bound to."""
    return {
        "version": VERSION,
        "kind": profile.RESPONSE.kind,
        "status": response.status,
        "headers": _kept(response.headers),
        "request": {
            "method": request.method,
            "path": request.path,
            "headers": _kept(request.headers),
        },
        "signature_base": _base_text(response, request),
    }


def _kept(headers: Headers) -> list[list[str]]:
    return [[name, value.strip(" \t")] for name, value in headers if name in _KEPT_HEADERS]


def _base_text(message: HttpRequest | HttpResponse, request: HttpRequest | None) -> str | None:
    known = message.base_with(request)
    try:
        return (envelope_of(message, request).base() if known is None else known).decode("ascii")
    except (CheckFailed, BaseError):
        return None


def envelope_of(
    message: HttpRequest | HttpResponse,
    request: HttpRequest | None,
    keys: KeyDirectory | None = None,
    systems: Collection[str] = (),
) -> Envelope:
    """What the checks look at when there is only the record: whoever it was for is taken as us."""
    return Envelope(
        message=message,
        shape=profile.REQUEST if isinstance(message, HttpRequest) else profile.RESPONSE,
        own=message.first(profile.RECIPIENT) or "",
        peers=systems,
        keys=_NO_KEYS if keys is None else keys,
        now=datetime.fromtimestamp(0, UTC),
        request=request,
    )


class _NoKeys:
    def find(self, key_id: str) -> None:
        del key_id


_NO_KEYS: Final = _NoKeys()


def read_body(encoded: object) -> bytes:
    """The body of an exported entry.

    Raises:
        EvidenceError: it is not base64.
    """
    if encoded is None:
        return b""
    try:
        return base64.b64decode(str(encoded), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EvidenceError("body", "is not base64") from error


def rebuild(
    record: object, body: bytes
) -> tuple[HttpRequest | HttpResponse, HttpRequest | None, str]:
    """The message of a record.

    Raises:
        EvidenceError: the record is not of the form that `EvidenceLog` writes. What it does not
            write could be nothing that was signed, so nothing beside its members is let pass.
    """
    kept = _object(record)
    recorded = _text(kept, "signature_base")
    if type(kept.get("version")) is not int or kept["version"] != VERSION:
        raise EvidenceError("record", "of another version")
    headers = _headers(kept)
    if kept.get("kind") == profile.REQUEST.kind:
        path, method = _text(kept, "path"), _text(kept, "method")
        _only(kept, _REQUEST_MEMBERS)
        return HttpRequest(method, path, "", headers, body), None, recorded
    status = kept.get("status")
    if kept.get("kind") != profile.RESPONSE.kind or type(status) is not int:
        raise EvidenceError("record", "of no known kind")
    asked = _object(kept.get("request"))
    request = HttpRequest(_text(asked, "method"), _text(asked, "path"), "", _headers(asked))
    _only(kept, _RESPONSE_MEMBERS)
    _only(asked, _ASKED_MEMBERS)
    return HttpResponse(status, headers, body), request, recorded


_REQUEST_MEMBERS = frozenset(
    {"version", "kind", "method", "path", "headers", "signature_base", "verdict"}
)
_RESPONSE_MEMBERS = frozenset(
    {"version", "kind", "status", "headers", "request", "signature_base", "verdict"}
)
_ASKED_MEMBERS = frozenset({"method", "path", "headers"})


def _only(record: Mapping[str, Any], members: frozenset[str]) -> None:
    if not set(record) <= members:
        raise EvidenceError("record", "holds what is never kept of a message")


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise EvidenceError("record", "is not an object")
    return value


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise EvidenceError(name, "is missing")
    return value


def _headers(record: Mapping[str, Any]) -> Headers:
    pairs = record.get("headers")
    if not isinstance(pairs, list):
        raise EvidenceError("headers", "are missing")
    found: list[tuple[str, str]] = []
    for pair in pairs:
        match pair:
            case [str() as name, str() as value] if name in _KEPT_HEADERS:
                found.append((name, value))
            case [str(), str()]:
                raise EvidenceError("headers", "hold one that is never kept")
            case _:
                raise EvidenceError("headers", "are not pairs of text")
    return tuple(found)
