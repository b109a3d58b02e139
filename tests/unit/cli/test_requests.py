"""`cos request`: what a supplier's own side refuses, before anybody else is asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from typer.testing import CliRunner

from cli.app import app
from duis.model import PreCommand, Response, ResponseMessage
from gbcs.codes import (
    CertificateReadFailure,
    CertificateUpdateResult,
    CertificationRequestFailure,
    Cra,
    MessageCode,
)
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.payloads.credentials import CellId, UpdateCredentials, encode_update
from gbcs.payloads.device_certificates import (
    CertificateReadResponse,
    CertificateUpdateResponse,
    IssueResponse,
    encode_certificate_read_response,
    encode_certificate_update_response,
    encode_issue_response,
)
from stack.errors import CommandError
from stack.own_keys import KeyName, KeyService, device_result, issue, provide, signed
from stack.service_requests import NewCertificates, sign_pre_command
from stack.supplier import Supplier

SUPPLIER = "0253494d10000000"
METER = "0253494dd0000001"
OTHER = "0253494dd0000002"
NOBODY = cast("Supplier", SimpleNamespace(eui=SUPPLIER))  # has no key: it must not come to that


def written(code: int, payload: bytes, meter: str = METER, supplier: str = SUPPLIER) -> Response:
    """A broker's answer to variant 4."""
    header = GroupingHeader(Cra.COMMAND, 7, supplier, meter, OtherInformation(code))
    content = PreCommand("4.1", encode(Message(header, payload, signature=None)))
    body = ResponseMessage("6.17", "6.17", content=content)
    return Response(None, None, "I0", datetime(2030, 1, 2, tzinfo=UTC), body)


ASKED = issue(KeyName.KEY_AGREEMENT)
WRONG = {
    "another key": written(ASKED.code, issue(KeyName.DIGITAL_SIGNING).payload),
    "another use case": written(provide(KeyName.KEY_AGREEMENT).code, ASKED.payload),
    "another device": written(ASKED.code, ASKED.payload, meter=OTHER),
    "another supplier": written(ASKED.code, ASKED.payload, supplier=OTHER),
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_only_the_command_that_was_asked_for_is_signed(answer: Response) -> None:
    act: KeyService = ASKED
    with pytest.raises(CommandError, match="not the command that was asked for"):
        signed(NOBODY, METER, act, answer)


def test_only_the_date_that_was_asked_for_is_signed() -> None:
    update = UpdateCredentials(
        mode=Mode.SUPPLIER_BY_SUPPLIER,
        authorising_counter=7,
        authorising_cell=CellId.from_name("supplier/digitalSignature/management"),
        replacements=(),
        path_certificates=(),
        execution_date_time="20300102000000Z",
    )
    answer = written(MessageCode.SUPPLIER_BY_SUPPLIER, encode_update(update))
    for asked in (None, datetime(2030, 1, 3, tzinfo=UTC)):
        with pytest.raises(CommandError, match="another date"):
            sign_pre_command(NOBODY, answer, NewCertificates(), asked)


def answer(code: MessageCode, payload: bytes) -> bytes:
    header = GroupingHeader(Cra.RESPONSE, 7, METER, SUPPLIER, OtherInformation(code))
    return encode(Message(header, payload, signature=bytes(64)))


NOES = [
    (
        MessageCode.ISSUE_SECURITY_CREDENTIALS,
        encode_issue_response(IssueResponse(CertificationRequestFailure(2))),
        "keyPairGenerationFailed",
    ),
    (
        MessageCode.UPDATE_DEVICE_CERTIFICATE,
        encode_certificate_update_response(CertificateUpdateResponse(CertificateUpdateResult(5))),
        "wrongPublicKey",
    ),
    (
        MessageCode.PROVIDE_DEVICE_CERTIFICATE,
        encode_certificate_read_response(CertificateReadResponse(CertificateReadFailure(2))),
        "noCertificateHeld",
    ),
]


@pytest.mark.parametrize(("code", "payload", "result"), NOES, ids=[item[2] for item in NOES])
def test_a_device_that_says_no_is_not_a_success(
    code: MessageCode, payload: bytes, result: str
) -> None:
    told = device_result(answer(code, payload))

    assert (told.ok, told.result, told.pem) == (False, result, None)


@pytest.mark.parametrize(
    "words",
    [["--at", "tomorrow"], ["--at", "2030-01-02T00:00:00"], ["--at", "2030-01-02", "--cancel"]],
)
@pytest.mark.parametrize("service", ["handover", "update-credentials"])
def test_a_date_that_is_none(service: str, words: list[str]) -> None:
    caller = ["--supplier", "A", "--meter", METER, "--json"]

    done = CliRunner().invoke(app, ["request", service, *caller, *words])

    assert done.exit_code == 2, done.output
    assert "--at" in json.loads(done.stdout)["error"]
