"""The one spelling that this project writes, known at a glance.

A document may be spelled in many ways: prefixes, declarations, zeros before a number. Whoever reads
all of them needs a parser, a schema and canonical form, at several times the price of the signature
that they are there for. Nearly every document here has one spelling: canonical, with `sr:` and
`ds:`, every value as `duis.text_forms` writes it. For that there is one pattern to each kind of
document, made of the layouts it is written by.

What the pattern accepts and `Exact.read` can read passes the gate, is valid under the schema, is
its own canonical form, and says what its groups say; property tests hold it to that, against the
gate, schema and reader of trees. What it does not accept is not judged by it: `duis.gate` reads
that as a tree, and only the time it takes tells the two apart. So the pattern may be narrower than
the schema, and never wider.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from duis.bodies import HEADER, REQUEST_BODIES, RESPONSE_BODIES, RESPONSE_HEADER
from duis.errors import DuisError
from duis.layout import Layout, NotExact
from duis.model import Acknowledgement, Header, Response, ResponseMessage, ServiceRequest
from duis.names import SCHEMA_VERSION, SR, XML_DECLARATION
from duis.services import refuse_unknown_service
from duis.signature_form import SIGNATURE_PATTERN, SignatureParts, exact_parts

_BODY: Final = re.compile(
    rb"<sr:Body><sr:(\w+)>"
    rb"(?:(?:<sr:(?:DCCAlertCode|ServiceReference|ServiceReferenceVariant)>[^<]*+</sr:\w+>)*+"
    rb"(?:<sr:DCCAlert>)?<sr:(\w+)>)?"
)
"""Names enough to choose the pattern by."""
_FARTHEST_BODY: Final = 1024
"""Where a body begins at the latest, in octets: headers of the exact spelling are shorter."""


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """One kind of document.

    Attributes:
        kind: `Request` or `Response`.
        element: the body's element.
        header: layout of the header.
        body: layout of that element.
        pattern: of the whole document. Groups: `start`; the header's; the body's; `signature`; the
            four of the signature.
    """

    kind: str
    element: str
    header: Layout
    body: Layout
    pattern: re.Pattern[bytes]

    @classmethod
    def of(cls, kind: str, element: str, header: Layout, body: Layout) -> _Shape | None:
        """The shape, if its values have exact spellings."""
        try:
            inside = (
                f"<sr:Header>{header.pattern()}</sr:Header>"
                f"<sr:Body><sr:{element}>{body.pattern()}</sr:{element}></sr:Body>"
            )
        except NotExact:
            return None
        text = (
            f"(?:{re.escape(XML_DECLARATION.decode())})?(?P<start>){re.escape(_root(kind))}{inside}"
            f"(?P<signature>{SIGNATURE_PATTERN})?</sr:{kind}>"
        )
        return cls(kind, element, header, body, re.compile(text.encode("ascii")))


@dataclass(frozen=True, slots=True)
class Exact:
    """A document of the exact spelling, as far as a pattern knows it.

    Attributes:
        data: the octets as received.
        shape: which kind of document it is.
        match: what the pattern found.
    """

    data: bytes
    shape: _Shape
    match: re.Match[bytes]

    @property
    def signed(self) -> bool:
        """Whether it has a signature."""
        return self.match["signature"] is not None

    @property
    def canonical(self) -> bytes:
        """The document without declaration and signature: what a signature covers."""
        start = self.match.start("start")
        if not self.signed:
            return self.data[start:]
        before, after = self.match.span("signature")
        return self.data[start:before] + self.data[after:]

    def read(self) -> ServiceRequest | Response | None:
        """What it says; None where only its tree can tell what is wrong with it."""
        found: Iterator[bytes | None] = iter(self.match.groups()[1:])
        try:
            head = self.shape.header.take(found)
            if isinstance(head, Header):
                refuse_unknown_service(head, self.shape.element)
                return ServiceRequest(head, self.shape.body.take(found))
            body = self.shape.body.take(found)
        except (NotExact, DuisError, ValueError):
            return None
        request_id, response_id = head.get("request_id"), head.get("response_id")
        if response_id is None and isinstance(body, ResponseMessage) and body.empty:
            body = Acknowledgement(body.service_reference, body.variant)
        return Response(request_id, response_id, head["code"], head["at"], body)

    def signature(self) -> SignatureParts | None:
        """Its signature; None where there is none, or only the tree can tell what is wrong."""
        if not self.signed:
            return None
        return exact_parts(*self.match.groups()[-4:])


def exact_of(data: bytes) -> Exact | None:
    """The document, if it has the exact spelling."""
    found = _BODY.search(data, 0, _FARTHEST_BODY)
    if found is None:
        return None
    element, inside = (name.decode("utf-8", "replace") for name in found.groups(b""))
    shape: _Shape | None = None
    if element in REQUEST_BODIES:
        shape = _request_shape(element)
    elif (element, inside) in RESPONSE_BODIES:
        shape = _response_shape(element, inside)
    elif (element, "") in RESPONSE_BODIES:
        shape = _response_shape(element, "")
    match = None if shape is None else shape.pattern.fullmatch(data)
    return None if shape is None or match is None else Exact(data, shape, match)


def spell_request(request: ServiceRequest, element: str) -> bytes:
    """The exact spelling of a request with this body element.

    Raises:
        NotExact: it has none.
        Exception: whatever its values raise where they are not of their fields' types.
    """
    return _spelled(_request_shape(element), request.header, request.body)


def spell_response(response: Response, element: str, inside: str) -> bytes:
    """The exact spelling of a response with this body element and content; see `spell_request`."""
    return _spelled(_response_shape(element, inside), response, response.body)


def _spelled(shape: _Shape | None, header: object, body: object) -> bytes:
    if shape is None:
        raise NotExact
    text = (
        f"{_root(shape.kind)}<sr:Header>{shape.header.spell(header)}</sr:Header>"
        f"<sr:Body><sr:{shape.element}>{shape.body.spell(body)}</sr:{shape.element}></sr:Body>"
        f"</sr:{shape.kind}>"
    )
    return XML_DECLARATION + text.encode("utf-8")


@cache
def _request_shape(element: str) -> _Shape | None:
    return _Shape.of("Request", element, HEADER, REQUEST_BODIES[element])


@cache
def _response_shape(element: str, inside: str) -> _Shape | None:
    return _Shape.of("Response", element, RESPONSE_HEADER, RESPONSE_BODIES[element, inside])


def _root(kind: str) -> str:
    return f'<sr:{kind} xmlns:sr="{SR}" schemaVersion="{SCHEMA_VERSION}">'
