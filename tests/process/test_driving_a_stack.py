"""What somebody new does with a stack: templates, duplicates, logs, and two stacks side by side."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from stack_bench import Bench
from typer.testing import CliRunner

from cli.app import app
from duis.codes import SUCCESS
from stack.errors import UNREACHABLE, USAGE
from stack.layout import Stack, save_stack
from stack.processes import runs
from stack.systems import SYSTEMS

pytestmark = pytest.mark.xdist_group("stack")

TEMPLATE = "CS02bSupplierByTransCoS_6.23_IMMEDIATE_SUCCESS_REQUEST_DUIS.XML"


def cos(bench: Bench, *words: str, code: int = 0, data: Path | None = None) -> str:
    done = CliRunner().invoke(app, [*words, "--data", str(data or bench.data)])
    assert done.exit_code == code, done.output
    return done.output


def filled_in(template: str, bench: Bench, meter: str) -> str:
    """The published template with supplier B's identifiers and certificates; its layout stays."""
    supplier = bench.supplier("B")
    certificate = supplier.keys.certificate
    values: dict[str, Any] = {
        "RequestID": f"{hyphened(supplier.eui)}:{hyphened(meter)}:{time.time_ns() // 1_000_000}",
        "DigitalSigningCertificate": certificate("digital-signing").der,
        "KeyAgreementCertificate": certificate("key-agreement").der,
        "KeyAgreementTopUpCertificate": certificate("prepayment-key-agreement").der,
        "Certificate": supplier.issuing_authority.der,
        "ImportMPxN": bench.mpxn(meter),
    }
    for name, value in values.items():
        text = base64.b64encode(value).decode() if isinstance(value, bytes) else value
        template, count = re.subn(rf"(<sr:{name}>)[^<]*", rf"\g<1>{text}", template)
        assert count == 1, name
    return template


def hyphened(eui: str) -> str:
    return "-".join(eui[i : i + 2].upper() for i in range(0, 16, 2))


def test_the_published_template_is_signed_and_accepted(
    bench: Bench, shared_dir: Path, tmp_path: Path
) -> None:
    meter = bench.meter("tcos_party")
    file, signed = tmp_path / "template.xml", tmp_path / "signed.xml"
    file.write_text(filled_in((shared_dir / "duis" / TEMPLATE).read_text(), bench, meter))
    sign = ("duis", "sign", str(file), "--supplier", "B")
    assert "cos duis sign --template" in cos(bench, *sign, code=USAGE)
    refused = bench.post(file.read_bytes())
    assert refused.json()["check"] == "acb.request.wellformed"
    assert "take them out, then sign" in refused.text
    cos(bench, *sign, "--template", "--out", str(signed))
    told = json.loads(cos(bench, "submit", str(signed), "--json"))
    assert (told["state"], told["response_code"]) == ("completed", SUCCESS)


def test_a_duplicate_is_answered_with_a_code(bench: Bench) -> None:
    meter = bench.meter("ecos_party")
    request_id, document = bench.supplier("B").change_of_supplier(meter, bench.mpxn(meter))
    assert bench.submit(document, request_id).ok
    again = bench.submit(document, request_id)
    assert again.refused is not None
    assert again.refused["check"] == "acb.request.duplicate"
    assert again.response_code is not None
    assert again.response_code.startswith("E")


def test_a_request_can_be_followed_through_the_logs_of_both_sides(bench: Bench) -> None:
    outcome = bench.switch(bench.meter("tcos_party"), "C")
    lines = cos(bench, "logs", "--request", outcome.request_id, "--json").splitlines()
    told = [json.loads(line) for line in lines]
    assert {"acb", "tcos_party"} <= {line["party"] for line in told}
    assert {line["duis_request_id"] for line in told} == {outcome.request_id}
    listed = json.loads(cos(bench, "requests", "--json"))
    (mine,) = [one for one in listed if one["request_id"] == outcome.request_id]
    assert mine["refused"] == "tcos.registration.incoming_supplier"
    assert outcome.request_id in cos(bench, "requests", "--state", "refused")


def test_reset_puts_checks_and_homes_back(bench: Bench) -> None:
    meter = bench.meter("tcos_party")
    before = bench.cells(meter)
    bench.check("acb", "acb.request.signature", enabled=False)
    assert bench.switch(meter, "B").ok
    assert bench.cells(meter) != before
    cos(bench, "reset", "--homes")
    assert bench.cells(meter) == before
    assert not bench.connection.lab("acb", "GET", "/lab/party")["weakened"]


def test_another_stack_with_our_numbers_and_ports_is_not_taken_for_ours(
    bench: Bench, tmp_path: Path
) -> None:
    stack = bench.connection.stack
    for system in SYSTEMS:
        (tmp_path / system).mkdir()
        (tmp_path / system / "lab.token").write_text("a credential of another ceremony")
    save_stack(Stack(tmp_path, stack.services, stack.pids))
    told = json.loads(cos(bench, "status", "--json", data=tmp_path, code=UNREACHABLE))
    assert not any(one["ready"] or one["running"] for one in told["services"].values())
    assert "does not know this stack's lab credential" in told["services"]["acb"]["why_not"]
    assert "nothing was running" in cos(bench, "down", data=tmp_path)
    assert all(runs(stack, system) for system in SYSTEMS)
    assert '"ready": true' in cos(bench, "status", "--json")


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_interface_describes_itself(bench: Bench, system: str) -> None:
    url = bench.connection.stack.services[system].interface
    told = httpx.get(f"{url}/openapi.json").json()
    accepts = bench.connection.lab(system, "GET", "/lab/party")["accepts"]
    assert accepts
    for line, callers in accepts.items():
        method, path = line.split()
        operation = told["paths"][path][method.lower()]
        assert operation["x-callers"] == callers
        assert operation["description"]
        assert (operation["security"] == []) == (callers == ["anyone"])
        if method == "POST":
            assert operation["requestBody"]["description"]
            assert all("schema" in one for one in operation["requestBody"]["content"].values())
