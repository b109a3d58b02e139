"""An HTTP message as a value: what the link signs and verifies, apart from any server or client.

Header names are lower case; header values are text of the octets received (ISO 8859-1), in the
order received, a repeated header repeated. Nothing here decodes a body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Headers = tuple[tuple[str, str], ...]


def fold_headers(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Header pairs as a server hands them over (octets), as a `Headers` value."""
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in pairs)


class _Headed:
    """Reading headers: whichever message has them."""

    headers: Headers

    @cached_property
    def _values(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for name, value in self.headers:
            found.setdefault(name, []).append(value.strip(" \t"))
        return {name: tuple(values) for name, values in found.items()}

    def values(self, name: str) -> tuple[str, ...]:
        """Every value of the header `name` (lower case), outer white space removed, in order."""
        return self._values.get(name, ())

    def first(self, name: str) -> str | None:
        """The first value of a header, or None."""
        found = self.values(name)
        return found[0] if found else None


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
