"""What a CoS Party asks of others, over the signed link: registration and the SMKI repository.

These two only publish. The party never asks the access control broker anything, and never learns
where a meter is.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from cos_party.peers.wire import (
    CertificatesAnswer,
    RegistrationExtract,
    RevocationAnswer,
    read_extract,
)
from duis.signature import SignatureReference
from services.link.bodies import octets
from services.link.errors import LinkCallError, PeerRefused

M = TypeVar("M", bound=BaseModel)


class SourceUnavailable(Exception):  # noqa: N818 - says what happened to the source
    """A source gave nothing that can be used; the party goes on with its own copy, if it may."""


class SourceRefused(SourceUnavailable):
    """A source refused the question itself, in a signed answer: another question may do."""


@dataclass(frozen=True, slots=True)
class KnownExtract:
    """The extract a party holds: its number, and what it says (`RegistrationExtract.digest`).

    The number alone names nothing: two extracts of one number may say different things, if
    registration lied once.
    """

    number: int
    digest: str


class VerifiedAnswer(Protocol):
    """What a link client brings back: a verified body."""

    @property
    def body(self) -> Mapping[str, Any]:
        """The answer's JSON object."""


class LinkCall(Protocol):
    """One peer on the signed link."""

    async def call(
        self, path: str, purpose: str, message_id: str, body: dict[str, Any]
    ) -> VerifiedAnswer:
        """Send a request and return the verified answer."""


class Sources:
    """The two publishing services, asked in their own purposes."""

    def __init__(self, registration: LinkCall, repository: LinkCall) -> None:
        self._registration = registration
        self._repository = repository

    async def registration_extract(self, known: KnownExtract | None) -> RegistrationExtract:
        """The current extract, or word that `known` is the current one.

        Raises:
            SourceRefused: registration refused the question.
            SourceUnavailable: registration gave no answer that can be used.
        """
        body: dict[str, Any] = {"version": 1, "known": None}
        if known is not None:
            body |= {"known": known.number, "digest": known.digest}
        return await _ask(self._registration, "registration-extract", body, read_extract)

    async def certificates_named(self, reference: SignatureReference) -> tuple[bytes, ...]:
        """The certificates of that issuer and serial number, DER.

        Raises:
            SourceUnavailable: the repository gave no answer that can be used.
        """
        return await self._certificates(
            {"by": "issuer_serial", "issuer": reference.issuer, "serial": str(reference.serial)}
        )

    async def certificates_of(self, eui: str) -> tuple[bytes, ...]:
        """The certificates of an entity, DER.

        Raises:
            SourceUnavailable: the repository gave no answer that can be used.
        """
        return await self._certificates({"by": "eui", "eui": eui})

    async def revocation_lists(self, known: Mapping[str, int]) -> dict[str, bytes | None]:
        """The revocation lists, DER by the repository's name for them; None: the known is current.

        Raises:
            SourceRefused: the repository refused the question.
            SourceUnavailable: the repository gave no answer that can be used.
        """
        body = {"version": 1, "known": dict(known)}
        answer = await _ask(self._repository, "smki-revocation", body, _as(RevocationAnswer))
        return {n: None if item is None else octets(item) for n, item in answer.lists.items()}

    async def _certificates(self, query: dict[str, Any]) -> tuple[bytes, ...]:
        body = {"version": 1, **query}
        answer = await _ask(self._repository, "smki-certificates", body, _as(CertificatesAnswer))
        return tuple(octets(item) for item in answer.certificates)


async def _ask(
    link: LinkCall, purpose: str, body: dict[str, Any], read: Callable[[Mapping[str, Any]], M]
) -> M:
    try:
        answer = await link.call(f"/link/{purpose}", purpose, str(uuid.uuid4()), body)
        return await asyncio.to_thread(read, answer.body)
    except PeerRefused as error:
        raise SourceRefused(str(error)) from error
    except LinkCallError as error:
        raise SourceUnavailable(str(error)) from error
    except (ValidationError, TypeError, ValueError) as error:
        raise SourceUnavailable(f"{purpose}: an answer that does not fit") from error


def _as(model: type[M]) -> Callable[[Mapping[str, Any]], M]:
    """Through JSON, because strict models then still take text for a time."""
    return lambda body: model.model_validate_json(json.dumps(dict(body)))
