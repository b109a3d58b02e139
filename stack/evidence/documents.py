"""The signed documents that an exchange carries: request, command, the device's words. Pure.

They are taken from the signed link messages themselves. Each must be signed by whom it names, under
that party's own root. A bundle brings the certificates that may show it, and which is tried is not
the bundle's choice: any that names the signer, holds under the root and verifies is proof that the
signer's key signed, also after the signer has another key now.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from duis.errors import DuisError
from duis.signature import signature_reference, verify_document
from duis.xml import request_from_xml
from gbcs.codes import MessageCode
from gbcs.errors import GbcsError
from gbcs.message import Message, decode
from gbcs.protect import verify_signature
from keys.certificate import Certificate
from keys.roles import XML_SIGNING_ROLES, OrganisationRole, Usage
from services.link.store import evidence as link
from stack.evidence.exchange import Say
from stack.evidence.rows import RESPONSES, KeptRow

COMMAND = "cos-command"
RESPONSE = "device-response"
ALERT = "device-alert"
MEMBERS = {"service_request", "signed_command", "message"}
"""Of the bodies of the link: each holds a document in base64."""
NOTHING = "none is here: nothing is proven of it, nor that there was none"

READ_BACK_CODE = MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS
READ_BACK = "the broker's word of what the device holds: its MAC proves nothing to anybody else"

ShownBy = Callable[[bytes], str]


class NotProven(Exception):  # noqa: N818 - a verdict on a document
    """No certificate of the bundle shows that the document was signed by whom it names."""


@dataclass
class Documents:
    """The documents of one exchange, and what shows who signed them.

    Attributes:
        request_id: the request that the bundle says it is about.
        cos_party: the CoS Party that was asked.
        logs: the rows about the exchange, by party; all with a proof.
        organisations, devices: the certificates that hold under each root.
        wrong, right, missing, told: where findings go: party, part, detail.
        used: fingerprints of the certificates that showed something.
        commands: the commands that were shown to be signed.
    """

    request_id: str
    cos_party: str
    logs: Mapping[str, Sequence[KeptRow]]
    organisations: Sequence[Certificate]
    devices: Sequence[Certificate]
    wrong: Say
    right: Say
    missing: Say
    told: Say
    used: set[str] = field(default_factory=set)
    commands: set[bytes] = field(default_factory=set)
    _target: str | None = None
    _command: Message | None = None

    def judge(self) -> None:
        """Verify all there are, in the order in which each builds on the one before."""
        if not self._each("service request", "supplier", COMMAND, "service_request", self._request):
            self.missing("supplier", "service request", "no row carries one that it signed")
        if not self._each(
            "command", self.cos_party, COMMAND, "signed_command", self._signed_command
        ):
            self.told(self.cos_party, "command", NOTHING)
        if not self._each("device response", "device", RESPONSE, "message", self._response):
            self.told("device", "device response", NOTHING)
        self._each("device alert", "device", ALERT, "message", self._alert)
        self._order()

    def _each(self, part: str, party: str, purpose: str, member: str, shown_by: ShownBy) -> bool:
        """Verify what messages of a purpose carry; whether one was shown to be signed."""
        shown: dict[bytes, str] = {}
        for log, one in self._carriers(purpose, member):
            where = f"row {one.name}"
            octets = octets_in(one.document, member)
            if octets is None:
                self.wrong(log, f"{where} body", f"carries no {part}")
                continue
            if purpose == RESPONSE and is_read_back(octets):
                self.told(party, f"{log} {where}", READ_BACK)
                continue
            if octets not in shown:
                try:
                    shown[octets] = shown_by(octets)
                except (NotProven, DuisError, GbcsError) as error:
                    said = error.reason if isinstance(error, GbcsError) else str(error)
                    self.wrong(log, f"{where} body", f"carries another {part}: {said}")
                    continue
                self.right(party, part, shown[octets])
            self.right(party, part, f"is what {log} {where} carries")
        return bool(shown)

    def _carriers(self, purpose: str, member: str) -> list[tuple[str, KeptRow]]:
        """The rows that must carry it: requests of the purpose, or answers that say yes."""
        answers = member == "signed_command"
        found = []
        for log, rows in self.logs.items():
            for one in rows:
                proof = one.proof
                assert proof is not None
                # who refused its envelope says what was wrong with it; this is what it carried
                if proof.purpose != purpose or one.kind == link.RESPONSE_REFUSED:
                    continue
                if (one.kind in RESPONSES) != answers:
                    continue
                if not answers or 200 <= (proof.status or 0) < 300:
                    found.append((log, one))
        return found

    def _request(self, octets: bytes) -> str:
        named = signature_reference(octets)
        for one in self.organisations:
            if (one.issuer, one.serial) != (named.issuer, named.serial):
                continue
            signed = verify_document(octets, one.der)
            header = request_from_xml(signed.signed_xml).header
            if str(header.request_id) != self.request_id:
                raise NotProven(f"it is {header.request_id}")
            if one.subject_eui != header.request_id.originator:
                raise NotProven(f"it is signed by {one.subject_eui}")
            if one.role not in XML_SIGNING_ROLES:
                raise NotProven("its signer's certificate is not for documents")
            self._target = header.request_id.target
            return f"signed by {one.subject_eui}{self._by(one)}"
        raise NotProven(f"no certificate of {named.issuer}, serial {named.serial} is there")

    def _signed_command(self, octets: bytes) -> str:
        message = decode(octets)
        one = self._signer(message, self.organisations)
        if one.role != OrganisationRole.TRANSITIONAL_COS:
            raise NotProven(f"its signer has the role {one.role}, not a CoS Party's")
        if message.header.recipient != self._target:
            raise NotProven(f"it is for {message.header.recipient}")
        self._command = message
        self.commands.add(octets)
        return f"{message.reference} signed by {one.subject_eui}{self._by(one)}"

    def _response(self, octets: bytes) -> str:
        message, one = self._device(octets)
        header, asked = message.header, self._command
        answers = asked and (asked.header.originator, asked.header.counter)
        if (header.recipient, header.counter) != answers:
            raise NotProven("it answers another command")
        return f"{message.reference} signed by {one.subject_eui}{self._by(one)}"

    def _alert(self, octets: bytes) -> str:
        message, one = self._device(octets)
        return f"{message.reference} signed by {one.subject_eui}{self._by(one)}"

    def _device(self, octets: bytes) -> tuple[Message, Certificate]:
        message = decode(octets)
        one = self._signer(message, self.devices)
        if message.header.originator != self._target:
            raise NotProven(f"it is of {message.header.originator}")
        return message, one

    def _signer(self, message: Message, certificates: Sequence[Certificate]) -> Certificate:
        """The certificate that shows who signed a message: whichever one does."""
        signer = message.header.originator
        named = [one for one in certificates if names(one, signer)]
        failed: GbcsError | None = None
        for one in named:
            try:
                verify_signature(message, one.der)
            except GbcsError as error:
                failed = error
                continue
            return one
        if failed is not None:
            raise failed
        raise NotProven(f"no signing certificate of {signer} holds")

    def _by(self, one: Certificate) -> str:
        self.used.add(one.fingerprint)
        return f", certificate {one.serial:x} of {one.issuer}"

    def _order(self) -> None:
        """A device answers what was signed before."""
        for log, rows in self.logs.items():
            commands = [n for n, one in enumerate(rows) if "signed_command" in one.document]
            for number, one in enumerate(rows):
                carries = one.proof is not None and one.proof.purpose in (RESPONSE, ALERT)
                if carries and "message" in one.document and number < min(commands, default=0):
                    self.wrong(log, f"row {one.name} place", "comes before the command it is about")


def names(certificate: Certificate, signer: str) -> bool:
    """Whether a certificate is for the signatures of that entity on GBCS messages."""
    return (
        certificate.subject_eui == signer
        and certificate.usage is Usage.DIGITAL_SIGNATURE
        and certificate.role not in XML_SIGNING_ROLES
    )


def is_read_back(octets: bytes) -> bool:
    """Whether it is a device's answer to the broker's own question, under a MAC and unsigned."""
    try:
        message = decode(octets)
    except GbcsError:
        return False
    return message.message_code == READ_BACK_CODE and not message.signature


def octets_in(body: Mapping[str, Any], member: str) -> bytes | None:
    """The octets that a member of a link body holds in base64, or None."""
    try:
        return base64.b64decode(body[member], validate=True)
    except (KeyError, TypeError, ValueError):
        return None
