"""From the published 6.23 service requests to the published CoS commands, byte for byte.

The certificates in the request templates are reissues of those inside the vectors (same keys,
other validity), so they are replaced by the vector's before building; everything else that the
command says comes from the DUIS values.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cos_party.model import ChangeRequest
from cos_party.rules.build import pre_command
from cos_party.rules.reading import change_request
from duis.gate import parse
from duis.model import CANCEL_DATE
from gbcs.message import Message, decode, encode
from gbcs.payloads.credentials import UpdateCredentials, decode_update
from keys.certificate import Certificate

COS_PARTY = "90b3d51f30000004"
CASES = [("IMMEDIATE_SUCCESS", 6001), ("FUTURE_DATED_SUCCESS", 6002)]


def command(shared: Path, name: str) -> tuple[bytes, Message]:
    file = shared / "rtds" / f"CS02bSupplierByTransCoS_6.23_{name}_COMMAND_GBCS.HEX"
    data = bytes.fromhex(file.read_text().strip())
    return data, decode(data)


def template(shared: Path, name: str) -> ChangeRequest:
    file = shared / "duis" / f"CS02bSupplierByTransCoS_6.23_{name}_REQUEST_DUIS.XML"
    return change_request(parse(file.read_bytes(), template=True))


def with_certificates_of(request: ChangeRequest, published: UpdateCredentials) -> ChangeRequest:
    """The request with the vector's certificates, which must be reissues of the request's."""
    signing, agreement, top_up = (r.certificate for r in published.replacements)
    body = request.body
    pairs = [
        (body.digital_signing, signing),
        (body.key_agreement, agreement),
        (body.key_agreement_top_up, top_up),
        *zip(body.path_certificates, published.path_certificates, strict=True),
    ]
    for ours, theirs in pairs:
        assert ours is not None
        a, b = Certificate.from_der(ours), Certificate.from_der(theirs)
        assert (a.key_identifier, a.subject_eui, a.usage) == (
            b.key_identifier,
            b.subject_eui,
            b.usage,
        )
    return ChangeRequest(
        request.header,
        replace(
            body,
            digital_signing=signing,
            key_agreement=agreement,
            key_agreement_top_up=top_up,
            path_certificates=published.path_certificates,
        ),
    )


@pytest.mark.parametrize(("name", "counter"), CASES)
def test_the_published_payload_is_built_byte_for_byte(
    shared_dir: Path, name: str, counter: int
) -> None:
    _, published = command(shared_dir, name)
    request = with_certificates_of(template(shared_dir, name), decode_update(published.payload))
    built = pre_command(request, COS_PARTY, counter)
    assert built.payload == published.payload
    assert built.header == published.header
    assert built.is_pre_command


@pytest.mark.parametrize(("name", "counter"), CASES)
def test_the_pre_command_is_the_published_command_without_mac_and_signature(
    shared_dir: Path, name: str, counter: int
) -> None:
    data, published = command(shared_dir, name)
    request = with_certificates_of(template(shared_dir, name), decode_update(published.payload))
    inner = data[data.index(b"\xdf") : -12]  # from the grouping header to the MAC
    assert encode(pre_command(request, COS_PARTY, counter)) == inner[: -1 - 64]


def test_the_request_s_own_certificates_are_carried_unchanged(shared_dir: Path) -> None:
    request = template(shared_dir, "IMMEDIATE_SUCCESS")
    update = decode_update(pre_command(request, COS_PARTY, 6001).payload)
    body = request.body
    assert [r.certificate for r in update.replacements] == [
        body.digital_signing,
        body.key_agreement,
        body.key_agreement_top_up,
    ]
    assert update.path_certificates == body.path_certificates


def test_a_cancellation_has_the_published_size(shared_dir: Path) -> None:
    """Without the floors and with the far date: 3 octets fewer than the immediate command.

    1,882 octets against 1,885 (docs/sources.md#message-sizes, #future-dating).
    """
    _, published = command(shared_dir, "IMMEDIATE_SUCCESS")
    request = with_certificates_of(
        template(shared_dir, "IMMEDIATE_SUCCESS"), decode_update(published.payload)
    )
    cancelling = ChangeRequest(
        request.header, replace(request.body, execution_date_time=CANCEL_DATE)
    )
    built = pre_command(cancelling, COS_PARTY, 6001)
    update = decode_update(built.payload)
    assert update.execution_date_time == "99991231235959Z"
    assert update.other_changes is None
    assert len(update.replacements) == 3
    immediate = pre_command(request, COS_PARTY, 6001)
    assert len(encode(built)) == len(encode(immediate)) - 3
