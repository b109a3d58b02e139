"""Judging an evidence bundle offline: without any key, any running system, any party's word. Pure.

What is proven, and by what: each link message by its sender's signature under the infrastructure
root; the service request by the supplier's, the command by the CoS Party's and the device's answer
by the device's, each under its own root; that each party's log is what it wrote then, by its hash
links; and that both ends kept the same. What the parties' traces say they decided is told, not
proven, except a refusal that the CoS Party signed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cli.evidence_collect import AUTHORITIES, KIND, VERSION, octets_in, seal
from cli.evidence_rows import Kept, judge_row
from duis.errors import DuisError
from duis.signature import verify_document
from duis.xml import request_from_xml
from gbcs.errors import GbcsError
from gbcs.message import decode
from gbcs.protect import verify_signature
from keys.certificate import Certificate
from keys.errors import KeysError
from keys.path import validate_path
from services.chassis.canonical import NotCanonicalError, canonical
from services.link.errors import LinkError
from services.link.trust import LinkTrust


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whose, what part, and what came of it."""

    party: str
    part: str
    detail: str


@dataclass
class Report:
    """What a bundle proves, and what in it is not what was signed or written."""

    request_id: str = ""
    verified: list[Finding] = field(default_factory=list)
    wrong: list[Finding] = field(default_factory=list)
    told: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong and something is proven."""
        return bool(self.verified) and not self.wrong

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"ok": self.ok, **asdict(self)}


SHAPELESS = (
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError,
    NotCanonicalError, KeysError, LinkError,
)  # fmt: skip
"""What reading a bundle of another shape than ours may raise, wherever it is not looked for."""


class Unreadable(Exception):  # noqa: N818 - says what the file is
    """The file is no evidence bundle at all."""


def read_bundle(data: bytes) -> tuple[dict[str, Any], bool]:
    """A bundle from the octets of its file, and whether those are the ones that export writes.

    Raises:
        Unreadable: not JSON, or not a bundle of this version.
    """
    try:
        bundle = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {error}") from error
    if not isinstance(bundle, dict) or bundle.get("kind") != KIND:
        raise Unreadable("not an evidence bundle")
    if bundle.get("version") != VERSION or isinstance(bundle.get("version"), bool):
        raise Unreadable(f"a bundle of another version than {VERSION}")
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
    report = Report(request_id=str(bundle.get("request_id")))
    if not one_form:
        report.wrong.append(Finding("bundle", "form", "not written as export writes it"))
    judging = _Judging(bundle, report)
    for step in (
        judging.seal,
        lambda: judging.authorities(roots),
        judging.link_certificates,
        judging.logs,
        judging.both_ends,
        judging.service_request,
        judging.command,
        judging.device_response,
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
        self.trusted: dict[str, Certificate] = {}
        self.link: dict[str, Certificate] = {}
        self.kept: dict[str, list[Kept]] = {}

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

    def seal(self) -> None:
        """No section was changed by accident."""
        kept, now = self.bundle["seal"], seal(self.bundle)
        for name in now:
            if kept.get(name) != now[name]:
                self.wrong("bundle", f"seal of {name}", "the section is not the one exported")
        if set(self.bundle) != _MEMBERS or set(kept) != set(now):
            self.wrong("bundle", "members", "others than a bundle has")

    def authorities(self, roots: Mapping[str, bytes] | None) -> None:
        """The roots of trust: read, and compared with the reader's own."""
        for name in AUTHORITIES:
            der = _octets(self.bundle["authorities"][name])
            try:
                found = self.trusted[name] = Certificate.from_der(der)
            except KeysError as error:
                self.wrong("authorities", name, str(error))
                continue
            told = f"SHA-256 {found.fingerprint}"
            if not name.endswith("_root"):
                continue  # held by the root above it, whenever a path is built through it
            if roots is None:
                detail = f"{told}: compare it, or give --trust"
                self.report.told.append(Finding("authorities", name, detail))
            elif found.der == roots.get(name):
                self.right("authorities", name, f"the one trusted; {told}")
            else:
                self.wrong("authorities", name, f"not the one trusted; {told}")

    def link_certificates(self) -> None:
        """Each link certificate is of the infrastructure authority and names its system."""
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
            self.link[system] = found
            self.right(system, part, f"of {found.issuer}, SHA-256 {found.fingerprint[:16]}…")

    def logs(self) -> None:
        """Each row is what was written, follows the one before, and holds what was signed."""
        trust = _trust(self.trusted["infrastructure_root"], self.link)
        for party in ("acb", self.cos_party):
            log = self.bundle["logs"][party]
            previous: Mapping[str, Any] | None = None
            kept: list[Kept] = []
            for row in log["rows"]:
                try:
                    judged = judge_row(row, previous, trust)
                except SHAPELESS as error:
                    part = f"row {len(kept) + 1} of the bundle"
                    self.wrong(party, part, f"not a row: {type(error).__name__}: {error}")
                    continue
                for part, detail in judged.wrong:
                    self.wrong(party, f"row {judged.name} {part}", detail)
                for part, detail in judged.verified:
                    self.right(party, f"row {judged.name} {part}", detail)
                kept.append(judged)
                previous = row
            self.kept[party] = kept
            head = log["head"]
            if previous is None:
                self.wrong(party, "rows", "there are none")
            elif (previous["seq"] == head["seq"]) != (previous["hash"] == head["hash"]):
                self.wrong(party, "head", "is not the hash of the last row")
            if kept and len(kept) == len(log["rows"]) and not any(one.wrong for one in kept):
                self.right(party, "hash links", f"rows {kept[0].seq} to {kept[-1].seq} are whole")

    def both_ends(self) -> None:
        """What one end says it sent, the other says it received, to the octet."""
        ours, theirs = (
            {one.signature: one for one in self.kept[party] if one.signature}
            for party in ("acb", self.cos_party)
        )
        for signature, one in ours.items():
            other = theirs.get(signature)
            if other is None:
                self.report.told.append(
                    Finding("acb", f"row {one.name}", f"{self.cos_party} has no such message")
                )
            elif (one.body, one.message) != (other.body, other.message):
                what = "body" if one.body != other.body else "record"
                self.wrong("acb", f"row {one.name} {what}", f"{self.cos_party} kept another")
                self.wrong(self.cos_party, f"row {other.name} {what}", "acb kept another")
            else:
                self.right("both ends", one.name, f"the same in {self.cos_party} row {other.name}")

    def service_request(self) -> None:
        """The supplier signed it, and it is what the broker passed on."""
        octets, signer = self._document("service_request", "organisation")
        if octets is None or signer is None:
            return
        try:
            signed = verify_document(octets, signer.der)
            request = request_from_xml(signed.signed_xml).header.request_id
        except DuisError as error:
            self.wrong("supplier", "service request", str(error))
            return
        if str(request) != self.report.request_id or signer.subject_eui != request.originator:
            self.wrong("supplier", "service request", f"is {request}, by {signer.subject_eui}")
            return
        self.right("supplier", "service request", f"signed by {signer.subject_eui}")
        self._carried("supplier", "service request", "service_request", octets, "request")

    def command(self) -> None:
        """The CoS Party signed it, and it is what it answered."""
        octets = self._message("command", self.cos_party, "organisation")
        if octets is not None:
            self._carried(self.cos_party, "command", "signed_command", octets, "response")
            signed = [one for one in self.kept[self.cos_party] if one.kind == "cos.signed"]
            if any(one.body != octets for one in signed):
                self.wrong(self.cos_party, "command", "is not the one its log says it signed")

    def device_response(self) -> None:
        """The device signed it, and it is what the broker passed on."""
        octets = self._message("device_response", "device", "device")
        if octets is not None:
            self._carried("device", "device response", "message", octets, "request")

    def verdicts(self) -> None:
        """What each party says it decided; nobody signed it."""
        for party, told in self.bundle["verdicts"].items():
            refused = [one["check"] for one in told if one["outcome"] == "refused"]
            made = sum(one["outcome"] in ("passed", "refused") for one in told)
            detail = f"{made} checks made; refused by {', '.join(refused) or 'none'}"
            self.report.told.append(Finding(party, "verdicts", detail))

    def _message(self, name: str, party: str, kind: str) -> bytes | None:
        octets, signer = self._document(name, kind)
        if octets is None or signer is None:
            return None
        part = name.replace("_", " ")
        try:
            message = decode(octets)
            verify_signature(message, signer.der)
        except GbcsError as error:
            self.wrong(party, part, error.reason)
            return None
        if message.header.originator != signer.subject_eui:
            self.wrong(party, part, f"of {message.header.originator}, by {signer.subject_eui}")
            return None
        self.right(party, part, f"{message.reference} signed by {signer.subject_eui}")
        return octets

    def _document(self, name: str, kind: str) -> tuple[bytes | None, Certificate | None]:
        kept = self.bundle["documents"][name]
        if kept is None:
            carried = [
                one.name
                for party in self.kept
                for one in self.kept[party]
                if one.kind.startswith("link.")
                and octets_in(one.document, _MEMBER[name]) is not None
            ]
            if carried:
                self.wrong("bundle", name, f"is missing, though row {carried[0]} carries one")
            return None, None
        octets = _octets(kept["octets"])
        try:
            signer = Certificate.from_der(_octets(kept["certificate"]))
            path = (self.trusted[f"{kind}_issuing"],)
            validate_path(signer, path, self.trusted[f"{kind}_root"], at=None)
        except KeysError as error:
            self.wrong("documents", f"{name} certificate", str(error))
            return octets, None
        self.right("documents", f"{name} certificate", f"of {signer.issuer}, path holds")
        return octets, signer

    def _carried(self, party: str, part: str, member: str, octets: bytes, what: str) -> None:
        """The document is the one that the link messages carried, in both logs."""
        for log, kept in self.kept.items():
            carriers = [
                (one, found)
                for one in kept
                if one.kind.startswith(f"link.{what}.") and not one.kind.endswith(".refused")
                if (found := octets_in(one.document, member)) is not None
            ]
            if not carriers:
                self.wrong(log, part, "no row carries it")
            for one, found in carriers:
                if found != octets:
                    self.wrong(log, f"row {one.name} body", f"carries another {part}")
                else:
                    self.right(party, part, f"is what {log} row {one.name} carries")


_MEMBER = {
    "service_request": "service_request",
    "command": "signed_command",
    "device_response": "message",
}
_MEMBERS = {
    "version", "kind", "request_id", "transaction", "cos_party", "authorities",
    "link_certificates", "documents", "logs", "verdicts", "seal",
}  # fmt: skip


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
