"""Octets as people have them: binary, hexadecimal in its many spellings, base64, `xxd` output."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_BINARY: Final = (b"\xdd", b"\xdf")
"""What a GBCS message or block can begin with; no text does."""

_XXD = re.compile(r"[0-9a-fA-F]{4,16}:[ \t]+(.*)")
_TEXT_COLUMN = re.compile(r"[ \t]{2,}.*")
_SEPARATORS = re.compile(r"[\s:,\-]+")
_PREFIX = re.compile(r"(?:(?<![0-9a-zA-Z])0[xX]|\\x)(?=[0-9a-fA-F])")
_HEX = "0123456789abcdefABCDEF"
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


class NotOctets(ValueError):  # noqa: N818  says what it found
    """The text is none of the forms; the message says where it stops being the likeliest."""


def octets_of(data: bytes) -> bytes:
    r"""The octets that a file or a pasted text stands for.

    Binary, if it begins with DD or DF. Otherwise text: hexadecimal digits, in any grouping with
    white space, colons, commas or hyphens, with or without `0x` or `\x`; what `xxd` prints; or
    base64, wrapped or not, of a message.

    Raises:
        NotOctets: none of these.
    """
    if data[:1] in _BINARY:
        return data
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise NotOctets(
            f"offset {error.start}: neither text nor a message (which begins DD or DF)"
        ) from None
    if not text.strip():
        raise NotOctets("offset 0: there is nothing to read")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    dump = [_XXD.fullmatch(line) for line in lines]
    if all(dump):  # what stands two spaces away from the columns is the text they make
        text = "".join(_TEXT_COLUMN.sub("", line[1]) for line in dump if line)
    digits = _SEPARATORS.sub("", _PREFIX.sub("", text))
    if all(digit in _HEX for digit in digits):
        if len(digits) % 2:
            raise NotOctets(f"offset {len(digits) // 2}: the hex text ends within an octet")
        return bytes.fromhex(digits)
    return _from_base64("".join(text.split()), digits)


def _from_base64(text: str, digits: str) -> bytes:
    """Base64 of a message; a text that is not is judged as the hexadecimal it nearly is."""
    if _BASE64.fullmatch(text):
        try:
            octets = base64.b64decode(text, validate=True)
        except binascii.Error:
            octets = b""
        if octets[:1] in _BINARY:
            return octets
    offset = next(at for at, digit in enumerate(digits) if digit not in _HEX)
    raise NotOctets(f"offset {offset // 2}: {digits[offset]!r} is not a hex digit")
