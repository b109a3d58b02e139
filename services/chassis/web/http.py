"""The one place that makes HTTP clients.

Parties call each other by a `Caller`; people's tools and tests use httpx, made by `client`. Where a
party's code takes either, it is so that a test can stand in for the network.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from services.chassis.faults.messages import Answer, Asked
from services.chassis.faults.unsafe_network import Lost
from services.chassis.settings import Settings
from services.chassis.web.fault_points import Exposure
from services.chassis.web.keep_alive import (
    PIECE_SECONDS,
    ConnectError,
    InvalidURL,
    KeepAlive,
    NoAnswer,
    Pairs,
    ReadTimeout,
    RemoteProtocolError,
    Reply,
    place_of,
)

if TYPE_CHECKING:
    import httpx

    from services.chassis.web.httpx_client import Client as Client  # noqa: PLC0414 - told on

__all__ = ["Caller", "Http", "NoAnswer", "Reply"]
__all__ += ["client", "exchange", "mutual_tls", "peer_tls", "post"]

_OURS: Final = frozenset({b"host", b"accept-encoding", b"content-length"})
"""Headers that the client writes by itself."""


class Caller:
    """A party's own client. Faults of the lab can be let act on it (`ServiceContext.expose`).

    Args:
        tls: Context for mutual TLS; the machine's own authorities if not given.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.wire = Exposure()
        self._pool = KeepAlive(tls)

    async def post(self, url: str, headers: Pairs, body: bytes, longest: int) -> Reply:
        """As `KeepAlive.post`, with what befalls the exchange while faults are armed."""
        network = self.wire.network
        if network is None:
            return await self._pool.post(url, headers, body, longest)
        whole = True

        async def ask(asked: Asked) -> Answer:
            nonlocal whole
            kept = tuple(pair for pair in asked.headers if pair[0].lower() not in _OURS)
            reply = await self._pool.post(url, kept, asked.body, longest)
            whole = reply.body is not None
            return Answer(reply.status, reply.headers, reply.body or b"")

        asked = Asked("POST", place_of(url).path.partition("?")[0], headers, body)
        try:
            answer = await self.wire.carried(network, url, asked, ask, PIECE_SECONDS)
        except Lost:
            raise RemoteProtocolError("the connection was closed without an answer") from None
        except TimeoutError:
            raise ReadTimeout("no answer in time") from None
        return Reply(answer.status, answer.headers, answer.body if whole else None)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._pool.aclose()

    async def __aenter__(self) -> Self:
        """Nothing is open yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its connections."""
        await self.aclose()


if TYPE_CHECKING:
    Http = Caller | httpx.AsyncClient
    """What a party calls others by: its own client, or in tests a stand-in for the network."""
else:
    Http = object


def client(**chosen: Any) -> Client:
    """A client of httpx, for people and tests: see `services.chassis.web.httpx_client.client`."""
    from services.chassis.web import httpx_client  # noqa: PLC0415 - parties do without it

    return httpx_client.client(**chosen)


async def exchange(
    http: Http,
    url: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    *,
    seconds: float,
    longest: int,
) -> Reply:
    """Send a request, and give its whole answer.

    Whoever is called so is not believed: an answer without end must not fill our memory, and one
    that drips must not hold our time. The client's own limits are for each piece of an answer, and
    start anew with every octet.

    Args:
        http: The client.
        url: Where to.
        headers: The request's.
        body: Its body, sent as it is.
        seconds: How long the whole exchange may take.
        longest: Most octets of an answer's body; of a longer one there is none.

    Raises:
        NoAnswer: No whole answer came; its kind says why.
        TimeoutError: Not within `seconds`.
    """
    async with asyncio.timeout(seconds):
        if isinstance(http, Caller):
            pairs = tuple(
                [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
            )
            return await http.post(url, pairs, body, longest)
        return await _through_httpx(http, url, headers, body, longest)


async def _through_httpx(
    http: httpx.AsyncClient, url: str, headers: Sequence[tuple[str, str]], body: bytes, longest: int
) -> Reply:
    import httpx  # noqa: PLC0415 - parties do without it

    try:
        asked = http.build_request("POST", url, headers=list(headers), content=body)
        answer = await http.send(asked, stream=True)
        read, whole = bytearray(), True
        try:
            async for part in answer.aiter_bytes():
                read += part
                whole = len(read) <= longest
                if not whole:
                    break
        finally:
            await answer.aclose()
    except httpx.TimeoutException as error:
        raise ReadTimeout(str(error)) from error
    except httpx.ConnectError as error:
        raise ConnectError(str(error)) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise InvalidURL(str(error)) from error
    except httpx.HTTPError as error:
        raise RemoteProtocolError(str(error)) from error
    kept = tuple((name.lower(), value) for name, value in answer.headers.raw)
    return Reply(answer.status_code, kept, bytes(read) if whole else None)


async def post(
    http: Http,
    url: str,
    content: bytes,
    kind: str,
    *,
    seconds: float,
    longest: int,
) -> tuple[int, bytes | None]:
    """Status and body of an answer; no body where it is too long, or in a coding nobody asked for.

    A few octets in a coding could stand for any number of them.

    Args:
        http: The client.
        url: Where to.
        content: The body.
        kind: Its content type.
        seconds: How long the whole exchange may take.
        longest: Most octets of an answer.

    Raises:
        NoAnswer: No whole answer came in time, or there is no such place.
    """
    headers = (("content-type", kind),)
    try:
        reply = await exchange(http, url, headers, content, seconds=seconds, longest=longest)
    except TimeoutError:
        raise ReadTimeout(f"no whole answer within {seconds:g} s") from None
    coded = any(name == b"content-encoding" for name, _ in reply.headers)
    return reply.status, None if coded else reply.body


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
