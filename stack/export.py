"""Everything that a run's messages need to be read by other tools, in one folder.

::

    OUT/NNN-<from>-<to>-<name>.hex     every GBCS message the broker saw, in order
    OUT/gbcs.pcapng                    the same for Wireshark
    OUT/keystore/<eui>-ds.pem ...      certificates of everybody, by entity identifier and use
    OUT/keystore/<eui>-ka.key ...      PRIVATE keys of the simulated broker and meters
    OUT/keystore/README                says loudly what those are

The private keys are there because a MAC can only be checked with one of them.
"""

from __future__ import annotations

import base64
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from keys.certificate import Certificate
from keys.errors import KeysError
from keys.roles import OrganisationRole, Usage
from keys.stores.disclosure import unsafe_device_key, unsafe_private_key
from keys.stores.software import SoftwareKeyStore, read_secret
from stack.cells import devices_in
from stack.connection import Connection
from stack.layout import Stack
from stack.pcapng import Packet, write

KEYSTORE_README = """\
SIMULATED KEYS, DISCLOSED ON PURPOSE.

This folder holds private keys of a simulated Access Control Broker and of simulated meters, so
that other tools can check the MACs of this run. They were made for one run, protect nothing, and
must never be used for anything else. Real systems never let such keys out of their modules.
"""
PAGE = 1000  # messages fetched at once


@dataclass(frozen=True)
class Exported:
    """What was written."""

    out: str
    messages: int
    certificates: int
    keys: int
    acb_eui: str
    first: str
    missing: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def export(connection: Connection, out: Path) -> Exported:
    """Write the folder described above.

    Raises:
        CommandError: the broker cannot be reached.
    """
    out.mkdir(parents=True, exist_ok=True)
    packets: list[Packet] = []
    first = ""
    for number, told in enumerate(messages_of(connection), 1):
        stack = connection.stack
        sender, receiver = short(told["sender"], stack), short(told["receiver"], stack)
        message = base64.b64decode(told["message"])
        path = out / f"{number:03}-{sender}-{receiver}-{told['name']}.hex"
        path.write_text(message.hex() + "\n")
        first = first or str(path)
        at = datetime.fromisoformat(told["at"])
        packets.append(Packet(at, f"{sender} to {receiver}: {told['name']}", message))
    (out / "gbcs.pcapng").write_bytes(write(packets))
    certificates, keys, missing = write_keystore(connection, out / "keystore")
    return Exported(
        str(out), len(packets), certificates, keys, connection.stack.acb_eui, first, tuple(missing)
    )


def messages_of(connection: Connection) -> list[dict[str, Any]]:
    """Every GBCS message the broker saw, oldest first."""
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["id"] if found else 0
        page = connection.lab("acb", "GET", f"/lab/messages?after={after}&limit={PAGE}")["messages"]
        found += page
        if len(page) < PAGE:
            return found


def short(who: str | None, stack: Stack) -> str:
    """A name fit for a file: a party's name, or an entity identifier."""
    name = stack.supplier_name(who) if who and len(who) == 16 else who or "unknown"
    return name.replace(" ", "_")


def write_keystore(connection: Connection, folder: Path) -> tuple[int, int, list[str]]:
    """Certificates of all, private keys of the simulated broker and meters.

    Returns:
        number of certificates, number of private keys, and what could not be disclosed because
        its key store is not in reach of this command (containers keep them apart).
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "README").write_text(KEYSTORE_README)
    certificates = keys = 0
    missing: list[str] = []
    devices = devices_in(connection)
    data = connection.stack.data
    if data is None:
        return certificates, keys, ["every private key: no data folder"]
    published = data / "smki_repository" / "repository" / "certificates"
    for path in sorted(published.glob("*.pem")):
        certificate = Certificate.from_pem(path.read_bytes())
        name = file_name(certificate, path.stem)
        if name and not (folder / name).exists():
            (folder / name).write_bytes(certificate.to_pem())
            certificates += 1
    try:
        keys += disclose_broker(data, connection.stack.acb_eui, folder)
        keys += disclose_devices(data, [d["eui"] for d in devices], folder)
    except (KeysError, OSError) as error:
        missing.append(f"private keys: {error}")
    return certificates, keys, missing


def file_name(certificate: Certificate, published_as: str) -> str | None:
    """`<eui>-ds.pem` and so on; none for authorities and for keys that sign no GBCS."""
    if certificate.subject_eui is None or certificate.role in {
        OrganisationRole.XML_SIGNING,
        OrganisationRole.DSP_XML_SIGNING,
    }:
        return None
    if certificate.usage is Usage.DIGITAL_SIGNATURE:
        use = "ds"
    elif certificate.usage is Usage.KEY_AGREEMENT:
        use = "pp-ka" if "prepayment" in published_as else "ka"
    else:
        return None
    return f"{certificate.subject_eui}-{use}.pem"


def disclose_broker(data: Path, acb_eui: str, folder: Path) -> int:
    """Write the broker's two keys in the clear; returns how many."""
    passphrase = read_secret(data / "acb" / "passphrase")
    for name, use in (("digital-signing", "ds"), ("key-agreement", "ka")):
        pem = unsafe_private_key(data / "acb" / "keys", passphrase, name)
        (folder / f"{acb_eui}-{use}.key").write_bytes(pem)
    return 2


def disclose_devices(data: Path, devices: list[str], folder: Path) -> int:
    """Write both keys of every device in the clear; returns how many."""
    store = SoftwareKeyStore.open(
        data / "meter_sim" / "keys", read_secret(data / "meter_sim" / "passphrase")
    )
    for eui in devices:
        for usage, use in ((Usage.DIGITAL_SIGNATURE, "ds"), (Usage.KEY_AGREEMENT, "ka")):
            (folder / f"{eui}-{use}.key").write_bytes(unsafe_device_key(store, eui, usage))
    return 2 * len(devices)
