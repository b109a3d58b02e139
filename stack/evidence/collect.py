"""Collecting one exchange from the audit logs of both ends, so that it can be judged elsewhere.

A bundle is one JSON object in canonical form (`services.chassis.data.canonical`)::

    version, kind, request_id, transaction, cos_party
    authorities        {infrastructure_root, organisation_root, organisation_issuing,
                        device_root, device_issuing}: certificates, DER in base64
    link_certificates  {system: certificate}: of everybody who signed a message in the logs
    certificates       [certificate]: of everybody who signed a document that a message carries: for
                       each, the one that verifies, which is the one in force when it was signed
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
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from duis.errors import DuisError
from duis.signature import signature_reference
from duis.xml import request_from_xml
from gbcs.errors import GbcsError
from gbcs.message import Message, decode
from gbcs.protect import verify_signature
from keys.certificate import Certificate
from keys.errors import KeysError
from services.chassis.data.canonical import canonical
from services.chassis.data.spelling import spelled
from services.link.store.evidence import RESPONSE_REFUSED
from services.link.wire import profile
from stack.connection import Connection
from stack.errors import MISSING, REFUSED, CommandError
from stack.evidence.documents import MEMBERS, is_read_back, names, octets_in
from stack.systems import COS_PARTIES
from stack.trace import read, tell

KIND: Final = "cos-evidence"
VERSION: Final = 2
AUTHORITIES: Final = (
    "infrastructure_root",
    "organisation_root",
    "organisation_issuing",
    "device_root",
    "device_issuing",
)
SEALED: Final = ("facts", "authorities", "link_certificates", "certificates", "logs", "verdicts")
FACTS: Final = ("version", "kind", "request_id", "transaction", "cos_party")
PAGE: Final = 1000
_KEY_ID: Final = re.compile(r';keyid="([0-9a-f]{16})"')

Row = dict[str, Any]


def collect(connection: Connection, data: Path, request_id: str) -> dict[str, Any]:
    """The bundle of one request.

    Raises:
        CommandError: no CoS Party was ever asked about it (exit code 1), a certificate is not in
            the data folder (exit code 3), or a system cannot be reached (exit code 4).
    """
    request_id = spelled(request_id)
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
        "link_certificates": link_certificates(logs, data / "acb" / "trust" / "link"),
        "certificates": signers(logs, certificates_in(data)),
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


def key_ids(rows: Iterable[Any]) -> set[str]:
    """The link keys that the rows' messages name."""
    found: set[str] = set()
    for row in rows:
        match row:
            case {"record": {"headers": [*headers]}}:
                for header in headers:
                    match header:
                        case [profile.SIGNATURE_INPUT, str() as value]:
                            found.update(_KEY_ID.findall(value))
                        case _:
                            pass
            case _:
                pass
    return found


def link_certificates(logs: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """The link certificates of those who signed what is in the logs.

    Raises:
        CommandError: one who signed has no certificate there any more.
    """
    pinned = {path.stem: read_pem(path) for path in sorted(folder.glob("*.pem"))}
    named = {key for log in logs.values() for key in key_ids(log["rows"])}
    needed = {
        key
        for log in logs.values()
        for key in key_ids(row for row in log["rows"] if row["kind"] != RESPONSE_REFUSED)
    }
    if lost := needed - {one.key_identifier.hex() for one in pinned.values()}:
        raise CommandError(f"the link certificate of key {min(lost)} is not in {folder}", MISSING)
    return {
        system: text_of(one.der)
        for system, one in pinned.items()
        if one.key_identifier.hex() in named
    }


def signers(logs: Mapping[str, Any], certificates: list[Certificate]) -> list[str]:
    """The certificates that show who signed what the exchange carries, each once.

    Raises:
        CommandError: a signer's certificate is not there.
    """
    carried = {
        (member, octets)
        for log in logs.values()
        for row in log["rows"]
        if str(row["kind"]).startswith("link.") and row["kind"] != RESPONSE_REFUSED
        for member in MEMBERS
        if (octets := octets_in(body_of(row), member)) is not None and not is_read_back(octets)
    }
    found = {
        signer_of(octets, certificates, xml=member == "service_request").der
        for member, octets in carried
    }
    return [text_of(der) for der in sorted(found)]


def signer_of(octets: bytes, certificates: list[Certificate], *, xml: bool) -> Certificate:
    """The certificate that shows who signed a document or message.

    A document names it by issuer and serial. A GBCS message names only an entity, which may have
    had several keys: the certificate that verifies is the one in force when it was signed. Where
    none does, any that names the entity, for the reader to see that.

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
            message = decode(octets)
            wanted = message.header.originator
            candidates = [one for one in certificates if names(one, wanted)]
            for one in candidates:
                if _verifies(message, one):
                    return one
            if candidates:
                return candidates[0]
    except (DuisError, GbcsError) as error:
        raise CommandError(f"a document of the exchange cannot be read: {error}") from error
    raise CommandError(f"the signer's certificate is not in the data folder: {wanted}", MISSING)


def _verifies(message: Message, certificate: Certificate) -> bool:
    try:
        verify_signature(message, certificate.der)
    except GbcsError:
        return False
    return True


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
