"""What every party on the signed link is put together from, opened in one go.

A party's `main.py` opens its keys and says what is its own (checks, tables, steps, routes). The
rest is the same for all and stands here: settings that are this party's, the chassis' context, the
link's identity, trust and evidence, clients of peers, the server that the authority table allows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import MetaData

from keys.errors import KeysError
from keys.stores.store import Signer
from services.chassis.app import StartError
from services.chassis.checks import CheckBook
from services.chassis.context import ServiceContext
from services.chassis.data.store import StoreError
from services.chassis.settings import Settings
from services.chassis.time.clock import Clock
from services.chassis.web.authority import Authority, AuthorityError
from services.chassis.web.http import Http
from services.link.client import LinkClient
from services.link.errors import LinkSetupError
from services.link.identity import LinkIdentity
from services.link.server import LinkServer
from services.link.store.evidence import EvidenceLog
from services.link.store.nonces import NonceWindow
from services.link.trust import LinkTrust
from services.link.unsafe_old_key import UnsafeOldKey

ROUTE: Final = "POST /link/"
"""What the authority table calls a route of the link; the purpose follows."""


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """One party's end of the link.

    Attributes:
        base: What the party stands on.
        identity: Who it is on the link.
        trust: Whose link keys it knows.
        evidence: Where the exact signed bytes are kept.
    """

    base: ServiceContext
    identity: LinkIdentity
    trust: LinkTrust
    evidence: EvidenceLog

    @classmethod
    def of(cls, base: ServiceContext, signer: Signer, trust: LinkTrust | None = None) -> LinkEnd:
        """This party's end; the lab's fault `old_key` can act on what it signs from now on.

        Args:
            base: What the party stands on.
            signer: Its link key.
            trust: Whose link keys are known; None: those of its trust folder.

        Raises:
            LinkSetupError: The key or the trust folder is not what it must be.
        """
        identity = LinkIdentity(base.settings.party, signer)
        base.faults.resigner = UnsafeOldKey(identity, base.system_clock)
        known = trust or LinkTrust.open(base.settings.data / "trust")
        return cls(base, identity, known, EvidenceLog(base.database, base.audit))

    def client(self, peer: str, http: Http) -> LinkClient:
        """The link to one peer, at its address in the settings.

        Raises:
            LinkSetupError: The settings name no address, or it cannot be used.
        """
        return LinkClient(
            identity=self.identity,
            trust=self.trust,
            peer=peer,
            base_url=address_of(self.base.settings, peer),
            http=http,
            evidence=self.evidence,
            clock=self.base.system_clock,
            book=self.base.book,
        )

    async def server(self, authority_file: Path) -> LinkServer:
        """The link as others call it: by the purposes that the authority table lets them.

        Raises:
            AuthorityError: The table cannot be read.
            LinkSetupError: It names a system whose link key is not known.
        """
        lines = Authority.read(authority_file).lines()
        return LinkServer(
            identity=self.identity,
            trust=self.trust,
            allowed={
                line.removeprefix(ROUTE): frozenset(callers)
                for line, callers in lines.items()
                if line.startswith(ROUTE)
            },
            nonces=await NonceWindow.open(self.base.database),
            evidence=self.evidence,
            clock=self.base.system_clock,
            book=self.base.book,
        )


def address_of(settings: Settings, peer: str) -> str:
    """The base URL of a peer.

    Raises:
        LinkSetupError: The settings name none.
    """
    if peer not in settings.peers:
        raise LinkSetupError(f"the settings name no address for {peer}")
    return settings.peers[peer]


@contextmanager
def start_errors(*more: type[Exception]) -> Iterator[None]:
    """What is wrong with keys, trust, store, link or authority (and `more`) stops the start.

    Raises:
        StartError: In place of any of those.
    """
    stopping: tuple[type[Exception], ...] = (
        KeysError, LinkSetupError, StoreError, AuthorityError, OSError, *more,
    )  # fmt: skip
    try:
        yield
    except stopping as error:
        raise StartError(str(error)) from error


@asynccontextmanager
async def link_end(
    settings: Settings,
    signer: Signer,
    book: CheckBook,
    *tables: MetaData,
    trust: LinkTrust | None = None,
    system_clock: Clock | None = None,
) -> AsyncIterator[LinkEnd]:
    """One party's end of the link on a context of its own, closed again if the block fails.

    Args:
        settings: The party's settings.
        signer: Its link key.
        book: Its checks, the link's among them; it names the party.
        tables: Its own tables.
        trust: Whose link keys are known; None: those of its trust folder.
        system_clock: Another machine clock, in tests only.

    Raises:
        StartError: The settings are another party's.
        KeysError, LinkSetupError, StoreError: As `start_errors` takes them.
    """
    if settings.party != book.party:
        raise StartError(f"these settings are for {settings.party}")
    base = await ServiceContext.open(settings, book, *tables, system_clock=system_clock)
    async with base.closed_on_failure():
        yield LinkEnd.of(base, signer, trust)
