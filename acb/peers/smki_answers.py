"""What the SMKI repository answered, read strictly: what is not genuine is passed over."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from acb.peers.trust import Trust
from keys.certificate import Certificate
from keys.crl import RevocationList, read_crl
from keys.errors import CertificateError, RevocationListError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RepositoryLists:
    """What the repository answered, verified.

    Attributes:
        lists: genuine lists, by `RevocationList.authority_id`.
        current: the same of the lists kept here that the repository called current.
        wanting: in words, what it should have brought and did not, or brought in its place.
    """

    lists: Mapping[str, RevocationList]
    current: tuple[str, ...]
    wanting: list[str]


def read_lists(value: object, known: Container[str], trust: Trust) -> RepositoryLists:
    """The lists that the repository gave, each verified and under its own authority's name.

    Args:
        value: lists by name, DER in base64; null: the one known here is current.
        known: names of the lists that it was told are known here.
        trust: the authorities whose lists count.
    """
    by_name = table(value)
    lists: dict[str, RevocationList] = {}
    refused: list[str] = []
    for name, text in sorted(by_name.items()):
        if text is None:
            continue
        item = _list(text)
        if item is None or not item.genuine(trust.authorities):
            _log.warning("a revocation list is not genuine", name=name[:40])
            refused.append(f"what was offered as {name[:40]!r} is not genuine")
        elif (before := lists.get(item.authority_id)) is None or item.number > before.number:
            lists[item.authority_id] = item
    current: list[str] = []
    missing: list[str] = []
    for name, authority in trust.list_authorities.items():
        if name in known and by_name.get(name, "") is None:
            current.append(authority.authority_id)
        elif authority.authority_id not in lists:
            missing.append(f"no {name} list was offered")
    # what is not genuine is passed over: it must not spoil what stands beside it
    return RepositoryLists(lists, tuple(current), missing + refused if missing else [])


def read_certificates(value: object) -> list[Certificate | None]:
    """The certificates that the repository gave, DER in base64; None: not readable."""
    return [_certificate(item) for item in value] if isinstance(value, list) else []


def table(value: object) -> dict[str, Any]:
    """An object of JSON; an empty one if it is none."""
    return value if isinstance(value, dict) else {}


def _octets(value: object) -> bytes:
    return base64.b64decode(str(value), validate=True)


def _list(value: object) -> RevocationList | None:
    try:
        return read_crl(_octets(value))
    except (binascii.Error, ValueError, RevocationListError):
        return None


def _certificate(value: object) -> Certificate | None:
    try:
        return Certificate.from_der(_octets(value))
    except (binascii.Error, ValueError, CertificateError):
        return None
