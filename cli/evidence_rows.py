"""One exported audit row, judged: place in the chain, hash, body, signature. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.chassis.audit import row_hash
from services.chassis.canonical import NotCanonicalError
from services.link.errors import EvidenceError
from services.link.evidence import verify_evidence
from services.link.trust import LinkTrust

_COVERED = ("at", "kind", "subject", "record", "body_digest", "previous")


@dataclass
class Kept:
    """What became of one row.

    Attributes:
        seq: its number in the party's log.
        kind: what it says happened.
        name: number and kind, for people.
        message: the link message without this party's own verdict on it, for comparison.
        signature: its signature header, which names one message in both logs; "" for others.
        body: the octets it holds.
        document: the body as a JSON object; empty where it is none.
        verified: part and what was found, for each thing that holds.
        wrong: the same for each that does not.
    """

    seq: int
    kind: str
    name: str
    message: Any = None
    signature: str = ""
    body: bytes = b""
    document: dict[str, Any] = field(default_factory=dict)
    verified: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)


def judge_row(row: Mapping[str, Any], previous: Mapping[str, Any] | None, trust: LinkTrust) -> Kept:
    """Judge one row after the one before it.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it has not the shape of a row.
    """
    seq, kind = int(row["seq"]), str(row["kind"])
    kept = Kept(seq, kind, f"{seq} {kind}")
    withheld = row.get("withheld", False)
    if not isinstance(withheld, bool) or (withheld and row["body"] is not None):
        kept.wrong.append(("withheld", "is not what export writes"))
        withheld = False
    _judge_chain(kept, row, previous)
    _judge_body(kept, row, withheld=withheld)
    if kind.startswith("link.") and not withheld and "signature_base" in row["record"]:
        _judge_message(kept, row, trust)
    return kept


def _judge_chain(kept: Kept, row: Mapping[str, Any], previous: Mapping[str, Any] | None) -> None:
    if previous is not None and row["seq"] != previous["seq"] + 1:
        kept.wrong.append(("place", f"does not follow row {previous['seq']}"))
    if previous is not None and row["previous"] != previous["hash"]:
        kept.wrong.append(("hash link", "is not the hash of the row before it"))
    try:
        computed = row_hash(seq=row["seq"], **{name: row[name] for name in _COVERED})
    except NotCanonicalError as error:
        kept.wrong.append(("hash", str(error)))
        return
    if computed != row["hash"]:
        kept.wrong.append(("hash", "does not match what it covers"))


def _judge_body(kept: Kept, row: Mapping[str, Any], *, withheld: bool) -> None:
    text = row["body"]
    if text is None:
        if (row["body_digest"] is not None) != withheld:
            kept.wrong.append(("body", "is missing"))
        return
    try:
        kept.body = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        kept.wrong.append(("body", f"is not base64: {error}"))
        return
    if base64.b64encode(kept.body).decode() != text:
        kept.wrong.append(("body", "is not base64 in its one form"))
    if hashlib.sha256(kept.body).hexdigest() != row["body_digest"]:
        kept.wrong.append(("body", "is not the one that was recorded"))
    try:
        document = json.loads(kept.body)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        kept.document = document


def _judge_message(kept: Kept, row: Mapping[str, Any], trust: LinkTrust) -> None:
    record = row["record"]
    kept.message = {name: value for name, value in record.items() if name != "verdict"}
    verdict = record.get("verdict")
    try:
        proof = verify_evidence(row, trust)
    except (ValueError, ArithmeticError, OSError) as error:  # a date outside the calendar
        kept.wrong.append(("signature input", str(error)))
        return
    except EvidenceError as error:
        if kept.kind.endswith(".refused"):
            check = (verdict or {}).get("check")
            kept.verified.append(("refusal", f"rightly refused ({check}): {error}"))
        else:
            kept.wrong.append((error.part, error.detail))
        return
    kept.signature = dict(record["headers"]).get("signature", "")
    said = "" if proof.status is None else f", status {proof.status}"
    if proof.status is not None and proof.status >= 400:
        said += f", refused by {kept.document.get('check')}"
    what = f"{proof.purpose} {proof.kind}{said}, {proof.created:%Y-%m-%d %H:%M:%S} UTC"
    kept.verified.append(("signature", f"{proof.signer} to {proof.recipient}, {what}"))
