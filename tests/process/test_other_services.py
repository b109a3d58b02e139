"""The services other than a change of supplier, through the six systems, really started."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from stack_bench import Bench
from stack_services import SUPPLIER, ask, refused, renewed
from typer.testing import CliRunner

from cli.app import app
from cli.request_commands import update_credentials
from duis.model import Inventory, RemotePartyRole, ResponseMessage
from gbcs.message import decode, encode
from gbcs.payloads.details import decode_details
from gbcs.protect import sign
from stack.cells import cells_of
from stack.receiver import Receiver
from stack.service_requests import (
    NewCertificates,
    ask_update,
    read_credentials,
    read_inventory,
    request_handover,
    send_update,
    sign_pre_command,
)
from stack.switching import Outcome

pytestmark = pytest.mark.xdist_group("stack")


def broker(bench: Bench) -> str:
    return str(bench.connection.stack.facts["parties"]["acb"])


def test_the_inventory_tells_the_holder_of_a_device_what_it_is(bench: Bench) -> None:
    meter = bench.meter("tcos_party")
    outcome = ask(bench, read_inventory(bench.supplier("A"), broker(bench), device=meter))

    assert (outcome.state, outcome.response_code) == ("completed", "I0")
    assert outcome.response is not None
    body = bench.supplier("A").read(outcome.response).body
    assert isinstance(body, ResponseMessage)
    assert isinstance(body.content, Inventory)
    (device,) = body.content.devices
    assert (device.device, device.import_mpxn) == (meter, bench.mpxn(meter))


def test_a_device_tells_whose_credentials_it_holds(bench: Bench) -> None:
    meter = bench.meter("ecos_party")
    roles = (RemotePartyRole.SUPPLIER, RemotePartyRole.TRANS_COS)

    outcome = ask(bench, read_credentials(bench.supplier("A"), meter, roles))

    assert (outcome.state, outcome.response_code) == ("completed", "I0")
    message = decode(bench.response_payload(outcome))
    assert (message.header.originator, message.header.recipient) == (meter, broker(bench))
    told = {
        held.key_id.hex()
        for role in decode_details(message.payload).roles
        for held in role.held or ()
    }
    cells = bench.cells(meter)
    names = (*SUPPLIER, "transitionalCoS/digitalSignature/management")
    assert told == {cells[name].key_identifier for name in names}


def test_a_supplier_renews_its_own_credentials(bench: Bench, receiver: Receiver) -> None:
    meter, new = bench.meter("tcos_party"), renewed(bench, "A")
    before = bench.cells(meter)

    outcome = update_credentials(bench.connection, bench.supplier("A"), meter, new)

    assert (outcome.state, outcome.response_code) == ("completed", "I0")
    after = bench.cells(meter)
    assert {name for name in after if after[name] != before[name]} == {SUPPLIER[1]}
    assert new.key_agreement is not None
    assert after[SUPPLIER[1]].key_identifier == new.key_agreement.key_identifier.hex()
    record = bench.connection.lab("acb", "GET", f"/lab/devices/{meter}")["cells"]
    assert record[SUPPLIER[1]]["key_identifier"] == after[SUPPLIER[1]].key_identifier
    receiver.wait_until("A", lambda document: b"SecurityCredentialsUpdated" in document, 20)


def test_the_broker_hands_over_a_device_it_holds(bench: Bench, dcc_controlled: str) -> None:
    outcome = ask(bench, request_handover(bench.supplier("A"), dcc_controlled))

    assert (outcome.state, outcome.response_code) == ("completed", "I0")
    cells = cells_of(bench.connection, dcc_controlled)
    assert {cells[name].subject for name in SUPPLIER} == {bench.supplier("A").eui}


ATTACKS: list[tuple[str, Callable[[Bench, str], tuple[object, bytes]], str | None]] = [
    (
        "acb.inventory.visible",
        lambda b, m: read_inventory(b.supplier("B"), broker(b), device=m),
        None,
    ),
    (
        "acb.details.visible",
        lambda b, m: read_credentials(b.supplier("B"), m, (RemotePartyRole.SUPPLIER,)),
        None,
    ),
    (
        "acb.handover.holder",
        lambda b, m: request_handover(b.supplier("B"), m),
        "acb.answer.received",
    ),
    (
        "acb.pre_command.holder",
        lambda b, m: ask_update(b.supplier("B"), m, NewCertificates.of(b.supplier("B"))),
        None,
    ),
    (
        "acb.pre_command.certificates",
        lambda b, m: ask_update(b.supplier("A"), m, renewed(b, "B")),
        None,
    ),
]


@pytest.mark.parametrize(("check", "make", "then"), ATTACKS, ids=[item[0] for item in ATTACKS])
def test_who_is_refused_by_which_check(
    bench: Bench,
    check: str,
    make: Callable[[Bench, str], tuple[object, bytes]],
    then: str | None,
) -> None:
    """The refusal, that nothing changed; the twin with that one check off: success, or by whom."""
    meter = bench.meter("tcos_party")
    before = bench.state(meter)

    outcome = ask(bench, make(bench, meter))

    assert (outcome.state, refused(outcome)) == ("refused", check)
    assert bench.state(meter) == before
    bench.check("acb", check, enabled=False)
    twin = ask(bench, make(bench, meter))
    assert refused(twin) == then
    assert twin.ok == (then is None)
    assert bench.state(meter)["cells"] == before["cells"]


def test_a_command_signed_by_another_supplier_gets_no_mac(bench: Bench) -> None:
    """B cannot sign for A: the broker refuses; without that check the meter says nothing."""
    meter, new, a = bench.meter("tcos_party"), renewed(bench, "A"), bench.supplier("A")
    before = bench.state(meter)
    written = ask(bench, ask_update(a, meter, new))
    assert written.response is not None
    honest = decode(sign_pre_command(a, a.read(written.response), new))
    forged = bench.supplier("B").keys.signer("digital-signing")

    def send() -> Outcome:
        return ask(bench, send_update(a, meter, encode(sign(honest, forged.sign))))

    assert refused(send()) == "acb.signed_pre_command.signature"
    assert bench.state(meter) == before
    bench.check("acb", "acb.signed_pre_command.signature", enabled=False)
    twin = send()
    assert (twin.state, refused(twin)) == ("failed", "acb.answer.received")
    assert bench.state(meter)["cells"] == before["cells"]


def test_the_command_line_asks_as_a_supplier(bench: Bench) -> None:
    meter = bench.meter("tcos_party")
    common = ["--supplier", "A", "--meter", meter, "--data", str(bench.data), "--json"]

    def cos(*words: str) -> dict[str, Any]:
        told = CliRunner().invoke(app, ["request", *words, *common])
        assert told.exit_code == 0, told.output
        return dict(json.loads(told.output))

    assert cos("inventory")["answer"]["devices"][0]["device"] == meter
    assert cos("read-credentials")["answer"]["message_code"] == "0x0008"
    assert cos("update-credentials")["answer"]["message_code"] == "0x0102"
    missing = CliRunner().invoke(app, ["request", "handover", *common])
    assert missing.exit_code == 1
    assert json.loads(missing.output)["refused"]["check"] == "acb.handover.holder"
