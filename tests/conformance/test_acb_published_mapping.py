"""What the broker reads in, and writes for, published requests, against the published messages.

The published requests and commands were made from different issues of the same certificates, so
those of the messages are put in their place; a command of the broker's own, or of the CoS Party's,
is by a counter of theirs. Everything else must come out octet for octet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from acb.rules.expected import expected_command
from acb.services import details as services_details
from acb.services import handover as services_handover
from acb.services import own_credentials as services_device
from acb.services import pre_command as services_pre_command
from acb.services.evidence import ServiceEvidence
from duis.gate import parse
from duis.model import (
    PreCommand,
    RequestHandoverOfDCCControlledDevice,
    ServiceRequest,
    UpdateSecurityCredentialsCoS,
    UpdateSecurityCredentialsKRP,
)
from duis.xml import request_from_xml
from gbcs.message import Message, decode, encode
from gbcs.payloads.credentials import UpdateCredentials, decode_update, encode_update
from keys.certificate import Certificate

ACB = "90b3d51f30000002"
PAIRS = ["IMMEDIATE", "FUTURE_DATED"]


@pytest.mark.parametrize("kind", PAIRS)
def test_the_published_command_is_the_one_the_published_request_allows(
    shared_dir: Path, kind: str
) -> None:
    name = f"CS02bSupplierByTransCoS_6.23_{kind}_SUCCESS"
    document = (shared_dir / "duis" / f"{name}_REQUEST_DUIS.XML").read_bytes()
    body = request_from_xml(parse(document, template=True)).body
    assert isinstance(body, UpdateSecurityCredentialsCoS)
    octets = bytes.fromhex((shared_dir / "rtds" / f"{name}_COMMAND_GBCS.HEX").read_text())
    message = decode(octets)
    published = decode_update(message.payload)
    certificates = [item.certificate for item in published.replacements]
    reissued = replace(
        body,
        digital_signing=certificates[0],
        key_agreement=certificates[1],
        key_agreement_top_up=certificates[2],
        path_certificates=published.path_certificates,
    )

    expected = expected_command(reissued, message.header.counter)

    assert encode_update(expected) == message.payload


def octets(shared: Path, name: str) -> bytes:
    return bytes.fromhex((shared / "rtds" / f"{name}_GBCS.HEX").read_text().strip())


def evidence(shared: Path, name: str) -> ServiceEvidence:
    """The published request, asked of the broker of the published certificates."""
    document = (shared / "duis" / f"{name}_REQUEST_DUIS.XML").read_bytes()
    request = request_from_xml(parse(document, template=True))
    broker = (shared / "rtds" / "keystore" / f"{ACB}-ds.pem").read_bytes()
    return ServiceEvidence(request, Certificate.from_pem(broker), user=None)


def with_certificates_of(request: ServiceRequest, published: UpdateCredentials) -> ServiceRequest:
    """The request with the message's certificates, which are other issues of the same keys."""
    body = request.body
    assert isinstance(body, UpdateSecurityCredentialsKRP | RequestHandoverOfDCCControlledDevice)
    own = (body.digital_signing, body.key_agreement, body.key_agreement_top_up)
    theirs = [one.certificate for one in published.replacements]
    for ours, other in zip([der for der in own if der is not None], theirs, strict=True):
        assert key_and_holder(ours) == key_and_holder(other)
    left = iter(theirs)
    signing, agreement, top_up = (None if der is None else next(left) for der in own)
    reissued = replace(
        body,
        digital_signing=signing,
        key_agreement=agreement,
        key_agreement_top_up=top_up,
        path_certificates=published.path_certificates,
    )
    return replace(request, body=reissued)


def key_and_holder(der: bytes) -> tuple[bytes, str | None]:
    certificate = Certificate.from_der(der)
    return certificate.key_identifier, certificate.subject_eui


Writer = Callable[[ServiceEvidence], PreCommand]
WRITTEN: list[tuple[str, Writer]] = [
    ("CS02bSupplierBySupplier_6.15.1_IMMEDIATE_SUCCESS", services_pre_command.pre_command),
    ("CS02c_6.17_SUCCESS", services_device.pre_command),
    ("CS02d_6.15.2_SUCCESS", services_device.pre_command),
    ("CS02e_6.24.2_SUCCESS", services_device.pre_command),
]


@pytest.mark.parametrize(("name", "write"), WRITTEN, ids=[name for name, _ in WRITTEN])
def test_the_pre_command_for_a_published_request_is_the_published_one(
    shared_dir: Path, name: str, write: Writer
) -> None:
    asked, published = evidence(shared_dir, name), octets(shared_dir, f"{name}_PRECOMMAND")
    if isinstance(asked.request.body, UpdateSecurityCredentialsKRP):
        update = decode_update(decode(published).payload)
        asked = replace(asked, request=with_certificates_of(asked.request, update))
    assert write(asked).gbcs_payload == published


Commands = Callable[[ServiceEvidence, int], Message]
ORIGINATED: list[tuple[str, Commands]] = [
    ("CS02aMAC_6.24.1_SUCCESS", services_details.question),
    ("CS02bSupplierBySupplierHandover_6.21_SUCCESS", services_handover.handover),
]


@pytest.mark.parametrize(("name", "command"), ORIGINATED, ids=[name for name, _ in ORIGINATED])
def test_what_the_broker_commands_itself_is_the_published_command(
    shared_dir: Path, name: str, command: Commands
) -> None:
    """But for its MAC, and for its signature where it has one."""
    asked, published = evidence(shared_dir, name), decode(octets(shared_dir, f"{name}_COMMAND"))
    if isinstance(asked.request.body, RequestHandoverOfDCCControlledDevice):
        update = decode_update(published.payload)
        asked = replace(asked, request=with_certificates_of(asked.request, update))
    written = command(asked, published.header.counter)
    unsigned = published.signature if written.signature is not None else None
    assert encode(written) == encode(replace(published, mac=None, signature=unsigned))
