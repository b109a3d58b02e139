"""One change of supplier as the incoming supplier drives it: sign, submit, wait for the outcome."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duis.codes import ACKNOWLEDGED
from duis.errors import DuisError
from duis.xml import response_from_xml
from stack.connection import LONG_POLL, Connection, refusal
from stack.errors import UNDER_WAY, CommandError
from stack.provision import devices_of
from stack.supplier import Supplier
from stack.trace import refusals_of, tell

GIVE_UP = 200.0  # seconds after which a request that has not ended is left to itself
LOOK_AGAIN = 1.0  # seconds between two looks at a request whose progress is shown

Say = Callable[[str], None]

FINAL_STATES = frozenset({"completed", "refused", "failed", "quarantined", "scheduled"})
"""States in which nothing more happens by itself (a scheduled change waits for its date)."""


@dataclass(frozen=True)
class Outcome:
    """How a request ended, and the signed documents that passed at the user's interface."""

    request_id: str
    request: bytes
    state: str
    response_code: str | None
    acknowledgement: bytes | None
    response: bytes | None
    refused: dict[str, Any] | None

    @property
    def ok(self) -> bool:
        """Whether the device now obeys the requester (or will, at the date asked for)."""
        return self.state in {"completed", "scheduled"}

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: documents as text."""
        return {
            "request_id": self.request_id,
            "state": self.state,
            "response_code": self.response_code,
            "refused": self.refused,
            "response": self.response.decode() if self.response else None,
        }


def meter_point_of(connection: Connection, meter: str) -> str:
    """The import MPxN of a device: from the ceremony where it made the device, else the broker."""
    if connection.stack.data and (connection.stack.data / "devices.json").is_file():
        for device in devices_of(connection.stack.data):
            if device["eui"] == meter:
                return str(device["mpxn"])
    told = connection.lab("acb", "GET", f"/lab/devices/{meter}")
    return str(told["mpxns"][0])


def switch(
    connection: Connection,
    data: Path,
    meter: str,
    supplier: str,
    *,
    say: Say | None = None,
    limit: float = GIVE_UP,
) -> Outcome:
    """Let a supplier take over a meter by a 6.23 request that it signs with its own keys."""
    mpxn = meter_point_of(connection, meter)
    request_id, document = Supplier.open(data, supplier).change_of_supplier(meter, mpxn)
    return submit(connection, document, str(request_id), say=say, limit=limit)


def submit(
    connection: Connection,
    document: bytes,
    request_id: str,
    *,
    say: Say | None = None,
    limit: float = GIVE_UP,
) -> Outcome:
    """Post a signed document and wait until the broker says how it ended.

    Args:
        connection: the stack.
        document: the signed request.
        request_id: its request ID.
        say: told each state and each refusal while it is under way.
        limit: seconds after which to give up waiting.

    Raises:
        CommandError: the broker refused the document before it knew who asked (exit code 1, with
            the check's name), cannot be reached (4), or has not come to an end with it (5).
    """
    answer = connection.submit(document)
    if answer.is_error:
        raise refusal("acb", answer)
    check, code = answer.headers.get("Cos-Check"), code_of(answer.content)
    if check and code != ACKNOWLEDGED:  # with that code it was taken, and is held back
        # Refused at once, by name: the answer itself is the signed response.
        told: dict[str, Any] = {
            "state": "refused",
            "response_code": code,
            "refused": {"party": answer.headers.get("Cos-Party", "acb"), "check": check},
            "response": base64.b64encode(answer.content).decode(),
        }
        return outcome(request_id, document, told, None)
    told = await_end(connection, request_id, say, limit)
    return outcome(request_id, document, told, answer.content)


def code_of(document: bytes) -> str | None:
    """The response code of the broker's answer, or None where it is not a Response we can read."""
    try:
        return response_from_xml(document).code
    except DuisError:
        return None


def await_end(
    connection: Connection, request_id: str, say: Say | None, limit: float
) -> dict[str, Any]:
    """Wait until a request ends; what the broker says of it then.

    Raises:
        CommandError: as `submit`, and in the same words where it stands and who refused last.
    """
    deadline = time.monotonic() + limit
    longest = LONG_POLL if say is None else LOOK_AGAIN
    state, heard = "unknown", 0
    while True:
        left = max(0.0, deadline - time.monotonic())
        try:
            told = connection.request_state(request_id, wait=min(longest, left))
        except CommandError as error:
            message = f"{error}; {request_id} was {state} when last heard of"
            raise CommandError(message, error.code, request_id=request_id, state=state) from error
        if say is not None and told["state"] != state:
            say(f"{request_id}: {told['state']}")
        state = told["state"]
        if state in FINAL_STATES:
            return told
        refusals = refusals_so_far(connection, request_id) if say is not None or not left else []
        if say is not None:
            for one in refusals[heard:]:
                say(f"  refused by {one['party']}, check {one['check']}: {one['detail']}")
        heard = len(refusals)
        if not left:
            raise under_way(request_id, state, refusals, limit)


def refusals_so_far(connection: Connection, request_id: str) -> list[dict[str, str]]:
    """Who refused what on the way, in order; none where no lab credential lets us look."""
    try:
        return refusals_of(tell(connection, request_id))
    except CommandError:
        return []


def under_way(
    request_id: str, state: str, refusals: list[dict[str, str]], limit: float
) -> CommandError:
    """Giving up, as an error: where the request stands, and which refusal came last."""
    last = refusals[-1] if refusals else None
    said = "nothing has refused it so far"
    if last is not None:
        said = f"the last refusal was {last['party']}'s, {last['check']}: {last['detail']}"
    return CommandError(
        f"{request_id} is still {state} after {limit:g} s; {said}. It goes on by itself: "
        f"cos trace {request_id}",
        UNDER_WAY,
        request_id=request_id,
        state=state,
        last_refusal=last,
    )


def outcome(request_id: str, request: bytes, told: dict[str, Any], ack: bytes | None) -> Outcome:
    """The broker's JSON answer as a value."""
    response = told.get("response")
    return Outcome(
        request_id=request_id,
        request=request,
        state=told["state"],
        response_code=told.get("response_code"),
        acknowledgement=ack,
        response=base64.b64decode(response) if response else None,
        refused=told.get("refused"),
    )
