"""What can go wrong while tampering, apart from being refused, which is the point."""

from __future__ import annotations


class TamperError(Exception):
    """The script, a key folder or the other side does not permit what was asked for."""
