"""The one place that makes HTTP clients.

httpx is the interface, aiohttp the transport: several times cheaper per request and steady under
load where httpx's own connection pool is not.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from typing import Final

import httpx
from httpx_aiohttp import AiohttpTransport

from services.chassis.settings import Settings
from services.chassis.web.fault_points import Wire

TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
LIMITS: Final = httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=4.0)


class Client(httpx.AsyncClient):
    """A client whose transport faults of the lab can be let act on (`ServiceContext.expose`)."""

    def __init__(self, wire: Wire, *, base_url: str, timeout: httpx.Timeout) -> None:
        super().__init__(
            base_url=base_url,
            transport=wire,
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
            headers={"accept-encoding": "identity"},
        )
        self.wire = wire


def client(
    *,
    base_url: str = "",
    tls: ssl.SSLContext | None = None,
    timeout: httpx.Timeout = TIMEOUT,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Client:
    """A client that follows no redirect, reads no proxy from the environment, asks for no encoding.

    Args:
        base_url: Prefix of relative URLs.
        tls: Context for mutual TLS; the machine's own authorities if not given.
        timeout: Per phase of a request, seconds.
        transport: Another transport, for example `httpx.ASGITransport` in tests.
    """
    chosen = transport or AiohttpTransport(
        verify=_public_authorities() if tls is None else tls, trust_env=False, limits=LIMITS
    )
    return Client(Wire(chosen), base_url=base_url, timeout=timeout)


@cache
def _public_authorities() -> ssl.SSLContext:
    """The context of every client that is given none: reading the authorities takes 20 ms."""
    return httpx.create_ssl_context(trust_env=False)


async def post(
    http: httpx.AsyncClient, url: str, content: bytes, kind: str, *, seconds: float, longest: int
) -> tuple[int, bytes | None]:
    """Status and body of an answer; no body where it is too long, or in a coding nobody asked for.

    Whoever is called so is not believed: an answer without end, or a few octets that stand for any
    number of them, must not fill our memory, and one that drips must not hold our time. The
    client's own limits are for each piece of an answer, and start anew with every octet.

    Args:
        http: The client.
        url: Where to.
        content: The body.
        kind: Its content type.
        seconds: How long the whole exchange may take.
        longest: Most octets of an answer.

    Raises:
        httpx.HTTPError: No whole answer came in time.
        httpx.InvalidURL: There is no such place.
    """
    headers = {"content-type": kind}
    try:
        async with (
            asyncio.timeout(seconds),
            http.stream("POST", url, content=content, headers=headers) as answer,
        ):
            if "content-encoding" in answer.headers:
                return answer.status_code, None
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > longest:
                    return answer.status_code, None
            return answer.status_code, bytes(body)
    except TimeoutError:
        raise httpx.ReadTimeout(f"no whole answer within {seconds:g} s") from None


def peer_tls(settings: Settings) -> ssl.SSLContext | None:
    """The client context for peers of the signed link, or None where the settings name none.

    Raises:
        OSError: A file cannot be read or does not fit (`ssl.SSLError` is one).
    """
    shown = settings.link_tls
    if shown is None:
        return None
    password = shown.password_file
    return mutual_tls(
        certificate=str(shown.certificate),
        key=str(shown.key),
        password=None if password is None else password.read_text(encoding="utf-8").strip(),
        authority=str(shown.client_ca),
    )


def mutual_tls(
    *, certificate: str, key: str, password: str | None, authority: str
) -> ssl.SSLContext:
    """A client context for TLS 1.3 in which both ends show a certificate of `authority`.

    Args:
        certificate: Our certificate chain, PEM file.
        key: Our private key, PEM file.
        password: Passphrase of `key`, if it has one.
        authority: The only authority whose servers are trusted, PEM file.

    Raises:
        OSError: A file cannot be read or does not fit (`ssl.SSLError` is one).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key, lambda: password or "")  # never asks a terminal
    return context
