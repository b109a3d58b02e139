"""What the fixtures hand to a test: a running stack and the devices in it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pytest_cos_stack.calls import LONG_POLL, Answer, call, told_by
from pytest_cos_stack.command import Cos
from pytest_cos_stack.errors import CosError, RefusedError
from pytest_cos_stack.story import REQUEST_ID, TELLERS, Story, Told
from pytest_cos_stack.supplier import Supplier, suppliers_in

SYSTEMS: Final = (
    "smki_repository", "registration", "tcos_party", "ecos_party", "acb", "meter_sim",
)  # fmt: skip
"""The devices last: where a clock is moved, what falls due acts at once, and the others shall know
the time by then."""
FINAL_STATES: Final = frozenset({"completed", "refused", "failed", "quarantined", "scheduled"})
"""States in which nothing more happens by itself (a scheduled change waits for its date)."""

Document = bytes | tuple[str, bytes]
"""A signed document, or what `Supplier.change_of_supplier` gives: its request ID and itself."""

_INSTALLED: Final = ("eui", "device_type", "cells", "certificates")
_MOST_TRACES: Final = 1000  # subjects looked at, to see which requests a test made


@dataclass(frozen=True)
class Addresses:
    """Base URLs of one system: its interface and its lab port."""

    interface: str
    lab: str


@dataclass(frozen=True)
class Device:
    """A meter of the stack.

    Attributes:
        eui: its entity identifier, 16 lower-case hexadecimal digits.
        mpxn: the import meter point that it belongs to.
        cos_party: the CoS Party whose certificate it holds.
    """

    eui: str
    mpxn: str
    cos_party: str


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


Submit = Callable[[Document], Outcome]


@dataclass(frozen=True)
class CosStack:
    """A running stack.

    Attributes:
        services: where each system listens.
        tokens: the lab credential of each system.
        data: its data folder; None where only URLs are known.
        cos: gives the `cos` command; asked only when something is to be signed.
    """

    services: Mapping[str, Addresses]
    tokens: Mapping[str, str] = field(repr=False)
    data: Path | None
    cos: Callable[[], Cos] = field(repr=False)

    def url(self, system: str) -> str:
        """The base URL of a system's interface."""
        return self._of(system).interface

    def lab(self, system: str, method: str, path: str, body: Any = None) -> Any:
        """Call a lab route with that system's credential; the JSON answer.

        Raises:
            RefusedError: it refused.
            CosError: it cannot be reached, or nobody said where it is.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if system in self.tokens:
            headers["Authorization"] = f"Bearer {self.tokens[system]}"
        octets = None if body is None else json.dumps(body).encode()
        return told_by(system, call(method, self._of(system).lab + path, octets, headers))

    def suppliers(self) -> dict[str, Supplier]:
        """Every supplier of the stack by its name."""
        return suppliers_in(self._folder(), self.cos())

    def fresh_device(self, cos_party: str) -> Device:
        """A meter that trusts that CoS Party, put back as the key ceremony made it."""
        known = json.loads((self._folder() / "devices.json").read_text())
        made = next((one for one in known if one["cos_party"] == cos_party), None)
        if made is None:
            raise LookupError(f"no meter here trusts {cos_party!r}")
        try:
            self.lab("meter_sim", "DELETE", f"/lab/devices/{made['eui']}")
        except RefusedError as error:
            if error.status != 404:  # it is not installed
                raise
        self.lab("meter_sim", "POST", "/lab/devices", {name: made[name] for name in _INSTALLED})
        record = {name: made[name] for name in _INSTALLED}
        record |= {"status": "Commissioned", "mpxns": [made["mpxn"]]}
        self.lab("acb", "POST", "/lab/devices", record)
        return Device(made["eui"], made["mpxn"], cos_party)

    def submit(self, document: Document) -> Outcome:
        """Send a signed document to the broker exactly as it is, and wait for the outcome.

        Raises:
            RefusedError: the broker refused it before it knew who asked.
            CosError: the broker cannot be reached, or the request does not end.
        """
        octets = document if isinstance(document, bytes) else document[1]
        url = f"{self.url('acb')}/service-requests"
        answer = call("POST", url, octets, {"Content-Type": "application/xml"})
        if answer.status >= 400:
            told_by("acb", answer)
        found = REQUEST_ID.search(octets.decode("utf-8", "replace"))
        request_id = found.group() if found else ""
        if check := answer.headers.get("cos-check"):
            # Refused at once, by name: the answer itself is the signed response.
            party = answer.headers.get("cos-party", "acb")
            told: dict[str, Any] = {"state": "refused", "refused": {"party": party, "check": check}}
            return _outcome(request_id, octets, told, None, answer.body)
        return self._follow(request_id, octets, answer)

    def _follow(self, request_id: str, request: bytes, acknowledged: Answer) -> Outcome:
        url = f"{self.url('acb')}/service-requests/{request_id}?wait={LONG_POLL}"
        for _ in range(10):
            told = told_by("acb", call("GET", url))
            if told["state"] in FINAL_STATES:
                response = told.get("response")
                signed = base64.b64decode(response) if response else None
                return _outcome(request_id, request, told, acknowledged.body, signed)
        raise CosError(f"{request_id} does not end within {10 * LONG_POLL} s")

    def story(self, request: Outcome | str) -> Story:
        """What every system says it did with a request (an outcome, or a request ID)."""
        request_id = request if isinstance(request, str) else request.request_id
        story = Story(request_id)
        for party in TELLERS:
            story.events += self._told(party, request_id)
        references = {event.gbcs_ref for event in story.events if event.gbcs_ref}
        for reference in sorted(references):
            for party in (*TELLERS, "meter_sim"):
                story.events += self._told(party, reference)
        story.events.sort(key=lambda event: event.at)
        return story

    def requests_seen(self) -> dict[str, int]:
        """The requests that the broker has heard of last, and how much it has to tell of each."""
        told = self.lab("acb", "GET", f"/lab/traces?limit={_MOST_TRACES}")["traces"]
        return {
            one["subject"]: one["entries"] for one in told if REQUEST_ID.fullmatch(one["subject"])
        }

    def _told(self, party: str, subject: str) -> list[Told]:
        if party not in self.services:
            return []
        try:
            told = self.lab(party, "GET", f"/lab/trace/{quote(subject, safe=':')}")
        except RefusedError as error:
            if error.status == 404:
                return []
            raise
        return [Told.of(party, entry) for entry in told["entries"]]

    def _of(self, system: str) -> Addresses:
        if system not in self.services:
            raise CosError(f"nobody said where {system} is: --cos-service {system}=URL,LAB_URL")
        return self.services[system]

    def _folder(self) -> Path:
        if self.data is None:
            raise CosError("suppliers and devices are in the stack's data folder: --cos-data=DIR")
        return self.data


def _outcome(
    request_id: str,
    request: bytes,
    told: dict[str, Any],
    acknowledgement: bytes | None,
    response: bytes | None,
) -> Outcome:
    return Outcome(
        request_id, request, told["state"], told.get("response_code"), acknowledgement, response,
        told.get("refused"),
    )  # fmt: skip


@contextmanager
def started(data: Path, cos: Cos) -> Iterator[CosStack]:
    """A new stack in a folder that does not exist yet, stopped at the end."""
    try:
        cos.run("up", "--detach", "--json", data=data)
        yield of_folder(data, lambda: cos)
    finally:
        if (data / "stack.json").is_file():
            cos.run("down", "--json", data=data)


def attached(
    data: Path | None, services: list[str], tokens: list[str], cos: Callable[[], Cos]
) -> CosStack:
    """The stack that runs in a folder, or that is named by URL; it is left running.

    Args:
        data: its data folder, if there is one at hand.
        services: ``NAME=INTERFACE_URL[,LAB_URL]`` each; the folder's where none.
        tokens: ``NAME=TOKEN`` each: lab credentials.
        cos: gives the command, when something is to be signed.

    Raises:
        CosError: none was ever started there, or not all of it is ready.
    """
    if services:
        named = dict(_pair(text) for text in services)
        stack = CosStack(
            {name: _addresses(urls) for name, urls in named.items()},
            (_tokens_in(data) if data else {}) | dict(_pair(text) for text in tokens),
            data.absolute() if data else None,
            cos,
        )
    else:
        assert data is not None
        stack = of_folder(data.absolute(), cos, named=data)
    for system in stack.services:
        if call("GET", f"{stack.services[system].lab}/readyz").status >= 400:
            raise CosError(f"{system} is not ready")
    return stack


def of_folder(data: Path, cos: Callable[[], Cos], named: Path | None = None) -> CosStack:
    """The stack that a data folder describes.

    Raises:
        CosError: none was ever started there.
    """
    path = data / "stack.json"
    if not path.is_file():
        shown = named or data
        raise CosError(f"no stack in {shown}: start one with `cos up --detach --data {shown}`")
    told = json.loads(path.read_text())["services"]
    services = {name: Addresses(one["interface"], one["lab"]) for name, one in told.items()}
    return CosStack(services, _tokens_in(data), data, cos)


def _tokens_in(data: Path) -> dict[str, str]:
    paths = {system: data / system / "lab.token" for system in SYSTEMS}
    return {system: path.read_text().strip() for system, path in paths.items() if path.is_file()}


def _addresses(text: str) -> Addresses:
    interface, _, lab = text.partition(",")
    for url in (interface, lab or interface):
        if urlsplit(url).scheme not in {"http", "https"}:
            raise CosError(f"{url!r} is no URL of a service: http://127.0.0.1:8620")
    return Addresses(interface.rstrip("/"), (lab or interface).rstrip("/"))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or name not in SYSTEMS:
        raise CosError(f"{name!r}: expected NAME=VALUE with NAME one of {', '.join(SYSTEMS)}")
    return name, value
