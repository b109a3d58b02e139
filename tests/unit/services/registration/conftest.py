"""Registration on the data folder of a real ceremony, and the systems that ask it."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from keys.issuing.ceremony import load_plan, run_ceremony
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
from services.registration.main import PARTY, assemble
from services.registration.settings import RegistrationSettings

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


@dataclass
class Bench:
    """Registration, its lab port, and a link client for whoever asks."""

    data: Path
    clock: HeldClock
    service: Service
    lab: httpx.AsyncClient
    facts: dict[str, Any]
    databases: list[Database] = field(default_factory=list)
    asked: int = 0

    async def caller(self, system: str = "ecos_party") -> LinkClient:
        database = await Database.open(self.data / f"{system}-{len(self.databases)}.sqlite3")
        self.databases.append(database)
        return LinkClient(
            identity=LinkIdentity(system, keys_of(self.data, system).signer("link")),
            trust=LinkTrust.open(self.data / system / "trust"),
            peer=PARTY,
            base_url="http://registration",
            http=http.client(transport=httpx.ASGITransport(self.service.interface)),
            evidence=EvidenceLog(database, AuditLog(database, self.clock)),
            clock=self.clock,
            book=CheckBook(system, response_checks()),
        )

    async def extract(
        self, known: int | None = None, system: str = "ecos_party", **body: Any
    ) -> LinkAnswer:
        self.asked += 1
        caller = await self.caller(system)
        return await caller.call(
            "/link/registration-extract",
            "registration-extract",
            f"q-{self.asked}",
            {"version": 1, "known": known, **body},
        )

    async def register(self) -> dict[str, Any]:
        """What is held, for asserting that nothing changed."""
        found: dict[str, Any] = (await self.lab.get("/lab/register")).json()
        return found


BuildBench = Callable[..., Awaitable[Bench]]


@pytest.fixture(scope="session")
def ceremony(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registration-ceremony") / "data"
    run_ceremony(load_plan(None), folder, now=NOW)
    return folder


@pytest.fixture
def data(ceremony: Path, tmp_path: Path) -> Path:
    """A data folder whose one estate file is the one that all tools share."""
    folder = Path(shutil.copytree(ceremony, tmp_path / "data"))
    (folder / PARTY / "estate.json").unlink(missing_ok=True)
    return folder


@pytest.fixture
async def build_bench(data: Path) -> AsyncIterator[BuildBench]:
    built: list[Bench] = []

    async def build(**changed: Any) -> Bench:
        clock = HeldClock()
        settings = RegistrationSettings(
            party=PARTY,
            data=data / PARTY,
            interface=Listen(port=0),
            lab=Listen(port=0),
            **changed,
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
        facts = json.loads((data / "estate.json").read_text())
        built.append(Bench(data, clock, service, lab, facts))
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
