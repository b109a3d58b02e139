"""What the fixtures hand to a test: a running stack and the things in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from cli.cells import CellHeld, cells_of, devices_in
from cli.clocks import read_clocks, real_clocks, set_clocks, step_clocks
from cli.connection import Connection
from cli.console import silence
from cli.errors import UNREACHABLE, CommandError
from cli.keys_commands import hold_ceremony
from cli.layout import SYSTEMS, load_stack
from cli.processes import start, stop
from cli.provision import devices_of, provision, record_of
from cli.story import Story, tell
from cli.supplier import Supplier
from cli.switching import Outcome
from cli.switching import submit as submit_document
from duis.request_id import RequestId
from duis.xml import request_from_xml

Document = bytes | tuple[RequestId, bytes]
"""A signed document, or what `Supplier.change_of_supplier` gives: its request ID and itself."""

Submit = Callable[[Document], Outcome]


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


class CosStack:
    """A running stack.

    Attributes:
        data: its data folder: keys, databases, configuration, logs.
        connection: one HTTP client for all of its systems.
    """

    def __init__(self, data: Path, connection: Connection) -> None:
        self.data = data
        self.connection = connection

    def url(self, system: str) -> str:
        """The base URL of a system's interface."""
        return self.connection.stack.services[system].interface

    def lab(self, system: str, method: str, path: str, body: Any = None) -> Any:
        """Call a lab route with that system's credential; the JSON answer.

        Raises:
            cli.errors.CommandError: it refused, or cannot be reached.
        """
        return self.connection.lab(system, method, path, body)

    def suppliers(self) -> dict[str, Supplier]:
        """Every supplier of the ceremony by its name."""
        return {
            facts["name"]: Supplier.open(self.data, facts["name"])
            for facts in self.connection.stack.facts["suppliers"]
        }

    def fresh_device(self, cos_party: str) -> Device:
        """A meter that trusts that CoS Party, put back as the ceremony made it."""
        known = devices_of(self.data)
        made = next((one for one in known if one["cos_party"] == cos_party), None)
        if made is None:
            raise LookupError(f"no meter here trusts {cos_party!r}")
        if any(one["eui"] == made["eui"] for one in devices_in(self.connection)):
            self.lab("meter_sim", "DELETE", f"/lab/devices/{made['eui']}")
        installed = {name: made[name] for name in _INSTALLED}
        self.lab("meter_sim", "POST", "/lab/devices", installed)
        self.lab("acb", "POST", "/lab/devices", record_of(made))
        return Device(made["eui"], made["mpxn"], cos_party)

    def submit(self, document: Document) -> Outcome:
        """Send a signed document to the broker exactly as it is, and wait for the outcome.

        Raises:
            cli.errors.CommandError: the broker refused it before it knew who asked.
            duis.errors.DuisError: octets alone were given, and no request ID can be read in them.
        """
        if isinstance(document, bytes):
            document = request_from_xml(document).header.request_id, document
        request_id, octets = document
        return submit_document(self.connection, octets, str(request_id))

    def story(self, outcome: Outcome) -> Story:
        """What every system says it did with a request, check by check."""
        return tell(self.connection, outcome.request_id)


_INSTALLED = ("eui", "device_type", "cells", "certificates")


@contextmanager
def started(data: Path) -> Iterator[CosStack]:
    """A new stack in an empty folder, stopped at the end."""
    hold_ceremony(data)
    stack = start(data, silence, first_port=None)
    try:
        with Connection(stack) as connection:
            provision(connection, data)
            yield CosStack(data, connection)
    finally:
        stop(stack)


@contextmanager
def attached(data: Path) -> Iterator[CosStack]:
    """The stack that runs in a folder; left running.

    Raises:
        cli.errors.CommandError: none was ever started there, or not all of it is ready.
    """
    with Connection(load_stack(data)) as connection:
        for system in SYSTEMS:
            ready = connection.send(system, "GET", f"{connection.of(system).lab}/readyz")
            if not ready.is_success:
                raise CommandError(f"{system} is not ready: cos status --data {data}", UNREACHABLE)
        yield CosStack(data, connection)


class Meter:
    """One meter as it tells of itself."""

    def __init__(self, stack: CosStack, eui: str) -> None:
        self._stack = stack
        self.eui = eui

    def cells(self) -> dict[str, CellHeld]:
        """Its trust anchor cells by name: subject, key identifier and fingerprint of each."""
        return cells_of(self._stack.connection, self.eui)

    @property
    def supplier(self) -> str:
        """The entity identifier of the supplier whose commands it obeys."""
        return self.cells()["supplier/digitalSignature/management"].subject

    def refusals(self) -> list[dict[str, Any]]:
        """What it refused and by which check, oldest first."""
        told = self._stack.lab("meter_sim", "GET", f"/lab/devices/{self.eui}/refusals")
        return list(told["refusals"])


class Checks:
    """The named checks of all systems. `off` lasts until its `with` block or the test ends."""

    def __init__(self, stack: CosStack) -> None:
        self._stack = stack
        self._off: list[tuple[str, str]] = []

    def all(self, system: str) -> list[dict[str, Any]]:
        """Every check of a system: id, title, source, and whether it is on."""
        return list(self._stack.lab(system, "GET", "/lab/checks")["checks"])

    def off(self, check: str, *, at: str | None = None) -> Off:
        """Switch a check off, now.

        Args:
            check: its identifier, for example ``ecos.registration.incoming_supplier``.
            at: the system; needed where several have it, as with the checks of the link.

        Raises:
            LookupError: no system has it, or several have and none is named.
        """
        systems = [at] if at else [one for one in SYSTEMS if self._has(one, check)]
        if len(systems) != 1:
            found = f"at one of {', '.join(systems)}: say which" if systems else "nowhere"
            raise LookupError(f"check {check} is {found}")
        self._put(systems[0], check, enabled=False)
        self._off.append((systems[0], check))
        return Off(self, systems[0], check)

    def on(self, system: str, check: str) -> None:
        """Switch a check on again."""
        self._put(system, check, enabled=True)
        self._off = [pair for pair in self._off if pair != (system, check)]

    def restore(self) -> None:
        """Switch everything on again that was switched off here."""
        for system, check in list(self._off):
            self.on(system, check)

    def _has(self, system: str, check: str) -> bool:
        return any(one["id"] == check for one in self.all(system))

    def _put(self, system: str, check: str, *, enabled: bool) -> None:
        path = f"/lab/checks/{quote(check, safe='.')}"
        self._stack.lab(system, "PUT", path, {"enabled": enabled})


class Off:
    """A check that is off; as a context manager, on again at the end of its block."""

    def __init__(self, checks: Checks, system: str, check: str) -> None:
        self._checks = checks
        self.system = system
        self.check = check

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._checks.on(self.system, self.check)


class Clock:
    """The domain time of all systems together; the signed link keeps the machine's."""

    def __init__(self, stack: CosStack) -> None:
        self._stack = stack

    def now(self) -> datetime:
        """The broker's time."""
        return read_clocks(self._stack.connection)["acb"].now

    def hold(self, at: datetime) -> None:
        """Have every clock stand at a time (aware)."""
        set_clocks(self._stack.connection, at)

    def step(self, by: timedelta) -> None:
        """Move every clock by a duration."""
        step_clocks(self._stack.connection, by)

    def real(self) -> None:
        """Have every clock follow the machine's again."""
        real_clocks(self._stack.connection)
