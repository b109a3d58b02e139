"""Reading a description (a JSON object someone may have edited) strictly, field by field."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Protocol, Self, TypeVar

from gbcs.errors import EncodeError
from gbcs.numbers import from_json


class _FromLabel(Protocol):
    @classmethod
    def from_label(cls, label: str) -> Self: ...


L = TypeVar("L", bound=_FromLabel)


class Fields:
    """One object. Every field is taken once; `done` refuses what nobody took."""

    def __init__(self, value: object, name: str) -> None:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise EncodeError(f"{name}: an object is needed")
        self._left: dict[str, Any] = dict(value)
        self._name = name

    def has(self, key: str) -> bool:
        """Whether the field is there, not taken yet, and not null."""
        return self._left.get(key) is not None

    def take(self, key: str) -> Any:
        """The field, whatever it is; null if it is missing.

        The other methods build on this and raise EncodeError if it is not what they promise.
        """
        return self._left.pop(key, None)

    def text(self, key: str) -> str:
        """A string.

        Raises:
            EncodeError: it is not.
        """
        value = self.take(key)
        if not isinstance(value, str):
            raise self._wrong(key, "text")
        return value

    def number(self, key: str) -> int:
        """A whole number, or the text of one, which JSON carries better (see gbcs.numbers).

        Raises:
            EncodeError: it is not.
        """
        number = from_json(self.take(key))
        if number is None:
            raise self._wrong(key, "a whole number")
        return number

    def hexadecimal(self, key: str) -> bytes:
        """Octets in hexadecimal digits.

        Raises:
            EncodeError: they are not.
        """
        try:
            return bytes.fromhex(self.text(key))
        except ValueError:
            raise self._wrong(key, "octets in hexadecimal digits") from None

    def hexadecimal_number(self, key: str) -> int:
        """A number as text like `0x8f66`.

        Raises:
            EncodeError: it is not written so.
        """
        text = self.text(key)
        try:
            if text.startswith("0x"):
                return int(text, 16)
        except ValueError:
            pass
        raise self._wrong(key, "hexadecimal digits after 0x")

    def base64(self, key: str) -> bytes:
        """Octets in base64.

        Raises:
            EncodeError: they are not.
        """
        try:
            return base64.b64decode(self.text(key), validate=True)
        except (binascii.Error, ValueError):
            raise self._wrong(key, "octets in base64") from None

    def label(self, key: str, cls: type[L]) -> L:
        """One of the standard's identifiers.

        Raises:
            EncodeError: it is not.
        """
        label = self.text(key)
        try:
            return cls.from_label(label)
        except KeyError:
            raise self._wrong(key, f"a {cls.__name__}") from None

    def members(self, key: str) -> list[Any]:
        """A list.

        Raises:
            EncodeError: it is not.
        """
        value = self.take(key)
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return value

    def inner(self, key: str) -> Fields:
        """Another object.

        Raises:
            EncodeError: it is not.
        """
        return Fields(self.take(key), f"{self._name}.{key}")

    def done(self) -> None:
        """Nothing is left but nulls, which are as good as missing.

        Raises:
            EncodeError: a field is left that means nothing here.
        """
        unknown = [key for key, value in self._left.items() if value is not None]
        if unknown:
            raise EncodeError(f"{self._name}: unknown field {unknown[0]!r}")

    def _wrong(self, key: str, expected: str) -> EncodeError:
        return EncodeError(f"{self._name}.{key}: {expected} is needed")
