"""One signed message as it arrived, with all that its checks look at. Pure.

An `Envelope` proves nothing: it only reads. The checks in `services.link.rules` decide. Reading is
lazy and never raises anything but `CheckFailed`, so that a check that is turned off leaves the ones
after it with a message that they refuse, not with one that breaks them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from services.chassis.checks import CheckFailed
from services.link.errors import FieldError
from services.link.parts import MOST, count_parts, most_parts
from services.link.wire import profile
from services.link.wire.base import signature_base
from services.link.wire.exact import Exact, read_exact
from services.link.wire.fields import (
    Dictionary,
    InnerList,
    Item,
    Member,
    Parameters,
    read_dictionary,
)
from services.link.wire.message import HttpRequest, HttpResponse
from services.link.wire.profile import Shape

T = TypeVar("T", str, int)


class PinnedKey(Protocol):
    """A link key that this party knows, and whose it is."""

    @property
    def system(self) -> str:
        """The system it is pinned to."""
        ...

    @property
    def named(self) -> str | None:
        """The system that the certificate itself names."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether the certificate carries the marks of simulated material."""
        ...

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key."""
        ...

    def failure(self, at: datetime) -> str | None:
        """Why the certificate is not to be trusted at that time, or None."""
        ...


class KeyDirectory(Protocol):
    """Where link keys are looked up. Never fed from a message."""

    def find(self, key_id: str) -> PinnedKey | None:
        """The key of that identifier, or None."""
        ...


@dataclass(frozen=True, slots=True)
class EarlierMessage:
    """What is remembered of an earlier request with the same sender, purpose and identifier."""

    body_digest: bytes


@dataclass
class Envelope:
    """Evidence for the checks.

    Attributes:
        message: what arrived.
        shape: what it must look like.
        own: the system that received it.
        peers: the systems that may have sent it.
        keys: the directory of pinned keys.
        now: time of arrival, transport time.
        request: for a response, the request that was sent.
        purposes: for a request, which systems may send which purpose here (default: nobody).
        route: for a request, the purpose that the called route serves.
        nonce_fresh: for a request, whether its nonce was new (asked last, of the store).
        earlier: for a request, what an earlier one with the same message identifier was.
        exact: the message, if it is of the exact form; None: it is read piece by piece.
    """

    message: HttpRequest | HttpResponse
    shape: Shape
    own: str
    peers: Collection[str]
    keys: KeyDirectory
    now: datetime
    request: HttpRequest | None = None
    purposes: Mapping[str, Collection[str]] = field(default_factory=dict)
    route: str | None = None
    nonce_fresh: bool | None = None
    earlier: EarlierMessage | None = None
    exact: Exact | None = field(init=False, repr=False)
    _key: PinnedKey | None = field(default=None, init=False, repr=False)
    _document: dict[str, Any] | CheckFailed | None = field(default=None, init=False, repr=False)
    _fields: dict[str, Dictionary] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Read the message, if it is of the one form that our own peers write."""
        self.exact = read_exact(self.message, self.request, self.shape)

    def header(self, name: str) -> str:
        """The first value of a header; "" where it is missing."""
        return self.message.first(name) or ""

    @property
    def now_seconds(self) -> float:
        """Time of arrival in seconds since 1970."""
        return self.now.timestamp()

    def dictionary(self, name: str) -> Dictionary:
        """The structured field in a header.

        Raises:
            CheckFailed: it cannot be read.
        """
        found = self._fields.get(name)
        if found is None:
            try:
                found = read_dictionary(", ".join(self.message.values(name)))
            except FieldError as error:
                raise CheckFailed(f"{name} cannot be read: {error}") from error
            self._fields[name] = found
        return found

    def _member(self, name: str) -> Member:
        members = self.dictionary(name)
        ours = [member for label, member in members if label == profile.LABEL]
        return ours[0] if ours else members[0][1]

    @cached_property
    def covered(self) -> InnerList:
        """The covered components and parameters of our signature.

        Raises:
            CheckFailed: Signature-Input cannot be read or holds something else.
        """
        member = self._member(profile.SIGNATURE_INPUT)
        if not isinstance(member, InnerList):
            raise CheckFailed("the signature input is not a list of components")
        return member

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The covered components as they are written, in order.

        Raises:
            CheckFailed: as for `covered`.
        """
        return tuple([item.text for item in self.covered.items])

    @property
    def signature(self) -> bytes:
        """The octets of our signature.

        Raises:
            CheckFailed: Signature cannot be read or holds something else.
        """
        if self.exact is not None:
            return self.exact.signature
        member = self._member(profile.SIGNATURE)
        if not isinstance(member, Item) or not isinstance(member.value, bytes):
            raise CheckFailed("the signature is not a byte sequence")
        return member.value

    @property
    def signature_parameters(self) -> Parameters:
        """The parameters of our signature's own member; a profile signature has none.

        Raises:
            CheckFailed: Signature cannot be read.
        """
        member = self._member(profile.SIGNATURE)
        return member.params

    def parameter(self, name: str, kind: type[T]) -> T | None:
        """A signature parameter; None where it is missing or of another type."""
        exact = self.exact
        value = self.covered.parameter(name) if exact is None else exact.parameters.get(name)
        return value if type(value) is kind else None

    def base(self) -> bytes:
        """The octets that the signature is of. They are kept with the message.

        Raises:
            CheckFailed: Signature-Input cannot be read or holds something else.
            BaseError: as `services.link.wire.base.signature_base`.
        """
        known = self.message.base_with(self.request)
        if known is not None:
            return known
        exact = self.exact
        if exact is None:
            base = signature_base(self.covered, self.message, self.request)
        else:
            base = exact.base
        self.message.know(base, self.request)
        return base

    @property
    def key(self) -> PinnedKey:
        """The pinned key that the signature names.

        Raises:
            CheckFailed: it names none that is known here.
        """
        found = self._key
        if found is None:
            key_id = self.parameter("keyid", str)
            found = None if key_id is None else self.keys.find(key_id)
            if found is None:
                raise CheckFailed("no link certificate of that key identifier is pinned here")
            self._key = found
        return found

    @property
    def document(self) -> dict[str, Any]:
        """The body as one JSON object. It is read once, whatever came of it.

        Raises:
            CheckFailed: it is not one.
        """
        if self._document is None:
            self._document = self._read_document()
        if isinstance(self._document, CheckFailed):
            raise self._document
        return self._document

    def _read_document(self) -> dict[str, Any] | CheckFailed:
        asked = self.message if self.request is None else self.request
        most = most_parts(asked.first(profile.PURPOSE) or "", answer=self.request is not None)
        try:
            return read_json_object(self.message.body, most)
        except CheckFailed as failed:
            return failed


def read_json_object(body: bytes, most: int = MOST) -> dict[str, Any]:
    """Read one JSON object in UTF-8: no repeated member names, no NaN, no half of a surrogate pair.

    Args:
        body: its octets.
        most: how many parts it may have (`services.link.parts`); of more, nothing is read.

    Raises:
        CheckFailed: it is anything else.
    """
    # it has fewer parts than octets
    if len(body) > most and (parts := count_parts(body)) > most:
        raise CheckFailed(
            "the body has too many parts", expected=f"at most {most}", found=f"{parts}"
        )
    try:
        found = _STRICT.decode(body.decode("utf-8"))
        if b"\\" in body and b"\\ud" in body.lower():
            # text to Python, but nothing that could be stored or sent on
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise CheckFailed(f"the body is not JSON: {type(error).__name__}") from error
    if not isinstance(found, dict):
        raise CheckFailed("the body is not a JSON object")
    return found


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same member twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_STRICT = json.JSONDecoder(object_pairs_hook=_once_each, parse_constant=_no_constant)
