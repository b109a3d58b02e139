"""A supplier's Receive Response Service: where the broker delivers signed responses and alerts.

Suppliers run this themselves; here it is a small listener inside the command, one path per
supplier. It answers 204 to everything and keeps the exact octets, in the order of arrival.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

MAX_DOCUMENT = 1 << 20  # octets


@dataclass(frozen=True)
class ReceivedDocument:
    """One document that the broker delivered: to whom, and its exact octets."""

    supplier: str
    document: bytes


class Receiver:
    """Listens until closed; `wait_for` blocks until enough documents have come for a supplier."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.deliveries: list[ReceivedDocument] = []
        self.changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                if not 0 < length <= MAX_DOCUMENT:
                    self.send_response(413)
                    self.end_headers()
                    return
                document = self.rfile.read(length)
                name = self.path.strip("/").split("/")[-1]
                with receiver.changed:
                    receiver.deliveries.append(ReceivedDocument(name, document))
                    receiver.changed.notify_all()
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                del format, args

        self.server = ThreadingHTTPServer((host, port), Handler)
        self.base_url = f"http://{host}:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def url(self, supplier: str) -> str:
        """The callback URL to register for a supplier."""
        return f"{self.base_url}/responses/{supplier}"

    def received(self, supplier: str) -> list[bytes]:
        """What has come for a supplier so far."""
        with self.changed:
            return [d.document for d in self.deliveries if d.supplier == supplier]

    def wait_until(self, supplier: str, wanted: Callable[[bytes], bool], limit: float) -> bytes:
        """The first document for a supplier that is `wanted`, once it has come.

        What was owed from before, to a receiver that is gone, may come in between: a number of
        documents says nothing of which they are.

        Raises:
            TimeoutError: `limit` seconds are over and it has not come.
        """

        def found() -> bytes | None:
            return next(
                (
                    d.document
                    for d in self.deliveries
                    if d.supplier == supplier and wanted(d.document)
                ),
                None,
            )

        with self.changed:
            document = self.changed.wait_for(found, limit)
        if document is None:
            raise TimeoutError(f"supplier {supplier} was not sent it in {limit:g} s")
        return document

    def after(self, seen: int, limit: float | None) -> list[ReceivedDocument]:
        """Whatever came after the first `seen` documents; waits for one, or `limit` seconds."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.deliveries) > seen, limit)
            return self.deliveries[seen:]

    def wait_for(self, supplier: str, count: int, limit: float) -> list[bytes]:
        """Wait until `count` documents have come for a supplier, or `limit` seconds are over."""

        def enough() -> bool:
            return sum(d.supplier == supplier for d in self.deliveries) >= count

        with self.changed:
            self.changed.wait_for(enough, limit)
        return self.received(supplier)


def own_address(towards: str) -> str:
    """The address of this machine that the host of a URL would see us under.

    No packet is sent: connecting a datagram socket only chooses the route.
    """
    parts = urlsplit(towards)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((parts.hostname or "127.0.0.1", parts.port or 80))
        return str(probe.getsockname()[0])
