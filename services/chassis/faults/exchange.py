"""What a fault can tell of an HTTP exchange: whose it is, what for, and what it names.

A request ID or a device is looked for in the path and in the body: as text, as octets, and inside
the base64 members of a JSON object, which is how the signed link carries documents and messages.
Pure, and asked only while a fault is armed.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from services.chassis.data.spelling import spelled

PURPOSE: Final = b"cos-purpose"
MESSAGE_ID: Final = b"cos-message-id"
SENDER: Final = b"cos-sender"
"""Headers of the signed link (`services.link.wire.profile`), which the chassis does not import."""

_REQUEST_ID: Final = re.compile(rb"RequestID>\s*([0-9A-Fa-f:-]{16,80})\s*<")

ReadReference = Callable[[bytes], str | None]
"""Gives the reference of a GBCS message; None for other octets. A party that reads them has one."""

Pairs = tuple[tuple[bytes, bytes], ...]
"""Header pairs; names in lower case."""


@dataclass(frozen=True)
class ExchangeFacts:
    """One exchange, known by its request.

    Attributes:
        direction: ``inbound``, ``outbound`` or ``device``.
        hop: who called (as claimed, or ``anyone``), or who is called.
        method: HTTP method, upper case.
        path: path as it was sent, without its query.
        headers: the request's.
        body: the request's.
        device: EUI-64 of the device that it is carried to; None: it is no device's.
    """

    direction: str
    hop: str
    method: str
    path: str
    headers: Pairs = ()
    body: bytes = field(default=b"", repr=False)
    device: str | None = None

    def header(self, name: bytes) -> str | None:
        """The first value of a header, or None."""
        found = next((value for key, value in self.headers if key.lower() == name), None)
        return None if found is None else found.decode("latin-1").strip()

    @property
    def purpose(self) -> str | None:
        """The purpose on the signed link."""
        return self.header(PURPOSE)

    @property
    def message_id(self) -> str | None:
        """The message identifier on the signed link."""
        return self.header(MESSAGE_ID)

    @property
    def route(self) -> tuple[str, str, str]:
        """What two exchanges share whose answers can be taken for one another."""
        return self.hop, self.method, self.path

    @cached_property
    def contents(self) -> tuple[bytes, ...]:
        """The body, and what its base64 members hold."""
        return (self.body, *_members(self.body))

    def subject(self, reference: ReadReference) -> str:
        """What a trace knows it by.

        The request ID of the document it carries; else the reference of the GBCS message; else
        the message identifier on the link; else method and path.
        """
        for octets in self.contents:
            named = _REQUEST_ID.search(octets)
            if named is not None:
                return spelled(named[1].decode("ascii"))
        read = (reference(octets) for octets in self.contents)
        found = next((one for one in read if one is not None), None)
        return found or self.message_id or f"{self.method} {self.path}"

    def names(self, text: str) -> bool:
        """Whether the path, the message identifier or the body has that text; case is nothing."""
        wanted = text.lower()
        return (
            wanted in self.path.lower()
            or wanted in (self.message_id or "").lower()
            or any(wanted.encode() in octets.lower() for octets in self.contents)
        )

    def names_device(self, eui: str) -> bool:
        """Whether a device is named: 16 hexadecimal digits, in pairs with hyphens, or octets."""
        if self.device is not None:
            return self.device == eui
        octets = bytes.fromhex(eui)
        return (
            any(octets in content for content in self.contents)
            or self.names(eui)
            or self.names(octets.hex("-"))
        )


def _members(body: bytes) -> list[bytes]:
    """What the base64 members of a JSON object hold; nothing if it is none."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return []
    found: list[bytes] = []
    for value in told.values() if isinstance(told, dict) else ():
        if isinstance(value, str):
            try:
                found.append(base64.b64decode(value, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found
