"""Successors of published revocation lists: issued by the authorities, taken by a running stack."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from keys.crl import RevocationList, read_crl
from keys.issuing.authorities import published_list, renew
from stack.connection import Connection
from stack.errors import REFUSED, UNREACHABLE, USAGE, CommandError

REPOSITORY = "smki_repository"
DAY = timedelta(days=1)
LAST = datetime(9999, 12, 31, tzinfo=UTC)
"""The end of what a revocation list can say."""


class ListName(StrEnum):
    """Whose list there is (`keys.issuing.authorities.LISTS`)."""

    ORGANISATION = "organisation"
    DEVICE = "device"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True)
class Renewed:
    """A list that was issued.

    Attributes:
        name: ``organisation``, ``device`` or ``infrastructure``.
        list: what it says.
        published: whether a running repository has it; else it takes it at its next start.
    """

    name: str
    list: RevocationList
    published: bool

    def as_dict(self) -> dict[str, Any]:
        """For scripts; times in ISO form, UTC."""
        return {
            "name": self.name,
            "issuer": self.list.issuer,
            "number": self.list.number,
            "this_update": self.list.this_update.isoformat(),
            "next_update": self.list.next_update.isoformat(),
            "revoked": len(self.list.serials),
            "published": self.published,
        }


def renew_lists(
    data: Path, connection: Connection | None, names: Sequence[str], now: datetime, days: int
) -> list[Renewed]:
    """Issue the successors of these lists, and publish them.

    A list begins at the earlier of the machine's time and the stack's domain time, and its
    successor is due so many days after the later: link certificates are judged by the one,
    organisations' and devices' by the other.

    Args:
        data: the data folder.
        connection: to the stack that runs there; None: none does.
        names: of `keys.issuing.authorities.LISTS`.
        now: the machine's time.
        days: until the list after it is due.

    Raises:
        KeysError: the authorities cannot be opened, or a published list cannot be read.
        CommandError: the repository refuses a list or cannot be asked, or it publishes revocations
            that the folder does not know (exit code 1): then nothing is issued; the next list
            would be due after the year 9999 (exit code 2).
    """
    held = _held(connection)
    begin, end, numbers = now, now, {}
    if connection is not None and held is not None:
        domain = _domain_time(connection, now)
        begin, end = min(now, domain), max(now, domain)
        numbers = {name: int(held[name]["number"]) for name in names if name in held}
        for name in names:
            _hold_revocations(data, name, held)
    span = days + math.ceil((end - begin) / DAY)
    if span > (LAST - begin) / DAY:
        raise CommandError(f"{days} days after {end:%Y-%m-%d} are beyond the calendar", USAGE)
    done = []
    for name in names:
        new = read_crl(renew(data, name, begin, days=span, after=numbers.get(name, 0)))
        if connection is not None and held is not None:
            body = {"pem": new.to_pem().decode("ascii")}
            connection.lab(REPOSITORY, "PUT", f"/lab/crl/{name}", body)
        done.append(Renewed(name, new, held is not None))
    return done


def _held(connection: Connection | None) -> dict[str, Any] | None:
    """What a running repository says of its lists by name; None: it does not run."""
    if connection is None:
        return None
    try:
        told: dict[str, Any] = connection.lab(REPOSITORY, "GET", "/lab/repository")["lists"]
    except CommandError as error:
        if error.code == UNREACHABLE:
            return None
        raise
    return told


def _domain_time(connection: Connection, now: datetime) -> datetime:
    told = connection.lab(REPOSITORY, "GET", "/lab/clock")
    return now if told["mode"] == "real" else datetime.fromisoformat(told["now"])


def _hold_revocations(data: Path, name: str, held: dict[str, Any]) -> None:
    known = {str(serial) for serial in published_list(data, name).serials}
    if unknown := sorted(set(held.get(name, {}).get("serials", [])) - known):
        raise CommandError(
            f"the repository's {name} list revokes {unknown[0]}, which the list in {data} does "
            "not: its successor would un-revoke it",
            REFUSED,
        )
