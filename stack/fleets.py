"""Fleets: homes by the hundred thousand, made in seconds, each able to change supplier.

A fleet is one entry of `DATA/fleets.json` and one row of the meters; the keys of its devices are
derived from the device seed, as every device's are. Registration knows all its meter points from
its first start on. Certificates are issued, published and told to the broker when a home is first
needed (`certify`): what nothing happens to costs nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from keys.certificate import Certificate
from keys.issuing.authorities import Authorities, write_json
from keys.issuing.devices import cell_contents, certify_device, device_record, published_name
from keys.issuing.issue import publish
from keys.issuing.plan import DevicesPlan
from keys.stores.software import open_store
from stack.cells import pages
from stack.connection import Connection
from stack.errors import MISSING, REFUSED, USAGE, CommandError
from stack.provision import AT_ONCE, fleets_of, record_of
from stack.systems import DEVICE_SEED, SYSTEMS, TABLE

REPOSITORY: Final = Path("smki_repository", "repository", "certificates")
SINCE: Final = "2020-01-01T00:00:00+00:00"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class FleetPlan:
    """Homes alike: the devices, and the supplier registered for them from now on.

    Attributes:
        run: the devices; `run.supplier` is in their cells, and was registered until now.
        incoming: the name of the supplier that is registered from now on.
    """

    run: DevicesPlan
    incoming: str


def add_fleet(data: Path, plan: FleetPlan, now: datetime) -> None:
    """Add a fleet to an estate whose stack was never started.

    Raises:
        CommandError: there is no ceremony (exit code 3), the stack has been started (1), or a name
            or number is unknown, in use, or leaves the simulated range (2).
        KeysError: a cell needs a certificate that nobody has.
    """
    run, own = plan.run, data / "registration" / "estate.json"
    if not own.is_file():
        raise CommandError(f"no ceremony in {data}: `cos keys init --data {data}`", MISSING)
    if any((data / system / "store.sqlite3").exists() for system in SYSTEMS):
        raise CommandError(
            f"{data} has been started: a fleet is added between `cos keys init` and `cos up`",
            REFUSED,
        )
    estate = json.loads(own.read_text())
    participants = {one["name"]: one["participant"] for one in estate["suppliers"]}
    for name in (run.supplier, plan.incoming):
        if name not in participants:
            raise CommandError(f"{name!r} is no supplier of this estate", USAGE)
    taken = {v for p in estate["meter_points"] for v in (p["mpxn"], *p["devices"])}
    euis, mpxns = (
        [run.eui(offset) for offset in range(run.count)],
        [run.mpxn(offset) for offset in range(run.count)],
    )
    if clash := taken.intersection((*euis, *mpxns)):
        raise CommandError(f"{min(clash)} is in use", USAGE)
    if euis[-1][:8] != euis[0][:8] or len(mpxns[-1]) > len(mpxns[0]):
        raise CommandError(f"{run.count} do not fit after {euis[0]} and {mpxns[0]}", USAGE)
    at = now.replace(microsecond=0).isoformat()
    periods = [
        {"participant": participants[run.supplier], "effective_from": SINCE, "effective_to": at},
        {"participant": participants[plan.incoming], "effective_from": at, "effective_to": None},
    ]
    cells = {name: _text(held) for name, held in cell_contents(run, _published(data)).items()}
    estate["meter_points"] += [
        {"mpxn": mpxn, "devices": [eui], "registrations": periods}
        for eui, mpxn in zip(euis, mpxns, strict=True)
    ]
    # Registration alone is told of each home; every command reads the estate's public facts.
    own.write_text(json.dumps(estate))
    entry = {"run": run.model_dump(mode="json"), "incoming": plan.incoming, "cells": cells}
    write_json(data / "fleets.json", [*fleets_of(data), entry])


def homes_in(data: Path) -> Iterator[tuple[str, str, str]]:
    """EUI-64, MPxN and registered supplier of every home of every fleet."""
    for entry in fleets_of(data):
        run = DevicesPlan.model_validate(entry["run"])
        for offset in range(run.count):
            yield run.eui(offset), run.mpxn(offset), entry["incoming"]


def certify(
    connection: Connection,
    data: Path,
    wanted: Iterable[str],
    now: datetime,
    progress: Progress = lambda _line: None,
) -> int:
    """Have these devices of fleets certified, where they are not; how many were.

    Their certificates are issued by the device authority for the keys they derive, put into the
    repository's folder, published by it, and told to the broker with what the cells hold.

    Args:
        connection: the running stack.
        data: its data folder: authorities and device seed are opened.
        wanted: EUI-64s; what belongs to no fleet is passed over.
        now: when they are issued.
        progress: told how far it is.

    Raises:
        CommandError, KeysError: a system refuses, or a key cannot be opened.
    """
    new = _uncertified(connection, data, set(wanted))
    if not new:
        return 0
    authorities, keys = Authorities.open(data), _device_store(data).device_keys()
    for begin in range(0, len(new), AT_ONCE):
        records = []
        for run, offset, cells in new[begin : begin + AT_ONCE]:
            eui = run.eui(offset)
            certificates = {}
            for name, made in certify_device(authorities, keys, eui, now).items():
                path = data / REPOSITORY / f"{published_name(eui, name)}.pem"
                if path.exists():  # from an attempt that did not come to its end
                    certificates[name] = Certificate.from_pem(path.read_bytes())
                else:
                    publish(data, path.stem, made)
                    certificates[name] = made
            records.append(record_of({**device_record(run, offset, certificates, {}), **cells}))
        connection.lab("smki_repository", "POST", "/lab/repository/reload")
        connection.lab("acb", "POST", "/lab/devices", records)
        progress(f"certified: {begin + len(records)} of {len(new)} devices")
    return len(new)


def _uncertified(
    connection: Connection, data: Path, wanted: set[str]
) -> list[tuple[DevicesPlan, int, dict[str, Any]]]:
    """Of the fleets' devices among those wanted, the ones that the broker does not know."""
    found = []
    known: set[str] | None = None
    for entry in fleets_of(data):
        run = DevicesPlan.model_validate(entry["run"])
        for offset in range(run.count):
            if run.eui(offset) not in wanted:
                continue
            if known is None:
                known = {one["eui"] for one in pages(connection, "acb", "/lab/devices?names=true")}
            if run.eui(offset) not in known:
                found.append((run, offset, {"cells": entry["cells"]}))
    return found


def _published(data: Path) -> dict[str, Certificate]:
    return {
        path.stem: Certificate.from_pem(path.read_bytes())
        for path in (data / REPOSITORY).glob("*.pem")
        if not path.name.startswith("device-") or path.stem in {"device-root", "device-issuing"}
    }


def _device_store(data: Path) -> Any:
    return open_store(data / next(one.name for one in TABLE if DEVICE_SEED in one.keys))


def _text(certificate: Certificate) -> str:
    return base64.b64encode(certificate.der).decode()
