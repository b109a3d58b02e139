"""The broker's lab port: what it takes, what it refuses, and what of it shows on the interface."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from acb.lab.routes import _cell_certificate
from keys.certificate import Certificate
from keys.issuing.odd_forms import OddForm
from tests.unit.acb.estate import DEVICE, SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.services.test_device_credentials import odd
from tests.unit.acb.world import World


def device(world: World, **changes: Any) -> dict[str, Any]:
    known = world.estate.devices[DEVICE]
    return {
        "eui": DEVICE,
        "device_type": known["device_type"],
        "status": "Commissioned",
        "mpxns": [known["mpxn"]],
        "certificates": known["certificates"],
        "cells": known["cells"],
    } | changes


async def test_the_record_tells_what_each_cell_holds(world: World) -> None:
    told = await world.record()

    held = told["cells"]["supplier/digitalSignature/management"]
    signing = world.estate.suppliers[SUPPLIER_A].certificate("digital-signing")
    assert held == {
        "subject": SUPPLIER_A,
        "key_identifier": signing.key_identifier.hex(),
        "fingerprint": signing.fingerprint,
    }
    listed = (await world.lab.get("/lab/devices")).json()["devices"]
    assert told in listed


@pytest.mark.parametrize(
    "change",
    [
        {"eui": "0253494DD0000001"},
        {"device_type": "TOASTER"},
        {"status": "Broken"},
        {"mpxns": []},
        {"mpxns": ["12345678901234"]},
        {"cells": {"supplier/everything/management": ""}},
        {"cells": {"supplier/digitalSignature/management": "not base64"}},
        {"cells": {"supplier/digitalSignature/management": "AAAA"}},
        {"certificates": {}},
        {"more": 1},
    ],
)
async def test_a_device_that_makes_no_sense_is_refused_and_nothing_changes(
    world: World, change: dict[str, Any]
) -> None:
    before = (await world.lab.get("/lab/devices")).json()

    answer = await world.lab.post("/lab/devices", json=device(world, **change))

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await world.lab.get("/lab/devices")).json() == before


async def test_a_device_whose_key_is_written_otherwise_is_not_recorded(world: World) -> None:
    own = world.estate.devices[DEVICE]["certificates"]
    compressed = odd(world, OddForm.COMPRESSED_POINT)
    given = own | {"digital-signing": base64.b64encode(compressed).decode()}
    before = (await world.lab.get("/lab/devices")).json()

    answer = await world.lab.post("/lab/devices", json=device(world, certificates=given))

    assert answer.status_code == 422
    assert "compressed point" in answer.json()["detail"]
    assert (await world.lab.get("/lab/devices")).json() == before


async def test_a_device_needs_a_key_of_each_kind(world: World) -> None:
    own = world.estate.devices[DEVICE]["certificates"]
    swapped = {
        "digital-signing": own["key-agreement"],
        "key-agreement": own["digital-signing"],
    }

    answer = await world.lab.post("/lab/devices", json=device(world, certificates=swapped))

    assert answer.status_code == 422
    assert answer.json()["expected"] == "digitalSignature"


async def test_a_device_installed_afresh_begins_its_counters_anew(world: World) -> None:
    """Another device under the same identifier; its CoS Party may go on where it was."""
    await world.run(world.estate.request(counter=1))
    world.parties["tcos_party"].counter = 0
    world.meter.counters.clear()
    await world.lab.post("/lab/devices", json=device(world))

    told = await world.run(world.estate.request(counter=2))

    assert told["state"] == "completed"


async def test_without_that_an_old_counter_is_refused(world: World) -> None:
    await world.run(world.estate.request(counter=1))
    world.parties["tcos_party"].counter = 0
    world.meter.counters.clear()

    told = await world.run(world.estate.request(counter=2))

    assert told["refused"]["check"] == "acb.return.counter"


async def test_a_user_keeps_its_callback_when_it_is_added_again(world: World) -> None:
    body = {"name": "B", "participant": "SUPB", "eui": SUPPLIER_B, "roles": ["IS"]}

    kept = (await world.lab.post("/lab/users", json=body)).json()["callback_url"]
    await world.lab.put(f"/lab/users/{SUPPLIER_B}/callback", json={"callback_url": None})
    gone = (await world.lab.post("/lab/users", json=body)).json()["callback_url"]

    assert kept == f"http://users/{SUPPLIER_B}"
    assert gone is None


@pytest.mark.parametrize("url", ["ftp://x", "x", "file:///etc/passwd", ""])
async def test_a_callback_must_be_an_http_address(world: World, url: str) -> None:
    answer = await world.lab.put(f"/lab/users/{SUPPLIER_B}/callback", json={"callback_url": url})

    assert answer.status_code == 422


async def test_a_user_without_callback_asks_for_its_answer(world: World) -> None:
    await world.lab.put(f"/lab/users/{SUPPLIER_B}/callback", json={"callback_url": None})

    told = await world.run(world.estate.request())

    assert world.read(base64.b64decode(told["response"])).code == "I0"
    assert [path for path, _ in world.around.delivered] == [SUPPLIER_A]


async def test_an_undelivered_answer_is_tried_again(world: World) -> None:
    world.around.wire.down.add("users")
    await world.accept(world.estate.request())
    await world.parts.base.outbox.run_due()
    assert world.around.delivered == []
    dead = (await world.lab.get("/lab/outbox", params={"state": "dead"})).json()["entries"]
    assert {entry["kind"] for entry in dead} == {"user-document"}

    world.around.wire.down.clear()
    for entry in dead:
        await world.lab.post(f"/lab/outbox/{entry['id']}/retry")
    await world.settle()

    assert sorted(path for path, _ in world.around.delivered) == [SUPPLIER_A, SUPPLIER_B]
    assert (await world.told(world.estate.request()))["state"] == "completed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/lab/devices"),
        ("POST", "/lab/devices"),
        ("GET", "/lab/requests"),
        ("GET", "/lab/notices"),
        ("PUT", "/lab/thresholds/*"),
        ("POST", "/lab/quarantine/1/release"),
    ],
)
async def test_the_lab_is_not_on_the_interface_nor_open(
    world: World, method: str, path: str
) -> None:
    assert (await world.interface.request(method, path)).status_code == 404
    del world.lab.headers["Authorization"]
    assert (await world.lab.request(method, path)).status_code == 401


async def test_nothing_secret_is_shown_anywhere(world: World) -> None:
    request = world.estate.request()
    await world.run(request)
    own = base64.b64decode(world.estate.devices[DEVICE]["certificates"]["key-agreement"])
    secret = world.parts.mac_key.shared_secret(Certificate.from_der(own))
    name = request.header.request_id.text
    paths = ("/lab/messages", f"/lab/trace/{name}", "/lab/audit", "/lab/requests")
    shown = "".join([(await world.lab.get(path)).text for path in paths])

    assert secret.hex() not in shown
    assert base64.b64encode(secret).decode() not in shown
    assert (world.estate.data / "acb" / "passphrase").read_text().strip() not in shown


@pytest.mark.parametrize("act", ["release", ""])
async def test_a_reference_that_no_row_can_have_is_refused(world: World, act: str) -> None:
    path = f"/lab/quarantine/{2**63}/{act}".rstrip("/")
    answer = await world.lab.request("POST" if act else "DELETE", path)
    assert answer.status_code == 422


async def test_a_threshold_that_cannot_be_kept_is_refused(world: World) -> None:
    answer = await world.lab.put("/lab/thresholds/total", json={"most": 2**63})
    assert answer.status_code == 422


async def test_thresholds_are_shown_and_forgotten_one_by_one(world: World) -> None:
    assert (await world.lab.get("/lab/thresholds")).json() == {"thresholds": {}}
    for scope, most in (("*", None), (SUPPLIER_A, 7)):
        assert (await world.lab.put(f"/lab/thresholds/{scope}", json={"most": most})).is_success
    assert (await world.lab.get("/lab/thresholds")).json() == {
        "thresholds": {"*": None, SUPPLIER_A: 7}
    }
    assert (await world.lab.delete("/lab/thresholds/*")).status_code == 204
    assert (await world.lab.get("/lab/thresholds")).json() == {"thresholds": {SUPPLIER_A: 7}}


def many(world: World) -> list[dict[str, Any]]:
    """The estate's device under three identifiers that nothing is known of."""
    return [
        device(world, eui=f"0253494dd10000{number:02x}", mpxns=[f"13000000000{number:02d}"])
        for number in range(3)
    ]


async def test_many_devices_are_recorded_in_one_call_as_each_alone(world: World) -> None:
    alone, *_ = many(world)
    told = (await world.lab.post("/lab/devices", json=alone)).json()
    answer = await world.lab.post("/lab/devices", json=many(world))

    assert (answer.status_code, answer.json()) == (201, {"provisioned": 3})
    for number, order in enumerate(many(world)):
        recorded = (await world.lab.get(f"/lab/devices/{order['eui']}")).json()
        assert recorded == told | {"eui": order["eui"], "mpxns": order["mpxns"]}, number
    (row,) = [
        one
        for one in (await world.lab.get("/lab/audit")).json()["rows"]
        if one["kind"] == "lab.devices"
    ]
    assert row["record"] == {
        "cells": [told["cells"]],
        "devices": {o["eui"]: 0 for o in many(world)},
    }


async def test_of_many_devices_one_that_makes_no_sense_stops_all(world: World) -> None:
    before = (await world.lab.get("/lab/devices")).json()
    first, second, third = many(world)
    for orders in (
        [first, second, third | {"cells": {"supplier/digitalSignature/management": "AAAA"}}],
        [first, second, first],
        [],
    ):
        answer = await world.lab.post("/lab/devices", json=orders)
        assert answer.status_code == 422
    assert (await world.lab.get("/lab/devices")).json() == before


async def test_many_devices_installed_afresh_begin_their_counters_anew(world: World) -> None:
    await world.run(world.estate.request(counter=1))
    world.parties["tcos_party"].counter = 0
    world.meter.counters.clear()
    await world.lab.post("/lab/devices", json=[device(world), *many(world)])

    told = await world.run(world.estate.request(counter=2))

    assert told["state"] == "completed"


@pytest.mark.parametrize("together", [False, True])
async def test_what_waits_in_a_device_that_is_recorded_anew_waits_no_longer(
    world: World, *, together: bool
) -> None:
    request = world.estate.request(execution_date_time=world.estate.now + timedelta(days=1))
    assert (await world.run(request))["state"] == "scheduled"
    order = device(world)
    await world.lab.post("/lab/devices", json=[*many(world), order] if together else order)
    told = await world.told(request)
    assert told["state"] == "failed"
    assert told["refused"]["detail"] == "its device was installed anew"


async def test_devices_are_listed_page_by_page(world: World) -> None:
    await world.lab.post("/lab/devices", json=many(world))
    whole = (await world.lab.get("/lab/devices")).json()
    names = [one["eui"] for one in whole["devices"]]
    assert whole["total"] == len(names) > 3
    assert whole["next"] is None

    paged: list[dict[str, Any]] = []
    after = ""
    while True:
        asked = {"limit": 2, "after": after}
        page = (await world.lab.get("/lab/devices", params=asked)).json()
        paged += page["devices"]
        assert page["total"] == len(names)
        if not (after := page["next"] or ""):
            break
    assert paged == whole["devices"]
    told = (await world.lab.get("/lab/devices", params={"names": True})).json()
    assert told["devices"] == [{"eui": eui} for eui in names]


async def test_a_cell_that_was_read_before_is_judged_by_its_own_text(world: World) -> None:
    """What is remembered of a certificate is remembered of that text alone, and not for ever."""
    cells = dict(world.estate.devices[DEVICE]["cells"])
    assert (await world.lab.post("/lab/devices", json=device(world, cells=cells))).is_success
    name = "supplier/digitalSignature/management"
    other = cells | {name: cells["supplier/keyAgreement/management"]}
    assert (await world.lab.post("/lab/devices", json=device(world, cells=other))).is_success
    recorded = (await world.record())["cells"]
    assert recorded[name] == recorded["supplier/keyAgreement/management"]
    assert _cell_certificate.cache_info().maxsize == 256


async def test_a_sync_asks_for_the_revocation_lists_now(world: World) -> None:
    told = (await world.lab.post("/lab/sync")).json()

    assert told["party"] == "acb"
    assert told["revocation"].startswith("lists taken: CN=")
