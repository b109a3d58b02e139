"""Talking to a stack: its interfaces as a user would, its lab ports as a tester may."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import httpx

from stack.errors import REFUSED, UNREACHABLE, USAGE, CommandError
from stack.layout import Addresses, Stack

SETTLE_LIMIT = 10.0  # seconds
SETTLED = frozenset({"done", "dead"})
LONG_POLL = 20  # seconds that one question may wait at the service


class Connection:
    """One HTTP client for all systems of a stack.

    Every method raises CommandError: exit code 4 where a system cannot be reached or answers
    outside its interface, exit code 1 where it refuses (with the party and check it names).
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        # Idle connections are given up before the services do (after five seconds), so that no
        # request is ever sent into one that is just being closed.
        self.http = httpx.Client(
            timeout=LONG_POLL + 10.0, limits=httpx.Limits(keepalive_expiry=2.0)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()

    def of(self, system: str) -> Addresses:
        """Where a system listens; a CommandError (exit code 2) if nobody said."""
        if system not in self.stack.services:
            raise CommandError(f"this needs {system}: name it too, by --service", USAGE)
        return self.stack.services[system]

    def lab(self, system: str, method: str, path: str, body: Any = None) -> Any:
        """Call a lab route with that system's lab credential; returns the JSON answer."""
        token = self.stack.lab_tokens.get(system)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = self.of(system).lab + path
        answer = self.send(system, method, url, json=body, headers=headers)
        if answer.is_error:
            raise refusal(system, answer)
        return answer.json() if answer.content else None

    def send(self, system: str, method: str, url: str, **more: Any) -> httpx.Response:
        """Send one request; a transport failure becomes a CommandError."""
        try:
            return self.http.request(method, url, **more)
        except httpx.TransportError as error:
            raise CommandError(
                f"{system} cannot be reached at {url}: {error}", UNREACHABLE
            ) from error

    def submit(self, document: bytes) -> httpx.Response:
        """Post a signed service request to the broker; returns its answer as it is."""
        url = f"{self.of('acb').interface}/service-requests"
        return self.send(
            "acb", "POST", url, content=document, headers={"Content-Type": "application/xml"}
        )

    def request_state(self, request_id: str, *, wait: float = 0) -> dict[str, Any]:
        """What the broker says of a request; with `wait`, after a change or those seconds."""
        url = f"{self.of('acb').interface}/service-requests/{request_id}"
        answer = self.send("acb", "GET", url, params={"wait": wait} if wait else None)
        if answer.is_error:
            raise refusal("acb", answer)
        state: dict[str, Any] = answer.json()
        return state

    def settle(self, limit: float = SETTLE_LIMIT, kind: str | None = None) -> None:
        """Wait until the broker has delivered everything it owes anybody, or `limit` seconds.

        With `kind`, only entries of that kind count: a user whose own service is gone, say, is
        owed its documents for long.
        """
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            owed = self.lab("acb", "GET", "/lab/outbox")["entries"]
            if all(e["state"] in SETTLED for e in owed if kind in (None, e["kind"])):
                return
            time.sleep(0.05)


def refusal(system: str, answer: httpx.Response) -> CommandError:
    """A system's problem document as one sentence: who refused, by which check, and why."""
    try:
        problem = answer.json()
    except ValueError:
        return CommandError(f"{system} answered {answer.status_code}", UNREACHABLE)
    check = f" [{problem['check']}]" if problem.get("check") else ""
    why = problem.get("detail") or problem.get("title") or ""
    return CommandError(f"{problem.get('party') or system} refused{check}: {why}", REFUSED)
