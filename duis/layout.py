"""One description of an element's content that both writes and reads it.

A layout lists, in document order, where each field of a frozen value lives. Because writing and
reading walk the same list, they cannot drift apart. The schema has judged a tree before it is read
here, so the reader only picks up what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lxml import etree

from duis.names import sr


@dataclass(frozen=True, slots=True)
class TextForm:
    """How one kind of value is written as text, and read back."""

    write: Callable[[Any], str]
    read: Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Leaf:
    """An element holding one value; left out when the field is None."""

    name: str
    field: str
    form: TextForm

    def append(self, parent: etree._Element, value: object) -> None:
        """Write the field, unless it is None."""
        content = getattr(value, self.field)
        if content is not None:
            etree.SubElement(parent, sr(self.name)).text = self.form.write(content)

    def collect(self, parent: etree._Element, fields: dict[str, Any]) -> None:
        """Read the element, where it is present."""
        element = parent.find(sr(self.name))
        if element is not None:
            fields[self.field] = self.form.read(element.text or "")


@dataclass(frozen=True, slots=True)
class Leaves:
    """Elements of one name, held as a tuple."""

    name: str
    field: str
    form: TextForm

    def append(self, parent: etree._Element, value: object) -> None:
        """Write every item."""
        for content in getattr(value, self.field):
            etree.SubElement(parent, sr(self.name)).text = self.form.write(content)

    def collect(self, parent: etree._Element, fields: dict[str, Any]) -> None:
        """Read every item."""
        found = parent.findall(sr(self.name))
        fields[self.field] = tuple(self.form.read(element.text or "") for element in found)


@dataclass(frozen=True, slots=True)
class Group:
    """An element that only groups fields of the same value.

    Attributes:
        name: the element.
        items: what is in it.
        optional: leave the element out when nothing would be in it.
    """

    name: str
    items: tuple[Item, ...]
    optional: bool = False

    def append(self, parent: etree._Element, value: object) -> None:
        """Write the group."""
        element = etree.SubElement(parent, sr(self.name))
        for item in self.items:
            item.append(element, value)
        if self.optional and len(element) == 0:
            parent.remove(element)

    def collect(self, parent: etree._Element, fields: dict[str, Any]) -> None:
        """Read the group, where it is present."""
        element = parent.find(sr(self.name))
        if element is not None:
            for item in self.items:
                item.collect(element, fields)


@dataclass(frozen=True, slots=True)
class Record:
    """An element that is a value of its own; with `many`, a tuple of them."""

    name: str
    field: str
    layout: Layout
    many: bool = False

    def append(self, parent: etree._Element, value: object) -> None:
        """Write the value or values."""
        content = getattr(value, self.field)
        if content is None:
            return
        for one in content if self.many else (content,):
            self.layout.append(etree.SubElement(parent, sr(self.name)), one)

    def collect(self, parent: etree._Element, fields: dict[str, Any]) -> None:
        """Read the value or values."""
        found = [self.layout.read(element) for element in parent.findall(sr(self.name))]
        if self.many:
            fields[self.field] = tuple(found)
        elif found:
            fields[self.field] = found[0]


Item = Leaf | Leaves | Group | Record


@dataclass(frozen=True, slots=True)
class Layout:
    """The type of a value and where its fields live."""

    type: type
    items: tuple[Item, ...]

    def append(self, element: etree._Element, value: object) -> None:
        """Write a value's fields below an element."""
        for item in self.items:
            item.append(element, value)

    def read(self, element: etree._Element) -> Any:
        """Make the value from an element the schema has accepted."""
        fields: dict[str, Any] = {}
        for item in self.items:
            item.collect(element, fields)
        return self.type(**fields)
