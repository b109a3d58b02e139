"""Entity identifiers: EUI-64 as 16 lower-case hexadecimal digits."""

from __future__ import annotations

from gbcs.errors import EncodeError

_EUI_LENGTH = 8


def entity_to_bytes(entity: str, name: str) -> bytes:
    """The 8 octets of an entity identifier; `name` says which field it is.

    Raises:
        EncodeError: it is not 16 lower-case hexadecimal digits.
    """
    try:
        octets = bytes.fromhex(entity)
        if len(octets) == _EUI_LENGTH and octets.hex() == entity:  # no capitals, no spaces
            return octets
    except (TypeError, ValueError):
        pass
    raise EncodeError(f"{name} must be 16 lower-case hexadecimal digits")
