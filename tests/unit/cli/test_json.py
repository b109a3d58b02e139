"""What the command line prints as JSON reaches a reader that knows only floating point whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.console import write_json
from duis.model import Header, ServiceRequest, UpdateSecurityCredentialsCoS
from duis.request_id import RequestId
from duis.xml import request_to_xml

FLOORS = (2**53 - 1, 2**53 + 1, 2**63 - 1)


def as_javascript_reads(text: str) -> Any:
    """`JSON.parse`: every number is a 64-bit floating point one."""
    return json.loads(text, parse_int=float)


def document(floor: int) -> bytes:
    body = UpdateSecurityCredentialsCoS(
        supplier_floor=floor,
        digital_signing=b"a certificate",
        path_certificates=(b"an authority",),
        import_mpxn="1234567890123",
    )
    request_id = RequestId("0253494d20000000", "0253494dd0000001", 2**64 - 1)
    return request_to_xml(ServiceRequest(Header(request_id, 1, "6.23", "6.23"), body))


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_survives_show_and_such_a_reader(tmp_path: Path, floor: int) -> None:
    file = tmp_path / "request.xml"
    file.write_bytes(document(floor))
    done = CliRunner().invoke(app, ["duis", "show", str(file), "--json"])
    assert done.exit_code == 0, done.output
    shown = as_javascript_reads(done.output)["body"]["UpdateSecurityCredentialsCoS"]
    assert int(shown["supplier_floor"]) == floor
    told = json.loads(done.output)["body"]["UpdateSecurityCredentialsCoS"]
    assert told["supplier_floor"] == (floor if floor < 2**53 else str(floor))


def test_every_number_in_what_is_written_is_one_that_such_a_reader_has(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = {
        "a": [1, {"b": 2**53}],
        "c": -(2**53),
        "d": True,
        "e": 1.5,
        "f": (2**64 - 1,),
        "g": None,
    }
    write_json(told)
    assert as_javascript_reads(capsys.readouterr().out) == {
        "a": [1, {"b": str(2**53)}], "c": str(-(2**53)), "d": True, "e": 1.5,
        "f": [str(2**64 - 1)], "g": None,
    }  # fmt: skip
