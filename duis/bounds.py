"""How much a document may hold, counted in one pass before anything builds a tree of it.

Canonical form, signature and schema cost more than the document is long: thousands of namespace
declarations, attributes or elements in a few hundred kilobytes kept a verifier busy for seconds,
before anybody knew who had sent them. So the octets go through a parser that builds nothing and
stops at the first thing that is too much, each with a reason: `too_deep`, `too_many_elements`,
`too_many_attributes`, `too_many_namespaces`, `name_too_long`, `value_too_long`.

The bounds are this project's own. The published templates hold at most 34 elements, 6 attributes, 3
declarations and 6 levels; the longest document written here, an inventory of a whole home, some 200
elements. A value may be as long as the document: a payload is one value.
"""

from __future__ import annotations

from typing import Final
from xml.parsers import expat

from duis.errors import MalformedXml

MOST_ELEMENTS: Final = 1_000
MOST_LEVELS: Final = 16
MOST_ATTRIBUTES: Final = 8
"""Of one element, namespace declarations not counted."""
MOST_ATTRIBUTES_IN_ALL: Final = 64
MOST_NAMESPACES: Final = 16
"""Declarations in the whole document."""
LONGEST_NAME: Final = 128
"""Characters of an element's or attribute's name, prefix included."""
LONGEST_ATTRIBUTE: Final = 1_024
"""Characters of an attribute's value."""


class _Tally:
    """Counts what a parser meets.

    Raises (each method):
        MalformedXml: there is too much of it.
    """

    def __init__(self) -> None:
        self.elements = 0
        self.level = 0
        self.attributes = 0
        self.namespaces = 0

    def start(self, name: str, attributes: list[str]) -> None:
        """An element begins; attributes are names and values in turn."""
        self.elements += 1
        self.level += 1
        if self.elements > MOST_ELEMENTS:
            raise MalformedXml("too_many_elements", "", f"more than {MOST_ELEMENTS}")
        if self.level > MOST_LEVELS:
            raise MalformedXml("too_deep", name[:80], f"more than {MOST_LEVELS} levels")
        names, values = attributes[::2], attributes[1::2]
        declared = sum(1 for one in names if one == "xmlns" or one.startswith("xmlns:"))
        self.namespaces += declared
        self.attributes += len(names) - declared
        if self.namespaces > MOST_NAMESPACES:
            raise MalformedXml("too_many_namespaces", name[:80], f"more than {MOST_NAMESPACES}")
        if len(names) - declared > MOST_ATTRIBUTES or self.attributes > MOST_ATTRIBUTES_IN_ALL:
            raise MalformedXml(
                "too_many_attributes",
                name[:80],
                f"more than {MOST_ATTRIBUTES}, or {MOST_ATTRIBUTES_IN_ALL} in all",
            )
        if max(len(one) for one in (name, *names)) > LONGEST_NAME:
            raise MalformedXml("name_too_long", name[:80], f"more than {LONGEST_NAME} characters")
        if max((len(one) for one in values), default=0) > LONGEST_ATTRIBUTE:
            raise MalformedXml(
                "value_too_long", name[:80], f"an attribute of more than {LONGEST_ATTRIBUTE}"
            )

    def end(self, _name: str) -> None:
        """An element ends."""
        self.level -= 1


def check_bounds(data: bytes) -> None:
    """Refuse a document that holds too much. It must be UTF-8, and without a DOCTYPE.

    Raises:
        MalformedXml: with one of the reasons of this module's description, or `not_well_formed`
            where this parser cannot read on: then nobody counts what comes after.
    """
    tally = _Tally()
    parser = expat.ParserCreate("utf-8")
    parser.ordered_attributes = True
    parser.StartElementHandler = tally.start
    parser.EndElementHandler = tally.end
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        where = f"line {error.lineno}"
        raise MalformedXml("not_well_formed", where, expat.ErrorString(error.code)) from None
