"""A small party to stand the chassis under, with no socket anywhere."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

from services.chassis.app import Ready, Service, StartError
from services.chassis.checks import Check, CheckBook, CheckFailed
from services.chassis.context import ServiceContext
from services.chassis.data.store import Database
from services.chassis.log import note
from services.chassis.settings import Listen, Settings
from services.chassis.web import http
from services.chassis.web.problems import Problem

TOKEN = "lab-token-of-the-test-party"
LIMIT = 1000  # octets, of the test party's interface


class HeldClock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def step(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Order(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    amount: int


def _positive(amount: int) -> None:
    if amount <= 0:
        raise CheckFailed("the amount is not positive", "more than 0", str(amount))


def _small(amount: int) -> None:
    if amount > 100:
        raise CheckFailed("the amount is too large", "at most 100", str(amount))


def make_book() -> CheckBook:
    return CheckBook(
        "test_party",
        (
            Check("test.order.positive", "An order is positive", "reconstruction", _positive),
            Check("test.order.small", "An order is small", "reconstruction", _small, code="E9"),
            Check(
                "test.reply.small",
                "A reply is small",
                "reconstruction",
                _small,
                section="response",
            ),
        ),
    )


AUTHORITY = """
[accepts]
"GET /broken" = ["anyone"]
"GET /problem" = ["anyone"]
"POST /echo" = ["anyone"]
"POST /orders" = ["anyone"]
"""


def make_router(book: CheckBook) -> APIRouter:
    router = APIRouter()

    @router.post("/orders")
    async def order(order: Order) -> dict[str, int]:
        note(caller="a customer", token="must not be seen")
        run = book.start("order", "request")
        run.apply("test.order.positive", order.amount)
        run.apply("test.order.small", order.amount)
        run.approve()
        return {"ordered": order.amount}

    @router.post("/echo")
    async def echo(request: Request) -> dict[str, int]:
        return {"octets": len(await request.body())}

    @router.get("/broken")
    async def broken() -> None:
        raise ValueError("the passphrase is hunter2")

    @router.get("/problem")
    async def problem() -> None:
        raise Problem(409, "Not twice", "it was there", party="test_party", check="test.twice")

    return router


@dataclass
class Party:
    service: Service
    interface: httpx.AsyncClient
    lab: httpx.AsyncClient
    stranger: httpx.AsyncClient  # on the lab port, without the token


BuildParty = Callable[..., Awaitable[Party]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    token = tmp_path / "lab.token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    (tmp_path / "authority.toml").write_text(AUTHORITY)
    return Settings(
        party="test_party",
        data=tmp_path,
        interface=Listen(port=0),
        lab=Listen(port=0),
        body_limit=LIMIT,
    )


@pytest.fixture
async def build_party(settings: Settings, tmp_path: Path) -> AsyncIterator[BuildParty]:
    built: list[Party] = []

    async def build(*, ready: tuple[Ready, ...] = ()) -> Party:
        book = make_book()
        base = await ServiceContext.open(settings, book)
        try:
            service = Service(
                base,
                authority_file=tmp_path / "authority.toml",
                routers=[make_router(book)],
                ready=ready,
            )
        except StartError:
            await base.close()
            raise
        await service.start()
        party = Party(
            service,
            http.client(base_url="http://party", transport=httpx.ASGITransport(service.interface)),
            http.client(base_url="http://lab", transport=httpx.ASGITransport(service.lab)),
            http.client(base_url="http://lab", transport=httpx.ASGITransport(service.lab)),
        )
        party.lab.headers["authorization"] = f"Bearer {TOKEN}"
        built.append(party)
        return party

    yield build
    for party in built:
        for client in (party.interface, party.lab, party.stranger):
            await client.aclose()
        await party.service.stop()


@pytest.fixture
async def party(build_party: BuildParty) -> Party:
    return await build_party()


@pytest.fixture
def restore_logging() -> Iterator[None]:
    """Put the process' logging back as it was after a test that configures it."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def held_clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "test.sqlite3")
    yield opened
    await opened.close()
