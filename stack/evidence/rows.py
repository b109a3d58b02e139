"""One exported audit row, judged: shape, place in the chain, hash, body, signature. Pure.

The row's kind and the log it stands in decide what is asked of it, never what it brings: a message
of the link carries its sender's signature, or the row is wrong. What is unsigned by nature (a
party's own notes, what a stranger sent, an answer that came back spoiled) is the party's word.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.chassis.data.audit import row_hash
from services.chassis.data.canonical import NotCanonicalError
from services.link.errors import EvidenceError
from services.link.store import evidence as link
from services.link.store.evidence import Proof, verify_evidence
from services.link.trust import LinkTrust
from services.link.wire import profile

_COVERED = ("at", "kind", "subject", "record", "body_digest", "previous")
_MEMBERS = {"seq", "hash", "body", *_COVERED}
_STRANGERS = {"version", "verdict", "body_octets", "body_digest"}
"""What the record of a request of unknown origin holds."""

REQUESTS = (link.REQUEST_SENT, link.REQUEST_RECEIVED, link.REQUEST_REFUSED)
RESPONSES = (link.RESPONSE_SENT, link.RESPONSE_RECEIVED, link.RESPONSE_REFUSED)
SENT = (link.REQUEST_SENT, link.RESPONSE_SENT)
REFUSED = (link.REQUEST_REFUSED, link.RESPONSE_REFUSED)


@dataclass
class KeptRow:
    """What became of one row.

    Attributes:
        seq: its number in the party's log.
        kind: what it says happened.
        name: number and kind, for people.
        subject: what it says it is about.
        withheld: its body was not exported.
        record: what it says, exactly.
        proof: what the signature on it proves; None for what is not signed.
        asked: for a response, the signature of the request that it answers; "" for others.
        body: the octets it holds.
        document: the body as a JSON object; empty where it is none.
        told: part and what is said, for what only the party says.
        wrong: part and what was found, for each that does not hold.
    """

    seq: int
    kind: str
    name: str
    subject: str
    withheld: bool
    record: Mapping[str, Any]
    proof: Proof | None = None
    asked: str = ""
    body: bytes = b""
    document: dict[str, Any] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_link(self) -> bool:
        """Whether it says that a message went over the link."""
        return self.kind.startswith("link.")

    @property
    def message(self) -> dict[str, Any]:
        """The link message without this party's own verdict on it."""
        return {name: value for name, value in self.record.items() if name != "verdict"}


def judge_row(
    row: Mapping[str, Any], previous: Mapping[str, Any] | None, party: str, trust: LinkTrust
) -> KeptRow:
    """Judge one row of a party's log after the one before it.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: it has not the shape of a row.
    """
    seq, kind, subject, record = row["seq"], row["kind"], row["subject"], row["record"]
    if type(seq) is not int or not isinstance(kind, str) or not isinstance(subject, str):
        raise TypeError("number, kind or subject of another type")
    if not isinstance(record, dict) or set(row) - {"withheld"} != _MEMBERS:
        raise TypeError("other members than a row has")
    withheld = row.get("withheld", False)
    kept = KeptRow(seq, kind, f"{seq} {kind}", subject, withheld is True, record)
    if not isinstance(withheld, bool) or ("withheld" in row and row["body"] is not None):
        kept.wrong.append(("withheld", "is not what export writes"))
    _judge_chain(kept, row, previous)
    _judge_body(kept, row)
    if kept.is_link:
        _judge_link(kept, row, party, trust)
    return kept


def _judge_chain(kept: KeptRow, row: Mapping[str, Any], previous: Mapping[str, Any] | None) -> None:
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


def _judge_body(kept: KeptRow, row: Mapping[str, Any]) -> None:
    text = row["body"]
    if text is None:
        if (row["body_digest"] is not None) != kept.withheld:
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


def _judge_link(kept: KeptRow, row: Mapping[str, Any], party: str, trust: LinkTrust) -> None:
    """A message of the link: it is signed, or it is of the kinds that say they are not."""
    if kept.kind not in (*REQUESTS, *RESPONSES):
        kept.wrong.append(("kind", "is none that the link keeps"))
        return
    if ("verdict" in kept.record) != (kept.kind in REFUSED):
        kept.wrong.append(("verdict", "stands where none is kept, or is missing"))
    if kept.kind == link.REQUEST_REFUSED and "headers" not in kept.record:
        _judge_strangers(kept, row)
        return
    try:
        proof = verify_evidence(
            row, trust, withheld=kept.withheld, refused=kept.kind == link.REQUEST_REFUSED
        )
    except (ValueError, ArithmeticError, OSError) as error:  # a date outside the calendar
        kept.wrong.append(("signature input", str(error)))
        return
    except EvidenceError as error:
        if kept.kind == link.RESPONSE_REFUSED:
            _judge_verdict(kept, row, party, trust)
            kept.told.append(
                (
                    "refusal",
                    f"came back and was refused ({_check(kept)}): {error}; signed by nobody",
                )
            )
        else:
            kept.wrong.append((error.part, error.detail))
        return
    kept.proof = proof
    _judge_place(kept, row, party)
    if kept.kind in REFUSED:
        _judge_verdict(kept, row, party, trust)
        kept.told.append(("refusal", f"{party} says that it refused it ({_check(kept)})"))


def _judge_strangers(kept: KeptRow, row: Mapping[str, Any]) -> None:
    members = set(kept.record) - {"unkept_before"}
    if members != _STRANGERS or row["body_digest"] is not None or kept.subject != "unauthenticated":
        kept.wrong.append(("signature", "is missing, and it is no note of an unknown sender"))
    kept.told.append(("refusal", f"of an unknown sender ({_check(kept)}); signed by nobody"))


def _judge_place(kept: KeptRow, row: Mapping[str, Any], party: str) -> None:
    """What the signature says is what the row says: direction, subject, time."""
    proof, record = kept.proof, kept.record
    assert proof is not None
    if (proof.kind == "request") != (kept.kind in REQUESTS):
        kept.wrong.append(("kind", f"holds a {proof.kind}"))
        return
    ours = proof.signer if kept.kind in SENT else proof.recipient
    if ours != party and kept.kind not in REFUSED:
        kept.wrong.append(("kind", f"was {proof.signer}'s to {proof.recipient}"))
    if kept.kind not in (*SENT, *REFUSED) and proof.signer == party:
        kept.wrong.append(("kind", f"is {party}'s own message"))
    asked = record if kept.kind in REQUESTS else record["request"]
    headers = dict(asked["headers"])
    kept.asked = "" if kept.kind in REQUESTS else headers.get(profile.SIGNATURE, "")
    if kept.subject != headers.get(profile.MESSAGE_ID, "-"):
        kept.wrong.append(("subject", "is not the identifier of the message"))
    if kept.kind in REFUSED:
        return
    skew = timedelta(seconds=profile.MAX_SKEW)
    if not proof.created - skew <= datetime.fromisoformat(row["at"]) <= proof.expires + skew:
        kept.wrong.append(("time", f"is not within the time signed, {proof.created:%H:%M:%S} on"))
    if kept.kind in RESPONSES:
        for name, said in (
            (profile.PURPOSE, proof.purpose),
            (profile.MESSAGE_ID, proof.message_id),
        ):
            if headers.get(name) != said:
                kept.wrong.append((name, "is not that of the request it answers"))


def _judge_verdict(kept: KeptRow, row: Mapping[str, Any], party: str, trust: LinkTrust) -> None:
    """A party's word that it refused a message is not contradicted by the message itself."""
    section, _, step = _check(kept).rpartition(".")
    if section != ("link.request" if kept.kind in REQUESTS else "link.response"):
        kept.wrong.append(("verdict", "names no check of the link"))
    elif not kept.withheld and link.passes(row, trust, party, step):
        kept.wrong.append(("verdict", f"says {section}.{step}, which the message passes"))


def _check(kept: KeptRow) -> str:
    verdict = kept.record.get("verdict")
    return str(verdict["check"]) if isinstance(verdict, dict) else ""
