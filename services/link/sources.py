"""Asking a source that only publishes: registration, or the SMKI repository.

What it guarantees: an answer that was verified and read, or one of two errors that say why there
is none. What it leaves to others: for how long the answer holds (`services.chassis.time.leases`),
and what to go by if there is none.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from services.link.errors import LinkCallError, PeerRefused

T = TypeVar("T")


class SourceUnavailable(Exception):  # noqa: N818 - says what happened to the source
    """A source gave nothing that can be used; a party goes on with its own copy, if it may."""


class SourceRefused(SourceUnavailable):
    """A source refused the question itself, in a signed answer: another question may do."""


class LinkCall(Protocol):
    """One peer on the signed link: what `services.link.client.LinkClient` offers."""

    async def call(self, path: str, purpose: str, message_id: str, body: dict[str, Any]) -> Any:
        """Send one request and give the verified answer."""
        ...


async def ask(
    link: LinkCall,
    purpose: str,
    body: dict[str, Any],
    read: Callable[[Mapping[str, Any]], T],
    *,
    is_long: Callable[[Mapping[str, Any]], bool] = lambda _: False,
) -> T:
    """Ask a source, and read what it answers; in a thread, if that is long.

    Raises:
        SourceRefused: it refused the question.
        SourceUnavailable: it gave no answer that can be used.
    """
    try:
        answer = await link.call(f"/link/{purpose}", purpose, str(uuid.uuid4()), body)
        if is_long(answer.body):
            return await asyncio.to_thread(read, answer.body)
        return read(answer.body)
    except PeerRefused as error:
        raise SourceRefused(str(error)) from error
    except LinkCallError as error:
        raise SourceUnavailable(str(error)) from error
    except (ValidationError, TypeError, ValueError) as error:
        raise SourceUnavailable(f"{purpose}: an answer that does not fit") from error
