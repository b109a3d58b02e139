"""Structured fields (RFC 9651), as far as message signatures use them and no further.

A dictionary whose members are inner lists of strings, or byte sequences; parameters that are
strings, integers or a bare true. Tokens, decimals, dates, display strings and explicit booleans
have no place in `Signature-Input`, `Signature` and `Content-Digest`, and are refused.

`read_dictionary` accepts what the grammar lets a sender write (optional white space around
commas, for instance) but, unlike the RFC, refuses a repeated key instead of keeping the last.
`write_dictionary` gives the one canonical serialisation; a field is canonical when writing what
was read gives the same text, and that is what the link asks for.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from functools import lru_cache

from services.link.errors import FieldError

MAX_FIELD = 4096
"""Longest field read, in characters. A signature input of this profile takes about 400."""

_KEY = re.compile(r"[a-z*][a-z0-9_.*-]*")
_TEXT = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)')
_ESCAPE = re.compile(r"\\(.)")
_OCTETS = re.compile(r":([A-Za-z0-9+/=]*):")
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_SPACES = re.compile(r" *")
_OPTIONAL_SPACES = re.compile(r"[ \t]*")

BareItem = str | int | bytes | bool
Parameters = tuple[tuple[str, BareItem], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A bare item with its parameters, in the order written.

    `text` is its canonical serialisation (RFC 9651 section 4.1): what cannot be written cannot be.

    Raises:
        FieldError: it holds what a structured field cannot.
    """

    value: BareItem
    params: Parameters = ()
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Write it, once."""
        object.__setattr__(self, "text", _write_bare(self.value) + _write_parameters(self.params))


@dataclass(frozen=True, slots=True)
class InnerList:
    """A list of items in parentheses, with its parameters in the order written.

    `text` is its canonical serialisation.

    Raises:
        FieldError: it holds what a structured field cannot.
    """

    items: tuple[Item, ...]
    params: Parameters = ()
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Write it, once."""
        inside = " ".join([item.text for item in self.items])
        object.__setattr__(self, "text", f"({inside}){_write_parameters(self.params)}")

    def parameter(self, name: str) -> BareItem | None:
        """The value of a parameter, or None."""
        for key, value in self.params:
            if key == name:
                return value
        return None


Member = Item | InnerList
Dictionary = tuple[tuple[str, Member], ...]


def read_dictionary(text: str) -> Dictionary:
    """Read a dictionary field.

    Raises:
        FieldError: the text is not a dictionary of the kind above.
    """
    if len(text) > MAX_FIELD:
        raise FieldError(f"longer than {MAX_FIELD} characters", MAX_FIELD)
    return _Reader(text).dictionary()


class _Reader:
    """A cursor over one field (RFC 9651 section 4.2)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, reason: str) -> FieldError:
        return FieldError(reason, self.at)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, wanted: str, what: str) -> None:
        if self.peek() != wanted:
            raise self.fail(f"expected {what}")
        self.at += 1

    def skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        self.at = self.at if found is None else found.end()

    def dictionary(self) -> Dictionary:
        members: list[tuple[str, Member]] = []
        seen: set[str] = set()
        self.skip(_SPACES)
        while True:
            key = self.key()
            if key in seen:
                raise self.fail("the same member twice")
            seen.add(key)
            self.take("=", "'=' and a value")
            members.append((key, self.member()))
            self.skip(_OPTIONAL_SPACES)
            if not self.peek():
                return tuple(members)
            self.take(",", "',' or the end")
            self.skip(_OPTIONAL_SPACES)

    def member(self) -> Member:
        if self.peek() != "(":
            return Item(self.bare(), self.parameters())
        self.at += 1
        items: list[Item] = []
        while True:
            self.skip(_SPACES)
            if self.peek() == ")":
                self.at += 1
                return InnerList(tuple(items), self.parameters())
            items.append(Item(self.bare(), self.parameters()))
            if self.peek() not in {" ", ")"}:
                raise self.fail("expected ' ' or ')'")

    def parameters(self) -> Parameters:
        found: list[tuple[str, BareItem]] = []
        while self.peek() == ";":
            self.at += 1
            self.skip(_SPACES)
            key = self.key()
            if any(key == earlier for earlier, _ in found):
                raise self.fail("the same parameter twice")
            value: BareItem = True
            if self.peek() == "=":
                self.at += 1
                value = self.bare()
            found.append((key, value))
        return tuple(found)

    def key(self) -> str:
        found = _KEY.match(self.text, self.at)
        if found is None:
            raise self.fail("expected a key")
        self.at = found.end()
        return found[0]

    def bare(self) -> BareItem:
        character = self.peek()
        if character == '"':
            return self.quoted()
        if character == ":":
            return self.octets()
        return self.integer()

    def quoted(self) -> str:
        found = _TEXT.match(self.text, self.at)
        self.at = self.at if found is None else found.end()
        if found is None or self.peek() != '"':
            raise self.fail("a string without its end, or with what a string cannot hold")
        self.at += 1
        return _ESCAPE.sub(r"\1", found[1]) if "\\" in found[1] else found[1]

    def octets(self) -> bytes:
        found = _OCTETS.match(self.text, self.at)
        if found is None:
            raise self.fail("a byte sequence that is not base64, or without its end")
        try:
            octets = base64.b64decode(found[1], validate=True)
        except binascii.Error as error:
            raise self.fail("a byte sequence that is not base64") from error
        if base64.b64encode(octets).decode("ascii") != found[1]:
            raise self.fail("base64 with stray bits")
        self.at = found.end()
        return octets

    def integer(self) -> int:
        found = _INTEGER.match(self.text, self.at)
        if found is None:
            raise self.fail("expected a string, an integer or a byte sequence")
        self.at = found.end()
        if self.peek() == ".":
            raise self.fail("a decimal is not permitted")
        if "0" <= self.peek() <= "9":
            raise self.fail("an integer of more than 15 digits")
        return int(found[0])


def write_dictionary(dictionary: Dictionary) -> str:
    """The canonical serialisation (RFC 9651 section 4.1.2)."""
    return ", ".join([f"{key}={member.text}" for key, member in dictionary])


def is_printable(text: str) -> bool:
    """Whether there is nothing in it but printable ASCII and spaces."""
    return text.isascii() and text.isprintable()


def _write_parameters(params: Parameters) -> str:
    return "".join(
        [f";{key}" if value is True else f";{key}={_write_bare(value)}" for key, value in params]
    )


def _write_bare(value: BareItem) -> str:
    if isinstance(value, str):
        return _write_text(value)
    if isinstance(value, bool):
        raise FieldError("an explicit boolean is not permitted", 0)
    if isinstance(value, int):
        return str(value)
    return f":{base64.b64encode(value).decode('ascii')}:"


@lru_cache(maxsize=256)
def _write_text(value: str) -> str:
    """A string in quotes. Component and parameter names recur in every message."""
    if not is_printable(value):
        raise FieldError("a character that is not printable ASCII", 0)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
