"""What this room raises. Nothing else leaves it.

GbcsError
├── ParseError         the bytes cannot be read; `offset` says where
├── EncodeError        the values cannot be written
├── SignatureInvalid   the digital signature does not hold, or is not there
└── MacInvalid         the message authentication code does not hold, or is not there
"""

from __future__ import annotations


class GbcsError(Exception):
    """Bytes or values that are not a GBCS message.

    Attributes:
        reason: what is wrong, in words; never contains key material.
        offset: octets from the start of the bytes given to the parser, if one place is to blame.
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason if offset is None else f"{reason} (at octet {offset})")
        self.reason = reason
        self.offset = offset


class ParseError(GbcsError):
    """The bytes cannot be read as what they should be."""


class EncodeError(GbcsError):
    """The values cannot be written in the form asked for."""


class SignatureInvalid(GbcsError):  # noqa: N818  the name says the verdict, as in the texts
    """The digital signature is absent, malformed, or not made by the given key."""


class MacInvalid(GbcsError):  # noqa: N818  the name says the verdict, as in the texts
    """The message authentication code is absent or not made with the given shared secret."""
