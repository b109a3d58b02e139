"""Entity identifiers: EUI-64 as 16 lower-case hexadecimal digits."""

from __future__ import annotations

import re

from gbcs.errors import EncodeError

_EUI = re.compile(r"[0-9a-f]{16}")


def entity_to_bytes(entity: str, name: str) -> bytes:
    """The 8 octets of an entity identifier; `name` says which field it is.

    Raises:
        EncodeError: it is not 16 lower-case hexadecimal digits.
    """
    try:
        found = _EUI.fullmatch(entity)
    except TypeError:
        found = None
    if found is None:
        raise EncodeError(f"{name} must be 16 lower-case hexadecimal digits")
    return bytes.fromhex(entity)
