"""What the answer that brings revocation lists is judged by: the lists that it brings.

The link judges every certificate by the infrastructure authority's revocation list, and gets that
list over the link. Once it has run out, every answer would be refused, the one with the new list
included. So that one answer, and no other, is judged as if its lists had been taken already: each
counts only under the signature of the infrastructure authority, so nothing is believed of whoever
sends it, and what is not acceptable by the list in it is refused all the same.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Final

from services.link.trust import LinkTrust

LISTS_PURPOSE: Final = "smki-revocation"
"""The purpose in whose answers revocation lists come."""
MOST_LISTS: Final = 16
"""How many of them are looked at: a repository has one for each hierarchy."""


def trust_for(trust: LinkTrust, purpose: str, body: bytes) -> LinkTrust:
    """What an answer is judged by, given what it was asked for and its body, unverified."""
    lists = _lists(body) if purpose == LISTS_PURPOSE else []
    return trust.renewed(lists) if lists else trust


def _lists(body: bytes) -> list[bytes]:
    """The lists in the body of an answer; none where it cannot be read."""
    try:
        told = json.loads(body)
        lists = told["lists"].values() if isinstance(told, dict) else ()
        texts = [text for text in lists if isinstance(text, str)][:MOST_LISTS]
        return [base64.b64decode(text, validate=True) for text in texts]
    except (ValueError, RecursionError, KeyError, AttributeError, binascii.Error):
        return []
