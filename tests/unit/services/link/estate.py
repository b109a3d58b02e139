"""A small estate for the link's tests: an authority, four systems, and a party with its store."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fastapi import APIRouter, FastAPI

from keys.certificate import Certificate, key_identifier
from keys.crl import make_crl
from services.chassis.checks import CheckBook
from services.chassis.data.audit import AuditLog
from services.chassis.data.store import Database
from services.chassis.web.http import client
from services.link.checks import link_checks
from services.link.client import LinkClient
from services.link.identity import LinkIdentity
from services.link.opened import Opened
from services.link.server import LinkServer
from services.link.store.evidence import EvidenceLog
from services.link.store.nonces import NonceWindow
from services.link.trust import LinkTrust
from services.link.wire.message import HttpRequest, HttpResponse

NOW = datetime(2026, 3, 26, 12, 0, 0, tzinfo=UTC)
POLICY = "2.999.1.3"
SYSTEMS = ("acb", "ecos_party", "tcos_party", "registration")


class HeldClock:
    """A clock that a test moves."""

    def __init__(self, now: datetime = NOW) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at

    def step(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Held:
    """A key with its certificate, as `keys.stores.store.Signer` has it."""

    def __init__(self, private: ec.EllipticCurvePrivateKey, certificate: Certificate) -> None:
        self._private = private
        self.certificate = certificate

    def sign(self, data: bytes) -> bytes:
        return raw_sign(self._private, data)

    @property
    def key_id(self) -> str:
        return self.certificate.key_identifier.hex()


def raw_sign(private: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class Authority:
    """An infrastructure authority that issues link certificates."""

    def __init__(self, name: str = "SIM-I1") -> None:
        self._private = new_key()
        printable = _ASN1Type.PrintableString
        self._name = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, name, printable),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "00", printable),
            ]
        )
        public = self._private.public_key()
        self._identifier = key_identifier(public)
        builder = _begin(self._name, self._name, public, NOW, NOW + timedelta(days=3650))
        builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        signed = builder.sign(self._private, hashes.SHA256())
        self.certificate = Certificate.from_der(signed.public_bytes(Encoding.DER))

    def issue(
        self,
        system: str,
        *,
        since: datetime = NOW - timedelta(days=1),
        until: datetime = NOW + timedelta(days=365),
        unit: str = "SIM-LINK",
        extended: bool = True,
    ) -> Held:
        private = new_key()
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, system),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            ]
        )
        builder = _begin(subject, self._name, private.public_key(), since, until)
        builder = builder.add_extension(_usage("digital_signature"), critical=True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier(self._identifier, None, None), critical=False
        )
        if extended:
            names = [x509.DNSName(system), x509.DNSName("localhost")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
        signed = builder.sign(self._private, hashes.SHA256())
        return Held(private, Certificate.from_der(signed.public_bytes(Encoding.DER)))

    def revocation_list(
        self, *serials: int, number: int = 1, at: datetime = NOW, days: int = 30
    ) -> bytes:
        return make_crl(
            self.certificate,
            lambda data: raw_sign(self._private, data),
            number=number,
            this_update=at - timedelta(hours=1),
            next_update=at + timedelta(days=days),
            revoked={serial: at - timedelta(hours=2) for serial in serials},
        )


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    since: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(secrets.randbits(120) + 1)
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(
            x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(POLICY), None)]),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier(key_identifier(public)), critical=False)
    )


def _usage(*names: str) -> x509.KeyUsage:
    flags = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{flag: flag in names for flag in flags})


@dataclass
class Estate:
    """Every system's link key, and the trust folder they share."""

    authority: Authority = field(default_factory=Authority)
    holders: dict[str, Held] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for system in SYSTEMS:
            self.holders.setdefault(system, self.authority.issue(system))

    def trust(self, **changed: Held) -> LinkTrust:
        pinned = {system: held.certificate for system, held in self.holders.items()}
        pinned |= {system: held.certificate for system, held in changed.items()}
        return LinkTrust(self.authority.certificate, pinned)

    def identity(self, system: str) -> LinkIdentity:
        return LinkIdentity(system, self.holders[system])

    def without_private(self) -> dict[str, Certificate]:
        return {system: held.certificate for system, held in self.holders.items()}


ALLOWED: Mapping[str, frozenset[str]] = {
    "cos-command": frozenset({"acb"}),
    "device-alert": frozenset({"acb"}),
    "registration-notice": frozenset({"registration"}),
}


@dataclass
class Party:
    """One party with its store: a link server, and what its handlers did."""

    system: str
    database: Database
    audit: AuditLog
    evidence: EvidenceLog
    nonces: NonceWindow
    clock: HeldClock
    book: CheckBook
    server: LinkServer
    app: FastAPI
    handled: list[Opened] = field(default_factory=list)

    def transport(self) -> httpx.AsyncBaseTransport:
        return httpx.ASGITransport(app=self.app, raise_app_exceptions=True)

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Put exact bytes on the wire to this party."""
        headers = [(name.encode(), value.encode("latin-1")) for name, value in request.headers]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "path": unquote(request.path),
            "raw_path": request.path.encode("latin-1"),
            "query_string": request.query.encode("latin-1"),
            "headers": [(b"host", b"ecos_party"), *headers],
            "scheme": "http",
            "server": ("ecos_party", 80),
            "client": ("127.0.0.1", 1),
            "root_path": "",
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start = sent[0]
        pairs = tuple((n.decode(), v.decode("latin-1")) for n, v in start["headers"])
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return HttpResponse(start["status"], pairs, body)

    async def rows(self, kind: str | None = None) -> list[dict[str, Any]]:
        found = await self.audit.export()
        return [row for row in found if kind in {None, row["kind"]}]

    async def state(self) -> tuple[Any, ...]:
        """All that an act could have changed: what handlers did, nonces, messages."""
        async with self.database.connect() as conn:
            nonces = conn.driver.execute("select * from link_nonce order by 1,2").fetchall()
            messages = conn.driver.execute("select * from link_message order by 1,2,3").fetchall()
        return len(self.handled), tuple(nonces), tuple(messages)


async def open_party(
    folder: Path,
    estate: Estate,
    *,
    system: str = "ecos_party",
    clock: HeldClock | None = None,
    trust: LinkTrust | None = None,
    allowed: Mapping[str, frozenset[str]] = ALLOWED,
    answer: Callable[[Opened], Any] | None = None,
) -> Party:
    """Start a party on the store in `folder` (twice on one folder: a restart)."""
    held_clock = clock or HeldClock()
    database = await Database.open(folder / f"{system}.db")
    audit = AuditLog(database, held_clock)
    evidence = EvidenceLog(database, audit)
    nonces = await NonceWindow.open(database)
    book = CheckBook(system, link_checks())
    server = LinkServer(
        identity=estate.identity(system),
        trust=trust or estate.trust(),
        allowed=allowed,
        nonces=nonces,
        evidence=evidence,
        clock=held_clock,
        book=book,
    )
    app = FastAPI()
    party = Party(system, database, audit, evidence, nonces, held_clock, book, server, app)
    router = APIRouter()

    async def handle(opened: Opened) -> dict[str, Any]:
        party.handled.append(opened)
        if answer is not None:
            said = answer(opened)
            return await said if hasattr(said, "__await__") else said
        return {"version": 1, "acts": len(party.handled)}

    for purpose in allowed:
        router.post(f"/link/{purpose}")(server.route(purpose)(handle))
    app.include_router(router)
    return party


async def open_caller(
    folder: Path,
    estate: Estate,
    transport: httpx.AsyncBaseTransport,
    *,
    system: str = "acb",
    peer: str = "ecos_party",
    clock: HeldClock | None = None,
    trust: LinkTrust | None = None,
) -> tuple[LinkClient, Party]:
    """A party that calls `peer` over `transport`."""
    party = await open_party(
        folder,
        estate,
        system=system,
        clock=clock,
        trust=trust,
        allowed={"registration-notice": frozenset({"registration"})},
    )
    link = LinkClient(
        identity=estate.identity(system),
        trust=trust or estate.trust(),
        peer=peer,
        base_url="http://peer.invalid",
        http=client(transport=transport),
        evidence=party.evidence,
        clock=party.clock,
        book=party.book,
    )
    return link, party
