"""The broker and the real meter simulator, in one process: what stand-ins might flatter."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from gbcs.message import decode
from tests.unit.acb.estate import CELLS, DEVICE, SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.meters import Meters, recorded
from tests.unit.acb.world import World


async def test_record_and_meter_agree_after_a_change(world: World, meters: Meters) -> None:
    before = await meters.cells()

    told = await world.run(world.estate.request())

    assert told["state"] == "completed"
    assert await recorded(world) == await meters.cells() != before


async def test_record_and_meter_agree_after_an_answer_was_lost(
    world: World, meters: Meters
) -> None:
    deliver = meters.wan.handle_async_request
    lost: list[bytes] = []

    async def loses_one(request: httpx.Request) -> httpx.Response:
        answer = await deliver(request)
        if not lost:
            lost.append(await answer.aread())
            raise httpx.ReadTimeout("lost")
        return answer

    meters.wan.handle_async_request = loses_one  # type: ignore[method-assign]
    await world.accept(world.estate.request())
    await world.parts.base.outbox.idle(deferred=True)

    told = await world.told(world.estate.request())
    assert (told["state"], told["response_code"]) == ("completed", "I0")
    assert await recorded(world) == await meters.cells()
    assert (await world.record())["cells"][CELLS[0]]["subject"] == SUPPLIER_B
    codes = [decode(octets).message_code for octets in meters.heard]
    assert codes == [0x0107, 0x0107, 0x0008]


@pytest.mark.parametrize(
    ("losses", "codes"),
    [
        ({"lose_messages": 1}, [0x0107, 0x0107]),
        ({"lose_answers": 1}, [0x0107, 0x0107, 0x0008]),
        ({"lose_messages": 1, "lose_answers": 1}, [0x0107, 0x0107, 0x0008]),
        ({"lose_answers": 2}, [0x0107, 0x0107, 0x0008, 0x0008]),
    ],
)
async def test_whatever_the_wan_loses_record_and_meter_agree(
    world: World, meters: Meters, losses: dict[str, int], codes: list[int]
) -> None:
    """A lost command, a lost answer and a refusal all sound alike: like nothing."""
    answer = await meters.lab.put(f"/lab/devices/{DEVICE}/wan", json=losses)
    assert answer.is_success, answer.text

    told = await world.run(world.estate.request())

    assert told["state"] == "completed"
    assert await recorded(world) == await meters.cells()
    assert [decode(octets).message_code for octets in meters.heard] == codes
    assert [alert.body.alert_code for alert in await world.documents(SUPPLIER_A)] == ["N27"]


async def test_a_meter_that_refuses_keeps_its_cells_and_the_record_its_word(
    world: World, meters: Meters
) -> None:
    """The record says another CoS Party than the meter trusts: the meter has the last word."""
    cell = "transitionalCoS/digitalSignature/management"
    ecos = world.estate.party_keys["0253494d00000005"].certificate("digital-signing")
    device = world.estate.devices[DEVICE]
    await world.lab.post(
        "/lab/devices",
        json={
            "eui": DEVICE,
            "device_type": device["device_type"],
            "mpxns": [device["mpxn"]],
            "certificates": device["certificates"],
            "cells": device["cells"] | {cell: base64.b64encode(ecos.der).decode()},
        },
    )
    before = await meters.cells()

    told = await world.run(world.estate.request())

    assert (told["state"], told["response_code"]) == ("failed", "E11")
    assert await meters.cells() == before
    refusals = (await meters.lab.get(f"/lab/devices/{DEVICE}/refusals")).json()
    assert "meter.originator" in json.dumps(refusals)


async def test_what_no_check_of_the_broker_stops_the_meter_still_may(
    world: World, meters: Meters
) -> None:
    """The broker without its check on certificates: a wrong supplier's certificate goes in.

    The meter cannot know whose certificate was asked for. That only the broker can stop it is
    why the check exists.
    """
    party = world.parties["tcos_party"]

    async def for_supplier_a(_: object, body: dict[str, Any]) -> dict[str, Any]:
        wrong = world.estate.request(supplier=SUPPLIER_A)
        return party.answer(body["transaction"], party.signed(wrong, 101), 101)

    world.peers["tcos_party"].handlers["cos-command"] = for_supplier_a  # type: ignore[assignment]
    stopped = await world.run(world.estate.request(counter=1))
    before = await meters.cells()
    for check in ("acb.return.certificates", "acb.return.nothing_else"):
        await world.lab.put(f"/lab/checks/{check}", json={"enabled": False})

    let_through = await world.run(world.estate.request(counter=2))

    assert stopped["refused"]["check"] == "acb.return.certificates"
    assert let_through["state"] == "completed"
    after = await meters.cells()
    assert after == before or before[CELLS[0]] != after[CELLS[0]]
    assert (await world.record())["cells"][CELLS[0]]["subject"] == SUPPLIER_A
