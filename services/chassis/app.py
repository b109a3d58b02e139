"""A service: two listeners in one process, and nothing of the lab on the interface.

The interface answers as the real party would. The lab port, with its own credential, explains and
changes: checks, clock, traces, state. Both answer ``/healthz`` (the process runs) and ``/readyz``
(it can do its work), and the interface ``/openapi.json`` (how to call it): without a credential.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import stat
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.types import ASGIApp, Scope

from services.chassis import log
from services.chassis.checks import CheckBook
from services.chassis.context import ServiceContext
from services.chassis.data.store import StoreError
from services.chassis.faults.board import Faults
from services.chassis.faults.orders import Direction
from services.chassis.lab.faults import fault_routes
from services.chassis.lab.routes import Reset, common_routes
from services.chassis.settings import Listen, Settings, TlsSettings, refuse_to_start
from services.chassis.web import openapi, problems
from services.chassis.web.answers import Answer
from services.chassis.web.authority import ANYONE, Authority, AuthorityError
from services.chassis.web.connection import LimitedProtocol, named_protocol
from services.chassis.web.direct import Direct
from services.chassis.web.edge import (
    LAB_BODY_LIMIT,
    OPEN_PATHS,
    BodyGate,
    LabGate,
    RequestLine,
    Spelled,
    edge_checks,
)
from services.chassis.web.fault_points import FaultPoint, HangingUp

if TYPE_CHECKING:
    from collections.abc import Iterator

Ready = Callable[[], Awaitable[str | None]]
"""None when ready, else the reason why not, in words that may be shown to anyone."""

Step = Callable[[], Awaitable[None]]

SHUTDOWN_SECONDS: Final = 5
DATE_SECONDS: Final = 1.0  # how old the `Date` of an answer may be

_log = structlog.get_logger(__name__)


class StartError(Exception):
    """The service cannot start. The message is one line."""


class Service:
    """A party as two applications, ready to be run by `run` or driven by tests.

    Args:
        base: What the party stands on.
        authority_file: Its `authority.toml`.
        routers: Routes of its interface.
        lab_routers: Its own lab routes, beside the common ones.
        ready: What must hold before it can do its work.
        on_start: Run in order before it listens.
        on_stop: Run in reverse order after it has stopped listening.
        on_reset: Run by ``POST /lab/reset`` after checks and clock.

    Raises:
        StartError: The authority table and the routes differ, or there is no lab token.
    """

    def __init__(
        self,
        base: ServiceContext,
        *,
        authority_file: Path,
        routers: Sequence[APIRouter],
        lab_routers: Sequence[APIRouter] = (),
        ready: Sequence[Ready] = (),
        on_start: Sequence[Step] = (),
        on_stop: Sequence[Step] = (),
        on_reset: Sequence[Reset] = (),
    ) -> None:
        settings = base.settings
        self.base = base
        self.settings: Settings = settings
        self._ready = [base.database.not_writable, *ready]
        self._on_start = list(on_start)
        self._on_stop = list(on_stop)
        self._started = False
        base.book.extend(edge_checks(settings.check_prefix))
        try:
            self.authority = Authority.read(authority_file)
            self.interface_app = self._application("interface", routers)
            self.authority.compare([route for r in routers for route in r.routes])
        except AuthorityError as error:
            raise StartError(str(error)) from None
        base.faults.know(Direction.INBOUND, (ANYONE, *self.authority.systems))
        common = [common_routes(base, self.authority, on_reset), fault_routes(base)]
        lab = [*common, *lab_routers, self._openapi()]
        self.lab_app = self._application("lab", lab)
        token = read_lab_token(settings.data / "lab.token")
        direct = Direct(
            self.interface_app, routers, party=settings.party, prefix=settings.check_prefix
        )
        open_to_faults = FaultPoint(direct, base.faults, OPEN_PATHS)
        gated = BodyGate(open_to_faults, book=base.book, limit=settings.body_limit)
        self.interface: ASGIApp = _lined(gated, base.book, "interface")
        lab_book = CheckBook(settings.party, edge_checks("lab"))
        sized = BodyGate(Spelled(self.lab_app), book=lab_book, limit=LAB_BODY_LIMIT)
        self.protocols = (
            named_protocol(HangingUp, settings.party, settings.check_prefix),
            named_protocol(LimitedProtocol, settings.party, "lab"),
        )
        self.lab: ASGIApp = _lined(LabGate(sized, book=base.book, token=token), base.book, "lab")

    async def start(self) -> None:
        """Do what must be done before listening. Tests call this themselves."""
        for step in self._on_start:
            await step()
        await self.base.outbox.start()
        self._started = True

    async def stop(self) -> None:
        """Undo `start`, and close the store."""
        self._started = False
        await self.base.outbox.stop()
        for step in reversed(self._on_stop):
            await step()
        await self.base.close()

    async def not_ready(self) -> list[str]:
        """Why the service cannot do its work now; empty when it can."""
        if not self._started:
            return ["not started"]
        reasons: list[str] = []
        for ready in self._ready:
            try:
                reason = await ready()
            except Exception as error:  # noqa: BLE001 - a probe that fails means not ready
                _log.warning("readiness probe failed", error=type(error).__name__)
                reason = f"{getattr(ready, '__name__', 'probe')} failed"
            if reason is not None:
                reasons.append(reason)
        return reasons

    def _application(self, name: str, routers: Sequence[APIRouter]) -> FastAPI:
        app = FastAPI(
            title=f"{self.settings.party} {name}",
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            # A path is written in one way. A redirect would also go where the caller's Host says.
            redirect_slashes=False,
            default_response_class=Answer,
        )
        problems.install(app, party=self.settings.party, prefix=self.settings.check_prefix)
        for router in (*routers, self._health()):
            app.include_router(router)
        if name == "interface":
            app.include_router(self._description(app))
        return app

    def _description(self, app: FastAPI) -> APIRouter:
        router = APIRouter(include_in_schema=False)

        @cache  # anyone may ask, as often as they like
        def written() -> bytes:
            told = openapi.describe(app, self.authority, version("cos-stack"))
            return json.dumps(told).encode()

        @router.get(openapi.PATH)
        async def description() -> Response:
            return Response(written(), media_type="application/json")

        return router

    def _health(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)

        @router.get("/healthz")
        async def healthz() -> dict[str, str]:
            return {"status": "alive"}

        @router.get("/readyz")
        async def readyz() -> JSONResponse:
            reasons = await self.not_ready()
            if reasons:
                return JSONResponse({"status": "not ready", "reasons": reasons}, status_code=503)
            return JSONResponse({"status": "ready"})

        return router

    def _openapi(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)

        @router.get("/lab/openapi/interface.json")
        async def interface() -> dict[str, Any]:
            return openapi.describe(self.interface_app, self.authority, version("cos-stack"))

        @router.get("/lab/openapi/lab.json")
        async def lab() -> dict[str, Any]:
            return self.lab_app.openapi()

        return router


def read_lab_token(path: Path) -> str:
    """The bearer token of the lab port.

    Raises:
        StartError: It cannot be read, is too short to be a secret, or others can read the file.
    """
    try:
        mode = path.stat().st_mode
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise StartError(f"the lab token {path} cannot be read") from None
    if stat.S_IMODE(mode) & 0o077:
        raise StartError(f"the lab token {path} can be read by others: its mode must be 0600")
    if len(token) < 16:
        raise StartError(f"the lab token {path} is shorter than 16 characters")
    return token


def run(build: Callable[[], Awaitable[Service]], settings: Settings) -> None:
    """Run a service until SIGTERM or SIGINT.

    Args:
        build: Opens keys and store and gives the service; called inside the event loop. Any
            exception but those that mean "cannot start" is a bug and ends with a traceback.
        settings: The party's settings.

    Raises:
        SystemExit: With code 2 and one line on stderr, when the service cannot start.
    """
    log.configure(
        settings.party,
        json_lines=settings.log_json,
        level=settings.log_level,
        file=settings.log_file,
    )
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(build, settings))
    except (StartError, StoreError) as error:
        refuse_to_start(f"{settings.party}: {error}")


async def _serve(build: Callable[[], Awaitable[Service]], settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        interface_socket = stack.enter_context(_listening(settings.interface))
        lab_socket = stack.enter_context(_listening(settings.lab))
        tls = None if settings.tls is None else server_tls(settings.tls)
        service = await build()
        stack.push_async_callback(service.stop)
        await service.start()
        servers = [
            _Server(_config(service.interface, tls, service.protocols[0])),
            _Server(_config(service.lab, None, service.protocols[1])),
        ]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _ask_to_stop, servers, service.base.faults)
        for name, listener in (("interface", interface_socket), ("lab", lab_socket)):
            host, port = listener.getsockname()[:2]
            _log.info("listening", listener=name, host=host, port=port)
        await asyncio.gather(servers[0].serve([interface_socket]), servers[1].serve([lab_socket]))
        _log.info("stopped")


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to `_serve`, because there are two of it.

    It wakes once a second, for the `Date` of answers, and when it is asked to stop; uvicorn's own
    loop wakes ten times a second, which is most of what an idle service costs.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._asked_to_stop = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def ask_to_stop(self) -> None:
        """Answer what has been asked, then end; asked again: end at once."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._asked_to_stop.set()

    async def main_loop(self) -> None:
        """Until asked to stop."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(DATE_SECONDS):
                    await self._asked_to_stop.wait()


def _ask_to_stop(servers: Sequence[_Server], faults: Faults) -> None:
    faults.clear()  # what is held back would keep its connection open
    for server in servers:
        server.ask_to_stop()


def _config(app: ASGIApp, tls: ssl.SSLContext | None, protocol: type[Any]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",  # an upgrade nobody serves is a request like any other, and answered as one
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )


def server_tls(settings: TlsSettings) -> ssl.SSLContext:
    """A server context for TLS 1.3 that lets in only clients with a certificate of `client_ca`.

    Raises:
        StartError: A file cannot be read or does not fit.
    """
    try:
        password = ""
        if settings.password_file is not None:
            password = settings.password_file.read_text(encoding="utf-8").strip()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(settings.certificate, settings.key, lambda: password)
        context.load_verify_locations(settings.client_ca)
    except (OSError, ValueError) as error:
        raise StartError(f"TLS of the interface: {error}") from None
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextmanager
def _listening(where: Listen) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    try:
        listener = socket.create_server((where.host, where.port), family=family, backlog=512)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartError(f"cannot listen on {where.host}:{where.port} ({reason})") from None
    with listener:
        yield listener


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - absent on some platforms
    except ImportError:
        return None
    return uvloop.new_event_loop


def _lined(app: ASGIApp, book: CheckBook, listener: str) -> RequestLine:
    def route_of(scope: Scope) -> str:
        # The template, not the path: a path may carry identifiers that make lines uncountable.
        path = getattr(scope.get("route"), "path", None)
        return f"{scope['method']} {path or 'unrouted'}"

    return RequestLine(app, book=book, listener=listener, route_of=route_of)
