"""The broker in a world of stand-ins: CoS Parties and repository that sign on the link, meters
and users that answer. All in one process, no sockets; the broker itself is the real one.

A stand-in is honest until a test replaces one of its functions. In one file, though long: the
stand-ins share one set of keys and one wire, and a reader of a broker test needs them all.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import structlog
from fastapi import APIRouter, FastAPI

from acb.checks import book
from acb.main import context_of, service_of
from acb.settings import AcbSettings
from acb.steps.context import Context
from acb.store.tables import tables
from duis.gate import parse
from duis.model import Response, ServiceRequest
from duis.signature import verify_document
from duis.xml import request_from_xml, response_from_xml
from gbcs.codes import Cra, MessageCode, RemotePartyRole, StatusCode
from gbcs.message import GroupingHeader, Message, decode, encode
from gbcs.payloads.credentials import CellId, CredentialsOutcome, decode_update
from gbcs.payloads.details import CredentialDetails, HeldCredential, RoleDetails, encode_details
from gbcs.protect import add_mac
from keys.certificate import Certificate
from keys.crl import read_crl_pem
from services.chassis.app import Service
from services.chassis.checks import CheckBook
from services.chassis.context import ServiceContext
from services.chassis.data.audit import AuditLog
from services.chassis.data.outbox import Retry
from services.chassis.data.store import Database
from services.chassis.time.clock import LabClock, SystemClock
from services.link.checks import link_checks, response_checks
from services.link.identity import LinkIdentity
from services.link.opened import Opened
from services.link.repository import metadata
from services.link.server import LinkServer
from services.link.store.evidence import EvidenceLog
from services.link.store.nonces import NonceWindow
from services.link.trust import LinkTrust
from tests.unit.acb.estate import (
    ACB,
    DEVICE,
    ECOS,
    TCOS,
    Estate,
    command_message,
    outcome_for,
    response_message,
    signed_octets,
    update_for,
)

Answer = dict[str, Any]


def plain_logs() -> None:
    """Warnings only, and plain: drawing tracebacks of expected failures takes a second each."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ],
    )


class Wire(httpx.AsyncBaseTransport):
    """Hosts in this process, by name."""

    def __init__(self) -> None:
        self.hosts: dict[str, httpx.AsyncBaseTransport] = {}
        self.down: set[str] = set()
        self._answering: set[asyncio.Future[httpx.Response]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        if host in self.down or host not in self.hosts:
            raise httpx.ConnectError(f"{host} is down")
        # Others finish what they began, whatever becomes of the one who asked.
        answering = asyncio.ensure_future(self.hosts[host].handle_async_request(request))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)
        return await asyncio.shield(answering)

    async def quiet(self) -> None:
        """Return when nobody answers any more, whoever still listens."""
        while self._answering:
            await asyncio.gather(*self._answering, return_exceptions=True)


@dataclass
class LinkPeer:
    """A system on the link that answers purposes by functions a test may replace."""

    name: str
    handlers: dict[str, Callable[[Opened, Answer], Awaitable[Answer]]]
    database: Database
    book: CheckBook
    app: FastAPI
    heard: list[tuple[str, str, Answer]] = field(default_factory=list)

    @classmethod
    async def open(
        cls,
        estate: Estate,
        folder: Path,
        name: str,
        handlers: dict[str, Callable[[Opened, Answer], Awaitable[Answer]]],
    ) -> LinkPeer:
        database = await Database.open(folder / f"{name}.sqlite3")
        checks = CheckBook(name, link_checks())
        clock = SystemClock()
        server = LinkServer(
            identity=LinkIdentity(name, estate.keys(name).signer("link")),
            trust=LinkTrust.open(estate.data / name / "trust"),
            allowed={purpose: {"acb"} for purpose in handlers},
            nonces=await NonceWindow.open(database),
            evidence=EvidenceLog(database, AuditLog(database, clock)),
            clock=clock,
            book=checks,
        )
        app = FastAPI()
        peer = cls(name, handlers, database, checks, app)
        router = APIRouter()
        for purpose in handlers:
            router.post(f"/link/{purpose}")(server.route(purpose)(peer.answering(purpose)))
        app.include_router(router)
        return peer

    def answering(self, purpose: str) -> Callable[[Opened], Awaitable[Answer]]:
        async def handle(opened: Opened) -> Answer:
            body = json.loads(opened.body)
            self.heard.append((purpose, opened.message_id, body))
            return await self.handlers[purpose](opened, body)

        return handle


def text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


@dataclass
class StandInParty:
    """An honest CoS Party, as far as the broker can tell: it signs what is asked."""

    estate: Estate
    eui: str
    name: str
    counter: int = 100

    async def command(self, _: Opened, body: Answer) -> Answer:
        request = request_from_xml(parse(base64.b64decode(body["service_request"])))
        self.counter += 1
        return self.answer(body["transaction"], self.signed(request, self.counter), self.counter)

    def signed(self, request: ServiceRequest, counter: int, **header: Any) -> bytes:
        header.setdefault("originator", self.eui)
        header.setdefault("recipient", request.header.request_id.target)
        message = command_message(update_for(request.body, counter), counter=counter, **header)
        return signed_octets(message, self.sign)

    def sign(self, data: bytes) -> bytes:
        return self.estate.party_keys[self.eui].signer("digital-signing").sign(data)

    def answer(self, transaction: str, signed: bytes, counter: int) -> Answer:
        return {
            "version": 1,
            "transaction": transaction,
            "signed_command": text(signed),
            "originator": self.eui,
            "counter": counter,
        }

    async def device_return(self, _: Opened, body: Answer) -> Answer:
        return {
            "version": 1,
            "transaction": body["transaction"],
            "accepted": True,
            "outcome": {},
        }


@dataclass
class StandInMeter:
    """A device that does what every command says, once, and answers under its own key."""

    estate: Estate
    cells: dict[str, dict[str, Certificate]]
    heard: list[bytes] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, estate: Estate) -> StandInMeter:
        cells = {
            eui: {
                name: Certificate.from_der(base64.b64decode(der))
                for name, der in device["cells"].items()
            }
            for eui, device in estate.devices.items()
        }
        return cls(estate, cells)

    async def hear(self, eui: str, octets: bytes) -> bytes | None:
        message = decode(octets)
        if message.message_code == MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS:
            return self.tell(eui, message)
        self.heard.append(octets)
        if message.header.counter <= self.counters.get(eui, 0):
            return None
        self.counters[eui] = message.header.counter
        update = decode_update(message.payload)
        outcome: CredentialsOutcome | None = None
        if update.execution_date_time is None:
            outcome = outcome_for(update, self.cells[eui])
            for item in update.replacements:
                self.cells[eui][item.cell.name] = Certificate.from_der(item.certificate)
        return self.said(eui, outcome, message.header.counter, message.header.originator)

    def tell(self, eui: str, command: Message) -> bytes:
        """What the supplier cells hold, under a MAC (CS02a)."""
        cells = {CellId.from_name(name): held for name, held in self.cells[eui].items()}
        details = RoleDetails(
            RemotePartyRole.SUPPLIER,
            StatusCode.SUCCESS,
            0,
            tuple(
                HeldCredential(
                    cell.key_usage, cell.cell_usage, held.subject_unique_id, held.key_identifier
                )
                for cell, held in cells.items()
                if cell.role is RemotePartyRole.SUPPLIER
            ),
        )
        return self.told(eui, command, CredentialDetails((details,)))

    def told(self, eui: str, command: Message, details: CredentialDetails, **header: Any) -> bytes:
        asked = command.header
        plain = GroupingHeader(
            Cra.RESPONSE, asked.counter, asked.recipient, asked.originator, asked.other
        )
        message = Message(replace(plain, **header), encode_details(details), signature=b"")
        return encode(add_mac(message, self.secret(eui)))

    def secret(self, eui: str) -> bytes:
        broker = self.cells[eui]["accessControlBroker/keyAgreement/management"]
        return self.estate.device_keys.key_agreement(eui).shared_secret(broker)

    def said(
        self, eui: str, outcome: CredentialsOutcome | None, counter: int, recipient: str
    ) -> bytes:
        message = response_message(outcome, counter=counter, originator=eui, recipient=recipient)
        return signed_octets(message, self.estate.device_keys.signer(eui).sign)


@dataclass
class Surroundings:
    """Everybody but the broker: they live on when the broker's process dies."""

    estate: Estate
    folder: Path
    wire: Wire
    parties: dict[str, StandInParty]
    peers: dict[str, LinkPeer]
    meter: StandInMeter
    delivered: list[tuple[str, bytes]] = field(default_factory=list)

    async def over_wan(self, request: httpx.Request) -> httpx.Response:
        answer = await self.meter.hear(request.url.path.split("/")[2], request.content)
        return httpx.Response(204) if answer is None else httpx.Response(200, content=answer)

    async def to_user(self, request: httpx.Request) -> httpx.Response:
        self.delivered.append((request.url.path.strip("/"), request.content))
        return httpx.Response(204)


@dataclass
class World:
    """Everything a workflow test drives and looks at."""

    around: Surroundings
    parts: Context
    service: Service
    interface: httpx.AsyncClient
    lab: httpx.AsyncClient

    @property
    def estate(self) -> Estate:
        return self.around.estate

    @property
    def meter(self) -> StandInMeter:
        return self.around.meter

    @property
    def parties(self) -> dict[str, StandInParty]:
        return self.around.parties

    @property
    def peers(self) -> dict[str, LinkPeer]:
        return self.around.peers

    @property
    def book(self) -> CheckBook:
        return self.parts.base.book

    async def submit(self, document: bytes, kind: str = "application/xml") -> httpx.Response:
        return await self.interface.post(
            "/service-requests", content=document, headers={"content-type": kind}
        )

    async def settle(self) -> None:
        """Let the outbox do all that is due."""
        await self.parts.base.outbox.idle()

    async def told(self, request: ServiceRequest) -> dict[str, Any]:
        name = request.header.request_id.text
        return dict((await self.interface.get(f"/service-requests/{name}")).json())

    async def accept(self, request: ServiceRequest) -> None:
        answer = await self.submit(self.estate.signed(request))
        assert answer.status_code == 200, answer.text
        assert "cos-check" not in answer.headers, answer.headers

    async def run(self, request: ServiceRequest) -> dict[str, Any]:
        """Submit a request signed by its originator, and see it through."""
        await self.accept(request)
        await self.settle()
        return await self.told(request)

    async def hear(self, message: bytes) -> httpx.Response:
        return await self.interface.post(
            "/device-messages",
            content=message,
            headers={"content-type": "application/octet-stream"},
        )

    async def record(self, eui: str = DEVICE) -> dict[str, Any]:
        return dict((await self.lab.get(f"/lab/devices/{eui}")).json())

    async def trace(self, request: ServiceRequest) -> list[dict[str, Any]]:
        return await self.parts.base.traces.read(request.header.request_id.text)

    async def documents(self, user: str) -> list[Response]:
        """What was owed to a user, oldest first, each verified and read."""
        notices = (await self.lab.get("/lab/notices", params={"user": user})).json()["notices"]
        return [self.read(base64.b64decode(item["document"])) for item in notices]

    def read(self, document: bytes) -> Response:
        """A document of the broker, verified as a user would."""
        certificate = self.parts.replies.certificate
        return response_from_xml(verify_document(document, certificate.der).signed_xml)

    async def close(self) -> None:
        await self.stop()
        await self.around.wire.quiet()
        for peer in self.peers.values():
            await peer.database.close()

    async def stop(self) -> None:
        await self.interface.aclose()
        await self.lab.aclose()
        await self.service.stop()

    async def restarted(self) -> World:
        """The same world after the broker's process died: its store and nothing else."""
        await self.stop()
        return await start_broker(self.around)


async def make_world(estate: Estate, folder: Path) -> World:
    parties = {
        "tcos_party": StandInParty(estate, TCOS, "tcos_party"),
        "ecos_party": StandInParty(estate, ECOS, "ecos_party"),
    }
    around = Surroundings(estate, folder, Wire(), parties, {}, StandInMeter.of(estate))
    for name, party in parties.items():
        handlers = {
            "cos-command": party.command,
            "device-response": party.device_return,
            "device-alert": party.device_return,
        }
        around.peers[name] = await LinkPeer.open(estate, folder, name, handlers)
    around.peers["smki_repository"] = await LinkPeer.open(
        estate, folder, "smki_repository", repository(estate)
    )
    for name, peer in around.peers.items():
        around.wire.hosts[name] = httpx.ASGITransport(peer.app)
    around.wire.hosts["meter_sim"] = httpx.MockTransport(around.over_wan)
    around.wire.hosts["users"] = httpx.MockTransport(around.to_user)
    return await start_broker(around)


async def start_broker(around: Surroundings) -> World:
    estate = around.estate
    settings = AcbSettings.model_validate_json(json.dumps(settings_of(estate, around.folder)))
    base = await ServiceContext.open(
        settings,
        book(response_checks()),
        tables,
        metadata,
        clock=_held(estate.now),
        retry=Retry(first=timedelta(0), cap=timedelta(0), attempts=12),
    )
    http = httpx.AsyncClient(transport=around.wire)
    parts = context_of(base, settings, estate.keys("acb"), http, http, users_http=http)
    service = service_of(parts, [http])
    token = (estate.data / "acb" / "lab.token").read_text().strip()
    return World(
        around=around,
        parts=parts,
        service=service,
        interface=_client(service.interface),
        lab=_client(service.lab, token),
    )


def _held(at: datetime) -> LabClock:
    clock = LabClock()
    clock.set(at)
    return clock


def settings_of(estate: Estate, folder: Path) -> dict[str, Any]:
    names = ("tcos_party", "ecos_party", "smki_repository", "meter_sim")
    return {
        "party": "acb",
        "eui": ACB,
        "data": str(estate.data / "acb"),
        "database": f"sqlite:///{folder}/acb.sqlite3",
        "interface": {"port": 0},
        "lab": {"port": 0},
        "peers": {name: f"http://{name}" for name in names},
        "cos_parties": {"tcos_party": {"eui": TCOS}, "ecos_party": {"eui": ECOS}},
    }


def _client(app: Any, token: str | None = None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://acb", headers=headers
    )


async def provision(world: World) -> None:
    """The ceremony's devices and suppliers, through the lab routes."""
    for eui, device in world.estate.devices.items():
        answer = await world.lab.post(
            "/lab/devices",
            json={
                "eui": eui,
                "device_type": device["device_type"],
                "status": "Commissioned",
                "mpxns": [device["mpxn"]],
                "certificates": device["certificates"],
                "cells": device["cells"],
            },
        )
        assert answer.status_code == 201, answer.text
    for supplier in world.estate.facts["suppliers"]:
        answer = await world.lab.post(
            "/lab/users",
            json={
                "name": supplier["name"],
                "participant": supplier["participant"],
                "eui": supplier["eui"],
                "roles": ["IS"],
                "callback_url": f"http://users/{supplier['eui']}",
            },
        )
        assert answer.status_code == 201, answer.text


def repository(estate: Estate) -> dict[str, Callable[[Opened, Answer], Awaitable[Answer]]]:
    """An SMKI repository that gives out what the ceremony put there."""
    folder = estate.data / "smki_repository" / "repository"
    held = [
        Certificate.from_pem(path.read_bytes())
        for path in sorted((folder / "certificates").glob("*.pem"))
    ]
    lists = {
        path.stem: read_crl_pem(path.read_bytes())
        for path in sorted((folder / "crl").glob("*.crl"))
    }

    async def certificates(_: Opened, body: Answer) -> Answer:
        found = [
            item
            for item in held
            if (item.issuer, str(item.serial)) == (body.get("issuer"), body.get("serial"))
            or (body["by"] == "eui" and item.subject_eui == body["eui"])
        ]
        return {"version": 1, "certificates": [text(item.der) for item in found]}

    async def revocation(_: Opened, body: Answer) -> Answer:
        known = body["known"]
        return {
            "version": 1,
            "lists": {
                name: None if known.get(name) == item.number else text(item.der)
                for name, item in lists.items()
            },
        }

    return {"smki-certificates": certificates, "smki-revocation": revocation}
