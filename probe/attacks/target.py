"""Attacks on the signed link below the request: what two readers would read as two requests.

Octets over a socket of their own, because no HTTP library writes them. Each carries a request that
the broker signed, recorded on the wire.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from probe.attacks.making import attack_row
from probe.forge.link import LinkForge, answered
from probe.model import ORIGIN, Act, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import COS, World
from services.link.wire.message import HttpRequest

RECORDED = "a request that the broker signed, recorded on the wire"


@dataclass(frozen=True)
class Wire:
    """How a signed request is written on the wire.

    Attributes:
        target: the request target; `{host}` and `{path}` are filled in.
        trailers: names of the headers that come after the body instead.
        after: octets right behind the request.
    """

    target: str = "{path}"
    trailers: tuple[str, ...] = ()
    after: bytes = b""

    def write(self, request: HttpRequest, host: str) -> bytes:
        """The octets."""
        target = self.target.format(host=host, path=request.path)
        headers = [(n, v) for n, v in request.headers if n not in self.trailers]
        trailers = [(n, v) for n, v in request.headers if n in self.trailers]
        lines = [f"{request.method} {target} HTTP/1.1", f"Host: {host}", *_lines(headers)]
        body, end = request.body, b""
        if trailers:
            lines += ["Transfer-Encoding: chunked", f"Trailer: {', '.join(self.trailers)}"]
            body = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
            end = "\r\n".join([*_lines(trailers), "", ""]).encode()
        else:
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([*lines, "", ""]).encode()
        return head + body + end + self.after

    def send(self, world: World, party: str) -> Observed:
        """Send a request of the broker so written; what the first answer says."""
        parts = urlsplit(world.connection.stack.services[party].interface)
        octets = self.write(LinkForge(to=party).request(world), parts.netloc)
        try:
            with socket.create_connection((parts.hostname or "", parts.port or 80), 30) as line:
                line.sendall(octets)
                return answered(party, *_first_answer(line))
        except OSError as error:
            return Observed(Refusal(party, "http.closed"), type(error).__name__)


def _lines(headers: list[tuple[str, str]]) -> list[str]:
    return [f"{name}: {value}" for name, value in headers]


def _first_answer(line: socket.socket) -> tuple[int, bytes]:
    received = b""
    while b"\r\n\r\n" not in received or len(received) < _length(received):
        piece = line.recv(65_536)
        if not piece:
            break
        received += piece
    head, _, body = received[: _length(received)].partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    return (int(status[0]), body) if status else (0, json.dumps({"check": "http.closed"}).encode())


def _length(received: bytes) -> int:
    head, _, _ = received.partition(b"\r\n\r\n")
    for one in head.lower().split(b"\r\n"):
        name, _, value = one.partition(b":")
        if name == b"content-length":
            return len(head) + 4 + int(value)
    return len(head) + 4


REFUSED: tuple[tuple[str, str, Wire, str], ...] = (
    ("trailers.digest", "the digest of the body in a trailer",
     Wire(trailers=("content-digest",)), "trailers"),
    ("trailers.signature", "the signature in a trailer",
     Wire(trailers=("signature-input", "signature")), "trailers"),
    ("target.fragment", "a fragment behind the path", Wire("{path}#settled"), "target"),
    ("target.empty-fragment", "an empty fragment behind the path", Wire("{path}#"), "target"),
    ("target.empty-query", "a question mark and no query", Wire("{path}?"), "target"),
    ("target.absolute", "the target in absolute form", Wire("http://{host}{path}"), "target"),
    ("target.absolute-other", "the target in absolute form, of another host",
     Wire("http://registration.invalid{path}"), "target"),
)  # fmt: skip

ANSWERED: tuple[tuple[str, str, bytes], ...] = (
    ("noise", "what is no HTTP behind an honest request", b"\x00\xff\r\n\r\n"),
    ("other-target", "another request, that is refused, behind an honest one",
     b"GET http://registration.invalid/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("endless-head", "a head that is too long behind an honest request",
     b"GET / HTTP/1.1\r\nx: " + b"a" * 70_000),
)  # fmt: skip


def sent(wire: Wire, party: str) -> Act:
    """Send a request so written to a party."""
    return lambda world: wire.send(world, party)


def attacks() -> Iterator[Attack]:
    """Every attack of this module, at each CoS Party."""
    for cos, party in COS.items():
        for name, title, wire, check in REFUSED:
            yield attack_row(
                f"link.{cos}.{name}", f"To {party}: {title}", Rung.RECORDING, ORIGIN, RECORDED,
                sent(wire, party),
                Refusal(party, f"{cos}.request.{check}"), "cos",
            )  # fmt: skip
        for name, title, after in ANSWERED:
            yield attack_row(
                f"link.{cos}.pipelined.{name}", f"To {party}: {title}, which is answered still",
                Rung.HONEST, ORIGIN, RECORDED,
                sent(Wire(after=after), party),
                None, "cos",
            )  # fmt: skip
