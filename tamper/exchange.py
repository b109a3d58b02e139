"""One request and its answer on their way through the proxy, and what a script may do to them.

A script changes `method`, `path`, `headers` and `body` of `exchange.request` (and `status`,
`headers` and `body` of `exchange.response`) by assignment, and calls the methods of `Exchange`.
`Received` keeps what really came, untouched, for comparison.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keys.errors import KeysError
from keys.stores.software import SoftwareKeyStore, read_secret
from services.chassis.time.clock import SystemClock
from services.link.errors import LinkError
from services.link.wire import profile
from services.link.wire.message import Headers, HttpRequest, HttpResponse
from services.link.wire.signing import Address, Stamp, sign_request, sign_response
from tamper.decoding import decode_message
from tamper.errors import TamperError

_SIGNED_HEADERS = frozenset(profile.REQUEST.headers)


@dataclass
class _Part:
    """What a request and a response have in common: headers and body."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first value of a header, or None."""
        return next((value for known, value in self.headers if known == name.lower()), None)

    def set_header(self, name: str, value: str | None) -> None:
        """Replace every header of that name by one, in place of the first; None: by none."""
        name = name.lower()
        at = next((i for i, (known, _) in enumerate(self.headers) if known == name), None)
        kept = [pair for pair in self.headers if pair[0] != name]
        if value is not None:
            kept.insert(len(kept) if at is None else at, (name, value))
        self.headers = kept

    @property
    def json(self) -> Any:
        """The body as JSON.

        Raises:
            TamperError: it is not JSON.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise TamperError(f"the body is not JSON: {error}") from error

    @json.setter
    def json(self, value: Any) -> None:
        self.body = json.dumps(value, separators=(",", ":")).encode()

    def flip(self, position: int = 0, mask: int = 0x01) -> None:
        """Invert the bits of `mask` in one octet of the body.

        Raises:
            TamperError: the body is not that long.
        """
        if not -len(self.body) <= position < len(self.body):
            raise TamperError(f"the body has {len(self.body)} octets, none at {position}")
        changed = bytearray(self.body)
        changed[position] ^= mask
        self.body = bytes(changed)

    def decoded(self) -> dict[str, Any]:
        """What it says; see `tamper.decoding`."""
        return decode_message(tuple(self.headers), self.body)


@dataclass
class Request(_Part):
    """A request as it will be sent on. `path` is as in the request line, with any query."""

    method: str = "POST"
    path: str = "/"

    def frozen(self) -> HttpRequest:
        """The request as a value of the link."""
        path, _, query = self.path.partition("?")
        return HttpRequest(self.method, path, query, tuple(self.headers), self.body)

    def copy(self) -> Request:
        """The same, apart from this one."""
        return Request(list(self.headers), self.body, self.method, self.path)


@dataclass
class Response(_Part):
    """An answer as it will be given back."""

    status: int = 200

    def frozen(self) -> HttpResponse:
        """The response as a value of the link."""
        return HttpResponse(self.status, tuple(self.headers), self.body)

    def copy(self) -> Response:
        """The same, apart from this one."""
        return Response(list(self.headers), self.body, self.status)


Send = Callable[[Request], Response]


@dataclass
class Exchange:
    """One request and its answer.

    Attributes:
        number: counted by the proxy, from 1.
        received: the request exactly as it came.
        request: the request as it will be sent on; a script changes this one.
        response: the answer as it will be given back; None until there is one.
        dropped: whether the connection will be closed instead.
        acts: what was done to it, for people.
    """

    number: int
    received: HttpRequest
    request: Request
    send: Send = field(repr=False)
    response: Response | None = None
    dropped: bool = False
    acts: list[str] = field(default_factory=list)

    @property
    def given_back(self) -> Response | None:
        """What the caller gets; None where its connection is closed instead."""
        return None if self.dropped else self.response

    def drop(self) -> None:
        """Close the caller's connection without an answer: the message is lost."""
        self.dropped = True
        self.acts.append("dropped")

    def answer(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """Answer in place of the other side. From `request(exchange)`, it is not asked at all."""
        self.response = Response(list(headers), body, status)
        self.acts.append(f"answered {status} in place of the other side")

    def send_again(self, request: Request | None = None) -> Response:
        """Send the request (or a recorded one, unchanged) to the other side now.

        Returns:
            The answer. The caller does not see it.

        Raises:
            TamperError: the other side cannot be reached.
        """
        answer = self.send(request or self.request)
        self.acts.append(f"sent again: {answer.status} {refusing_check(answer)}".rstrip())
        return answer

    def resign(self, folder: Path | str, passphrase: bytes | str | Path, system: str) -> None:
        """Sign the message anew with the link key of a key folder, as a system of one's choice.

        Signs the response if there is one, else the request, as it is now: everything that the
        link covers is made to fit. Purpose, message identifier and recipient stay as they are.
        A response is bound to the request that the caller really sent.

        Args:
            folder: a key folder with `link.key` and `link.pem`.
            passphrase: of that folder; a `Path` is read as a passphrase file.
            system: who is said to have sent it (`Cos-Sender`), whoever's key it is.

        Raises:
            TamperError: the folder cannot be opened, or the message lacks what a signature covers.
        """
        try:
            secret = read_secret(passphrase) if isinstance(passphrase, Path) else passphrase
            octets = secret.encode() if isinstance(secret, str) else secret
            signer = SoftwareKeyStore.open(Path(folder), octets).signer("link")
        except (KeysError, OSError) as error:
            raise TamperError(f"the key folder cannot be opened: {error}") from error
        stamp = Stamp(
            key_id=signer.certificate.key_identifier.hex(),
            nonce=secrets.token_urlsafe(profile.NONCE_OCTETS),
            created=int(SystemClock().now().timestamp()),
        )
        try:
            if self.response is None:
                made = sign_request(
                    self.request.path,
                    self.request.body,
                    Address(
                        purpose=self.request.header(profile.PURPOSE) or "",
                        message_id=self.request.header(profile.MESSAGE_ID) or "",
                        sender=system,
                        recipient=self.request.header(profile.RECIPIENT) or "",
                    ),
                    stamp,
                    signer.sign,
                )
                _replace_signed(self.request, made.headers)
            else:
                answer = sign_response(
                    self.received,
                    self.response.status,
                    self.response.body,
                    sender=system,
                    stamp=stamp,
                    sign=signer.sign,
                )
                _replace_signed(self.response, answer.headers)
        except LinkError as error:
            raise TamperError(f"cannot be signed: {error}") from error
        self.acts.append(f"re-signed as {system} with the key of {signer.certificate.common_name}")


def _replace_signed(part: _Part, fresh: Headers) -> None:
    part.headers = [pair for pair in part.headers if pair[0] not in _SIGNED_HEADERS]
    part.headers.extend(fresh)


def refusing_check(answer: Response) -> str:
    """The check that an answer names as the one that refused, or nothing."""
    try:
        told = json.loads(answer.body)
    except ValueError:
        return ""
    return str(told.get("check") or "") if isinstance(told, dict) else ""
