"""DCC alert CoSCertificateAlert: when the broker learns which CoS certificate a device holds."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from acb.steps.lanes import HAVE_SIGNED
from acb.steps.outcome import Outcomes
from acb.store import requests as store
from duis.alerts import CosCertificateAlert
from duis.model import DccAlert, Header, RemotePartyRole, ServiceRequest
from duis.model import RetrieveDeviceSecurityCredentialsKRP as Retrieve
from duis.request_id import RequestId
from gbcs.codes import CredentialsReplacementMode, StatusCode
from gbcs.payloads.credentials import (
    CellId,
    CellOutcome,
    CredentialsOutcome,
    Replacement,
    UpdateCredentials,
)
from keys.certificate import Certificate
from tests.unit.acb.estate import (
    COS_CELL,
    DEVICE,
    ECOS,
    SUPPLIER_A,
    SUPPLIER_B,
    TCOS,
    update_for,
)
from tests.unit.acb.meters import Meters
from tests.unit.acb.world import World


async def told(world: World, user: str) -> list[CosCertificateAlert]:
    """What a user was told of the device's CoS certificate, oldest first."""
    found = []
    for document in await world.documents(user):
        body = document.body
        if isinstance(body, DccAlert) and isinstance(body.content, CosCertificateAlert):
            assert body.alert_code == "N63"
            found.append(body.content)
    return found


async def record_holds(world: World, certificate: Certificate) -> None:
    """Provision the device with this certificate in its role-5 cell, by the broker's record."""
    device = world.estate.devices[DEVICE]
    names = ("eui", "device_type", "certificates")
    cells = device["cells"] | {COS_CELL: base64.b64encode(certificate.der).decode()}
    order = {name: device[name] for name in names} | {"mpxns": [device["mpxn"]], "cells": cells}
    assert (await world.lab.post("/lab/devices", json=order)).status_code == 201


def retrieve(counter: int) -> ServiceRequest:
    header = Header(RequestId(SUPPLIER_A, DEVICE, counter), 1, "6.24", "6.24.1")
    return ServiceRequest(header, Retrieve((RemotePartyRole.SUPPLIER, RemotePartyRole.TRANS_COS)))


def nobodys(world: World) -> Certificate:
    """A certificate of an entity that is no CoS Party connected here."""
    return world.estate.keys("acb").certificate("digital-signing")


async def asked(world: World, counter: int = 1) -> str:
    """By which check supplier B's change of supplier ends, accepted though nobody can sign it."""
    ended = await world.run(world.estate.request(counter=counter))
    return str((ended["refused"] or {}).get("check"))


async def test_where_nobody_can_sign_supplier_and_asker_are_told(world: World) -> None:
    certificate = nobodys(world)
    await record_holds(world, certificate)
    await world.lab.put("/lab/checks/acb.device.cos_party", json={"enabled": False})
    await world.lab.put(
        f"/lab/users/{SUPPLIER_A}/callback", json={"callback_url": "http://users/A"}
    )

    assert await asked(world) == "acb.cos_party.unavailable"

    expected = [CosCertificateAlert(DEVICE, certificate.serial)]
    assert await told(world, SUPPLIER_A) == expected, "the responsible supplier"
    assert await told(world, SUPPLIER_B) == expected, "whoever asked"
    trace = await world.trace(world.estate.request())
    assert [e["receiver"] for e in trace if e["kind"] == "notified"] == [SUPPLIER_A, SUPPLIER_B]
    sent = [name for name, document in world.around.delivered if b"CoSCertificateAlert" in document]
    assert len(sent) == 2
    assert "A" in sent

    assert await asked(world, 2) == "acb.cos_party.unavailable"
    assert await told(world, SUPPLIER_A) == await told(world, SUPPLIER_B) == expected, "once"

    await record_holds(world, certificate)  # another device, as far as is known
    await asked(world, 3)
    assert len(await told(world, SUPPLIER_A)) == 2


async def test_a_request_refused_for_it_at_once_owes_nobody_anything(world: World) -> None:
    await record_holds(world, nobodys(world))
    answer = await world.submit(world.estate.signed(world.estate.request()))
    await world.settle()
    assert answer.headers["cos-check"] == "acb.device.cos_party"
    assert await told(world, SUPPLIER_A) == await told(world, SUPPLIER_B) == []


async def test_where_somebody_signs_nothing_is_told(world: World) -> None:
    assert (await world.run(world.estate.request()))["state"] == "completed"
    assert await told(world, SUPPLIER_A) == await told(world, SUPPLIER_B) == []


async def test_a_device_that_says_otherwise_than_the_record(world: World, meters: Meters) -> None:
    """The record has it that ECoS is trusted; the device says another key, and no serial."""
    await record_holds(world, world.estate.cos_certificate(ECOS))
    before = await world.record()

    assert (await world.run(retrieve(1)))["state"] == "completed"

    assert await told(world, SUPPLIER_A) == [CosCertificateAlert(DEVICE)]
    assert await world.record() == before, "a key identifier is no certificate"
    await world.run(retrieve(2))
    assert len(await told(world, SUPPLIER_A)) == 1, "once"
    del meters


async def test_a_device_that_says_what_the_record_says(world: World, meters: Meters) -> None:
    assert (await world.run(retrieve(1)))["state"] == "completed"
    assert await told(world, SUPPLIER_A) == []
    del meters


def outcomes(world: World) -> Outcomes:
    """The part of the broker that records what devices say, which no interface shows."""
    workflow: Any = world.parts.base.outbox._handlers[HAVE_SIGNED]
    return workflow.__self__._outcomes  # type: ignore[no-any-return]


async def migrate(world: World, to: Certificate, status: StatusCode) -> None:
    """A device says what became of a migration (mode 6): no service asks for one yet."""
    request = world.estate.request()
    await world.run(request)
    plain = update_for(world.estate.body(), 7)
    cell = CellId.from_name(COS_CELL)
    update: UpdateCredentials = replace(
        plain,
        mode=CredentialsReplacementMode.TRANS_COS_BY_TRANS_COS,
        replacements=(Replacement(to.der, cell),),
        other_changes=None,
    )
    old = world.estate.cos_certificate(TCOS)
    now = to if status is StatusCode.SUCCESS else old
    became = CellOutcome(
        cell,
        status,
        old.subject_unique_id,
        old.key_identifier,
        now.subject_unique_id,
        now.key_identifier,
    )
    outcome = CredentialsOutcome(7, update.mode, (), (became,))
    base = world.parts.base
    async with base.database.begin() as conn:
        tracked = await store.find_request(conn, request.header.request_id.text)
        assert tracked is not None
        await outcomes(world).record_cells(conn, tracked, update, outcome)


async def test_a_migrated_device(world: World) -> None:
    new = world.estate.cos_certificate(ECOS)
    await migrate(world, new, StatusCode.SUCCESS)
    assert await told(world, SUPPLIER_B) == [CosCertificateAlert(DEVICE, new.serial)]
    assert (await world.record())["cells"][COS_CELL]["fingerprint"] == new.fingerprint


async def test_a_migration_that_failed(world: World) -> None:
    await migrate(world, world.estate.cos_certificate(ECOS), StatusCode.NO_TRUST_ANCHOR)
    assert await told(world, SUPPLIER_B) == []
    assert (await world.record())["cells"][COS_CELL]["subject"] == TCOS
