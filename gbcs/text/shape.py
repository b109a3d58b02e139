"""How a value is written as a JSON object and read back: both said once, attribute by attribute.

A `Shape` names the object's fields in their order, each with the attribute that it shows and the
`Form` of it. What is read is read strictly (gbcs.text.fields).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from gbcs.errors import EncodeError
from gbcs.numbers import to_json
from gbcs.payloads.cells import CellId
from gbcs.text.certificate import certificate_from_json, certificate_to_json
from gbcs.text.fields import Fields

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of field: how its value is shown, and how it is taken from an object.

    An `optional` one is not in the object where the attribute is None.
    """

    show: Callable[[Any], Any]
    take: Callable[[Fields, str], Any]
    optional: bool = False


def optional(form: Form) -> Form:
    """The same, of what may be missing."""
    return Form(form.show, form.take, optional=True)


def label(cls: Any) -> Form:
    """One of the standard's identifiers."""
    return Form(lambda value: value.label, lambda fields, key: fields.label(key, cls))


def labels(cls: Any) -> Form:
    """A list of the standard's identifiers."""
    return Form(lambda values: [one.label for one in values], _take_labels(cls))


def hexadecimal_number(digits: int) -> Form:
    """A number as text like `0x8f66`, of at least so many digits."""
    return Form(lambda number: f"0x{number:0{digits}x}", Fields.hexadecimal_number)


def inner(shape: Shape[Any]) -> Form:
    """An object."""
    return Form(shape.to_json, lambda fields, key: shape.from_json(fields.take(key)))


def each(form: Form) -> Form:
    """A list of certificates."""
    return Form(
        lambda values: [form.show(one) for one in values],
        lambda fields, key: tuple(
            form.take(Fields({key: one}, key), key) for one in fields.members(key)
        ),
    )


def each_inner(shape: Shape[Any]) -> Form:
    """A list of objects."""
    return Form(
        lambda values: [shape.to_json(one) for one in values],
        lambda fields, key: tuple(shape.from_json(one) for one in fields.members(key)),
    )


NUMBER: Final = Form(to_json, Fields.number)
TEXT: Final = Form(str, Fields.text)
OCTETS: Final = Form(bytes.hex, Fields.hexadecimal)
BASE64: Final = Form(lambda octets: base64.b64encode(octets).decode(), Fields.base64)
CELL: Final = Form(lambda cell: cell.name, lambda fields, key: CellId.from_name(fields.text(key)))
CERTIFICATE: Final = Form(
    certificate_to_json, lambda fields, key: certificate_from_json(fields.take(key), key)
)


class Shape(Generic[T]):
    """An object for the values of one class.

    Args:
        name: what the object is called where it is wrong.
        cls: the class.
        fields: for each field, which attribute it shows, and its form.
    """

    def __init__(self, name: str, cls: type[T], **fields: tuple[str, Form]) -> None:
        self._name = name
        self._cls = cls
        self._fields = fields

    def to_json(self, value: T) -> dict[str, Any]:
        """The value as an object."""
        shown = {}
        for key, (attribute, form) in self._fields.items():
            held = getattr(value, attribute)
            if held is not None or not form.optional:
                shown[key] = form.show(held)
        return shown

    def from_json(self, value: object) -> T:
        """The inverse of to_json.

        Raises:
            EncodeError: a field is missing, unknown, or of another kind.
        """
        fields = Fields(value, self._name)
        taken = {
            attribute: form.take(fields, key) if fields.has(key) or not form.optional else None
            for key, (attribute, form) in self._fields.items()
        }
        fields.done()
        return self._cls(**taken)


class Either(Generic[T]):
    """An object for a class that holds either octets or a code saying why there are none.

    Args:
        cls: the class, of one attribute `answer`.
        octets: the field of the octets, and its form.
        code: the code's class; its field is `responseCode`.
    """

    def __init__(self, cls: Callable[[Any], T], octets: tuple[str, Form], code: Any) -> None:
        self._cls = cls
        self._octets, self._form = octets
        self._code = label(code)

    def to_json(self, value: Any) -> dict[str, Any]:
        """The value as an object."""
        if isinstance(value.answer, bytes):
            return {self._octets: self._form.show(value.answer)}
        return {"responseCode": self._code.show(value.answer)}

    def from_json(self, value: object) -> T:
        """The inverse of to_json.

        Raises:
            EncodeError: a field is missing, unknown, or of another kind.
        """
        fields = Fields(value, "payload")
        if fields.has("responseCode"):
            answer = self._code.take(fields, "responseCode")
        else:
            answer = self._form.take(fields, self._octets)
        fields.done()
        return self._cls(answer)


def _take_labels(cls: Any) -> Callable[[Fields, str], Any]:
    def take(fields: Fields, key: str) -> Any:
        try:
            return tuple(cls.from_label(str(one)) for one in fields.members(key))
        except KeyError as error:
            raise EncodeError(f"{key}: {error} is not a {cls.__name__}") from None

    return take
