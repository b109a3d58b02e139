"""The broker's own lab routes: provisioning, quarantine, what it has recorded."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from pydantic import Field, HttpUrl

from acb.checks import PARTY
from acb.model import DeviceRecord, Tracked, User
from acb.steps import pending
from acb.steps.context import Context
from acb.steps.intake import Intake
from acb.steps.notify import Notifier
from acb.store import records
from acb.store import requests as store
from acb.store.block_sizes import BlockSize, forget_block_sizes, put_block_size
from gbcs.errors import EncodeError
from gbcs.payloads.credentials import CellId
from keys.certificate import Certificate
from keys.errors import CertificateError
from keys.octets import public_key_fault
from keys.roles import Usage
from services.chassis.data.canonical import canonical
from services.chassis.lab.routes import Row
from services.chassis.settings import Strict
from services.chassis.web.problems import Problem

Eui = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]

DEVICE_TYPES = r"^(ESME|GSME|CHF|GPF|PPMID|HCALCS|IHD|CAD|SAPC)$"
"""Types of device DUIS knows (docs/sources.md#service-requests)."""

STATUSES = (
    r"^(Pending|Whitelisted|InstalledNotCommissioned|Commissioned|Decommissioned|Withdrawn"
    r"|Suspended|Recovery|Recovered)$"
)


class OwnCertificates(Strict):
    """The device's own certificates, DER in base64."""

    digital_signing: Annotated[str, Field(alias="digital-signing")]
    key_agreement: Annotated[str, Field(alias="key-agreement")]


class Device(Strict):
    """A device as the inventory shall know it; `cells` by cell name, DER in base64."""

    eui: Eui
    device_type: Annotated[str, Field(pattern=DEVICE_TYPES)]
    status: Annotated[str, Field(pattern=STATUSES)] = "Commissioned"
    mpxns: Annotated[list[Annotated[str, Field(pattern=r"^[0-9]{1,13}$")]], Field(min_length=1)]
    block_size: BlockSize | None = None
    certificates: OwnCertificates
    cells: dict[str, str]


Devices = Annotated[list[Device], Field(min_length=1, max_length=10_000)]


class NewUser(Strict):
    """A user. Without a callback URL, one that was set before stays."""

    name: str
    participant: str
    eui: Eui
    roles: list[str]
    callback_url: str | None = None


class Callback(Strict):
    """Where a user's responses and alerts go; null: nowhere, it asks for them."""

    callback_url: str | None


class Threshold(Strict):
    """The most requests in a window; null: no limit."""

    most: Annotated[int, Field(ge=0, le=2**31 - 1)] | None


INSTALLED_ANEW: Final = "its device was installed anew"
"""Why a dated command no longer waits in a device that the lab records as it left the factory."""


def routes(context: Context, intake: Intake, notifier: Notifier) -> APIRouter:
    """The broker's own lab routes."""
    router = APIRouter(tags=["lab"])
    database = context.base.database

    @router.post("/lab/devices", status_code=201)
    async def provision(device: Device | Devices) -> dict[str, Any]:
        if isinstance(device, list):
            return await provision_all(device)
        record = _record(device)
        async with database.begin() as conn:
            await records.put_device(conn, record)
            await put_block_size(conn, device.eui, device.block_size)
            for waits in await pending.waiting_in(conn, device.eui):
                await pending.drop(notifier, conn, waits.tracked, INSTALLED_ANEW)
            await context.base.audit.append(
                conn, "lab.device", device.eui, {"cells": _cells(record.cells)}
            )
        context.blocks.forget_device(device.eui)
        return _device(record)

    async def provision_all(devices: list[Device]) -> dict[str, Any]:
        given = {device.eui: _record(device) for device in devices}
        if len(given) != len(devices):
            raise Problem(422, "Named twice", "each device once", party=PARTY)
        kinds: dict[str, int] = {}  # what cells hold, each once: a fleet's devices are alike
        alike = {
            eui: kinds.setdefault(canonical(_cells(record.cells)), len(kinds))
            for eui, record in given.items()
        }
        kept = {"cells": [json.loads(one) for one in kinds], "devices": alike}
        async with database.begin() as conn:
            await records.put_devices(conn, list(given.values()))
            await forget_block_sizes(conn, list(given))
            for device in devices:
                if device.block_size is not None:
                    await put_block_size(conn, device.eui, device.block_size)
            for eui in sorted(await pending.devices_asked(conn, list(given))):
                for waits in await pending.waiting_in(conn, eui):
                    await pending.drop(notifier, conn, waits.tracked, INSTALLED_ANEW)
            await context.base.audit.append(conn, "lab.devices", f"{len(given)} devices", kept)
        for eui in given:
            context.blocks.forget_device(eui)
        return {"provisioned": len(given)}

    @router.get("/lab/devices")
    async def devices(
        after: Annotated[str, Query(pattern="^[0-9a-f]{0,16}$")] = "",
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
        names: Annotated[bool, Query(description="Only their EUI-64s.")] = False,
    ) -> dict[str, Any]:
        async with database.connect() as conn:
            total = await records.count_devices(conn)
            page: list[dict[str, Any]]
            if names:
                rows = await conn.execute(records.device_names(after, limit))
                page = [{"eui": eui} for eui in rows.scalars()]
            else:
                page = [_device(item) for item in await records.list_devices(conn, after, limit)]
        more = page[-1]["eui"] if len(page) == limit else None
        return {"total": total, "devices": page, "next": more}

    @router.get("/lab/devices/{eui}")
    async def device(eui: str) -> dict[str, Any]:
        return _device(await device_of(context, eui))

    @router.post("/lab/users", status_code=201)
    async def add_user(user: NewUser) -> dict[str, Any]:
        if user.callback_url is not None:
            _url(user.callback_url)
        async with database.begin() as conn:
            before = await records.find_user(conn, user.eui)
            kept = before.callback_url if before is not None else None
            added = User(
                eui=user.eui,
                name=user.name,
                participant=user.participant,
                roles=tuple(user.roles),
                callback_url=user.callback_url or kept,
            )
            await records.put_user(conn, added)
        return asdict(added)

    @router.post("/lab/sync")
    async def sync() -> dict[str, Any]:
        """Ask for the revocation lists now, whatever the repository's last word was."""
        return {"party": PARTY, "revocation": await context.smki.sync()}

    @router.get("/lab/users")
    async def users() -> dict[str, Any]:
        async with database.connect() as conn:
            return {"users": [asdict(item) for item in await records.list_users(conn)]}

    @router.put("/lab/users/{eui}/callback")
    async def set_callback(eui: str, callback: Callback) -> dict[str, Any]:
        if callback.callback_url is not None:
            _url(callback.callback_url)
        async with database.begin() as conn:
            user = await records.find_user(conn, eui)
            if user is None:
                raise Problem(404, "No such user", "not known here", party=PARTY)
            changed = User(user.eui, user.name, user.participant, user.roles, callback.callback_url)
            await records.put_user(conn, changed)
        return asdict(changed)

    @router.get("/lab/requests")
    async def requests() -> dict[str, Any]:
        async with database.connect() as conn:
            return {"requests": [_request(item) for item in await store.list_requests(conn)]}

    @router.get("/lab/notices")
    async def notices(user: str | None = None) -> dict[str, Any]:
        async with database.connect() as conn:
            rows = await store.list_notices(conn, user)
        return {
            "notices": [
                {
                    "id": row.id,
                    "user": row.user,
                    "code": row.code,
                    "at": row.at.isoformat(),
                    "delivered_at": None
                    if row.delivered_at is None
                    else row.delivered_at.isoformat(),
                    "document": base64.b64encode(row.document).decode("ascii"),
                }
                for row in rows
            ]
        }

    @router.get("/lab/thresholds")
    async def thresholds() -> dict[str, Any]:
        async with database.connect() as conn:
            return {"thresholds": await records.all_thresholds(conn)}

    @router.delete("/lab/thresholds/{scope}", status_code=204)
    async def forget_threshold(scope: str) -> Response:
        async with database.begin() as conn:
            await records.forget_thresholds(conn, scope)
            await context.base.audit.append(conn, "lab.threshold", scope, {"most": "settings"})
        return Response(status_code=204)

    @router.put("/lab/thresholds/{scope}")
    async def set_threshold(scope: str, threshold: Threshold) -> dict[str, Any]:
        async with database.begin() as conn:
            await records.put_threshold(conn, scope, threshold.most)
            await context.base.audit.append(conn, "lab.threshold", scope, {"most": threshold.most})
        return {"scope": scope, "most": threshold.most}

    @router.get("/lab/quarantine")
    async def quarantine() -> dict[str, Any]:
        async with database.connect() as conn:
            return {"quarantined": [_request(item) for item in await store.quarantined(conn)]}

    @router.post("/lab/quarantine/{reference}/release")
    async def release(reference: Row) -> dict[str, Any]:
        return _found(await intake.release(reference))

    @router.delete("/lab/quarantine/{reference}")
    async def delete(reference: Row) -> dict[str, Any]:
        return _found(await intake.delete(reference))

    return router


async def device_of(context: Context, eui: str) -> DeviceRecord:
    """The record of a device.

    Raises:
        Problem: there is none.
    """
    async with context.base.database.connect() as conn:
        record = await records.find_device(conn, eui)
    if record is None:
        raise Problem(404, "No such device", "not in the inventory", party=PARTY)
    return record


def _found(tracked: Tracked | None) -> dict[str, Any]:
    if tracked is None:
        raise Problem(404, "Nothing quarantined", "no such reference in quarantine", party=PARTY)
    return _request(tracked)


def _record(device: Device) -> DeviceRecord:
    own = device.certificates
    return DeviceRecord(
        eui=device.eui,
        device_type=device.device_type,
        status=device.status,
        mpxns=tuple(device.mpxns),
        certificates={
            "digital-signing": _own(own.digital_signing, Usage.DIGITAL_SIGNATURE),
            "key-agreement": _own(own.key_agreement, Usage.KEY_AGREEMENT),
        },
        cells={_cell(name): _cell_certificate(text) for name, text in device.cells.items()},
    )


@lru_cache(maxsize=256)
def _cell_certificate(text: str) -> Certificate:
    """As `_certificate`, which says the same of the same text: devices hold the same few."""
    return _certificate(text)


def _certificate(text: str) -> Certificate:
    try:
        certificate = Certificate.from_der(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, CertificateError) as error:
        raise Problem(422, "Not a certificate", str(error), party=PARTY) from None
    if not certificate.simulated:
        raise Problem(422, "Not simulated material", "refused: a real certificate?", party=PARTY)
    if fault := public_key_fault(certificate.octets.public_key):
        raise Problem(422, "Not a public key of a device's certificate", fault, party=PARTY)
    return certificate


def _own(text: str, usage: Usage) -> Certificate:
    """A device's own certificate: without the right kind of key nothing could be done with it."""
    certificate = _certificate(text)
    if certificate.usage != usage:
        raise Problem(
            422,
            "Not that kind of certificate",
            "a device has one certificate for signing and one for key agreement",
            party=PARTY,
            expected=usage.value,
            found=str(certificate.usage),
        )
    return certificate


def _cell(name: str) -> str:
    try:
        return CellId.from_name(name).name
    except EncodeError as error:
        raise Problem(422, "Not a trust anchor cell", str(error), party=PARTY) from None


def _url(text: str) -> None:
    try:
        HttpUrl(text)
    except ValueError:
        raise Problem(422, "Not a URL", "a callback is an http URL", party=PARTY) from None


def _device(record: DeviceRecord) -> dict[str, Any]:
    return {
        "eui": record.eui,
        "device_type": record.device_type,
        "status": record.status,
        "mpxns": list(record.mpxns),
        "cells": _cells(record.cells),
        "certificates": _cells(record.certificates),
    }


def _cells(cells: Mapping[str, Certificate]) -> dict[str, dict[str, str]]:
    return {
        name: {
            "subject": held.subject_unique_id.hex(),
            "key_identifier": held.key_identifier.hex(),
            "fingerprint": held.fingerprint,
        }
        for name, held in cells.items()
    }


def _request(tracked: Tracked) -> dict[str, Any]:
    return {
        "request_id": tracked.request_id,
        "service": tracked.service_reference_variant,
        "originator": tracked.originator,
        "state": tracked.state.value,
        "response_code": tracked.response_code,
        "refused": None if tracked.refusal is None else tracked.refusal.check,
        "target": tracked.target,
        "cos_party": tracked.cos_party,
        "transaction": tracked.transaction,
        "command_counter": tracked.command_counter,
        "quarantine_ref": tracked.quarantine_ref,
        "accepted_at": tracked.accepted_at.isoformat(),
    }
