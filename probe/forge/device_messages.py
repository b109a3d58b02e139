"""What devices say, made with a device's own keys: honest as it stands, a lie where changed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from gbcs.codes import AlertCode, Cra, MessageCode, StatusCode
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.payloads.cells import CellId
from gbcs.payloads.credentials import (
    CellOutcome,
    CredentialsAlert,
    CredentialsOutcome,
    CredentialsResponse,
    decode_update,
    encode_alert,
    encode_response,
)
from gbcs.payloads.details import (
    CredentialDetails,
    HeldCredential,
    RoleDetails,
    decode_read,
    encode_details,
)
from gbcs.protect import add_mac, sign
from keys.certificate import Certificate
from probe.forge import Forged
from probe.forge.gbcs import device_keys
from probe.world import World

Outcome = Callable[[CredentialsOutcome], CredentialsOutcome]


def as_done(outcome: CredentialsOutcome) -> CredentialsOutcome:
    """Everything was done as commanded."""
    return outcome


@dataclass(frozen=True)
class Reply(Forged):
    """A response (or alert) to a CS02b command in the making; what is not changed is honest.

    Attributes:
        signer: whose key signs: a device's identifier, or nothing for the commanded device's own.
        outcome: what is changed in the outcome.
        bare: only "accepted", without an outcome.
        alert: the code of an alert, which it then is.
        header: grouping header fields other than the honest ones.
        counter_by: how far its counter is from the one that it must have: an answer to another
            command, whatever the counters have come to.
        payload: other octets for a payload.
        after: a change of the finished message.
    """

    signer: str | None = None
    outcome: Outcome = as_done
    bare: bool = False
    alert: int | None = None
    executed_at: str = ""
    header: dict[str, Any] = field(default_factory=dict)
    counter_by: int = 0
    payload: bytes | None = None
    after: Callable[[World, Message], Message] = lambda _, message: message

    def to(self, world: World, command: Message) -> Message:
        """What the device says to a command."""
        asked = command.header
        code = command.message_code if self.alert is None else (
            int(MessageCode.UPDATE_SECURITY_CREDENTIALS_ALERT)
        )  # fmt: skip
        counter = asked.counter if self.alert is None else world.next_counter()
        header = GroupingHeader(
            Cra.RESPONSE if self.alert is None else Cra.ALERT,
            counter + self.counter_by,
            asked.recipient, asked.originator, OtherInformation(code),
        )  # fmt: skip
        payload = self._payload(world, command) if self.payload is None else self.payload
        signer = device_keys(world).signer(self.signer or asked.recipient)
        message = sign(Message(replace(header, **self.header), payload, signature=b""), signer.sign)
        return self.after(world, message)

    def _payload(self, world: World, command: Message) -> bytes:
        if self.bare:
            return encode_response(CredentialsResponse(None))
        told = self.outcome(outcome_of(world, command))
        if self.alert is None:
            return encode_response(CredentialsResponse(told))
        update = decode_update(command.payload)
        date = self.executed_at or update.execution_date_time or "20990101000000Z"
        return encode_alert(CredentialsAlert(self.alert, date, told))


SUCCESS = int(AlertCode.FUTURE_DATED_SUCCESS)
FAILURE = int(AlertCode.FUTURE_DATED_FAILURE)


def outcome_of(world: World, command: Message) -> CredentialsOutcome:
    """The outcome of a command that succeeds in every cell of a device as the ceremony left it."""
    update = decode_update(command.payload)
    held = held_by(world, command.header.recipient)
    outcomes = []
    for item in update.replacements:
        old, new = held[item.cell.name], Certificate.from_der(item.certificate)
        outcomes.append(CellOutcome(
            item.cell, StatusCode.SUCCESS, old.subject_unique_id, old.key_identifier,
            new.subject_unique_id, new.key_identifier,
        ))  # fmt: skip
    return CredentialsOutcome(
        authorising_counter=update.authorising_counter,
        mode=update.mode,
        changes=update.other_changes or (),
        outcomes=tuple(outcomes),
    )


def held_by(world: World, eui: str) -> dict[str, Certificate]:
    """What the cells of a device hold, as the ceremony left them."""
    return {
        name: Certificate.from_der(base64.b64decode(der))
        for name, der in world.device(eui)["cells"].items()
    }


def details_of(world: World, question: Message, **changes: Any) -> bytes:
    """What a device's cells hold, in answer to a read, under its MAC.

    `changes`: `header`, `counter_by`, `roles`, `secret`, `payload`, and `after`, a change of the
    octets.
    """
    asked = question.header
    held = held_by(world, asked.recipient)
    roles = changes.get("roles") or tuple(
        RoleDetails(role, StatusCode.SUCCESS, 0, tuple(
            HeldCredential(
                cell.key_usage, cell.cell_usage, one.subject_unique_id, one.key_identifier
            )
            for name, one in held.items() if (cell := CellId.from_name(name)).role is role
        ))
        for role in decode_read(question.payload).roles
    )  # fmt: skip
    counter = asked.counter + changes.get("counter_by", 0)
    header = GroupingHeader(Cra.RESPONSE, counter, asked.recipient, asked.originator, asked.other)
    payload = changes.get("payload") or encode_details(CredentialDetails(roles))
    message = Message(replace(header, **changes.get("header", {})), payload, signature=b"")
    z = changes.get("secret") or secret_of(world, asked.recipient)
    octets = encode(add_mac(message, z))
    after: Callable[[bytes], bytes] = changes.get("after", lambda o: o)
    return after(octets)


def secret_of(world: World, eui: str) -> bytes:
    """Z of a device and the broker, by the device's key."""
    certificate = world.keys("acb").certificate("key-agreement")
    return device_keys(world).key_agreement(eui).shared_secret(certificate)
