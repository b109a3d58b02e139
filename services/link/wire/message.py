"""An HTTP message as a value: what the link signs and verifies, apart from any server or client.

Header names are lower case; header values are text of the octets received (ISO 8859-1), in the
order received, a repeated header repeated. Nothing here decodes a body.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Headers = tuple[tuple[str, str], ...]


def fold_headers(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Header pairs as a server hands them over (octets), as a `Headers` value."""
    return tuple(
        [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in pairs]
    )


class _Headed:
    """Reading headers: whichever message has them."""

    headers: Headers
    body: bytes
    _base: tuple[HttpRequest | None, bytes] | None = None
    _single: dict[str, str] | None = None
    _many: dict[str, tuple[str, ...]]
    _digest: bytes | None = None

    # Kept by hand: the lock of functools.cached_property costs more than what is kept.

    @property
    def single(self) -> Mapping[str, str]:
        """Headers that are there exactly once, with their values, outer white space removed."""
        single = self._single
        if single is None:
            single = {name: value.strip(" \t") for name, value in self.headers}
            many: dict[str, tuple[str, ...]] = {}
            if len(single) != len(self.headers):
                for name, value in self.headers:
                    many[name] = (*many.get(name, ()), value.strip(" \t"))
                single = {name: values[0] for name, values in many.items() if len(values) == 1}
            self.__dict__["_many"] = many
            self.__dict__["_single"] = single
        return single

    @property
    def body_digest(self) -> bytes:
        """SHA-256 of the body, 32 octets, computed once."""
        digest = self._digest
        if digest is None:
            digest = self.__dict__["_digest"] = hashlib.sha256(self.body).digest()
        return digest

    def know(self, base: bytes, request: HttpRequest | None, digest: bytes | None = None) -> None:
        """Keep what was found out in signing or verifying the message, so that it is not again.

        Args:
            base: what `services.link.wire.base.signature_base` gives, or would give.
            request: for a response, the request that it answers: the base is of both.
            digest: SHA-256 of the body.
        """
        self.__dict__["_base"] = (request, base)
        if digest is not None:
            self.__dict__["_digest"] = digest

    def base_with(self, request: HttpRequest | None) -> bytes | None:
        """The signature base kept by `know` with that very request, or None."""
        kept = self._base
        return kept[1] if kept is not None and kept[0] is request else None

    def values(self, name: str) -> tuple[str, ...]:
        """Every value of the header `name` (lower case), outer white space removed, in order."""
        value = self.single.get(name)
        return self._many.get(name, ()) if value is None else (value,)

    def first(self, name: str) -> str | None:
        """The first value of a header, or None."""
        value = self.single.get(name)
        return self._many.get(name, (None,))[0] if value is None else value


@dataclass(frozen=True)
class HttpRequest(_Headed):
    """A request: `path` as sent (percent-encoding kept), `query` without its question mark."""

    method: str
    path: str
    query: str = ""
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)

    def with_headers(self, extra: Headers) -> HttpRequest:
        """The same request with more headers."""
        return HttpRequest(self.method, self.path, self.query, self.headers + extra, self.body)


@dataclass(frozen=True)
class HttpResponse(_Headed):
    """A response."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)

    def with_headers(self, extra: Headers) -> HttpResponse:
        """The same response with more headers."""
        return HttpResponse(self.status, self.headers + extra, self.body)
