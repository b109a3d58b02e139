"""One description of an element's content that writes it, reads it, and knows its exact spelling.

A layout lists, in document order, where each field of a frozen value lives. Because writing and
reading walk the same list, they cannot drift apart. The schema has judged a tree before it is read
here, so the tree's reader only picks up what is there.

The exact spelling is the one this project writes: `duis.exact` says what it is for. A layout whose
values all have one gives a pattern of it, one group to a leaf, which accepts nothing that the
schema would refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from lxml import etree

from duis.names import sr


class NotExact(Exception):  # noqa: N818 - says what the document or value is
    """It is not of the exact spelling; says nothing else of it."""


@dataclass(frozen=True, slots=True)
class TextForm:
    """How one kind of value is written as text, and read back.

    Attributes:
        write: the text of a value.
        read: the value of a text, however the type lets it be written.
        exact: pattern of texts as `write` makes them, each of them valid under the schema; "" where
            there is none. It matches no text that is empty or white space, and none with markup.
        read_exact: the value of a text that matches `exact`; raises ValueError or a DuisError where
            the pattern alone does not say that there is one.
    """

    write: Callable[[Any], str]
    read: Callable[[str], Any]
    exact: str = ""
    read_exact: Callable[[bytes], Any] | None = None

    def take(self, text: bytes) -> Any:
        """The value of a text of the exact spelling."""
        if self.read_exact is None:
            return self.read(text.decode("ascii"))
        return self.read_exact(text)


@dataclass(frozen=True, slots=True)
class Leaf:
    """An element holding one value; left out when the field is None.

    Attributes:
        name: the element.
        field: the field of the value it belongs to.
        form: how the field is written.
        needed: the schema does not let it be left out.
    """

    name: str
    field: str
    form: TextForm
    needed: bool = False

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

    def pattern(self, *, groups: bool = True) -> str:
        """Pattern of the exact spelling."""
        if not self.form.exact:
            raise NotExact
        inside = _group(self.form.exact, groups=groups)
        found = f"<sr:{self.name}>{inside}</sr:{self.name}>"
        return found if self.needed else f"(?:{found})?"

    def spell(self, value: object) -> str:
        """The exact spelling of the field."""
        content = getattr(value, self.field)
        if content is None:
            return ""
        text = self.form.write(content)
        if "<" in text:
            raise NotExact
        return f"<sr:{self.name}>{text}</sr:{self.name}>"

    def take(self, found: Iterator[bytes | None], fields: dict[str, Any]) -> None:
        """Read what the pattern found."""
        text = next(found)
        if text is not None:
            fields[self.field] = self.form.take(text)


@dataclass(frozen=True, slots=True)
class Leaves:
    """Elements of one name, held as a tuple: one to `most`."""

    name: str
    field: str
    form: TextForm
    most: int

    def append(self, parent: etree._Element, value: object) -> None:
        """Write every item."""
        for content in getattr(value, self.field):
            etree.SubElement(parent, sr(self.name)).text = self.form.write(content)

    def collect(self, parent: etree._Element, fields: dict[str, Any]) -> None:
        """Read every item."""
        found = parent.findall(sr(self.name))
        fields[self.field] = tuple(self.form.read(element.text or "") for element in found)

    def pattern(self, *, groups: bool = True) -> str:
        """Pattern of the exact spelling."""
        if not self.form.exact:
            raise NotExact
        one = f"<sr:{self.name}>(?:{self.form.exact})</sr:{self.name}>"
        return _group(f"(?:{one}){{1,{self.most}}}", groups=groups)

    def spell(self, value: object) -> str:
        """The exact spelling of every item."""
        texts = [self.form.write(one) for one in getattr(value, self.field)]
        if any("<" in text for text in texts):
            raise NotExact
        return "".join([f"<sr:{self.name}>{text}</sr:{self.name}>" for text in texts])

    def take(self, found: Iterator[bytes | None], fields: dict[str, Any]) -> None:
        """Read what the pattern found."""
        fields[self.field] = tuple(map(self.form.take, _each(self.name, next(found))))


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

    @property
    def filled(self) -> bool:
        """Whether the schema wants something in it, so that it is never written empty."""
        needed = any(not isinstance(item, Leaf) or item.needed for item in self.items)
        return needed and not self.optional

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

    def pattern(self, *, groups: bool = True) -> str:
        """Pattern of the exact spelling."""
        inside = "".join([item.pattern(groups=groups) for item in self.items])
        found = f"<sr:{self.name}>{inside}</sr:{self.name}>"
        return f"(?:{found})?" if self.optional else found

    def spell(self, value: object) -> str:
        """The exact spelling of the group."""
        inside = "".join([item.spell(value) for item in self.items])
        if inside:
            return f"<sr:{self.name}>{inside}</sr:{self.name}>"
        if not self.optional:
            raise NotExact  # an empty element has two spellings
        return ""

    def take(self, found: Iterator[bytes | None], fields: dict[str, Any]) -> None:
        """Read what the pattern found."""
        for item in self.items:
            item.take(found, fields)


@dataclass(frozen=True, slots=True)
class Record:
    """An element that is a value of its own; with `most`, a tuple of one to so many."""

    name: str
    field: str
    layout: Layout
    most: int = 0
    needed: bool = False

    def append(self, parent: etree._Element, value: object) -> None:
        """Write the value or values."""
        content = getattr(value, self.field)
        if content is None:
            return
        for one in content if self.most else (content,):
            self.layout.append(etree.SubElement(parent, sr(self.name)), one)

    def collect(self, parent: etree._Element, fields: dict[str, Any]) -> None:
        """Read the value or values."""
        found = [self.layout.read(element) for element in parent.findall(sr(self.name))]
        if self.most:
            fields[self.field] = tuple(found)
        elif found:
            fields[self.field] = found[0]

    def pattern(self, *, groups: bool = True) -> str:
        """Pattern of the exact spelling."""
        inside = self.layout.pattern(groups=False)
        one = f"<sr:{self.name}>{inside}</sr:{self.name}>"
        if self.most:
            return _group(f"(?:{one}){{1,{self.most}}}", groups=groups)
        found = _group(one, groups=groups)
        return found if self.needed else f"(?:{found})?"

    def spell(self, value: object) -> str:
        """The exact spelling of the value or values."""
        content = getattr(value, self.field)
        if content is None:
            return ""
        inside = [self.layout.spell(one) for one in (content if self.most else (content,))]
        return "".join([f"<sr:{self.name}>{one}</sr:{self.name}>" for one in inside])

    def take(self, found: Iterator[bytes | None], fields: dict[str, Any]) -> None:
        """Read what the pattern found."""
        text = next(found)
        if text is None:
            return
        values = [self.layout.read_exact(one) for one in _each(self.name, text)]
        fields[self.field] = tuple(values) if self.most else values[0]


@dataclass(frozen=True, slots=True)
class Choice:
    """Exactly one of several; the schema says so of a tree, and the pattern of the exact spelling.

    Attributes:
        ways: each what stands there in one case.
    """

    ways: tuple[tuple[Item, ...], ...]

    def append(self, parent: etree._Element, value: object) -> None:
        """Write whatever is there; the schema refuses what is too much."""
        for item in self._items():
            item.append(parent, value)

    def collect(self, parent: etree._Element, fields: dict[str, Any]) -> None:
        """Read what is there."""
        for item in self._items():
            item.collect(parent, fields)

    def pattern(self, *, groups: bool = True) -> str:
        """Pattern of the exact spelling."""
        ways = ["".join([item.pattern(groups=groups) for item in way]) for way in self.ways]
        return f"(?:{'|'.join(ways)})"

    def spell(self, value: object) -> str:
        """The exact spelling of whatever is there; the pattern refuses what is too much."""
        return "".join([item.spell(value) for item in self._items()])

    def take(self, found: Iterator[bytes | None], fields: dict[str, Any]) -> None:
        """Read what the pattern found."""
        for item in self._items():
            item.take(found, fields)

    def _items(self) -> list[Item]:
        return [item for way in self.ways for item in way]


Item = Leaf | Leaves | Group | Record | Choice


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The type of a value and where its fields live; each is itself and equal to no other."""

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

    def pattern(self, *, groups: bool = True) -> str:
        """Pattern of the exact spelling of all of it.

        Raises:
            NotExact: a value of it has no exact spelling.
        """
        return "".join([item.pattern(groups=groups) for item in self.items])

    def spell(self, value: object) -> str:
        """The exact spelling of a value's fields, where each of them has one.

        Raises:
            NotExact: one has none. Whether the whole is exact, its pattern says.
        """
        parts: list[str] = []
        for start, end, field, write in _steps(self):
            if not field:
                parts.append(start if write is None else write(value))
                continue
            content = getattr(value, field)
            if content is not None and write is not None:
                text = write(content)
                if "<" in text:
                    raise NotExact
                parts += (start, text, end)
        return "".join(parts)

    def take(self, found: Iterator[bytes | None]) -> Any:
        """Make the value of what the pattern found, group by group."""
        fields: dict[str, Any] = {}
        for item in self.items:
            item.take(found, fields)
        return self.type(**fields)

    def read_exact(self, text: bytes) -> Any:
        """Make the value of a text of the exact spelling."""
        match = _compiled(self).fullmatch(text)
        if match is None:
            raise NotExact
        return self.take(iter(match.groups()))


def _group(pattern: str, *, groups: bool) -> str:
    return f"({pattern})" if groups else f"(?:{pattern})"


def _each(name: str, run: bytes | None) -> list[bytes]:
    """What is inside each of a run of elements of one name."""
    start, end = f"<sr:{name}>".encode(), f"</sr:{name}>".encode()
    return [] if run is None else run[len(start) : -len(end)].split(end + start)


@cache
def _steps(layout: Layout) -> list[tuple[str, str, str, Callable[[Any], str] | None]]:
    """Writing, laid flat: markup round a field, markup alone, or an item that writes itself."""
    return [step for item in layout.items for step in _steps_of(item)]


def _steps_of(item: Item) -> list[tuple[str, str, str, Callable[[Any], str] | None]]:
    if isinstance(item, Leaf):
        return [(f"<sr:{item.name}>", f"</sr:{item.name}>", item.field, item.form.write)]
    if isinstance(item, Group) and item.filled:
        inside = [step for one in item.items for step in _steps_of(one)]
        return [(f"<sr:{item.name}>", "", "", None), *inside, (f"</sr:{item.name}>", "", "", None)]
    return [("", "", "", item.spell)]


@cache
def _compiled(layout: Layout) -> re.Pattern[bytes]:
    return re.compile(layout.pattern().encode("ascii"))
