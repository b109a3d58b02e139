"""Nonsense that comes from whom it should: signed as it must be, and never answered by a failure.

The link's messages are signed with the link key of a system that may send them, and service
requests with a supplier's key, so that what is mutated gets past the signatures to the readers and
checks behind. Whatever is answered is right, but for a 5xx or nothing at all.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cli.keys_commands import hold_ceremony
from duis.errors import DuisError
from duis.signature import sign_document
from fuzz.devices import honest_messages
from fuzz.finding import PATIENCE, Tally
from fuzz.noise import Noise, mutated
from keys.stores.software import SoftwareKeyStore, read_secret
from services.chassis.time.clock import SystemClock
from services.link.wire.profile import NONCE_OCTETS
from services.link.wire.signing import Address, Stamp, sign_request
from stack.connection import Connection
from stack.processes import start, stop
from stack.provision import devices_of, provision
from stack.supplier import Supplier
from tests.unit.meter_sim.estate import Estate as Meters

XML = "application/xml"
OCTETS = "application/octet-stream"
HOSTILE: tuple[Any, ...] = (
    None, True, 0, -1, 2**70, 1.5, 1e300, "", " ", "\x00", "\ud7ff", "é" * 300, "9" * 5000,
    [], {}, [[]], {"": {}}, [None] * 50, "2026-11-21T12:00:00Z", "0253494d00000005",
)  # fmt: skip
TEXTS = (
    b"", b" ", b"-1", b"0", b"9" * 40, b"true", b"3000-12-31T00:00:00Z", b"2026-13-01T00:00:00Z",
    b"2020-01-01T00:00:00Z", b"2026-11-21T12:00:00", b"Supplier", b"Root", b"MIIB", b"x" * 70_000,
    b"02-53-49-4D-00-00-00-05", b"6.23", "\u0661\u0662".encode(),
)  # fmt: skip
"""Texts that belong somewhere in a service request, or nowhere."""


@dataclass(frozen=True)
class Route:
    """Who may ask which system for what, and what an honest body says."""

    to: str
    purpose: str
    sender: str
    body: Callable[[Noise], dict[str, Any]]


class Estate:
    """A provisioned stack of the run's own, and the keys of who speaks to it."""

    def __init__(self, connection: Connection, data: Path) -> None:
        self.connection = connection
        self.supplier = Supplier.open(data, "B")
        self.device = devices_of(data)[0]
        self._data = data
        self._counter = 0

    def key(self, system: str) -> Any:
        """The link key of a system."""
        folder = self._data / system
        return SoftwareKeyStore.open(folder / "keys", read_secret(folder / "passphrase")).signer(
            "link"
        )

    def document(self, noise: Noise) -> bytes:
        """A service request of the supplier: one value spoilt and signed so, or octets spoilt."""
        self._counter += 1
        eui, mpxn = str(self.device["eui"]), str(self.device["mpxn"])
        _, honest = self.supplier.change_of_supplier(eui, mpxn, counter=self._counter)
        if not noise.below(8):
            return mutated(honest, noise)
        begin, end = honest.index(b"<ds:Signature"), honest.index(b"</ds:Signature>") + 15
        plain = honest[:begin] + honest[end:]
        plain = mutated(plain, noise) if not noise.below(8) else other_value(plain, noise)
        key = self.supplier.keys.signer("xml-signing")
        issuer, serial = key.certificate.issuer, key.certificate.serial
        try:
            return sign_document(plain, issuer, serial, key.sign)
        except DuisError:
            return plain

    def routes(self) -> list[Route]:
        """Every purpose of the link that somebody may ask for."""

        def transaction() -> dict[str, Any]:
            return {"version": 1, "transaction": str(uuid.uuid4())}

        def asked(noise: Noise) -> dict[str, Any]:
            text = base64.b64encode(self.document(noise)).decode()
            return transaction() | {"service_request": text}

        def returned(noise: Noise) -> dict[str, Any]:
            return transaction() | {"message": base64.b64encode(noise.octets(200)).decode()}

        def certificates(noise: Noise) -> dict[str, Any]:
            del noise
            held = self.supplier.keys.certificate("digital-signing")
            by = {"by": "issuer_serial", "issuer": held.issuer, "serial": str(held.serial)}
            return {"version": 1, **by}

        parties = ("ecos_party", "tcos_party")
        return [
            *(Route(to, "cos-command", "acb", asked) for to in parties),
            *(Route(to, "device-response", "acb", returned) for to in parties),
            *(Route(to, "device-alert", "acb", returned) for to in parties),
            Route("smki_repository", "smki-certificates", "acb", certificates),
            Route(
                "smki_repository",
                "smki-revocation",
                "ecos_party",
                lambda _: {"version": 1, "known": {"organisation": 1}},
            ),
            Route(
                "registration",
                "registration-extract",
                "tcos_party",
                lambda _: {"version": 1, "known": 1},
            ),
        ]


def run(count: int, seed: int) -> Iterator[Tally]:
    """About `count` messages to each route of the link, and as many to each of the broker's."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        hold_ceremony(data)
        stack = start(data, lambda _line: None, first_port=None)
        try:
            with Connection(stack) as connection:
                provision(connection, data)
                estate = Estate(connection, data)
                noise = Noise(seed, "authentic")
                for route in estate.routes():
                    yield _link(estate, route, noise, count)
                yield _posted(estate, "service-requests", XML, noise, count)
                yield _posted(estate, "device-messages", OCTETS, noise, count)
        finally:
            stop(stack)


def other_value(document: bytes, noise: Noise) -> bytes:
    """The document with the text of one element replaced; its markup stays as it is."""
    texts = list(re.finditer(rb">([^<>]+)<", document))
    found = noise.one_of(texts)
    text = found[1]
    match noise.below(4):
        case 0:
            text = noise.one_of(texts)[1]
        case 1:
            text = noise.one_of(TEXTS)
        case _ if len(text) > 60:  # a certificate
            text = base64.b64encode(mutated(base64.b64decode(text), noise))
        case _:
            kept = bytes(one for one in mutated(text, noise) if chr(one).isalnum() or one in b"-:")
            text = kept or b"0"
    return document[: found.start(1)] + text + document[found.end(1) :]


def spoilt(value: Any, noise: Noise) -> Any:
    """The value with something in it taken out, put in, or replaced by what nobody expects."""
    if isinstance(value, dict) and value and noise.below(4):
        name = noise.one_of(sorted(value))
        match noise.below(6):
            case 0:
                return {key: one for key, one in value.items() if key != name}
            case 1:
                return value | {"more": noise.one_of(HOSTILE)}
            case _:
                return value | {name: spoilt(value[name], noise)}
    if isinstance(value, str) and value and noise.below(2):
        return mutated(value.encode(), noise).decode("utf-8", "replace")
    return noise.one_of(HOSTILE)


def _link(estate: Estate, route: Route, noise: Noise, count: int) -> Tally:
    tally = Tally(f"signed nonsense, {route.purpose} at {route.to}")
    key, base_url = estate.key(route.sender), estate.connection.stack.services[route.to].interface
    path = f"/link/{route.purpose}"
    for _ in range(count):
        body = route.body(noise)
        if noise.below(2):
            body = spoilt(body, noise)
        octets = json.dumps(body).encode()
        if not noise.below(8):
            octets = mutated(octets, noise)
        stamp = Stamp(
            key.certificate.key_identifier.hex(),
            secrets.token_urlsafe(NONCE_OCTETS),
            int(SystemClock().now().timestamp()),
        )
        address = Address(route.purpose, str(uuid.uuid4()), route.sender, route.to)
        signed = sign_request(path, octets, address, stamp, key.sign)
        _sent(estate, base_url + path, octets, dict(signed.headers), tally)
    return tally


def _posted(estate: Estate, path: str, content_type: str, noise: Noise, count: int) -> Tally:
    tally = Tally(f"signed nonsense, /{path} at acb")
    url = f"{estate.connection.stack.services['acb'].interface}/{path}"
    messages = honest_messages(Meters())
    for _ in range(count):
        octets = estate.document(noise) if content_type == XML else mutated(
            noise.one_of(messages), noise
        )  # fmt: skip
        _sent(estate, url, octets, {"content-type": content_type}, tally)
    return tally


def _sent(estate: Estate, url: str, octets: bytes, headers: dict[str, str], tally: Tally) -> None:
    try:
        answer = estate.connection.http.post(url, content=octets, headers=headers, timeout=PATIENCE)
    except httpx.TransportError as error:
        tally.found(f"no answer: {type(error).__name__}", octets)
        return
    if answer.is_server_error:
        tally.found(f"answered {answer.status_code}", octets)
        return
    tally.refused(_who(answer))


def _who(answer: httpx.Response) -> str:
    """The status, and the check that refused where the answer names one."""
    try:
        named = answer.json().get("check") if answer.is_error else answer.headers.get("cos-check")
    except (ValueError, AttributeError):
        named = None
    return f"{answer.status_code} {named or ''}".rstrip()
