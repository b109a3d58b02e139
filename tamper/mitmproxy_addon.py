"""An add-on for mitmproxy: its view of a message shows GBCS, DUIS and link signatures decoded.

``mitmproxy --mode reverse:http://127.0.0.1:8616 -p 9000 -s tamper/mitmproxy_addon.py``, with this
package on the path where mitmproxy is. mitmproxy loads this file and calls `load`; nothing else
here needs it, so that it is no dependency of this project. Version 12 calls `prettify`, those
before it call the view itself.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from services.link.wire.message import fold_headers
from tamper.decoding import decode_message


class HttpMessage(Protocol):
    """What is used of `mitmproxy.http.Message`."""

    @property
    def headers(self) -> HeaderFields:
        """Its headers."""
        ...


class HeaderFields(Protocol):
    """What is used of `mitmproxy.http.Headers`."""

    @property
    def fields(self) -> Iterable[tuple[bytes, bytes]]:
        """Every header as it came."""
        ...


class Metadata(Protocol):
    """What is used of `mitmproxy.contentviews.Metadata`."""

    @property
    def http_message(self) -> HttpMessage | None:
        """The message that the octets are the body of, if any."""
        ...


class ChangeOfSupplierView:
    """A content view: has the shape of `mitmproxy.contentviews.Contentview`, and of its elder."""

    name = "change of supplier"
    syntax_highlight = "yaml"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """The message as indented text; octets that say nothing as hexadecimal."""
        return text_of(data, metadata.http_message)

    def __call__(
        self, data: bytes, *, http_message: HttpMessage | None = None, **_: object
    ) -> tuple[str, Iterator[list[tuple[str, str]]]]:
        """The same as a title and lines, for mitmproxy before version 12."""
        lines = text_of(data, http_message).splitlines()
        return self.name, ([("text", line)] for line in lines)

    def render_priority(
        self,
        data: bytes,
        metadata: Metadata | None = None,
        *,
        http_message: HttpMessage | None = None,
        **_: object,
    ) -> float:
        """Above mitmproxy's own views for what only this one can read, else never chosen."""
        message = http_message if metadata is None else metadata.http_message
        return 2.0 if decoded(data, message).keys() & {"link", "gbcs", "duis"} else -1.0

    def __lt__(self, other: ChangeOfSupplierView) -> bool:
        return self.name < other.name


def text_of(data: bytes, message: HttpMessage | None) -> str:
    """What a message says, as indented text."""
    return json.dumps(decoded(data, message), indent=2, ensure_ascii=False)


def decoded(data: bytes, message: HttpMessage | None) -> dict[str, Any]:
    """The link's headers and the body, as `tamper.decoding` reads them."""
    headers = () if message is None else fold_headers(message.headers.fields)
    return decode_message(headers, data)


def load(loader: object) -> None:
    """Called by mitmproxy when it loads the add-on."""
    del loader
    importlib.import_module("mitmproxy.contentviews").add(ChangeOfSupplierView())
