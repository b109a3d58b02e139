"""Whether a data folder's keys and certificates are as a ceremony leaves them.

Everything that a start of the systems would refuse, and more, is found here at once: pairs, file
modes, simulation marks, profiles, paths to the right root, dates, revocation, foreign keys, what
each system trusts, and what the devices are to be installed with.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from keys.certificate import Certificate, require_simulated
from keys.crl import read_crl_pem
from keys.errors import KeysError, PathError
from keys.issuing.authorities import (
    DEVICE_ISSUING,
    DEVICE_ROOT,
    INFRASTRUCTURE_ROOT,
    LISTS,
    ORGANISATION_ISSUING,
    ORGANISATION_ROOT,
)
from keys.path import validate_path
from keys.profile_rules import Profile, broken_rules, profile_of
from keys.roles import OrganisationRole
from keys.stores.software import SoftwareKeyStore, read_secret

ANCHORS = {
    Profile.ORGANISATION: (ORGANISATION_ROOT, ORGANISATION_ISSUING, "organisation"),
    Profile.XML_SIGNING: (ORGANISATION_ROOT, ORGANISATION_ISSUING, "organisation"),
    Profile.DEVICE: (DEVICE_ROOT, DEVICE_ISSUING, "device"),
    Profile.LINK: (INFRASTRUCTURE_ROOT, None, "infrastructure"),
}
"""For each profile of end entities: root, issuing authority, revocation list."""


CELL_ROLES = {
    "recovery": OrganisationRole.RECOVERY,
    "supplier": OrganisationRole.SUPPLIER,
    "networkOperator": OrganisationRole.NETWORK_OPERATOR,
    "accessControlBroker": OrganisationRole.ACCESS_CONTROL_BROKER,
    "transitionalCoS": OrganisationRole.TRANSITIONAL_COS,
    "wanProvider": OrganisationRole.WAN_PROVIDER,
    "loadController": OrganisationRole.LOAD_CONTROLLER,
}
"""The role that a cell's certificate states in its OU (docs/sources.md#certificates)."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it must be: in which file or folder, and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def verify_folder(data: Path, *, now: datetime) -> list[Finding]:
    """Everything that is wrong with the keys and certificates of a data folder.

    Args:
        data: a folder that a ceremony has filled.
        now: the time at which certificates and lists must hold.

    Returns:
        the findings; none where all is as it must be.
    """
    return [
        *_stores(data),
        *_tokens(data),
        *_certificates(data, now),
        *_separation(data),
        *_trust(data),
        *_devices(data),
    ]


def _stores(data: Path) -> list[Finding]:
    found = []
    for keys in sorted(data.rglob("keys")):
        if not keys.is_dir():
            continue
        try:
            SoftwareKeyStore.open(keys, read_secret(keys.parent / "passphrase"))
        except KeysError as error:
            found.append(Finding(str(keys.relative_to(data)), str(error)))
    if not any(data.rglob("keys")):
        found.append(Finding(".", "there are no key stores"))
    return found


def _tokens(data: Path) -> list[Finding]:
    found = []
    for path in sorted(data.rglob("lab.token")):
        try:
            read_secret(path)
        except KeysError as error:
            found.append(Finding(str(path.relative_to(data)), str(error)))
    return found


def _certificates(data: Path, now: datetime) -> list[Finding]:
    found: list[Finding] = []
    lists = _lists(data, found)
    for path in sorted(data.rglob("*.pem")):
        where = str(path.relative_to(data))
        try:
            certificate = Certificate.from_pem(path.read_bytes())
            require_simulated(certificate)
        except (KeysError, OSError) as error:
            found.append(Finding(where, str(error)))
            continue
        profile = profile_of(certificate)
        found += [
            Finding(where, f"{broken.rule}: {broken.detail}")
            for broken in broken_rules(certificate, profile)
        ]
        if profile in ANCHORS:
            found += _path(data, where, certificate, lists, now)
    return found


def _path(
    data: Path, where: str, certificate: Certificate, lists: dict[str, bytes], now: datetime
) -> list[Finding]:
    root, issuing, name = ANCHORS[profile_of(certificate)]
    authorities = data / "smki" / "keys"
    try:
        anchor = Certificate.from_pem((authorities / f"{root}.pem").read_bytes())
        between = (
            []
            if issuing is None
            else [Certificate.from_pem((authorities / f"{issuing}.pem").read_bytes())]
        )
        crls = [lists[name]] if name in lists else []
        validate_path(certificate, between, anchor, at=now, crls=crls)
    except PathError as error:
        return [Finding(where, str(error))]
    except (KeysError, OSError) as error:
        return [Finding(where, f"its authorities cannot be read: {error}")]
    return []


def _lists(data: Path, found: list[Finding]) -> dict[str, bytes]:
    lists = {}
    for name in LISTS:
        path = data / "smki_repository" / "repository" / "crl" / f"{name}.crl"
        try:
            lists[name] = read_crl_pem(path.read_bytes()).der
        except (KeysError, OSError) as error:
            found.append(Finding(str(path.relative_to(data)), str(error)))
    return lists


def _separation(data: Path) -> list[Finding]:
    """One key in two places would make two systems one."""
    holders: dict[bytes, str] = {}
    found = []
    for path in sorted(data.rglob("keys/*.pem")):
        try:
            identifier = Certificate.from_pem(path.read_bytes()).key_identifier
        except (KeysError, OSError):
            continue  # named by _certificates already
        where = str(path.relative_to(data))
        if identifier in holders:
            found.append(Finding(where, f"the same key as {holders[identifier]}"))
        holders[identifier] = where
    return found


def _trust(data: Path) -> list[Finding]:
    """Every system must trust the very authorities of this folder, and true link certificates."""
    found = []
    for path in sorted(data.glob("*/trust/**/*.pem")):
        is_link = path.parent.name == "link"
        original = (
            data / path.stem / "keys" / "link.pem"
            if is_link
            else data / "smki" / "keys" / path.name
        )
        if not original.is_file() or original.read_bytes() != path.read_bytes():
            whose = "that system" if is_link else "this folder's authority"
            found.append(Finding(str(path.relative_to(data)), f"not the certificate of {whose}"))
    return found


def _devices(data: Path) -> list[Finding]:
    """The devices' certificates and cells hold what is published, under the right roots."""
    published = {
        path.read_bytes()
        for path in (data / "smki_repository" / "repository" / "certificates").glob("*.pem")
    }
    found: list[Finding] = []
    try:
        for device in json.loads((data / "devices.json").read_bytes()):
            for name, text in [*device["certificates"].items(), *device["cells"].items()]:
                certificate = Certificate.from_der(base64.b64decode(text, validate=True))
                where = f"devices.json, {device['eui']}, {name}"
                if certificate.to_pem() not in published:
                    found.append(Finding(where, "not a published certificate"))
                if name in device["certificates"] and certificate.subject_eui != device["eui"]:
                    found.append(Finding(where, "another device's certificate"))
                if name in device["cells"]:
                    found += _cell(where, name, certificate)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, KeysError) as error:
        found.append(Finding("devices.json", f"cannot be read: {error}"))
    return found


def _cell(where: str, cell: str, certificate: Certificate) -> list[Finding]:
    role, usage, _ = cell.split("/")
    found = []
    if certificate.usage != usage:
        found.append(Finding(where, f"its certificate is for {certificate.usage}"))
    if role != "root" and certificate.role != CELL_ROLES.get(role):
        found.append(Finding(where, f"its certificate has OU {certificate.role}"))
    return found
