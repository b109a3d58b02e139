"""Pulling revocation lists from the SMKI repository: one way for every party that keeps them.

The repository is a place to look things up, not one to be believed. A list counts only if one of
the party's own authorities signed it, under that authority's name and key, whatever the repository
calls it; what is not genuine is passed over and does not spoil what stands beside it. What the
repository can do is withhold, or bring something older: that is said in words (`Offered.missing`).

The link judges every certificate by the infrastructure authority's revocation list, and gets that
list over the link. Once it has run out, every answer would be refused, the one with the new list
included. So that one answer, and no other, is judged as if its lists had been taken already
(`trust_for`): each counts only under the signature of the infrastructure authority, so nothing is
believed of whoever sends it, and what is not acceptable by the list in it is refused all the same.

What it leaves to others: keeping the lists, and what a list means for a certificate.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from keys.crl import RevocationList, read_crl
from keys.errors import KeysError
from services.link.authorities import Authorities
from services.link.trust import LinkTrust

Ask = Callable[[Mapping[str, int]], Awaitable[Mapping[str, bytes | None]]]
"""Asks for the lists: the numbers known by the repository's names for them; DER, or None where the
known one is current."""

LISTS_PURPOSE: Final = "smki-revocation"
"""The purpose in whose answers revocation lists come."""
MOST_LISTS: Final = 16
"""How many of them are looked at: a repository has one for each hierarchy."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Offered:
    """What the repository answered, verified.

    Attributes:
        lists: genuine lists, the newest of each authority, by `Certificate.authority_id`.
        current: keys of the lists held that the repository called current.
        missing: in words, what it should have brought and did not, or brought in its place.
    """

    lists: Mapping[str, RevocationList]
    current: tuple[str, ...]
    missing: tuple[str, ...]


async def pull_lists(
    ask: Ask, refused: type[Exception], authorities: Authorities, held: Mapping[str, int]
) -> Offered:
    """Ask for lists later than those held, and verify what comes.

    Args:
        ask: the question, over the link.
        refused: what it raises where the repository refuses the question itself: then everything
            that it has is asked for.
        authorities: whose lists count.
        held: numbers of the lists held, by authority (`Certificate.authority_id`).

    Raises:
        Exception: as `ask` does.
    """
    keys = {name: authority.authority_id for name, authority in authorities.published_lists.items()}
    known = {name: held[key] for name, key in keys.items() if key in held}
    try:
        offered = await ask(known)
    except refused as error:
        if not known:
            raise
        _log.warning("the SMKI repository refused the question", reason=str(error))
        known = {}
        offered = await ask(known)
    lists = _genuine(authorities, offered)
    current: list[str] = []
    missing: list[str] = []
    for name, key in keys.items():
        if name in known and name in offered and offered[name] is None:
            current.append(key)
        elif key not in lists:
            missing.append(f"no genuine {name} list was offered")
        elif lists[key].number < held.get(key, 0):
            missing.append(f"an older {name} list was offered")
    return Offered(lists, tuple(current), tuple(missing))


def _genuine(
    authorities: Authorities, offered: Mapping[str, bytes | None]
) -> dict[str, RevocationList]:
    found: dict[str, RevocationList] = {}
    for name, der in sorted(offered.items()):
        if der is None:
            continue
        try:
            item = read_crl(der)
        except KeysError as error:
            _log.warning("revocation list not readable", list=name[:40], reason=str(error))
            continue
        if not item.genuine(authorities.all):
            _log.warning("revocation list not genuine", list=name[:40], issuer=item.issuer)
            continue
        key = item.authority_id
        if key not in found or item.number > found[key].number:
            found[key] = item
    return found


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
