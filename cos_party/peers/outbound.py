"""What a CoS Party asks of registration, over the signed link.

Registration only publishes, as the SMKI repository does (`services.link.repository`). The party
never asks the access control broker anything, and never learns where a meter is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cos_party.peers.wire import Position, RegistrationExtract, read_extract
from services.link.sources import LinkCall, ask


@dataclass(frozen=True, slots=True)
class KnownExtract:
    """The extract a party holds: its number, and what it says (`services.link.register_digest`).

    The number alone names nothing: two extracts of one number may say different things, if
    registration lied once.
    """

    number: int
    digest: str


class RegistrationClient:
    """Registration's one question.

    Args:
        link: registration.
    """

    def __init__(self, link: LinkCall) -> None:
        self._link = link

    async def registration_extract(
        self, known: KnownExtract | None, after: Position | None = None, *, lease: bool = False
    ) -> RegistrationExtract:
        """A page of what changed after a position, or word that `known` is the current extract.

        Raises:
            services.link.sources.SourceRefused: registration refused the question.
            services.link.sources.SourceUnavailable: it gave no answer that can be used.
        """
        body: dict[str, Any] = {"version": 1, "known": None, "paged": True}
        if known is not None:
            body |= {"known": known.number, "digest": known.digest}
        if after is not None:
            body["after"] = after.model_dump()
        if lease:
            body["lease"] = True
        return await ask(self._link, "registration-extract", body, read_extract, is_long=_has_homes)


def _has_homes(body: Mapping[str, Any]) -> bool:
    return bool(body.get("meter_points"))
