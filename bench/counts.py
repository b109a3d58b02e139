"""What one change of supplier makes each system do, counted, not timed.

The same on every machine and under any load, because the changes happen one after the other. The
committed counts (`bench/counts.json`) are held by a test: what costs may not grow, and what is
owed (the checks that run, the rows of evidence that are kept) may not shrink.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench import estate, stores
from bench.load import Driver
from stack.connection import Connection
from stack.systems import SYSTEMS
from stack.trace import tell

COUNTS: Final = Path(__file__).with_name("counts.json")
CHANGES: Final = 4
"""Changes that are counted: half of them by each CoS Party."""
WARM_UP: Final = 4
HOMES: Final = 2
SLACK: Final = {
    "store.reads": 4.0, "store.statements": 4.0, "store.commits": 4.0, "octets": 0.0, "rows": 1.0,
}  # fmt: skip
"""How far above the committed one a count may be: whoever waits for an end looks now and
then, how many units share a commit is chance (never more than units are done), and a minute
that begins meanwhile has rows of its own (`services.chassis.data.rolling`)."""
LOOK_AT: Final = ("-f", "-qq", "-e", "trace=fdatasync,fsync")
LEAST_SLACK: Final = 0.25
LINK_KINDS: Final = (
    "link.request.sent", "link.request.received", "link.response.sent", "link.response.received",
)  # fmt: skip
"""Rows of evidence of one call over the link: so many of each are owed as there were calls."""

VERIFIED: Final = ("keys.verify", "keys.certificate.verify", "keys.crl.verify")
COSTS: Final = (
    "store.units", "store.commits", "store.statements", "store.reads",
    "keys.sign", *VERIFIED, "keys.agree",
    "keys.duis.parse", "keys.duis.validate", "keys.gbcs.decode", "keys.path",
    "keys.crl.parse", "watch.link_call", "watch.canonical",
)  # fmt: skip
"""What may not grow."""

ByName = dict[str, float]


@dataclass(frozen=True, slots=True)
class Counted:
    """Per change, for each system.

    Attributes:
        costs: how often what costs was done, and ``rows``, ``octets`` that were stored.
        causes: the same of signatures, verifications and key agreements, for whom they were made.
        evidence: rows of the audit log, by kind.
        checks: for each CoS Party, the checks that said yes to one change, by the system whose
            they are.
        synced: ``fdatasync`` calls; empty where strace is not there or may not look.
        reached: what was counted at all since the systems started, whatever it was for.
    """

    costs: dict[str, ByName]
    causes: dict[str, ByName]
    evidence: dict[str, ByName]
    checks: dict[str, dict[str, list[str]]]
    synced: ByName
    reached: frozenset[str]

    def total(self, name: str) -> float:
        """Of all systems."""
        return sum(costs.get(name, 0) for costs in self.costs.values())

    @property
    def primitives(self) -> ByName:
        """Signatures, verifications of all kinds and key agreements of one change."""
        return {
            "sign": self.total("keys.sign"),
            "verify": sum(self.total(name) for name in VERIFIED),
            "agree": self.total("keys.agree"),
        }

    def as_dict(self) -> dict[str, Any]:
        """As `bench/counts.json` has it; without causes, which change with every name."""
        return {
            "at_most": self.costs,
            "evidence_at_least": {
                system: {kind: n for kind, n in kinds.items() if kind not in LINK_KINDS}
                for system, kinds in self.evidence.items()
            },
            "checks_at_least": self.checks,
        }


def measured(
    say: Callable[[str], None], changes: int = CHANGES, *, synced: bool = False
) -> Counted:
    """Start a stack that is watched, let homes change supplier one after the other, and count.

    Args:
        say: told what is being done.
        changes: how many are counted.
        synced: have strace count ``fdatasync`` too, where it can.
    """
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        estate.hold_ceremony(data, HOMES)
        with estate.running(data, watched=True) as connection:
            driver = Driver(connection, data)
            driver.one_after_the_other(HOMES, WARM_UP)
            connection.settle(limit=60)
            say(f"counting {changes} changes")
            return _counted(connection, data, driver, changes, synced=synced)


def _counted(
    connection: Connection, data: Path, driver: Driver, changes: int, *, synced: bool
) -> Counted:
    before = _now(connection, data)
    with _synced(connection.stack.pids if synced else {}) as calls:
        asked = driver.one_after_the_other(HOMES, changes)
        connection.settle(limit=60)
    after = _now(connection, data)
    grown = {
        system: {
            name: (number - before[system].get(name, 0)) / changes
            for name, number in after[system].items()
            if number != before[system].get(name, 0)
        }
        for system in SYSTEMS
    }
    return Counted(
        costs={
            system: {
                name: number
                for name, number in grown[system].items()
                if name in {*COSTS, "rows", "octets"}
            }
            for system in SYSTEMS
        },
        causes={
            system: {name: number for name, number in grown[system].items() if "|" in name}
            for system in SYSTEMS
        },
        evidence={
            system: {
                name.removeprefix("evidence."): number
                for name, number in grown[system].items()
                if name.startswith("evidence.")
            }
            for system in SYSTEMS
        },
        checks={
            home["cos_party"]: _checks(connection, request.request_id)
            for home, request in zip(driver.homes[:HOMES], asked[-HOMES:], strict=True)
        },
        synced={name: number / changes for name, number in calls.items()},
        reached=frozenset(name for system in after.values() for name, n in system.items() if n),
    )


def _now(connection: Connection, data: Path) -> dict[str, dict[str, int]]:
    """All numbers of each system: counts, rows and octets stored, rows of evidence."""
    found = {}
    for system in SYSTEMS:
        held = stores.tables(data, system)
        found[system] = {
            **connection.lab(system, "GET", "/lab/counts"),
            "rows": sum(table.rows for table in held.values()),
            "octets": sum(table.octets for table in held.values()),
            **{f"evidence.{k}": n for k, n in stores.evidence(data, system).items()},
        }
    return found


def _checks(connection: Connection, request_id: str) -> dict[str, list[str]]:
    """The checks that said yes to a request, by system."""
    found: dict[str, set[str]] = {}
    for event in tell(connection, request_id).events:
        for verdict in event.verdicts:
            if verdict["outcome"] == "passed":
                found.setdefault(event.party, set()).add(verdict["check"])
    return {party: sorted(names) for party, names in sorted(found.items())}


@contextmanager
def _synced(pids: Mapping[str, int]) -> Iterator[Counter[str]]:
    """Count `fdatasync` of each system meanwhile, where strace can."""
    counts: Counter[str] = Counter()
    strace = shutil.which("strace")
    if strace is None or not pids:
        yield counts
        return
    with TemporaryDirectory() as folder:
        files = {system: Path(folder) / system for system in pids}
        watching = [
            subprocess.Popen(
                [strace, *LOOK_AT, "-o", str(files[system]), "-p", str(pid)],
                stderr=subprocess.DEVNULL,
            )
            for system, pid in pids.items()
        ]
        time.sleep(0.5)  # until it is attached; what it misses is only not told
        try:
            yield counts
        finally:
            for one in watching:
                one.terminate()
                one.wait()
        for system, file in files.items():
            if file.is_file():
                text = file.read_text(errors="replace")
                counts[system] = text.count("sync(")


def read(path: Path = COUNTS) -> dict[str, Any]:
    """The committed counts."""
    told: dict[str, Any] = json.loads(path.read_text())
    return told


def write(counted: Counted, path: Path = COUNTS) -> None:
    """Commit these; stored octets are rounded up, because texts differ in length."""
    told = counted.as_dict()
    for costs in told["at_most"].values():
        costs["octets"] = ceil(costs.get("octets", 0) * 1.02 / 100) * 100
    path.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


def broken(committed: Mapping[str, Any], counted: Counted) -> list[str]:
    """What has grown that may not, and what has shrunk that may not, in words."""
    said = []
    for system, costs in counted.costs.items():
        for name, number in costs.items():
            most = committed["at_most"].get(system, {}).get(name, 0)
            if number > most + SLACK.get(name, LEAST_SLACK):
                said.append(f"{system}: {number:g} {name} a change, at most {most:g}")
    calls = counted.total("watch.link_call")
    for kind in LINK_KINDS:
        kept = sum(kinds.get(kind, 0) for kinds in counted.evidence.values())
        if kept < calls:
            said.append(f"{kept:g} rows of evidence {kind} of {calls:g} calls over the link")
    for system, kinds in committed["evidence_at_least"].items():
        for kind, least in kinds.items():
            number = counted.evidence.get(system, {}).get(kind, 0)
            if number < least:
                said.append(f"{system}: {number:g} rows of evidence {kind}, at least {least:g}")
    for cos_party, systems in committed["checks_at_least"].items():
        for system, names in systems.items():
            ran = counted.checks.get(cos_party, {}).get(system, [])
            said += [
                f"{system}: check {name} did not run (a change by {cos_party})"
                for name in names
                if name not in ran
            ]
    return said
