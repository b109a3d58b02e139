"""The broker's reading of a 6.23 request against the published request and command.

The published requests and commands were made from different issues of the same certificates, and
the command is by another counter; everything else must come out octet for octet.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from acb.expected import expected_command
from duis.gate import parse
from duis.model import UpdateSecurityCredentialsCoS
from duis.xml import request_from_xml
from gbcs.credentials import decode_update, encode_update
from gbcs.message import decode

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
