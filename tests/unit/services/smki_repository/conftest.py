"""The repository on the data folder of a real ceremony, whose authorities can issue more."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keys.certificate import Certificate
from keys.issuing.authorities import Authorities, years_from
from keys.issuing.ceremony import load_plan, run_ceremony
from keys.roles import OrganisationRole, Usage
from keys.stores.software import SoftwareKeyStore, read_secret
from services.chassis.app import Service
from services.chassis.checks import CheckBook
from services.chassis.data.audit import AuditLog
from services.chassis.data.store import Database
from services.chassis.settings import Listen
from services.chassis.web import http
from services.link.checks import response_checks
from services.link.client import LinkAnswer, LinkClient
from services.link.identity import LinkIdentity
from services.link.store.evidence import EvidenceLog
from services.link.trust import LinkTrust
from services.smki_repository.main import PARTY, assemble
from services.smki_repository.settings import RepositorySettings

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class HeldClock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.at = NOW + timedelta(hours=1)

    def now(self) -> datetime:
        return self.at


_opened: dict[tuple[bytes, str], SoftwareKeyStore] = {}


def keys_of(data: Path, system: str) -> SoftwareKeyStore:
    """A system's keys; opened once per ceremony, because opening them is slow on purpose."""
    secret = read_secret(data / system / "passphrase")
    if (secret, system) not in _opened:
        _opened[secret, system] = SoftwareKeyStore.open(data / system / "keys", secret)
    return _opened[secret, system]


def new_certificate(data: Path, eui: str = "0253494d30000000") -> Certificate:
    """A fresh certificate of a supplier, issued by that ceremony's authority."""
    return Authorities.open(data).organisation(
        eui,
        OrganisationRole.SUPPLIER,
        Usage.DIGITAL_SIGNATURE,
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        validity=years_from(NOW, 10),
    )


def new_list(data: Path, name: str, number: int, *serials: int) -> bytes:
    """A revocation list of that ceremony's authority, DER."""
    return Authorities.open(data).revocation_list(
        name, number, NOW, 30, dict.fromkeys(serials, NOW)
    )


@dataclass
class Bench:
    """The repository, its lab port, and a link client for whoever asks."""

    data: Path
    clock: HeldClock
    service: Service
    lab: httpx.AsyncClient
    databases: list[Database] = field(default_factory=list)
    asked: int = 0

    async def ask(self, purpose: str, system: str = "acb", **body: Any) -> LinkAnswer:
        self.asked += 1
        database = await Database.open(self.data / f"{system}-{self.asked}.sqlite3")
        self.databases.append(database)
        caller = LinkClient(
            identity=LinkIdentity(system, keys_of(self.data, system).signer("link")),
            trust=LinkTrust.open(self.data / system / "trust"),
            peer=PARTY,
            base_url="http://repository",
            http=http.client(transport=httpx.ASGITransport(self.service.interface)),
            evidence=EvidenceLog(database, AuditLog(database, self.clock)),
            clock=self.clock,
            book=CheckBook(system, response_checks()),
        )
        return await caller.call(
            f"/link/{purpose}", purpose, f"q-{self.asked}", {"version": 1, **body}
        )

    async def state(self) -> dict[str, Any]:
        """What is published, for asserting that nothing changed."""
        found: dict[str, Any] = (await self.lab.get("/lab/repository")).json()
        return found


BuildBench = Callable[[], Awaitable[Bench]]


@pytest.fixture(scope="session")
def ceremony(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository-ceremony") / "data"
    run_ceremony(load_plan(None), folder, now=NOW)
    return folder


@pytest.fixture(scope="session")
def other_ceremony(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another estate, with authorities of the same names and other keys."""
    folder = tmp_path_factory.mktemp("other-ceremony") / "data"
    run_ceremony(load_plan(None), folder, now=NOW)
    return folder


@pytest.fixture
def data(ceremony: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ceremony, tmp_path / "data"))


@pytest.fixture
async def build_bench(data: Path) -> AsyncIterator[BuildBench]:
    built: list[Bench] = []

    async def build() -> Bench:
        clock = HeldClock()
        settings = RepositorySettings(
            party=PARTY, data=data / PARTY, interface=Listen(port=0), lab=Listen(port=0)
        )
        service = await assemble(
            settings,
            keys_of(data, PARTY).signer("link"),
            LinkTrust.open(data / PARTY / "trust"),
            transport_clock=clock,
        )
        await service.start()
        lab = http.client(base_url="http://lab", transport=httpx.ASGITransport(service.lab))
        token = (data / PARTY / "lab.token").read_text().strip()
        lab.headers["authorization"] = f"Bearer {token}"
        built.append(Bench(data, clock, service, lab))
        return built[-1]

    yield build
    for bench in built:
        await bench.lab.aclose()
        for database in bench.databases:
            await database.close()
        await bench.service.stop()


@pytest.fixture
async def bench(build_bench: BuildBench) -> Bench:
    return await build_bench()


@pytest.fixture
def issue() -> Callable[..., Certificate]:
    return new_certificate


@pytest.fixture
def revoke() -> Callable[..., bytes]:
    return new_list
