"""Judging an evidence bundle offline: without any key, any running system, any party's word. Pure.

The bundle never chooses what is checked. Proven is only what a signature covers: each message on
the link by its sender's, under the infrastructure root, over what is rebuilt from the row itself;
the service request by the supplier's, the command by the CoS Party's and the device's words by the
device's, each under its own root. Told, and said to be no more, is what nobody signed: a party's
own notes, the numbers and times of its rows, that its log is whole, what its trace says it decided.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keys.certificate import Certificate
from keys.errors import KeysError
from keys.path import validate_path
from services.chassis.data.canonical import NotCanonicalError, canonical
from services.link.errors import LinkError
from services.link.trust import LinkTrust
from stack.evidence.collect import AUTHORITIES, KIND, VERSION, is_about, key_ids, seal
from stack.evidence.documents import Documents
from stack.evidence.exchange import Exchange
from stack.evidence.report import Finding, Report
from stack.evidence.rows import KeptRow, judge_row
from stack.systems import COS_PARTIES

SHAPELESS = (
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError,
    NotCanonicalError, KeysError, LinkError,
)  # fmt: skip
"""What reading a bundle of another shape than ours may raise, wherever it is not looked for."""


class UnreadableBundle(Exception):  # noqa: N818 - says what the file is
    """The file is no evidence bundle at all."""


def read_bundle(data: bytes) -> tuple[dict[str, Any], bool]:
    """A bundle from the octets of its file, and whether those are the ones that export writes.

    Raises:
        Unreadable: not JSON, or not a bundle of this version.
    """
    try:
        bundle = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableBundle(f"not JSON: {error}") from error
    if not isinstance(bundle, dict) or bundle.get("kind") != KIND:
        raise UnreadableBundle("not an evidence bundle")
    if bundle.get("version") != VERSION or isinstance(bundle.get("version"), bool):
        raise UnreadableBundle(f"a bundle of another version than {VERSION}")
    try:
        return bundle, write_bundle(bundle) == data
    except NotCanonicalError:
        return bundle, False


def write_bundle(bundle: Mapping[str, Any]) -> bytes:
    """The one form in which a bundle is written."""
    return canonical(bundle).encode() + b"\n"


def judge(data: bytes, roots: Mapping[str, bytes] | None = None) -> Report:
    """Everything that can be said of a bundle.

    Args:
        data: the octets of its file.
        roots: the authorities (DER, by their names in a bundle) that the reader trusts; None: the
            bundle's own, whose fingerprints the report gives.

    Raises:
        Unreadable: it is no bundle.
    """
    bundle, one_form = read_bundle(data)
    report = Report(request_id=str(bundle.get("request_id")), own_roots=roots is None)
    if not one_form:
        report.wrong.append(Finding("bundle", "form", "not written as export writes it"))
    judging = _Judging(bundle, report)
    for step in (
        judging.seal,
        lambda: judging.authorities(roots),
        judging.link_certificates,
        judging.logs,
        judging.exchange,
        judging.documents,
        judging.verdicts,
    ):
        judging.guarded(step)
    return report


class _Judging:
    """One bundle in the making of its report."""

    def __init__(self, bundle: dict[str, Any], report: Report) -> None:
        self.bundle = bundle
        self.report = report
        self.cos_party = str(bundle.get("cos_party"))
        self.transaction = str(bundle.get("transaction"))
        self.trusted: dict[str, Certificate] = {}
        self.link: dict[str, Certificate] = {}
        self.kept: dict[str, list[KeptRow]] = {}

    def guarded(self, step: Callable[[], None]) -> None:
        """Run a step; a bundle of another shape than ours is wrong, not our failure."""
        try:
            step()
        except SHAPELESS as error:
            self.wrong("bundle", "shape", f"{type(error).__name__}: {error}")

    def wrong(self, party: str, part: str, detail: str) -> None:
        self.report.wrong.append(Finding(party, part, detail))

    def right(self, party: str, part: str, detail: str) -> None:
        self.report.verified.append(Finding(party, part, detail))

    def told(self, party: str, part: str, detail: str) -> None:
        self.report.told.append(Finding(party, part, detail))

    def missing(self, party: str, part: str, detail: str) -> None:
        self.report.missing.append(Finding(party, part, detail))

    def seal(self) -> None:
        """No section was changed by accident, and there are no others."""
        if self.cos_party not in COS_PARTIES:
            self.wrong("bundle", "cos_party", "is no CoS Party")
        if set(self.bundle) != _MEMBERS or set(self.bundle["authorities"]) != set(AUTHORITIES):
            self.wrong("bundle", "members", "others than a bundle has")
        if set(self.bundle["logs"]) != {"acb", self.cos_party}:
            self.wrong("bundle", "logs", "others than those of the two ends")
        kept, now = self.bundle["seal"], seal(self.bundle)
        for name in now:
            if kept.get(name) != now[name]:
                self.wrong("bundle", f"seal of {name}", "the section is not the one exported")
        if set(kept) != set(now):
            self.wrong("bundle", "seal", "is of other sections than a bundle has")

    def authorities(self, roots: Mapping[str, bytes] | None) -> None:
        """The roots of trust: read, and compared with the reader's own."""
        for name in AUTHORITIES:
            der = _octets(self.bundle["authorities"][name])
            try:
                found = self.trusted[name] = Certificate.from_der(der)
                if not name.endswith("_root"):
                    root = self.trusted[f"{name.partition('_')[0]}_root"]
                    validate_path(found, (), root, at=None)
                    continue
            except KeysError as error:
                self.wrong("authorities", name, str(error))
                continue
            told = f"SHA-256 {found.fingerprint}"
            if roots is None:
                self.told("authorities", name, f"{told}: compare it, or give --trust")
            elif found.der == roots.get(name):
                self.right("authorities", name, f"the one trusted; {told}")
            else:
                self.wrong("authorities", name, f"not the one trusted; {told}")

    def link_certificates(self) -> None:
        """Each link certificate is of the infrastructure authority and names its system."""
        named = {key_id for log in self.bundle["logs"].values() for key_id in key_ids(log["rows"])}
        for system, text in self.bundle["link_certificates"].items():
            part = "link certificate"
            try:
                found = Certificate.from_der(_octets(text))
                validate_path(found, (), self.trusted["infrastructure_root"], at=None)
            except KeysError as error:
                self.wrong(system, part, str(error))
                continue
            if found.common_name != system or not found.simulated:
                self.wrong(system, part, f"names {found.common_name}")
                continue
            if found.key_identifier.hex() not in named:
                self.wrong(system, part, "no message names its key")
                continue
            self.link[system] = found
            self.right(system, part, f"of {found.issuer}, SHA-256 {found.fingerprint[:16]}…")

    def logs(self) -> None:
        """Each row is what was written, follows the one before, and holds what was signed."""
        trust = _trust(self.trusted["infrastructure_root"], self.link)
        for party in ("acb", self.cos_party):
            log = self.bundle["logs"][party]
            previous: Mapping[str, Any] | None = None
            kept: list[KeptRow] = []
            for row in log["rows"]:
                try:
                    judged = judge_row(row, previous, party, trust)
                    self._row(party, judged, exported="withheld" in row)
                except SHAPELESS as error:
                    part = f"row {len(kept) + 1} of the bundle"
                    self.wrong(party, part, f"not a row: {type(error).__name__}: {error}")
                    continue
                kept.append(judged)
                previous = row
            self.kept[party] = kept
            self._head(party, log, kept)

    def _row(self, party: str, judged: KeptRow, *, exported: bool) -> None:
        """What is said of one row, and whether it was for export to withhold its body."""
        for part, detail in judged.wrong:
            self.wrong(party, f"row {judged.name} {part}", detail)
        about = self._about(judged)
        if about == exported:
            detail = "is about the exchange" if about else "is about something else"
            self.wrong(party, f"row {judged.name} withheld", detail)
        if not about:
            return
        for part, detail in judged.told:
            self.told(party, f"row {judged.name} {part}", detail)
        if judged.proof is not None and not judged.wrong:
            self.right(party, f"row {judged.name} signature", _said(judged))

    def _about(self, judged: KeptRow) -> bool:
        return is_about(
            {"subject": judged.subject, "record": judged.record},
            self.transaction,
            self.report.request_id,
        )

    def _head(self, party: str, log: Mapping[str, Any], kept: Sequence[KeptRow]) -> None:
        """What the party claims of its log as a whole: its own word, whatever the hashes say."""
        rows, head = log["rows"], log["head"]
        if set(log) != {"head", "rows"} or set(head) != {"seq", "hash"}:
            self.wrong(party, "head", "has other members than export writes")
        if not rows:
            self.wrong(party, "rows", "there are none")
            return
        if not kept or not self._about(kept[0]) or not self._about(kept[-1]):
            self.wrong(party, "rows", "do not begin and end with the exchange")
        last = rows[-1]
        if type(head["seq"]) is not int or head["seq"] < last["seq"]:
            self.wrong(party, "head", "stands before the last row")
        elif (last["seq"] == head["seq"]) != (last["hash"] == head["hash"]):
            self.wrong(party, "head", "is not the hash of the last row")
        if kept and len(kept) == len(rows) and not any(one.wrong for one in kept):
            self.told(
                party,
                "hash links",
                f"rows {kept[0].seq} to {kept[-1].seq} fit as exported; "
                f"{party} could write its own log anew: compare the head (row {head['seq']}, "
                f"{head['hash']}) with one that you hold",
            )
        notes = [one.name for one in kept if not one.is_link and self._about(one)]
        if notes:
            self.told(party, "own notes", f"rows {', '.join(notes)}: signed by nobody")

    def exchange(self) -> None:
        """Both ends kept the same exchange, and all of it."""
        Exchange(
            transaction=self.transaction,
            cos_party=self.cos_party,
            logs=self._proven(),
            wrong=self.wrong,
            told=self.told,
            missing=self.missing,
            right=self.right,
        ).judge()

    def _proven(self) -> dict[str, list[KeptRow]]:
        """The signed messages about the exchange, of rows in which nothing is wrong."""
        return {
            party: [one for one in rows if one.proof and not one.wrong and self._about(one)]
            for party, rows in self.kept.items()
        }

    def documents(self) -> None:
        """What the messages carry is signed by whom it names, under that party's own root."""
        given = [Certificate.from_der(_octets(text)) for text in self.bundle["certificates"]]
        held: dict[str, list[Certificate]] = {"organisation": [], "device": []}
        for one in given:
            kind = "device" if one.is_device else "organisation"
            try:
                path = (self.trusted[f"{kind}_issuing"],)
                validate_path(one, path, self.trusted[f"{kind}_root"], at=None)
            except KeysError as error:
                self.wrong("certificates", f"{one.subject_eui}", str(error))
                continue
            held[kind].append(one)
        documents = Documents(
            request_id=self.report.request_id,
            cos_party=self.cos_party,
            logs=self._proven(),
            organisations=held["organisation"],
            devices=held["device"],
            wrong=self.wrong,
            right=self.right,
            missing=self.missing,
            told=self.told,
        )
        documents.judge()
        for one in given:
            if one.fingerprint in documents.used:
                continue
            self.wrong("certificates", f"{one.subject_eui}", "shows nothing that is here")
        if len({one.fingerprint for one in given}) != len(given):
            self.wrong("certificates", "list", "one is there twice")
        signed = documents.commands
        for note in self.kept[self.cos_party]:
            if note.kind == "cos.signed" and self._about(note) and note.body not in signed:
                detail = "is no command that an answer carries"
                self.wrong(self.cos_party, f"row {note.name} body", detail)

    def verdicts(self) -> None:
        """What each party says it decided; nobody signed it."""
        for party, told in self.bundle["verdicts"].items():
            refused = [one["check"] for one in told if one["outcome"] == "refused"]
            made = sum(one["outcome"] in ("passed", "refused") for one in told)
            detail = f"{made} checks made; refused by {', '.join(refused) or 'none'}"
            self.told(party, "verdicts", detail)


_MEMBERS = {
    "version", "kind", "request_id", "transaction", "cos_party", "authorities",
    "link_certificates", "certificates", "logs", "verdicts", "seal",
}  # fmt: skip


def _said(judged: KeptRow) -> str:
    """What the signature on a row's message proves, in one line."""
    proof = judged.proof
    assert proof is not None
    status = "" if proof.status is None else f", status {proof.status}"
    if proof.status is not None and proof.status >= 400:
        status += f", refused by {judged.document.get('check')}"
    what = f"{proof.purpose} {proof.kind}{status}, {proof.created:%Y-%m-%d %H:%M:%S} UTC"
    return f"{proof.signer} to {proof.recipient}, {what}"


def _trust(root: Certificate, systems: dict[str, Certificate]) -> LinkTrust:
    try:
        return LinkTrust(root, systems)
    except LinkError as error:
        raise ValueError(str(error)) from error


def _octets(text: str) -> bytes:
    try:
        octets = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
    if base64.b64encode(octets).decode() != text:
        raise ValueError("not base64 in its one form")
    return octets
