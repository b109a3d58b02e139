"""Collecting one exchange from the audit logs of both ends, so that it can be judged elsewhere.

A bundle is one JSON object in canonical form (`services.chassis.canonical`)::

    version, kind, request_id, transaction, cos_party
    authorities        {infrastructure_root, organisation_root, organisation_issuing,
                        device_root, device_issuing}: certificates, DER in base64
    link_certificates  {system: certificate}
    documents          {service_request, command, device_response}: {octets, certificate} or null
    logs               {party: {head: {seq, hash}, rows: [...]}}: the party's audit rows from the
                       first to the last that is about the exchange, as exported. A row between
                       them that is about something else has its record, which its hash covers,
                       but not its body: `withheld` is true
    verdicts           {party: [...]}: what each party's trace says it decided
    seal               {section: SHA-256 of the section}: against accidents, not against forgers
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cli.connection import Connection
from cli.errors import MISSING, REFUSED, CommandError
from cli.layout import COS_PARTIES
from cli.story import read, tell
from duis.errors import DuisError
from duis.signature import signature_reference
from duis.xml import request_from_xml
from gbcs.errors import GbcsError
from gbcs.message import decode
from keys.certificate import Certificate
from keys.errors import KeysError
from keys.roles import Usage
from services.chassis.canonical import canonical

KIND: Final = "cos-evidence"
VERSION: Final = 1
AUTHORITIES: Final = (
    "infrastructure_root",
    "organisation_root",
    "organisation_issuing",
    "device_root",
    "device_issuing",
)
SEALED: Final = ("facts", "authorities", "link_certificates", "documents", "logs", "verdicts")
FACTS: Final = ("version", "kind", "request_id", "transaction", "cos_party")
PAGE: Final = 1000

Row = dict[str, Any]


def collect(connection: Connection, data: Path, request_id: str) -> dict[str, Any]:
    """The bundle of one request.

    Raises:
        CommandError: no CoS Party was ever asked about it (exit code 1), a certificate is not in
            the data folder (exit code 3), or a system cannot be reached (exit code 4).
    """
    broker = all_rows(connection, "acb")
    transaction, cos_party = find_exchange(broker, request_id)
    party = all_rows(connection, cos_party)
    logs = {
        name: {"head": told["head"], "rows": segment(told["rows"], transaction, request_id)}
        for name, told in (("acb", broker), (cos_party, party))
    }
    bundle: dict[str, Any] = {
        "version": VERSION,
        "kind": KIND,
        "request_id": request_id,
        "transaction": transaction,
        "cos_party": cos_party,
        "authorities": {
            name: text_of(read_pem(data / "acb" / "trust" / file_of(name)).der)
            for name in AUTHORITIES
        },
        "link_certificates": {
            name: text_of(read_pem(data / "acb" / "trust" / "link" / f"{name}.pem").der)
            for name in ("acb", cos_party)
        },
        "documents": documents(logs, data),
        "logs": logs,
        "verdicts": verdicts(connection, request_id),
    }
    bundle["seal"] = seal(bundle)
    return bundle


def all_rows(connection: Connection, party: str) -> dict[str, Any]:
    """A party's whole audit log, page by page, with the head it claims."""
    rows: list[Row] = []
    while True:
        after = rows[-1]["seq"] if rows else 0
        told = connection.lab(party, "GET", f"/lab/audit?after={after}&limit={PAGE}")
        rows += told["rows"]
        if len(told["rows"]) < PAGE:
            return {"head": told["head"], "rows": rows}


def find_exchange(log: Mapping[str, Any], request_id: str) -> tuple[str, str]:
    """The transaction and the CoS Party under which the broker passed a request on.

    Raises:
        CommandError: it never did (exit code 1).
    """
    for row in log["rows"]:
        if row["kind"] != "link.request.sent":
            continue
        body = body_of(row)
        document = octets_in(body, "service_request")
        headers = dict(row["record"].get("headers", []))
        try:
            named = None if document is None else request_from_xml(document).header.request_id
        except DuisError:
            continue
        if named is not None and str(named) == request_id:
            return str(body.get("transaction")), headers["cos-recipient"]
    raise CommandError(f"the broker never asked a CoS Party about {request_id}", REFUSED)


def is_about(row: Mapping[str, Any], transaction: str, request_id: str) -> bool:
    """Whether an audit row belongs to the exchange."""
    subject = str(row.get("subject"))
    record = row.get("record")
    named = record.get("transaction") if isinstance(record, Mapping) else None
    return (
        subject in (transaction, request_id)
        or subject.startswith(f"{transaction}.")
        or named == transaction
    )


def segment(rows: list[Row], transaction: str, request_id: str) -> list[Row]:
    """The rows from the first to the last about the exchange; bodies of the others withheld."""
    ours = [row["seq"] for row in rows if is_about(row, transaction, request_id)]
    if not ours:
        return []
    return [
        row
        if is_about(row, transaction, request_id)
        else {**row, "body": None, "withheld": row["body"] is not None}
        for row in rows
        if ours[0] <= row["seq"] <= ours[-1]
    ]


def documents(logs: Mapping[str, Any], data: Path) -> dict[str, Any]:
    """The three signed documents of the exchange, each with its signer's certificate.

    Raises:
        CommandError: a signer's certificate is not in the data folder.
    """
    found: dict[str, bytes] = {}
    for row in logs["acb"]["rows"]:
        body = body_of(row)
        if row["kind"] == "link.request.sent":
            purpose = dict(row["record"].get("headers", [])).get("cos-purpose")
            name = "service_request" if purpose == "cos-command" else "device_response"
            member = "service_request" if purpose == "cos-command" else "message"
        elif row["kind"] == "link.response.received":
            name, member = "command", "signed_command"
        else:
            continue
        octets = octets_in(body, member)
        if octets is not None:
            found[name] = octets
    certificates = certificates_in(data)
    told: dict[str, Any] = {}
    for name in ("service_request", "command", "device_response"):
        octets = found.get(name)
        if octets is None:
            told[name] = None
            continue
        signer = signer_of(octets, certificates, xml=name == "service_request")
        told[name] = {"octets": text_of(octets), "certificate": text_of(signer.der)}
    return told


def signer_of(octets: bytes, certificates: list[Certificate], *, xml: bool) -> Certificate:
    """The certificate that a document or message names as its signer's.

    Raises:
        CommandError: it is not there.
    """
    try:
        if xml:
            named = signature_reference(octets)
            wanted = f"{named.issuer}, serial {named.serial}"
            for one in certificates:
                if (one.issuer, one.serial) == (named.issuer, named.serial):
                    return one
        else:
            wanted = decode(octets).header.originator
            for one in certificates:
                own = one.subject_eui == wanted and one.role not in ("87", "89")
                if own and one.usage is Usage.DIGITAL_SIGNATURE:
                    return one
    except (DuisError, GbcsError) as error:
        raise CommandError(f"a document of the exchange cannot be read: {error}") from error
    raise CommandError(f"the signer's certificate is not in the data folder: {wanted}", MISSING)


def certificates_in(data: Path) -> list[Certificate]:
    """Every certificate that the simulated SMKI repository publishes."""
    folder = data / "smki_repository" / "repository" / "certificates"
    return [read_pem(path) for path in sorted(folder.glob("*.pem"))]


def verdicts(connection: Connection, request_id: str) -> dict[str, Any]:
    """What each party's trace says it decided: told by the party, signed by nobody."""
    told: dict[str, list[dict[str, Any]]] = {}
    for event in tell(connection, request_id).events:
        for verdict in event.verdicts:
            told.setdefault(event.party, []).append({"at": event.at, **verdict})
    for party in COS_PARTIES:  # a refusal that no story tells of has its own entry
        for event in read(connection, party, quote(request_id, safe=":")):
            if event.kind == "refused" and party not in told:
                told[party] = [{"at": event.at, "check": event.name, "outcome": "refused"}]
    return told


def seal(bundle: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of each section in canonical form."""
    sections = {name: bundle[name] for name in SEALED if name != "facts"}
    sections["facts"] = {name: bundle[name] for name in FACTS}
    return {
        name: hashlib.sha256(canonical(section).encode()).hexdigest()
        for name, section in sections.items()
    }


def body_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object that a row's body is; empty where it is none."""
    try:
        found = json.loads(base64.b64decode(row.get("body") or ""))
    except (ValueError, binascii.Error):
        return {}
    return found if isinstance(found, dict) else {}


def octets_in(body: Mapping[str, Any], member: str) -> bytes | None:
    """The octets that a member of a link body holds in base64, or None."""
    try:
        return base64.b64decode(body[member], validate=True)
    except (KeyError, TypeError, ValueError):
        return None


def text_of(octets: bytes) -> str:
    """Octets in base64."""
    return base64.b64encode(octets).decode("ascii")


def file_of(authority: str) -> str:
    """The file name of an authority's certificate in a trust folder."""
    return f"{authority.replace('_', '-')}.pem"


def read_pem(path: Path) -> Certificate:
    """A certificate of the data folder.

    Raises:
        CommandError: it is not there or cannot be read (exit code 3).
    """
    try:
        return Certificate.from_pem(path.read_bytes())
    except (OSError, KeysError) as error:
        raise CommandError(f"{path.name} cannot be read: {error}", MISSING) from error
